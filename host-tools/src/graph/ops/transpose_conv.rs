//! The transposed convolution over images `[height, width, channels]`.

use super::super::error::OpError;
use super::conv::{one, ones};
use super::dense::yes;
use super::{Activation, Init, Operation, Padding, Parameter, Port, Window, at_least_one, check_fused};
use serde::{Deserialize, Serialize};

/// Every input pixel adds its filters to the output; the map that a [`super::Conv2d`] with this window makes backwards.
///
/// An axis has `(input - 1) * stride + (kernel - 1) * dilation + 1 + output_padding - padding` outputs. SAME padding
/// gives `input * stride` of them, VALID none less than the windows cover.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransposeConv2d {
    /// Output channels.
    pub filters: usize,
    /// `[height, width]`
    pub kernel: [usize; 2],
    /// Distance between the windows of neighbouring inputs, `[height, width]`.
    #[serde(default = "ones")]
    pub strides: [usize; 2],
    /// What is cut off the output.
    #[serde(default)]
    pub padding: Padding,
    /// Rows and columns behind what the windows cover, `[height, width]`.
    #[serde(default)]
    pub output_padding: [usize; 2],
    /// Distance between taps, `[height, width]`.
    #[serde(default = "ones")]
    pub dilation: [usize; 2],
    /// Divides the channels of input and output; usually 1.
    #[serde(default = "one")]
    pub groups: usize,
    /// Whether a bias is added.
    #[serde(default = "yes")]
    pub use_bias: bool,
    /// Applied to the result; in a graph only clamps.
    #[serde(default)]
    pub activation: Activation,
}

impl TransposeConv2d {
    /// Stride 1, no padding, with bias, without activation.
    pub const fn new(filters: usize, kernel: [usize; 2]) -> Self {
        Self {
            filters,
            kernel,
            strides: [1, 1],
            padding: Padding::Valid,
            output_padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
            use_bias: true,
            activation: Activation::Linear,
        }
    }

    /// Sets the number of groups.
    #[must_use]
    pub const fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// Output positions and padding before them, `[height, width]`, for an input of `[height, width]`.
    ///
    /// # Errors
    /// [`OpError::Overflow`], [`OpError::Attribute`] if the padding leaves nothing.
    pub fn spans(&self, input: [usize; 2]) -> Result<[(usize, usize); 2], OpError> {
        Ok([self.span(0, input[0])?, self.span(1, input[1])?])
    }

    fn span(&self, axis: usize, input: usize) -> Result<(usize, usize), OpError> {
        let (kernel, stride, dilation) = (self.kernel[axis], self.strides[axis], self.dilation[axis]);
        let covered = |positions: usize| {
            let last = positions.checked_sub(1)?.checked_mul(stride)?;
            last.checked_add(kernel.checked_sub(1)?.checked_mul(dilation)?)?.checked_add(1)
        };
        let reach = covered(input).and_then(|r| r.checked_add(self.output_padding[axis])).ok_or(OpError::Overflow)?;
        let (before, after) = match self.padding {
            Padding::Valid => (0, 0),
            Padding::Same => {
                let output = input.checked_mul(stride).ok_or(OpError::Overflow)?;
                return Ok((output, reach.saturating_sub(output) / 2));
            }
            Padding::Explicit { top, bottom, left, right } => [(top, bottom), (left, right)][axis],
        };
        let output = before.checked_add(after).and_then(|cut| reach.checked_sub(cut)).unwrap_or(0);
        if output <= input.saturating_sub(1).saturating_mul(stride).saturating_sub(before) {
            let found = format!("{before} before and {after} behind {reach} positions");
            return Err(OpError::Attribute { what: "padding", found, expected: "less than the kernel" });
        }
        Ok((output, before))
    }

    /// The window of the convolution that goes the other way.
    pub const fn window(&self) -> Window {
        Window { kernel: self.kernel, strides: self.strides, dilation: self.dilation, padding: self.padding }
    }
}

impl Operation for TransposeConv2d {
    fn kind(&self) -> &'static str {
        "transpose_conv2d"
    }

    fn check(&self) -> Result<(), OpError> {
        at_least_one("filters", self.filters)?;
        at_least_one("groups", self.groups)?;
        if !self.filters.is_multiple_of(self.groups) {
            let found = format!("{} for {} filters", self.groups, self.filters);
            return Err(OpError::Attribute { what: "groups", found, expected: "a divisor of the filters" });
        }
        self.window().check()?;
        check_fused(self.activation)
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        let [h, w, channels] = inputs[0].image()?;
        if !channels.is_multiple_of(self.groups) {
            return Err(inputs[0].expected(format!("channels that {} groups divide", self.groups)));
        }
        let [(height, _), (width, _)] = self.spans([h, w])?;
        Ok(vec![height, width, self.filters])
    }

    fn parameters(&self, input: &[usize]) -> Vec<Parameter> {
        let [kh, kw] = self.kernel;
        let channels = input.last().copied().unwrap_or(0);
        let (area, filters) = (kh.saturating_mul(kw), self.filters / self.groups);
        let kernel = Parameter {
            role: "kernel",
            shape: vec![channels, kh, kw, filters],
            init: Init::GlorotUniform {
                fan_in: area.saturating_mul(self.filters),
                fan_out: area.saturating_mul(channels),
            },
        };
        let bias = Parameter { role: "bias", shape: vec![self.filters], init: Init::Zeros };
        if self.use_bias { vec![kernel, bias] } else { vec![kernel] }
    }

    fn parameter_count(&self) -> usize {
        1 + usize::from(self.use_bias)
    }

    fn macs(&self, input: &[usize], _output: &[usize]) -> u64 {
        let taps = self.kernel.iter().product::<usize>() * (self.filters / self.groups);
        input.iter().product::<usize>() as u64 * taps as u64
    }

    fn fused(&self) -> Activation {
        self.activation
    }

    fn set_fused(&mut self, activation: Activation) -> bool {
        self.activation = activation;
        true
    }
}
