//! Convolutions and pools.

use super::constants::Kernel;
use super::{Converter, Value, fused};
use crate::graph::ops::{Activation, AveragePool2d, Conv2d, DepthwiseConv2d, MaxPool2d, Op, Padding, Window};
use crate::import::tflite::error::OpProblem;
use crate::import::tflite::flat::Table;
use crate::import::tflite::model::Operator;
use crate::import::tflite::schema::option::{conv, depthwise, pool};

/// The options table, without which the operator means nothing.
pub(super) fn options<'a>(op: &Operator<'a>) -> Result<Table<'a>, OpProblem> {
    op.options.ok_or(OpProblem::Missing { role: "the options table" })
}

/// A size option: at least 1.
pub(super) fn size(table: &Table<'_>, id: usize, default: i32, option: &'static str) -> Result<usize, OpProblem> {
    let found = table.i32(id, default)?;
    usize::try_from(found).ok().filter(|n| *n >= 1).ok_or_else(|| OpProblem::Option {
        option,
        found: found.to_string(),
        expected: "at least 1",
    })
}

fn padding(table: &Table<'_>, id: usize) -> Result<Padding, OpProblem> {
    match table.u8(id)? {
        0 => Ok(Padding::Same),
        1 => Ok(Padding::Valid),
        found => {
            let (option, found) = ("padding", found.to_string());
            Err(OpProblem::Option { option, found, expected: "0 (same) or 1 (valid)" })
        }
    }
}

/// The output's size along both axes.
fn positions(window: &Window, input: [usize; 2]) -> Result<[usize; 2], OpProblem> {
    let spans = window.check().and_then(|()| window.spans(input));
    spans.map(|s| s.map(|s| s.output)).map_err(|e| OpProblem::Window { why: e.to_string() })
}

/// `[height, width, channels]` of a batch of one.
pub(super) fn image(value: &Value, role: &'static str) -> Result<[usize; 3], OpProblem> {
    match *value.full.as_slice() {
        [1, h, w, c] => Ok([h, w, c]),
        _ => {
            Err(OpProblem::Shape { role, found: value.full.clone(), expected: "1 x height x width x channels".into() })
        }
    }
}

impl<'a> Converter<'_, 'a> {
    pub(super) fn conv2d(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 2..=3)?;
        let options = options(op)?;
        let input = self.value(op, 0, "input")?;
        let [h, w, c] = image(&input, "input")?;
        let (_, weights) = self.constant(op, 1, "kernel")?;
        let [filters, kh, kw, depth] = kernel_shape(&weights.shape)?;
        // Fewer channels in the kernel than in the input mean groups.
        let groups = c / depth;
        if c % depth != 0 || filters % groups != 0 {
            let expected = format!("{filters}x{kh}x{kw}x{c} for an input of {c} channels");
            return Err(OpProblem::Shape { role: "kernel", found: weights.shape, expected });
        }
        let layer = Conv2d {
            filters,
            kernel: [kh, kw],
            strides: [size(&options, conv::STRIDE_H, 0, "stride_h")?, size(&options, conv::STRIDE_W, 0, "stride_w")?],
            padding: padding(&options, conv::PADDING)?,
            dilation: [
                size(&options, conv::DILATION_H, 1, "dilation_h_factor")?,
                size(&options, conv::DILATION_W, 1, "dilation_w_factor")?,
            ],
            groups,
            use_bias: true,
            activation: fused(options.u8(conv::ACTIVATION)?)?,
        };
        let [rows, columns] = positions(&layer.window(), [h, w])?;
        let dtype = self.dtype(&input);
        let shape = [filters, kh, kw, depth];
        let kernel = self.kernel(op, dtype, &Kernel { shape: &shape, file_axis: 0, axis: 0, channels: filters })?;
        let bias = self.bias(op, dtype, filters)?;
        let mut inputs = vec![input.id, kernel];
        inputs.extend(bias);
        let node = layer.use_bias(bias.is_some());
        self.emit(op, node, &inputs, &[rows, columns, filters], &[1, rows, columns, filters])?;
        Ok(())
    }

    pub(super) fn depthwise_conv2d(&mut self, op: &Operator<'a>) -> Result<(), OpProblem> {
        self.expect_inputs(op, 2..=3)?;
        let options = options(op)?;
        let input = self.value(op, 0, "input")?;
        let [h, w, c] = image(&input, "input")?;
        let (_, weights) = self.constant(op, 1, "kernel")?;
        let [one, kh, kw, channels] = kernel_shape(&weights.shape)?;
        // The depth_multiplier option repeats what the shapes say; newer runtimes ignore it.
        if one != 1 || channels % c != 0 {
            let expected = format!("1 x height x width x a multiple of {c}");
            return Err(OpProblem::Shape { role: "kernel", found: weights.shape, expected });
        }
        let layer = DepthwiseConv2d {
            kernel: [kh, kw],
            depth_multiplier: channels / c,
            strides: [
                size(&options, depthwise::STRIDE_H, 0, "stride_h")?,
                size(&options, depthwise::STRIDE_W, 0, "stride_w")?,
            ],
            padding: padding(&options, depthwise::PADDING)?,
            dilation: [
                size(&options, depthwise::DILATION_H, 1, "dilation_h_factor")?,
                size(&options, depthwise::DILATION_W, 1, "dilation_w_factor")?,
            ],
            use_bias: true,
            activation: fused(options.u8(depthwise::ACTIVATION)?)?,
        };
        let [rows, columns] = positions(&layer.window(), [h, w])?;
        let dtype = self.dtype(&input);
        let shape = [kh, kw, channels];
        let kernel = self.kernel(op, dtype, &Kernel { shape: &shape, file_axis: 3, axis: 2, channels })?;
        let bias = self.bias(op, dtype, channels)?;
        let mut inputs = vec![input.id, kernel];
        inputs.extend(bias);
        let node = layer.use_bias(bias.is_some());
        self.emit(op, node, &inputs, &[rows, columns, channels], &[1, rows, columns, channels])?;
        Ok(())
    }

    /// AVERAGE_POOL_2D and MAX_POOL_2D.
    pub(super) fn pool(&mut self, op: &Operator<'a>, max: bool) -> Result<(), OpProblem> {
        self.expect_inputs(op, 1..=1)?;
        let options = options(op)?;
        let input = self.value(op, 0, "input")?;
        let [h, w, c] = image(&input, "input")?;
        let window =
            [size(&options, pool::FILTER_H, 0, "filter_height")?, size(&options, pool::FILTER_W, 0, "filter_width")?];
        let strides = [size(&options, pool::STRIDE_H, 0, "stride_h")?, size(&options, pool::STRIDE_W, 0, "stride_w")?];
        let padding = padding(&options, pool::PADDING)?;
        let activation = fused(options.u8(pool::ACTIVATION)?)?;
        let layer = AveragePool2d::new(window).strides(strides).padding(padding);
        let [rows, columns] = positions(&layer.window(), [h, w])?;
        let node: Op = if max { MaxPool2d::new(window).strides(strides).padding(padding).into() } else { layer.into() };
        let shape = [rows, columns, c];
        let full = [1, rows, columns, c];
        let output = self.output_index(op)?;
        self.check_same_quant(&input, output)?;
        if activation == Activation::Linear {
            self.emit(op, node, &[input.id], &shape, &full)?;
        } else {
            let between = self.like(input.id, &shape)?;
            self.node(node, &[input.id], between)?;
            self.emit(op, activation, &[between], &shape, &full)?;
        }
        Ok(())
    }
}

pub(super) fn kernel_shape(shape: &[usize]) -> Result<[usize; 4], OpProblem> {
    let fits = <[usize; 4]>::try_from(shape).ok().filter(|s| !s.contains(&0));
    fits.ok_or_else(|| OpProblem::Shape {
        role: "kernel",
        found: shape.to_vec(),
        expected: "four positive sizes".into(),
    })
}
