//! The one list of operator cases, runnable on any runtime.
//!
//! A [`Case`] is one step in an image of its own, with inputs and the expected output; a [`Runtime`] gets image and
//! inputs and gives the output. The list ([`all`]) is made here, from seeds, with expected values from plain loops
//! over big numbers ([`naive`]); [`crate::vectors`] makes more cases of the same kind from published test data.
//!
//! To add an operation: a file beside these with functions that make a `Case` of its step, and a line in [`all`].

pub mod add;
pub mod average_pool;
pub mod batch_norm;
pub mod binary;
pub mod conv2d;
pub mod dense;
pub mod depthwise_conv2d;
pub mod elementwise;
pub mod functions_int16;
pub mod int16;
pub mod int4;
pub mod layer;
pub mod layer_norm;
pub mod lstm;
pub mod matmul;
pub mod max_pool;
pub mod movement;
pub mod naive;
pub mod random;
pub mod reduce;
pub mod softmax;
mod steps;
pub mod svdf;
pub mod transpose_conv2d;

pub use layer::Int8Layer;
pub use steps::{At, Steps};

use crate::runtime::Runtime;
use embernet::graph::DType;
use embernet::image::AlignedBytes;
use embernet_core::arch::IsaId;
use embernet_core::image::Image;
use embernet_core::rng::Rng;
use zerocopy::IntoBytes;

/// Elements of an input.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    F32(Vec<f32>),
    I8(Vec<i8>),
    I16(Vec<i16>),
}

impl Values {
    /// As they lie in memory.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::F32(values) => values.as_bytes(),
            Self::I8(values) => values.as_bytes(),
            Self::I16(values) => values.as_bytes(),
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::I16(values) => values.len(),
        }
    }

    fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::I8(_) => DType::I8,
            Self::I16(_) => DType::I16,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What comes out.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// These bytes.
    Exact(Vec<i8>),
    /// These 16-bit numbers.
    Exact16(Vec<i16>),
    /// These numbers, each within its bound.
    Close { values: Vec<f32>, bounds: Vec<f32> },
}

impl Expected {
    /// Numbers that may be off by their bounds.
    pub fn close(values: Vec<f32>, bounds: impl IntoIterator<Item = f64>) -> Self {
        let bounds = bounds.into_iter().map(|bound| bound as f32).collect();
        Self::Close { values, bounds }
    }

    /// Clamped sums. Compared with the truth, or with somebody else's `published` results, which may be as far from
    /// the truth as ours. A clamp moves no two numbers apart, so that the bound stays.
    pub fn of_sums(sums: &[naive::Sum], (lo, hi): (f32, f32), published: Option<Vec<f32>>) -> Self {
        let bounds = sums.iter().map(naive::Sum::two_errors);
        let truth = || sums.iter().map(|sum| (sum.value as f32).clamp(lo, hi)).collect();
        Self::close(published.unwrap_or_else(truth), bounds)
    }

    fn len(&self) -> usize {
        match self {
            Self::Exact(values) => values.len(),
            Self::Exact16(values) => values.len(),
            Self::Close { values, .. } => values.len(),
        }
    }

    fn dtype(&self) -> DType {
        match self {
            Self::Exact(_) => DType::I8,
            Self::Exact16(_) => DType::I16,
            Self::Close { .. } => DType::F32,
        }
    }
}

/// One step with its inputs and what comes out.
pub struct Case {
    /// `operation/type/what is special`
    pub name: String,
    /// How many samples each input holds.
    pub samples: usize,
    /// The inputs of the step, constants excepted.
    pub inputs: Vec<Values>,
    /// The output.
    pub expected: Expected,
    build: Box<dyn Fn(&mut Steps)>,
}

impl core::fmt::Debug for Case {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Case").field("name", &self.name).field("samples", &self.samples).finish_non_exhaustive()
    }
}

impl Case {
    /// A case whose step `build` writes.
    pub fn new(
        name: impl Into<String>,
        samples: usize,
        inputs: Vec<Values>,
        expected: Expected,
        build: impl Fn(&mut Steps) + 'static,
    ) -> Self {
        Self { name: name.into(), samples, inputs, expected, build: Box::new(build) }
    }

    /// The case's image for an instruction set.
    pub fn image(&self, isa: IsaId) -> AlignedBytes {
        let mut step = Steps::new(isa, self.samples);
        for input in &self.inputs {
            step.input(input.dtype(), input.len());
        }
        step.output(self.expected.dtype(), self.expected.len());
        (self.build)(&mut step);
        step.finish(&self.name)
    }

    /// Runs it; says what is wrong if anything is.
    pub fn run(&self, runtime: &mut dyn Runtime) -> Result<(), String> {
        let bytes = self.image(runtime.isa());
        let image = Image::parse(&bytes).map_err(|error| format!("image: {error}"))?;
        let inputs: Vec<&[u8]> = self.inputs.iter().map(Values::bytes).collect();
        let output = runtime.infer(&image, &inputs)?;
        self.check(&output)
    }

    fn check(&self, output: &[u8]) -> Result<(), String> {
        match &self.expected {
            Expected::Exact(expected) => {
                let found: Vec<i8> = output.iter().map(|&byte| byte as i8).collect();
                same_numbers(&found, expected)
            }
            Expected::Exact16(expected) => {
                let found: Vec<i16> = output.as_chunks().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect();
                same_numbers(&found, expected)
            }
            Expected::Close { values, bounds } => {
                let found: Vec<f32> = output.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
                same_length(found.len(), values.len())?;
                same_length(bounds.len(), values.len())?;
                for (i, (found, (value, bound))) in found.iter().zip(values.iter().zip(bounds)).enumerate() {
                    let error = (f64::from(*found) - f64::from(*value)).abs();
                    if error.is_nan() || error > f64::from(*bound) {
                        return Err(format!("element {i}: found {found}, expected {value} within {bound}"));
                    }
                }
                Ok(())
            }
        }
    }
}

fn same_numbers<T: PartialEq + core::fmt::Display>(found: &[T], expected: &[T]) -> Result<(), String> {
    same_length(found.len(), expected.len())?;
    let wrong: Vec<usize> = (0..found.len()).filter(|&i| found[i] != expected[i]).collect();
    let Some(&i) = wrong.first() else { return Ok(()) };
    let (count, len) = (wrong.len(), found.len());
    Err(format!("{count} of {len} differ, first at {i}: found {}, expected {}", found[i], expected[i]))
}

fn same_length(found: usize, expected: usize) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{found} elements, expected {expected}")) }
}

/// Every case that needs no published data.
pub fn all() -> Vec<Case> {
    let rng = &mut Rng::new(2024);
    [
        dense::cases(rng),
        conv2d::cases(rng),
        depthwise_conv2d::cases(rng),
        max_pool::cases(rng),
        average_pool::cases(rng),
        softmax::cases(rng),
        add::cases(rng),
        elementwise::cases(rng),
        int4::cases(rng),
        int16::cases(rng),
        transpose_conv2d::cases(rng),
        matmul::cases(rng),
        layer_norm::cases(rng),
        lstm::cases(rng),
        svdf::cases(rng),
        batch_norm::cases(rng),
        movement::cases(rng),
        binary::cases(rng),
        reduce::cases(rng),
        functions_int16::cases(rng),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Random reals in `-1..1`.
pub fn reals(rng: &mut Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.uniform_f32(-1.0, 1.0)).collect()
}

/// Random bytes.
pub fn bytes(rng: &mut Rng, len: usize) -> Vec<i8> {
    (0..len).map(|_| rng.next_u32() as i8).collect()
}

/// Random 16-bit integers.
pub fn shorts(rng: &mut Rng, len: usize) -> Vec<i16> {
    (0..len).map(|_| rng.next_u32() as i16).collect()
}

/// A whole number in `lo..=hi`.
pub fn between(rng: &mut Rng, lo: i32, hi: i32) -> i32 {
    lo + rng.below((hi - lo + 1) as u32) as i32
}

/// As f64.
pub fn wide<T: Copy + Into<f64>>(values: &[T]) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}
