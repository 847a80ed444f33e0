//! Steps whose outputs can be computed some rows at a time, and how.
//!
//! A layer with a window is its own record with another vertical axis: some neighbouring rows of outputs, and the rows
//! of input that they see. Anything that works element by element is its record with another length.

use super::super::program::Encoded;
use embernet_core::arch::layout::packing;
use embernet_core::kernels::window::Axis;
use embernet_core::plan::Step;
use std::ops::Range;

/// How a step's outputs follow from its inputs, row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// By a window that slides down the only input.
    Window(Axis),
    /// Element by element, of so many inputs.
    Elements(usize),
}

/// The axis of rows that correspond one to one.
pub const fn one_to_one(rows: u32) -> Axis {
    Axis { input: rows, output: rows, kernel: 1, stride: 1, dilation: 1, pad: 0 }
}

/// Rows of input that the first `outputs` rows of outputs see, padding not counted.
pub fn seen(axis: &Axis, outputs: usize) -> usize {
    let Some(last) = outputs.checked_sub(1) else { return 0 };
    let [stride, kernel, dilation, pad] = [axis.stride, axis.kernel, axis.dilation, axis.pad].map(|n| n as usize);
    let end = (last * stride + (kernel - 1) * dilation + 1).saturating_sub(pad);
    // A row is there even for windows that see padding only.
    end.clamp(1, axis.input as usize)
}

/// The axis of some rows of outputs alone, and the first row of input that they see; `None` if that is none.
pub fn part(axis: &Axis, outputs: &Range<usize>) -> Option<(Axis, usize)> {
    let (part, first) = axis.part(outputs);
    let input = seen(axis, outputs.end).checked_sub(first).filter(|rows| *rows > 0)?;
    Some((Axis { input: input as u32, ..part }, first)).filter(|(part, _)| part.is_valid())
}

/// The one table of steps that can be computed row by row.
macro_rules! table {
    (windows: $($window:ident)*; elements: $($element:ident $inputs:literal)*;) => {
        /// How the step works; `None` if it needs all of its input at once.
        pub fn rows(step: &Step<'_>) -> Option<Rows> {
            match step {
                $(Step::$window(step) => Some(Rows::Window(step.shape.window.height)),)*
                $(Step::$element(_) => Some(Rows::Elements($inputs)),)*
                _ => None,
            }
        }

        /// The step for some rows: their axis, and the whole number of rows. `None` if it is not in the table.
        fn cut_step(step: &Step<'_>, part: &Axis, whole: u32) -> Option<Encoded> {
            match step {
                $(Step::$window(step) => {
                    let mut step = **step;
                    step.shape.window.height = *part;
                    Some(Encoded::of(step))
                })*
                $(Step::$element(step) => {
                    let mut step = **step;
                    step.len = step.len.checked_div(whole)?.checked_mul(part.output)?;
                    Some(Encoded::of(step))
                })*
                _ => None,
            }
        }
    };
}

table! {
    windows:
        Conv2dF32 Conv2dI8 Conv2dI16 Conv2dI4 Conv2dWeightsI8
        DepthwiseConv2dF32 DepthwiseConv2dI8 DepthwiseConv2dI16 DepthwiseConv2dI4
        MaxPoolF32 MaxPoolI8 MaxPoolI16 AveragePoolF32 AveragePoolI8 AveragePoolI16;
    elements:
        AddF32 2 AddI8 2 AddI16 2
        ActivationF32 1 ActivationI16 1 LinesI16 1 LookupI8 1
        QuantizeI8 1 QuantizeI16 1 DequantizeI8 1 DequantizeI16 1 RequantizeInt 1;
}

/// The record for some rows of outputs; `whole` is the number of all of them.
pub fn cut(whole_step: &Encoded, part: &Axis, whole: u32) -> Option<Encoded> {
    cut_step(&whole_step.step()?, part, whole)
}

/// Whether the loops that read this layer's weights do such a part of it.
pub fn has_loop(step: &Step<'_>, part: &Axis) -> bool {
    match step {
        Step::Conv2dI8(step) => step.order.id().is_none_or(|isa| {
            let mut shape = step.shape;
            shape.window.height = *part;
            packing::takes_conv2d(isa, &shape)
        }),
        Step::DepthwiseConv2dI8(step) => step.order.id().is_none_or(|isa| {
            let mut shape = step.shape;
            shape.window.height = *part;
            packing::takes_depthwise(isa, &shape)
        }),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_see_what_the_whole_sees(
            (input, output, kernel) in (1u32..20, 1u32..20, 1u32..5),
            (stride, dilation, pad) in (1u32..4, 1u32..3, 0u32..6),
            (start, len) in (0usize..20, 0usize..20),
        ) {
            let axis = Axis { input, output, kernel, stride, dilation, pad };
            prop_assume!(axis.is_valid());
            let start = start % output as usize;
            let outputs = start..start + 1 + len % (output as usize - start);
            let Some((part, first)) = part(&axis, &outputs) else {
                // Nothing inside to be seen.
                prop_assert!(outputs.clone().all(|o| axis.taps(o).count == 0));
                return Ok(());
            };
            prop_assert!(first + part.input as usize <= input as usize);
            for output in outputs.clone() {
                let (whole, of_part) = (axis.taps(output), part.taps(output - outputs.start));
                prop_assert_eq!(whole.count, of_part.count);
                if whole.count > 0 {
                    prop_assert_eq!((whole.first, whole.input), (of_part.first, of_part.input + first));
                }
            }
        }
    }
}
