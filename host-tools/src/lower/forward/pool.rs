//! Maxima and averages over windows.

use super::super::{Emit, LowerError, word};
use super::{Site, bounds};
use crate::graph::ops::{Padding, Window};
use crate::graph::{DType, Node, Op};
use crate::quant::fixed_point::{Multiplier, activation_range, mean_multiplier};
use embernet_core::kernels::pool::Pool2d;
use embernet_core::kernels::reduce::{self, Kind};
use embernet_core::kernels::{average_pool, max_pool};

/// The least and the greatest output.
enum Limits {
    F32(f32, f32),
    I8(i32, i32),
    I16(i32, i32),
}

impl Emit<'_, '_> {
    pub(super) fn max_pool(&mut self, site: Site<'_>) -> Result<(), LowerError> {
        let shape = self.pool_shape(site.node)?;
        match self.pool_limits(site)? {
            Limits::F32(lo, hi) => self.unary(site, move |x, y| max_pool::ForwardF32 { shape, x, y, lo, hi }),
            Limits::I8(lo, hi) => self.unary(site, move |x, y| max_pool::ForwardI8 { shape, x, y, lo, hi }),
            Limits::I16(lo, hi) => self.unary(site, move |x, y| max_pool::ForwardI16 { shape, x, y, lo, hi }),
        }
        Ok(())
    }

    pub(super) fn average_pool(&mut self, site: Site<'_>) -> Result<(), LowerError> {
        let shape = self.pool_shape(site.node)?;
        match self.pool_limits(site)? {
            Limits::F32(lo, hi) => self.unary(site, move |x, y| average_pool::ForwardF32 { shape, x, y, lo, hi }),
            Limits::I8(lo, hi) => self.unary(site, move |x, y| average_pool::ForwardI8 { shape, x, y, lo, hi }),
            Limits::I16(lo, hi) => self.unary(site, move |x, y| average_pool::ForwardI16 { shape, x, y, lo, hi }),
        }
        Ok(())
    }

    /// Limits of a pool's outputs; it keeps its input's scale.
    fn pool_limits(&self, site: Site<'_>) -> Result<Limits, LowerError> {
        let integers = || self.same_scale(site.node);
        Ok(match site.dtype {
            DType::F32 => {
                let (lo, hi) = bounds(site.node.op.fused());
                Limits::F32(lo, hi)
            }
            DType::I8 => integers().map(|(lo, hi)| Limits::I8(lo, hi))?,
            DType::I16 => integers().map(|(lo, hi)| Limits::I16(lo, hi))?,
            _ => return Err(self.no_kernel(site)),
        })
    }

    /// In integers it is TFLite's MEAN, which may rescale, even where it need not.
    pub(super) fn global_average_pool(&mut self, site: Site<'_>) -> Result<(), LowerError> {
        let Site { node, dtype, .. } = site;
        match dtype {
            DType::F32 => return self.average_pool(site),
            DType::I8 => {}
            _ => return self.reduce_axes(site, Kind::Mean, &[0, 1]),
        }
        let (from, to) = self.affines(node)?;
        let input = &self.tensor(node.inputs[0]).shape;
        let [h, w, channels] = [0, 1, 2].map(|axis| input.get(axis).copied().unwrap_or(0));
        let count = h.saturating_mul(w);
        let shape = reduce::Mean { outer: 1, count: word(count), inner: word(channels) };
        let Multiplier { mantissa, shift } = self.fixed(node, mean_multiplier(from.scale(), count, to.scale()))?;
        let (lo, hi) = self.fixed(node, activation_range(node.op.fused(), to))?;
        let scaling = reduce::Scaling {
            in_zero_point: from.zero_point(),
            multiplier: mantissa,
            shift,
            zero_point: to.zero_point(),
            lo,
            hi,
        };
        self.unary(site, move |x, y| reduce::MeanI8 { shape, x, y, scaling });
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
