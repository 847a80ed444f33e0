//! The transposed convolution, and products of two activations.

use super::constants::Kernel;
use super::fold::transpose;
use super::window::{image, kernel_shape, options, size};
use super::{Constant, Converter, fused};
use crate::graph::ops::{MatMul, Operation, Padding, Port, TransposeConv2d};
use crate::import::tflite::error::OpProblem;
use crate::import::tflite::model::Operator;
use crate::import::tflite::schema::{TensorType, option};

impl<'a> Converter<'_, 'a> {
    /// TRANSPOSE_CONV: output shape, kernel `[out][kh][kw][in]`, input, and maybe a bias.
    pub(super) fn transpose_conv(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        use option::transpose_conv as t;
        self.expect_inputs(op, 3..=4)?;
        let o = options(op)?;
        let input = self.value(op, 2, "input")?;
        let [h, w, c] = image(&input, "input")?;
        let (index, weights) = self.constant(op, 1, "kernel")?;
        let [filters, kh, kw, depth] = kernel_shape(&weights.shape)?;
        if depth != c {
            let expected = format!("{filters}x{kh}x{kw}x{c} for an input of {c} channels");
            return Err(OpProblem::Shape { role: "kernel", found: weights.shape, expected });
        }
        let strides = [size(&o, t::STRIDE_H, 0, "stride_h")?, size(&o, t::STRIDE_W, 0, "stride_w")?];
        let activation = fused(o.u8(t::ACTIVATION)?)?;
        let asked = self.integers(op, 0, "output shape")?;
        let error = || OpProblem::Option {
            option: "output shape",
            found: format!("{asked:?}"),
            expected: "1, a height and width that the windows reach, and the kernel's channels",
        };
        let sizes: Option<Vec<usize>> = asked.iter().map(|d| usize::try_from(*d).ok()).collect();
        let (rows, columns) = match sizes.as_deref() {
            Some([1, rows, columns, channels]) if *channels == filters => (*rows, *columns),
            _ => return Err(error()),
        };
        let [top, left] = [(h, strides[0], kh, rows), (w, strides[1], kw, columns)]
            .map(|(input, stride, kernel, output)| border(o.u8(t::PADDING), input, stride, kernel, output));
        let ((top, bottom, below), (left, right, beside)) = (top?.ok_or_else(error)?, left?.ok_or_else(error)?);
        let padding = match [top, bottom, left, right] {
            [0, 0, 0, 0] => Padding::Valid,
            _ => Padding::Explicit { top, bottom, left, right },
        };
        let dtype = self.dtype(&input);
        // Ours lies input channel first.
        let turned = self.turned(weights)?;
        let shape = [c, kh, kw, filters];
        let kernel = Kernel { shape: &shape, file_axis: 0, axis: 3, channels: filters };
        let kernel = self.kernel_of(index, turned, dtype, &kernel)?;
        let bias = self.bias_at(op, 3, dtype, filters)?;
        let node = TransposeConv2d {
            strides,
            padding,
            output_padding: [below, beside],
            use_bias: bias.is_some(),
            activation,
            ..TransposeConv2d::new(filters, [kh, kw])
        };
        let inputs: Vec<_> = [input.id, kernel].into_iter().chain(bias).collect();
        self.emit(op, node, &inputs, &[rows, columns, filters], &[1, rows, columns, filters])?;
        Ok(())
    }

    /// `[out][kh][kw][in]` as `[in][kh][kw][out]`.
    fn turned(&mut self, weights: Constant<'a>) -> Result<Constant<'a>, OpProblem> {
        let expected = "a type of whole bytes";
        let bytes = weights.ty.bytes(1).filter(|_| weights.ty != TensorType::I4);
        let bytes = bytes.ok_or(OpProblem::Type { role: "kernel", found: weights.ty, expected })?;
        self.take(weights.bytes.len())?;
        let (shape, turned) = transpose(&weights.shape, &[3, 1, 2, 0], &weights.bytes, bytes)?;
        Ok(Constant { shape, ty: weights.ty, bytes: turned.into() })
    }

    /// BATCH_MATMUL of two activations.
    pub(super) fn batch_matmul(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 2..=2)?;
        let flag = |id| op.options.map_or(Ok(false), |o| o.bool(id));
        let (transpose_a, transpose_b) = (flag(option::matmul::ADJOINT_A)?, flag(option::matmul::ADJOINT_B)?);
        let (a, b) = (self.value(op, 0, "input 0")?, self.value(op, 1, "input 1")?);
        self.check_same_type(&a, &b, "input 1")?;
        let node = MatMul { transpose_a, transpose_b, ..MatMul::default() };
        let refuse = |why: String| OpProblem::Window { why };
        let port = |name, shape| Port { name, shape };
        let full =
            node.output(&[port("input 0", &a.full), port("input 1", &b.full)]).map_err(|e| refuse(e.to_string()))?;
        // A lone row keeps its axis: a product needs two.
        let [x, y] = [&a, &b].map(|value| match value.full.as_slice() {
            [1, rest @ ..] if rest.len() >= 2 => rest.to_vec(),
            full => full.to_vec(),
        });
        let made = node.output(&[port("input 0", &x), port("input 1", &y)]).map_err(|e| refuse(e.to_string()))?;
        let (first, second) = (self.reshaped(&a, &x)?, self.reshaped(&b, &y)?);
        self.emit(op, node, &[first, second], &made, &full)?;
        Ok(())
    }
}

/// What is cut before and after an axis of the output, and what it has beyond the windows; `None` if
/// the windows do not make such an output.
fn border(
    padding: Result<u8, crate::import::tflite::flat::FlatError>,
    input: usize,
    stride: usize,
    kernel: usize,
    output: usize,
) -> Result<Option<(usize, usize, usize)>, OpProblem> {
    let same = match padding? {
        0 => true,
        1 => false,
        found => {
            let (option, found) = ("padding", found.to_string());
            return Err(OpProblem::Option { option, found, expected: "0 (same) or 1 (valid)" });
        }
    };
    let covered =
        (input - 1).checked_mul(stride).and_then(|last| last.checked_add(kernel)).ok_or(OpProblem::Overflow)?;
    Ok(if same {
        // The forward convolution of the output has to have the input's size.
        let total = covered.saturating_sub(output);
        (output.div_ceil(stride) == input).then(|| (total / 2, total - total / 2, output.saturating_sub(covered)))
    } else {
        // As many whole strides as the input has.
        let fits = output >= covered && output - covered < stride;
        fits.then(|| (0, 0, output - covered))
    })
}
