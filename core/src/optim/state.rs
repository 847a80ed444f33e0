//! How an optimiser's state lies in memory: as f32, in 16 bits or in 8.
//!
//! Narrow state is unpacked block by block, updated by the rule's own loop in f32, and packed again. Packing rounds at
//! random, up or down so that the mean is right: a second moment that shrinks by a thousandth would otherwise stay where
//! it is. The random numbers are a function of the parameter's number and of the update's, so that every target draws
//! the same.
//!
//! Dettmers et al. 2021, "8-bit optimizers via block-wise quantization", have shown that 8 bits suffice if blocks have
//! scales of their own and codes are dense near 0; the code here is another one, made for integer arithmetic.

use crate::optim::{OptimizerRecord, Rule};
use crate::plan::STATES;
use crate::rng::draw;
use zerocopy::{FromBytes, IntoBytes};

/// Parameters whose 8-bit state has one exponent.
pub const BLOCK: usize = 64;

/// How each slot of state is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum StateFormat {
    /// As f32.
    #[default]
    F32 = 0,
    /// The upper half of an f32.
    Bf16 = 1,
    /// A byte for each value and one for each [`BLOCK`], which holds the exponent of the greatest. A byte is an exponent
    /// below that one and three bits of mantissa: 15 powers of two below for signed values, 31 for second moments.
    Block8 = 2,
}

impl StateFormat {
    /// From its number.
    pub const fn from_u32(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::F32),
            1 => Some(Self::Bf16),
            2 => Some(Self::Block8),
            _ => None,
        }
    }

    /// All of them, the exact one first.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::Block8];

    /// The name on command lines and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Block8 => "8bit",
        }
    }

    /// Bytes of a slot for so many parameters: whole words.
    pub const fn slot_bytes(self, elements: usize) -> usize {
        let words = match self {
            Self::F32 => elements,
            Self::Bf16 => elements.div_ceil(2),
            Self::Block8 => elements.saturating_add(elements.div_ceil(BLOCK)).div_ceil(4),
        };
        words.saturating_mul(4)
    }
}

/// Most slots that any optimiser has.
const MOST_SLOTS: u32 = 4;
const FORMAT: u32 = 8;
/// In a layout: whether gradients of several passes are added up.
pub const SUM: u32 = 1 << 16;

/// What a parameter has of state, as records say it: slots in the lowest byte, [`StateFormat`] in the next, and in the
/// third 1 if gradients of several passes are added up (f32, behind the slots). `None` if the settings are unknown.
pub fn layout(settings: &OptimizerRecord) -> Option<u32> {
    let (rule, format) = (settings.rule()?, StateFormat::from_u32(settings.state)?);
    // What is not there has no format.
    let format = if rule.slots() == 0 { StateFormat::F32 } else { format };
    let sum = match settings.passes {
        0 => return None,
        1 => 0,
        _ => SUM,
    };
    Some(rule.slots() as u32 | ((format as u32) << FORMAT) | sum)
}

/// Whether records may say so.
pub const fn is_layout(layout: u32) -> bool {
    if !STATES {
        return layout <= MOST_SLOTS;
    }
    layout & 0xff <= MOST_SLOTS && StateFormat::from_u32(layout >> FORMAT & 0xff).is_some() && layout < 2 * SUM
}

/// The least scratch for gradient tiles with this layout, in elements.
pub const fn least_tile(layout: u32) -> usize {
    let narrow = STATES && layout >> FORMAT & 0xff > 0 && layout & 0xff > 0;
    1 + if narrow { BLOCK } else { 0 }
}

/// Bytes of state that a parameter of so many elements has.
#[inline]
pub const fn state_bytes(layout: u32, elements: usize) -> usize {
    if !STATES {
        return elements.saturating_mul(4).saturating_mul(layout as usize);
    }
    let format = match StateFormat::from_u32(layout >> FORMAT & 0xff) {
        Some(format) => format,
        None => StateFormat::F32,
    };
    let sum = if layout & SUM == 0 { 0 } else { elements.saturating_mul(4) };
    format.slot_bytes(elements).saturating_mul((layout & 0xff) as usize).saturating_add(sum)
}

/// Whether a rule's slot holds second moments, which are never negative.
pub(super) const fn is_square(rule: Rule, slot: usize) -> bool {
    matches!((rule, slot), (Rule::Adam, 1) | (Rule::AdaGrad, _))
}

/// Parameters of one block, and what their codes mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub format: StateFormat,
    /// Of the whole tensor.
    pub elements: usize,
    /// The block's first parameter: a multiple of [`BLOCK`].
    pub start: usize,
    /// Number of the slot, and whether its values are squares.
    pub slot: usize,
    pub square: bool,
}

/// Bits of a byte's mantissa, as they lie in an f32.
const STEP: u32 = 20;

impl Block {
    /// The bits of an f32 that a byte adds to, if the greatest value of the block has this exponent; and the greatest
    /// number that a byte adds.
    const fn base(&self, exponent: u8) -> (u32, u32) {
        let (below, most) = if self.square { (31, 255) } else { (15, 127) };
        ((exponent as u32).saturating_sub(below) << 23, most)
    }

    /// Unpacks the block's values.
    pub fn load(&self, slot: &[f32], to: &mut [f32]) {
        let bytes = slot.as_bytes();
        if self.format == StateFormat::Bf16 {
            let halves = <[u16]>::ref_from_bytes(bytes).unwrap_or_default();
            for (to, half) in to.iter_mut().zip(halves.get(self.start..).unwrap_or_default()) {
                *to = f32::from_bits(u32::from(*half) << 16);
            }
            return;
        }
        let (codes, exponents) = bytes.split_at_checked(self.elements).unwrap_or_default();
        let (base, most) = self.base(exponents.get(self.start / BLOCK).copied().unwrap_or(0));
        for (to, code) in to.iter_mut().zip(codes.get(self.start..).unwrap_or_default()) {
            let (size, sign) = (u32::from(*code) & most, u32::from(*code) & !most);
            // A zero has no sign.
            *to = if size == 0 { 0.0 } else { f32::from_bits((base + (size << STEP)) | (sign << 24)) };
        }
    }

    /// Packs values, rounded at random.
    pub fn store(&self, update: u32, values: &[f32], slot: &mut [f32]) {
        let bytes = slot.as_mut_bytes();
        // The slots draw other bits.
        let drawn = |index: usize| {
            let parameter = (self.start + index) as u32;
            draw(update, parameter).rotate_left(16 * self.slot as u32)
        };
        if self.format == StateFormat::Bf16 {
            let halves = <[u16]>::mut_from_bytes(bytes).unwrap_or_default();
            for (index, (half, value)) in halves.iter_mut().skip(self.start).zip(values).enumerate() {
                *half = (value.to_bits().saturating_add(drawn(index) >> 16) >> 16) as u16;
            }
            return;
        }
        let (codes, exponents) = bytes.split_at_mut_checked(self.elements).unwrap_or_default();
        let greatest = values.iter().fold(0, |greatest, value| greatest.max(value.to_bits() & (u32::MAX >> 1)));
        let exponent = (greatest >> 23) as u8;
        let (base, most) = self.base(exponent);
        if let Some(to) = exponents.get_mut(self.start / BLOCK) {
            *to = exponent;
        }
        for (index, (code, value)) in codes.iter_mut().skip(self.start).zip(values).enumerate() {
            let (size, sign) = (value.to_bits() & (u32::MAX >> 1), value.to_bits() >> 31);
            let rounded = (size.saturating_sub(base) + (drawn(index) >> (32 - STEP))) >> STEP;
            // A root of 0 would make the step of a weight that learns a huge one.
            let least = u32::from(self.square && size > 0);
            *code = (rounded.max(least).min(most) | ((sign << 7) & !most)) as u8;
        }
    }
}

#[cfg(test)]
mod tests;
