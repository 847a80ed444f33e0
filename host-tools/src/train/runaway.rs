//! Has training left all bounds? Floats are no longer finite then; integers always are, and tell otherwise.

use crate::image::{Metadata, Precision, initial_params};
use embernet_core::image::Image;
use embernet_core::kernels::fixed::block;
use embernet_core::memory::Memory;
use embernet_core::plan::{Access, Operand, Step};

/// A step that has left all bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runaway {
    /// Its number in the training plan.
    pub step: usize,
    /// What it is.
    pub name: &'static str,
    /// Its layer.
    pub layer: String,
    /// What it did.
    pub what: &'static str,
}

impl Runaway {
    /// The step of an image's training plan.
    pub(super) fn new(image: &Image<'_>, step: usize, name: &'static str, what: &'static str) -> Self {
        let metadata = Metadata::from_bytes(image.metadata()).ok();
        let layer = metadata.and_then(|m| m.train_layer(step).map(|layer| layer.name.clone())).unwrap_or_default();
        Self { step, name, layer, what }
    }

    /// Whether integers learn, so that the loss alone does not tell.
    pub fn is_hidden(image: &Image<'_>) -> bool {
        Precision::of(image) == Precision::Fixed16 || learns_int8(image)
    }

    /// The first step whose parameters have left all bounds: the bytes that a session or a device has learned.
    ///
    /// Floats are not finite, blocks beyond what can be squared, and of a layer's int8 weights more than half have come
    /// to the ends of their range.
    pub fn of_params(image: &Image<'_>, params: &[u8]) -> Option<Self> {
        let (precision, initial) = (Precision::of(image), initial_params(image));
        let plan = image.train_plan();
        for (number, step) in plan.steps().enumerate() {
            let operands = step.operands(1);
            let learned = |o: &&Operand| o.access == Access::ReadWrite && !o.at.is_data();
            for o in operands.as_slice().iter().filter(learned) {
                let range = o.at.offset()..o.at.offset() + o.bytes;
                let (Some(now), Some(first)) = (params.get(range.clone()), initial.get(range)) else { continue };
                let what = match (precision, &step) {
                    (Precision::Fixed16, _) => is_huge(now).then_some(HUGE),
                    (_, Step::Conv2dBackwardWeightsI8(_) | Step::DepthwiseConv2dBackwardWeightsI8(_)) => {
                        (o.align == 1 && are_at_ends(now, first)).then_some(AT_ENDS)
                    }
                    _ => (!are_finite(now)).then_some(NOT_FINITE),
                };
                if let Some(what) = what {
                    return Some(Self::new(image, number, step.name(), what));
                }
            }
        }
        None
    }
}

impl std::fmt::Display for Runaway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "step {} of layer `{}` {}", self.name, self.layer, self.what)
    }
}

/// What a step that is the first to do so has done.
const NOT_FINITE: &str = "gave the first value that is not finite";
const HUGE: &str = "gave the first value beyond 2^63";
const AT_ENDS: &str = "has driven more than half of its int8 weights to the ends of their range";

/// What is said of a loss that is not finite where no step can be named.
pub(super) const LOSS: &str = NOT_FINITE;

/// How what a step has written has left all bounds, if it has; not for plans in which int8 layers learn.
pub(super) fn written(
    step: &Step<'_>,
    memory: &Memory<'_>,
    samples: usize,
    precision: Precision,
) -> Option<&'static str> {
    let operands = step.operands(samples);
    let written = |o: &&Operand| matches!(o.access, Access::Write | Access::ReadWrite);
    let mut all = operands.as_slice().iter().filter(written);
    match precision {
        // A training plan is all f32, class indices apart, and those are never written.
        Precision::F32 => all.any(|o| !are_finite(memory.read(*o))).then_some(NOT_FINITE),
        // Every sample has a block of its own, parameters are one.
        Precision::Fixed16 => {
            let len = |o: &Operand| if o.access == Access::Write { o.bytes / samples.max(1) } else { o.bytes };
            all.any(|o| memory.read(*o).chunks(len(o).max(1)).any(is_huge)).then_some(HUGE)
        }
    }
}

/// Whether int8 layers learn.
pub(super) fn learns_int8(image: &Image<'_>) -> bool {
    let int8 =
        |step: Step<'_>| matches!(step, Step::Conv2dBackwardWeightsI8(_) | Step::DepthwiseConv2dBackwardWeightsI8(_));
    image.train_plan().steps().any(int8)
}

fn are_finite(floats: &[u8]) -> bool {
    floats.as_chunks().0.iter().all(|float| f32::from_le_bytes(*float).is_finite())
}

fn is_huge(block: &[u8]) -> bool {
    block.first_chunk().is_some_and(|exponent| i32::from(i16::from_le_bytes(*exponent)) > block::RUNAWAY)
}

/// Whether more than half of the weights have come to the ends, out of which updates cannot move them.
///
/// A weight that is pushed to and fro at random between the ends stands at one of them half of the time when a typical
/// push is 0.6 of the way from one to the other (simulated in the tests): two updates then wipe out what there was. Below
/// that the share says how far; weights that learn come nowhere near it.
fn are_at_ends(now: &[u8], first: &[u8]) -> bool {
    let end = |weight: u8| (weight as i8).unsigned_abs() >= 127;
    let came = now.iter().zip(first).filter(|(now, first)| end(**now) && !end(**first)).count();
    2 * came > now.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use embernet_core::rng::Rng;

    /// Weights that begin in the middle and are pushed around by so much of the range.
    fn pushed(by: f32) -> Vec<u8> {
        let mut rng = Rng::new(3);
        let mut weight = || {
            (0..200).fold(0.0f32, |weight, _| {
                // Twelve uniform numbers make a normal one.
                let push = (0..12).map(|_| rng.uniform_f32(-0.5, 0.5)).sum::<f32>() * by * 254.0;
                (weight + push).round().clamp(-127.0, 127.0)
            })
        };
        (0..4000).map(|_| weight() as i8 as u8).collect()
    }

    #[test]
    fn half_at_the_ends_is_a_walk_that_forgets_in_two_steps() {
        let first = [0; 4000];
        for (by, is_away) in [(0.01, false), (0.1, false), (0.5, false), (0.7, true), (4.0, true)] {
            assert_eq!(are_at_ends(&pushed(by), &first), is_away, "{by} of the range");
        }
        let ends = [127, 0x81, 127, 5];
        assert!(!are_at_ends(&ends, &ends), "they were there at first");
        assert!(!are_at_ends(&[127, 0x81, 5, 5], &[0; 4]) && are_at_ends(&[127, 0x81, 0x80, 5], &[0; 4]));
    }
}
