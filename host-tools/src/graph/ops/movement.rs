//! Operations that move values and compute nothing. Axes count from 0 within one sample.

use super::super::error::OpError;
use super::super::tensor::shape_text;
use super::{Operation, Port};
use serde::{Deserialize, Serialize};

/// A border of one value around the input.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// Values in front, for each axis.
    pub before: Vec<usize>,
    /// Values behind, for each axis.
    pub after: Vec<usize>,
    /// What the border holds, as a real; integers take the nearest number.
    #[serde(default, with = "crate::exact::tagged")]
    pub value: f32,
}

impl Operation for Pad {
    fn kind(&self) -> &'static str {
        "pad"
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        let shape = inputs[0].shape;
        for (what, widths) in [("before", &self.before), ("after", &self.after)] {
            per_axis(what, widths, &inputs[0])?;
        }
        let ends = self.before.iter().zip(&self.after).zip(shape);
        ends.map(|((b, a), d)| d.checked_add(*b)?.checked_add(*a)).collect::<Option<_>>().ok_or(OpError::Overflow)
    }
}

/// Several inputs one behind the other along an axis; their other axes are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concat {
    /// Which axis grows.
    pub axis: usize,
}

impl Operation for Concat {
    fn kind(&self) -> &'static str {
        "concat"
    }

    fn arity(&self) -> (usize, usize) {
        (1, 4096)
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        let first = &inputs[0];
        axis("axis", self.axis, first)?;
        let mut shape = first.shape.to_vec();
        for input in &inputs[1..] {
            let fits = |(i, (found, first)): (usize, (&usize, &usize))| i == self.axis || found == first;
            let axes = input.shape.iter().zip(first.shape).enumerate();
            if input.shape.len() != shape.len() || !axes.into_iter().all(fits) {
                let first = shape_text(first.shape);
                return Err(input.expected(format!("{first} as the first input, except along axis {}", self.axis)));
            }
            shape[self.axis] = shape[self.axis].checked_add(input.shape[self.axis]).ok_or(OpError::Overflow)?;
        }
        Ok(shape)
    }
}

/// Part of the input: `size` values along each axis, from `begin` on, `stride` apart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// The first value taken, for each axis.
    pub begin: Vec<usize>,
    /// How many are taken.
    pub size: Vec<usize>,
    /// The way from one to the next: 1 takes neighbours, -1 runs backwards.
    pub stride: Vec<isize>,
}

impl Operation for Slice {
    fn kind(&self) -> &'static str {
        "slice"
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        let input = &inputs[0];
        per_axis("begin", &self.begin, input)?;
        per_axis("size", &self.size, input)?;
        per_axis("stride", &self.stride, input)?;
        for (i, &dim) in input.shape.iter().enumerate() {
            let (begin, size, stride) = (self.begin[i], self.size[i], self.stride[i]);
            let steps = size.checked_sub(1).and_then(|n| isize::try_from(n).ok()?.checked_mul(stride));
            let last = steps.and_then(|steps| begin.checked_add_signed(steps));
            if stride == 0 || begin >= dim || last.is_none_or(|last| last >= dim) {
                return Err(OpError::Attribute {
                    what: "begin, size, stride",
                    found: format!("{begin}, {size}, {stride} along axis {i} of {}", shape_text(input.shape)),
                    expected: "at least one value, all inside, and a stride that is not 0",
                });
            }
        }
        Ok(self.size.clone())
    }
}

/// The axes in another order: output axis `i` is input axis `perm[i]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transpose {
    /// Every axis once.
    pub perm: Vec<usize>,
}

impl Operation for Transpose {
    fn kind(&self) -> &'static str {
        "transpose"
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        per_axis("perm", &self.perm, &inputs[0])?;
        let mut sorted = self.perm.clone();
        sorted.sort_unstable();
        if sorted.iter().enumerate().any(|(i, axis)| i != *axis) {
            let found = format!("{:?}", self.perm);
            return Err(OpError::Attribute { what: "perm", found, expected: "every axis once" });
        }
        Ok(self.perm.iter().map(|axis| inputs[0].shape[*axis]).collect())
    }
}

/// An image of other size, each pixel a copy of one of the input: `y[r][c] = x[rows[r]][cols[c]]`.
///
/// Tables in place of a mode, so that every rule of rounding coordinates can be had exactly.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResizeNearest {
    /// The input's row for each row of the output.
    pub rows: Vec<u32>,
    /// The input's column for each column of the output.
    pub cols: Vec<u32>,
}

impl Operation for ResizeNearest {
    fn kind(&self) -> &'static str {
        "resize_nearest"
    }

    fn output(&self, inputs: &[Port<'_>]) -> Result<Vec<usize>, OpError> {
        let [height, width, channels] = inputs[0].image()?;
        for (what, table, size) in [("rows", &self.rows, height), ("cols", &self.cols, width)] {
            let outside = table.iter().find(|source| **source as usize >= size);
            if table.is_empty() || outside.is_some() {
                let found = outside.map_or("nothing".into(), |source| format!("{source} of {size}"));
                return Err(OpError::Attribute { what, found, expected: "at least one, all inside the input" });
            }
        }
        Ok(vec![self.rows.len(), self.cols.len(), channels])
    }
}

/// Checks that an attribute has a value for each axis.
fn per_axis<T>(what: &'static str, values: &[T], input: &Port<'_>) -> Result<(), OpError> {
    if values.len() == input.shape.len() {
        return Ok(());
    }
    let found = format!("{} values for {}", values.len(), shape_text(input.shape));
    Err(OpError::Attribute { what, found, expected: "one for each axis" })
}

/// Checks that the input has this axis.
pub(super) fn axis(what: &'static str, axis: usize, input: &Port<'_>) -> Result<(), OpError> {
    if axis < input.shape.len() {
        return Ok(());
    }
    let found = format!("{axis} of {}", shape_text(input.shape));
    Err(OpError::Attribute { what, found, expected: "an axis of the input" })
}
