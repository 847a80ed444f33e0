//! Maxima and averages over windows.

use super::super::{Emit, LowerError, word};
use super::{Site, bounds};
use crate::graph::ops::{Padding, Window};
use crate::graph::{DType, Node, Op};
use crate::quant::fixed_point::{Multiplier, activation_range, mean_multiplier};
use embernet_core::kernels::pool::Pool2d;
use embernet_core::kernels::reduce::Kind;
use embernet_core::kernels::{average_pool, max_pool, mean};

impl Emit<'_, '_> {
    pub(super) fn max_pool(&mut self, site: Site<'_>) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        let shape = self.pool_shape(node)?;
        let x = self.value(node.inputs[0]);
        let y = self.output(node);
        let name = &node.name;
        match dtype {
            DType::F32 => {
                let (lo, hi) = bounds(node.op.fused());
                self.sequence.push(name, Some(id), move |p| max_pool::ForwardF32 {
                    shape,
                    x: p.at(x),
                    y: p.at(y),
                    lo,
                    hi,
                });
            }
            DType::I8 => {
                let (lo, hi) = self.same_scale(node)?;
                self.sequence.push(name, Some(id), move |p| max_pool::ForwardI8 {
                    shape,
                    x: p.at(x),
                    y: p.at(y),
                    lo,
                    hi,
                });
            }
            DType::I16 => {
                let (lo, hi) = self.same_scale(node)?;
                self.sequence.push(name, Some(id), move |p| max_pool::ForwardI16 {
                    shape,
                    x: p.at(x),
                    y: p.at(y),
                    lo,
                    hi,
                });
            }
            _ => return Err(self.no_kernel(site)),
        }
        Ok(())
    }

    pub(super) fn average_pool(&mut self, site: Site<'_>) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        let shape = self.pool_shape(node)?;
        let x = self.value(node.inputs[0]);
        let y = self.output(node);
        let name = &node.name;
        match dtype {
            DType::F32 => {
                let (lo, hi) = bounds(node.op.fused());
                self.sequence.push(name, Some(id), move |p| average_pool::ForwardF32 {
                    shape,
                    x: p.at(x),
                    y: p.at(y),
                    lo,
                    hi,
                });
            }
            DType::I8 => {
                let (lo, hi) = self.same_scale(node)?;
                self.sequence.push(name, Some(id), move |p| average_pool::ForwardI8 {
                    shape,
                    x: p.at(x),
                    y: p.at(y),
                    lo,
                    hi,
                });
            }
            DType::I16 => {
                let (lo, hi) = self.same_scale(node)?;
                self.sequence.push(name, Some(id), move |p| average_pool::ForwardI16 {
                    shape,
                    x: p.at(x),
                    y: p.at(y),
                    lo,
                    hi,
                });
            }
            _ => return Err(self.no_kernel(site)),
        }
        Ok(())
    }

    /// In integers it is TFLite's MEAN, which may rescale, even where it need not.
    pub(super) fn global_average_pool(&mut self, site: Site<'_>) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        match dtype {
            DType::F32 => return self.average_pool(site),
            DType::I8 => {}
            _ => return self.reduce_axes(site, Kind::Mean, &[0, 1]),
        }
        let (from, to) = self.affines(node)?;
        let x = self.value(node.inputs[0]);
        let y = self.output(node);
        let input = &self.tensor(node.inputs[0]).shape;
        let [h, w, channels] = [0, 1, 2].map(|axis| input.get(axis).copied().unwrap_or(0));
        let count = h.saturating_mul(w);
        let shape = mean::Mean { outer: 1, count: word(count), inner: word(channels) };
        let Multiplier { mantissa, shift } = self.fixed(node, mean_multiplier(from.scale(), count, to.scale()))?;
        let (lo, hi) = self.fixed(node, activation_range(node.op.fused(), to))?;
        let scaling = mean::ScalingI8 {
            in_zero_point: from.zero_point(),
            multiplier: mantissa,
            shift,
            zero_point: to.zero_point(),
            lo,
            hi,
        };
        self.sequence.push(&node.name, Some(id), move |p| mean::ForwardI8 { shape, x: p.at(x), y: p.at(y), scaling });
        Ok(())
    }

    pub(in super::super) fn pool_shape(&self, node: &Node) -> Result<Pool2d, LowerError> {
        let [in_h, in_w, channels] = self.image(node.inputs[0]);
        let window = match &node.op {
            Op::MaxPool2d(op) => op.window(),
            Op::AveragePool2d(op) => op.window(),
            // Global: a window as large as the input.
            _ => Window {
                kernel: [in_h as usize, in_w as usize],
                strides: [1, 1],
                dilation: [1, 1],
                padding: Padding::Valid,
            },
        };
        Ok(Pool2d { window: self.window(node, &window)?, channels })
    }
}
