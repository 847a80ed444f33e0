//! Pools over images `[height, width, channels]`.

use super::super::error::OpError;
use super::{Activation, Operation, Padding, Port, Window, check_fused};
use serde::{Deserialize, Serialize};

macro_rules! pool {
    ($(#[$doc:meta])* $name:ident, $kind:literal $(, $dilation:ident)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// `[height, width]`
            pub size: [usize; 2],
            /// Defaults to `size` in files.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub strides: Option<[usize; 2]>,
            $(
                /// Distance between taps, `[height, width]`; 1 if it is not given.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $dilation: Option<[usize; 2]>,
            )?
            /// What surrounds the image.
            #[serde(default)]
            pub padding: Padding,
            /// Applied to the result; in a graph only clamps.
            #[serde(default)]
            pub activation: Activation,
        }

        impl $name {
            /// Strides equal to the size, no padding.
            pub const fn new(size: [usize; 2]) -> Self {
                Self {
                    size,
                    strides: None,
                    $($dilation: None,)?
                    padding: Padding::Valid,
                    activation: Activation::Linear,
                }
            }

            /// Sets the distance between windows, `[height, width]`.
            #[must_use]
            pub const fn strides(self, strides: [usize; 2]) -> Self {
                Self { strides: Some(strides), ..self }
            }

            /// Sets what surrounds the image.
            #[must_use]
            pub const fn padding(self, padding: Padding) -> Self {
                Self { padding, ..self }
            }

            /// Sets the activation.
            #[must_use]
            pub const fn activation(self, activation: Activation) -> Self {
                Self { activation, ..self }
            }

            /// The sliding window.
            pub fn window(&self) -> Window {
                let dilation: Option<[usize; 2]> = None $(.or(self.$dilation))?;
                Window {
                    kernel: self.size,
                    strides: self.strides.unwrap_or(self.size),
                    dilation: dilation.unwrap_or([1, 1]),
                    padding: self.padding,
                }
            }
        }

        impl Operation for $name {
            fn kind(&self) -> &'static str {
                $kind
            }

            fn check(&self) -> Result<(), OpError> {
                self.window().check()?;
                check_fused(self.activation)?;
                // A window that sees only padding has no maximum and no mean.
                if let Padding::Explicit { top, bottom, left, right } = self.padding {
                    let [height, width] = self.window().reach();
                    if top.max(bottom) > height || left.max(right) > width {
                        return Err(OpError::Attribute {
                            what: "padding",
                            found: format!("{top}, {bottom}, {left}, {right}"),
                            expected: "smaller than the window",
                        });
                    }
                }
                Ok(())
            }

            fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
                let [h, w, channels] = inputs[0].image()?;
                let window = self.window();
                if !window.reaches([h, w]) {
                    let [down, across] = window.dilation;
                    return Err(inputs[0].expected(format!("at least {down}x{across}, the distance between taps")));
                }
                let [rows, columns] = window.spans([h, w])?;
                Ok(vec![rows.output, columns.output, channels])
            }

            fn fused(&self) -> Activation {
                self.activation
            }

            fn set_fused(&mut self, activation: Activation) -> bool {
                self.activation = activation;
                true
            }
        }
    };
}

pool!(
    /// Maximum of each window; padding never wins.
    MaxPool2d,
    "max_pool2d",
    dilation
);
pool!(
    /// Mean of each window over the elements inside the image (padding does not count).
    AveragePool2d,
    "average_pool2d"
);

macro_rules! global_pool {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {}

        impl Operation for $name {
            fn kind(&self) -> &'static str {
                $kind
            }

            fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
                let [_, _, channels] = inputs[0].image()?;
                Ok(vec![channels])
            }
        }
    };
}

global_pool!(
    /// Mean of each channel; the output is `[channels]`.
    GlobalAveragePool2d,
    "global_average_pool2d"
);
global_pool!(
    /// Maximum of each channel; the output is `[channels]`.
    GlobalMaxPool2d,
    "global_max_pool2d"
);
