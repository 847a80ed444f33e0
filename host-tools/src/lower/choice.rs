//! What an image is packed for.
//!
//! | aim | weights of int8 layers | rows |
//! |---|---|---|
//! | speed | in the order of the target's own loops, wherever it has one | all of a layer at once |
//! | size | in the plain order: no padded sums, no written-out multipliers, and a program for one order only | as for speed |
//! | RAM | as for speed: the plain order saves its scratch, but takes several times as long | some at a time, where that makes the arena smaller |
//!
//! Whatever the aim, a plan for which the target has no room computes some rows at a time ([`super::stream`]).

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

/// The program that the options ask for. `lower` makes one that computes whole layers, or, if given [`Bands`], some rows
/// at a time.
pub(super) fn choose(
    options: &Options,
    lower: impl Fn(Option<&Bands>) -> Result<(Program, Bands), LowerError>,
) -> Result<Program, LowerError> {
    let (whole, _) = lower(None)?;
    let has_room = options.room.is_none_or(|room| whole.arena_bytes() <= room);
    // Several samples lie one after the other, so that rows of one are not followed by rows of the next. A host has
    // memory enough, and its tokens' scratch is for whole layers.
    let may = options.samples == 1 && options.reuse && !options.isa.packs();
    if !may || (options.optimize != Optimize::Ram && has_room) {
        return Ok(whole);
    }
    let (rows, bands) = lower(Some(&Bands::new()))?;
    if rows.arena_bytes() >= whole.arena_bytes() {
        return Ok(whole);
    }
    // Once more, with weights for bands as high as they came out.
    let (again, _) = lower(Some(&bands))?;
    Ok(if again.arena_bytes() <= rows.arena_bytes() { again } else { rows })
}
