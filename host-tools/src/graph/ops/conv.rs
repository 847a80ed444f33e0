//! Convolutions over images `[height, width, channels]`.

use super::super::error::OpError;
use super::dense::yes;
use super::{Activation, Init, Operation, Padding, Parameter, Port, Window, at_least_one, check_fused};
use serde::{Deserialize, Serialize};

pub(super) fn ones() -> [usize; 2] {
    [1, 1]
}

pub(super) fn one() -> usize {
    1
}

/// Shared by both convolutions.
macro_rules! window_methods {
    () => {
        /// Sets the distance between windows, `[height, width]`.
        #[must_use]
        pub const fn strides(self, strides: [usize; 2]) -> Self {
            Self { strides, ..self }
        }

        /// Sets what surrounds the image.
        #[must_use]
        pub const fn padding(self, padding: Padding) -> Self {
            Self { padding, ..self }
        }

        /// Sets the distance between taps, `[height, width]`.
        #[must_use]
        pub const fn dilation(self, dilation: [usize; 2]) -> Self {
            Self { dilation, ..self }
        }

        /// Sets the activation.
        #[must_use]
        pub const fn activation(self, activation: Activation) -> Self {
            Self { activation, ..self }
        }

        /// Sets whether there is a bias.
        #[must_use]
        pub const fn use_bias(self, use_bias: bool) -> Self {
            Self { use_bias, ..self }
        }

        /// The sliding window.
        pub const fn window(&self) -> Window {
            Window { kernel: self.kernel, strides: self.strides, dilation: self.dilation, padding: self.padding }
        }
    };
}

/// Every output channel sees every input channel of its group.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2d {
    /// Output channels.
    pub filters: usize,
    /// `[height, width]`
    pub kernel: [usize; 2],
    /// Distance between windows, `[height, width]`.
    #[serde(default = "ones")]
    pub strides: [usize; 2],
    /// What surrounds the image.
    #[serde(default)]
    pub padding: Padding,
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

impl Conv2d {
    /// Stride 1, no padding, with bias, without activation.
    pub const fn new(filters: usize, kernel: [usize; 2]) -> Self {
        Self {
            filters,
            kernel,
            strides: [1, 1],
            padding: Padding::Valid,
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

    window_methods!();
}

impl Operation for Conv2d {
    fn kind(&self) -> &'static str {
        "conv2d"
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
        let [rows, columns] = self.window().spans([h, w])?;
        Ok(vec![rows.output, columns.output, self.filters])
    }

    fn parameters(&self, input: &[usize]) -> Vec<Parameter> {
        let [kh, kw] = self.kernel;
        let channels = input.last().copied().unwrap_or(0) / self.groups;
        let area = kh.saturating_mul(kw);
        let kernel = Parameter {
            role: "kernel",
            shape: vec![self.filters, kh, kw, channels],
            init: Init::GlorotUniform {
                fan_in: area.saturating_mul(channels),
                fan_out: area.saturating_mul(self.filters),
            },
        };
        let bias = Parameter { role: "bias", shape: vec![self.filters], init: Init::Zeros };
        if self.use_bias { vec![kernel, bias] } else { vec![kernel] }
    }

    fn parameter_count(&self) -> usize {
        1 + usize::from(self.use_bias)
    }

    fn macs(&self, input: &[usize], output: &[usize]) -> u64 {
        let taps = self.kernel.iter().chain(input.last()).product::<usize>();
        output.iter().product::<usize>() as u64 * taps as u64 / self.groups as u64
    }

    fn fused(&self) -> Activation {
        self.activation
    }

    fn set_fused(&mut self, activation: Activation) -> bool {
        self.activation = activation;
        true
    }
}

/// Every input channel has `depth_multiplier` output channels of its own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthwiseConv2d {
    /// `[height, width]`
    pub kernel: [usize; 2],
    /// Output channels for each input channel.
    #[serde(default = "one")]
    pub depth_multiplier: usize,
    /// Distance between windows, `[height, width]`.
    #[serde(default = "ones")]
    pub strides: [usize; 2],
    /// What surrounds the image.
    #[serde(default)]
    pub padding: Padding,
    /// Distance between taps, `[height, width]`.
    #[serde(default = "ones")]
    pub dilation: [usize; 2],
    /// Whether a bias is added.
    #[serde(default = "yes")]
    pub use_bias: bool,
    /// Applied to the result; in a graph only clamps.
    #[serde(default)]
    pub activation: Activation,
}

impl DepthwiseConv2d {
    /// Multiplier 1, stride 1, no padding, with bias, without activation.
    pub const fn new(kernel: [usize; 2]) -> Self {
        Self {
            kernel,
            depth_multiplier: 1,
            strides: [1, 1],
            padding: Padding::Valid,
            dilation: [1, 1],
            use_bias: true,
            activation: Activation::Linear,
        }
    }

    /// Sets the number of output channels for each input channel.
    #[must_use]
    pub const fn depth_multiplier(self, depth_multiplier: usize) -> Self {
        Self { depth_multiplier, ..self }
    }

    window_methods!();
}

impl Operation for DepthwiseConv2d {
    fn kind(&self) -> &'static str {
        "depthwise_conv2d"
    }

    fn check(&self) -> Result<(), OpError> {
        at_least_one("depth_multiplier", self.depth_multiplier)?;
        self.window().check()?;
        check_fused(self.activation)
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        let [h, w, channels] = inputs[0].image()?;
        let [rows, columns] = self.window().spans([h, w])?;
        let channels = channels.checked_mul(self.depth_multiplier).ok_or(OpError::Overflow)?;
        Ok(vec![rows.output, columns.output, channels])
    }

    fn parameters(&self, input: &[usize]) -> Vec<Parameter> {
        let [kh, kw] = self.kernel;
        let channels = input.last().copied().unwrap_or(0);
        let outputs = channels.saturating_mul(self.depth_multiplier);
        let area = kh.saturating_mul(kw);
        // Keras computes the fans from its own [kh, kw, channels, multiplier] layout, so fan_in
        // counts all channels although an output sees one. We keep its range.
        let kernel = Parameter {
            role: "kernel",
            shape: vec![kh, kw, outputs],
            init: Init::GlorotUniform {
                fan_in: area.saturating_mul(channels),
                fan_out: area.saturating_mul(self.depth_multiplier),
            },
        };
        let bias = Parameter { role: "bias", shape: vec![outputs], init: Init::Zeros };
        if self.use_bias { vec![kernel, bias] } else { vec![kernel] }
    }

    fn parameter_count(&self) -> usize {
        1 + usize::from(self.use_bias)
    }

    fn macs(&self, _input: &[usize], output: &[usize]) -> u64 {
        output.iter().product::<usize>() as u64 * self.kernel.iter().product::<usize>() as u64
    }

    fn fused(&self) -> Activation {
        self.activation
    }

    fn set_fused(&mut self, activation: Activation) -> bool {
        self.activation = activation;
        true
    }
}
