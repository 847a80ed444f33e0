//! Changes of type and of scale.

use super::super::{Emit, LowerError, unsupported};
use super::Site;
use crate::graph::DType;
use crate::quant::fixed_point::{Multiplier, lines, tables};
use embernet_core::kernels::integer::Width;
use embernet_core::kernels::quantize;
use embernet_core::kernels::requantize::Rescale;

impl Emit<'_, '_> {
    /// From f32, or from integers to others of their width.
    pub(super) fn quantize(&mut self, site: Site<'_>) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        let to = self.affine(node, node.outputs[0])?;
        let (scale, zero_point) = (to.scale(), to.zero_point());
        let len = self.output_len(node);
        let x = self.value(node.inputs[0]);
        let y = self.output(node);
        match (dtype, self.tensor(node.outputs[0]).dtype) {
            (DType::F32, DType::I8) => {
                self.sequence.push(&node.name, Some(id), move |p| quantize::QuantizeI8 {
                    len,
                    x: p.at(x),
                    y: p.at(y),
                    scale,
                    zero_point,
                });
            }
            (DType::F32, DType::I16) => {
                self.sequence.push(&node.name, Some(id), move |p| quantize::QuantizeI16 {
                    len,
                    x: p.at(x),
                    y: p.at(y),
                    scale,
                });
            }
            (DType::I8, DType::I8) => {
                let from = self.affine(node, node.inputs[0])?;
                let table = self.fixed(node, tables::rescale_table(from, to))?;
                self.lookup(site, &table, x, y);
            }
            (DType::I16, DType::I16) => {
                let from = self.affine(node, node.inputs[0])?;
                let lines = self.fixed(node, lines::rescale(from, to))?;
                self.lines_i16(site, &lines, x, y);
            }
            (DType::I8 | DType::I16, DType::I8 | DType::I16) => {
                let from = self.affine(node, node.inputs[0])?;
                let real = f64::from(from.scale()) / f64::from(to.scale());
                let Multiplier { mantissa, shift } = self.fixed(node, Multiplier::new("rescale", real))?;
                let [width, y_width] =
                    if dtype == DType::I8 { [Width::I8, Width::I16] } else { [Width::I16, Width::I8] };
                self.sequence.push(&node.name, Some(id), move |p| quantize::RequantizeInt {
                    len,
                    width,
                    y_width,
                    x: p.at(x),
                    y: p.at(y),
                    factor: Rescale { multiplier: mantissa, shift },
                    zero_point: from.zero_point(),
                    y_zero_point: zero_point,
                });
            }
            (from, to) => return Err(unsupported(node, format!("{} to {}", from.name(), to.name()))),
        }
        Ok(())
    }

    pub(super) fn dequantize(&mut self, site: Site<'_>) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        self.expect_type(node, node.outputs[0], DType::F32)?;
        let from = self.affine(node, node.inputs[0])?;
        let (scale, zero_point) = (from.scale(), from.zero_point());
        let len = self.output_len(node);
        let x = self.value(node.inputs[0]);
        let y = self.output(node);
        match dtype {
            DType::I8 => {
                self.sequence.push(&node.name, Some(id), move |p| quantize::DequantizeI8 {
                    len,
                    x: p.at(x),
                    y: p.at(y),
                    scale,
                    zero_point,
                });
            }
            DType::I16 => {
                self.sequence.push(&node.name, Some(id), move |p| quantize::DequantizeI16 {
                    len,
                    x: p.at(x),
                    y: p.at(y),
                    scale,
                });
            }
            _ => return Err(self.no_kernel(site)),
        }
        Ok(())
    }
}
