//! What an image is packed for.
//!
//! | aim | loops of int8 layers with weights | rows |
//! |---|---|---|
//! | speed | for each layer the one with the least estimated time ([`super::loops`]): the target's own, or the plain one; layers of groups may become convolutions | all of a layer at once |
//! | size | the plain ones: no padded sums, no written-out multipliers, and a program for one order only | as for speed |
//! | RAM | as for speed, but a layer becomes a convolution only if the arena is smaller then | some at a time, where that makes the arena smaller |
//!
//! Whatever the aim, a plan for which the target has no room computes some rows at a time ([`super::stream`]).

use super::loops::May;
use super::stream::Bands;
use super::{LowerError, Options, Program};
use embernet_core::image::Image;
use embernet_core::plan::Step;
use serde::{Deserialize, Serialize};

/// What is made small where a layer can be computed in several ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimize {
    /// Time.
    #[default]
    Speed,
    /// The image, and the program that runs it.
    Size,
    /// The arena.
    Ram,
}

impl std::str::FromStr for Optimize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "speed" => Ok(Self::Speed),
            "size" => Ok(Self::Size),
            "ram" => Ok(Self::Ram),
            _ => Err(format!("there is no {text:?}; there are speed, size and ram")),
        }
    }
}

/// The numbers that a float graph is computed in. Integer graphs have their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit block floating point, for cores without a floating-point unit: `embernet_core::kernels::fixed`.
    Fixed16,
}

impl Precision {
    /// What a float graph is computed in by its image.
    pub fn of(image: &Image<'_>) -> Self {
        let is_fixed = |step: Step<'_>| matches!(step, Step::FixedFromF32(_));
        if image.infer_plan().steps().any(is_fixed) { Self::Fixed16 } else { Self::F32 }
    }
}

impl std::str::FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "f32" => Ok(Self::F32),
            "fixed16" => Ok(Self::Fixed16),
            _ => Err(format!("there is no {text:?}; there are f32 and fixed16")),
        }
    }
}

/// How a program is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'b> {
    /// Layers compute some rows at a time, and those named there are laid out for that.
    pub bands: Option<&'b Bands>,
    /// The loops that int8 layers may run in.
    pub may: May,
}

/// Percent of a model's time that plain loops must save before a program gets them beside the core's own.
const WORTH_BOTH: u64 = 1;

/// The program that the options ask for.
pub(super) fn choose(
    options: &Options,
    lower: impl Fn(Way<'_>) -> Result<(Program, Bands), LowerError>,
) -> Result<Program, LowerError> {
    if options.optimize != Optimize::Ram {
        return in_rows(options, true, &lower);
    }
    // Scratch of a convolution is more than that of the layer it was made of, or less.
    let narrow = in_rows(options, false, &lower)?;
    if narrow.loops.widenable == 0 {
        return Ok(narrow);
    }
    let wide = in_rows(options, true, &lower)?;
    Ok(if wide.arena_bytes() < narrow.arena_bytes() { wide } else { narrow })
}

/// A program of whole layers, or one that computes some rows at a time.
fn in_rows(
    options: &Options,
    widen: bool,
    lower: &impl Fn(Way<'_>) -> Result<(Program, Bands), LowerError>,
) -> Result<Program, LowerError> {
    let (whole, may) = in_few_loops(widen, lower)?;
    let has_room = options.room.is_none_or(|room| whole.arena_bytes() <= room);
    // Several samples lie one after the other, so that rows of one are not followed by rows of the next. A host has
    // memory enough, and its tokens' scratch is for whole layers.
    let can = options.samples == 1 && options.reuse && !options.isa.packs();
    if !can || (options.optimize != Optimize::Ram && has_room) {
        return Ok(whole);
    }
    let (rows, bands) = lower(Way { bands: Some(&Bands::new()), may })?;
    if rows.arena_bytes() >= whole.arena_bytes() {
        return Ok(whole);
    }
    // Once more, with weights for bands as high as they came out.
    let (again, _) = lower(Way { bands: Some(&bands), may })?;
    Ok(if again.arena_bytes() <= rows.arena_bytes() { again } else { rows })
}

/// A program of whole layers, with plain loops beside the core's own only where that pays.
fn in_few_loops(
    widen: bool,
    lower: &impl Fn(Way<'_>) -> Result<(Program, Bands), LowerError>,
) -> Result<(Program, May), LowerError> {
    let both = May { widen, prefer_plain: true };
    let (mixed, _) = lower(Way { bands: None, may: both })?;
    if mixed.loops.preferred == 0 {
        return Ok((mixed, both));
    }
    let one = May { widen, prefer_plain: false };
    let (own, _) = lower(Way { bands: None, may: one })?;
    let saved = own.loops.estimate.saturating_sub(mixed.loops.estimate);
    let pays = saved.saturating_mul(100 / WORTH_BOTH) > own.loops.estimate || own.loops.estimate > own.loops.plain;
    Ok(if pays { (mixed, both) } else { (own, one) })
}
