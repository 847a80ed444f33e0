//! Transposed convolutions, in one and two dimensions.

use super::conv::{explicit, image_shape, pair};
use super::{Call, Converter};
use crate::graph::ops::{Padding, TransposeConv2d};
use crate::graph::{Activation, Data, TensorId, shape_text};
use crate::import::onnx::error::NodeProblem;

impl<'m, 'a> Converter<'m, 'a> {
    /// ConvTranspose.
    pub(super) fn conv_transpose(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        call.expect_inputs(2..=3)?;
        let x = self.real(call, 0, "input")?;
        let weights = self.constant(call, 1, "weights")?;
        let rank = x.layout.rank();
        let axes = rank.saturating_sub(2);
        if !(3..=4).contains(&rank) || weights.shape.len() != rank {
            let what = format!(
                "a transposed convolution of {} with weights {}",
                shape_text(x.shape()),
                shape_text(&weights.shape)
            );
            return Err(NodeProblem::Feature { what });
        }
        let image = self.image(&x, "input")?;
        let [height, width, channels] = image_shape(&self.graph.tensor(image).shape);
        let kernel = pair(&weights.shape[2..])?;
        let groups = usize::try_from(call.int("group", 1)?).unwrap_or(0);
        let filters = weights.shape[1].checked_mul(groups).ok_or(NodeProblem::Overflow)?;
        if groups == 0 || weights.shape[0] != channels || weights.shape.contains(&0) {
            let expected = format!("{channels} x filters / groups x window");
            return Err(NodeProblem::Shape { role: "weights", found: weights.shape.clone(), expected });
        }
        let strides = pair(&call.sizes("strides", axes)?)?;
        let dilation = pair(&call.sizes("dilations", axes)?)?;
        let mut op = TransposeConv2d::new(filters, kernel);
        (op.strides, op.dilation, op.groups) = (strides, dilation, groups);
        if let Some(found) = call.ints("output_padding")? {
            let found: Option<Vec<usize>> = found.iter().map(|v| usize::try_from(*v).ok()).collect();
            let found = found.filter(|f| f.len() == axes).ok_or(NodeProblem::Overflow)?;
            op.output_padding = if axes == 1 { [0, found[0]] } else { pair(&found)? };
        }
        let wanted = match call.ints("output_shape")? {
            Some(found) => {
                let found: Option<Vec<usize>> = found.iter().map(|v| usize::try_from(*v).ok()).collect();
                // Some files give batch and channels too.
                let found = found.filter(|f| f.len() >= axes).ok_or(NodeProblem::Overflow)?;
                Some(pair(&found[found.len() - axes..])?)
            }
            None => None,
        };
        let auto = call.text("auto_pad", "NOTSET")?;
        op.padding = match (wanted, auto) {
            (None, "NOTSET" | "") => explicit(call, axes)?,
            (None, "VALID") => Padding::Valid,
            (wanted, "SAME_UPPER" | "SAME_LOWER" | "NOTSET" | "" | "VALID") => {
                let same = [height.saturating_mul(strides[0]), width.saturating_mul(strides[1])];
                self.cut_to(&mut op, [height, width], wanted.unwrap_or(same), auto == "SAME_UPPER")?
            }
            (_, found) => {
                let expected = "NOTSET, VALID, SAME_UPPER or SAME_LOWER".into();
                return Err(NodeProblem::Attribute { attribute: "auto_pad", found: found.into(), expected });
            }
        };
        let reals = |c: &crate::import::onnx::Constant, role| {
            let found = c.data.dtype().name().into();
            c.reals().ok_or(NodeProblem::Type { role, found, expected: "float" })
        };
        let four = [channels, weights.shape[1], kernel[0], kernel[1]];
        let turned = weights.reshaped(&four).ok_or(NodeProblem::Overflow)?.permuted(&[0, 2, 3, 1]);
        let values = Data::F32(reals(&turned, "weights")?);
        let weights = self.parameter(call.input(1), &turned.shape, values, None)?;
        let mut inputs: Vec<TensorId> = vec![image, weights];
        if let Some(bias) = self.optional_constant(call, 2, "bias")? {
            let values = reals(&bias, "bias")?;
            if values.len() != filters {
                let expected = filters.to_string();
                return Err(NodeProblem::Shape { role: "bias", found: bias.shape.clone(), expected });
            }
            inputs.push(self.parameter(call.input(2), &[filters], Data::F32(values), None)?);
        }
        (op.use_bias, op.activation) = (inputs.len() == 3, Activation::Linear);
        let id = self.emit(op, &inputs, None)?;
        let value = self.image_value(id, rank)?;
        self.define(call, 0, value)
    }

    /// The padding that cuts the output to this size; what is missing is added behind.
    fn cut_to(
        &self,
        op: &mut TransposeConv2d,
        input: [usize; 2],
        wanted: [usize; 2],
        upper: bool,
    ) -> Result<Padding, NodeProblem> {
        op.padding = Padding::Valid;
        let spans = op.spans(input)?;
        let mut ends = [(0, 0); 2];
        for (axis, ((reach, _), wanted)) in spans.into_iter().zip(wanted).enumerate() {
            let cut = reach.saturating_sub(wanted);
            op.output_padding[axis] += wanted.saturating_sub(reach);
            let (less, more) = (cut / 2, cut - cut / 2);
            ends[axis] = if upper { (less, more) } else { (more, less) };
        }
        let [(top, bottom), (left, right)] = ends;
        Ok(Padding::Explicit { top, bottom, left, right })
    }
}
