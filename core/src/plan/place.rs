//! The operands of a kind of step, as data: a device has no room for a function of each kind.
//!
//! A record lists its operands with `operands!`, in the order in which its `run` takes their slices:
//!
//! ```ignore
//! operands! {
//!     x: read f32 [samples, shape.inputs],
//!     w: read f32 [shape.outputs, shape.inputs],
//!     b: read f32 [shape.outputs],
//!     y: write f32 [samples, shape.outputs],
//! }
//! ```
//!
//! Each line is `field: use element [factors]`: which field of the record says where the operand lies, and whose
//! product is the number of its elements.
//!
//! - Uses: `read`; `input`, which is read but absent where a `write` further down has the same place (that one is then
//!   read and written: the step works in place); `write`; `parts`, a `write` whose
//!   first factor is none: where that field is 1, the step writes only parts of it; `update`, read and written;
//!   `scratch`.
//! - Elements: `i8`, `u8`, `i16`, `u16`, `i32`, `u32`, `f32`; `i64` in two words; `i4`, two in a byte; `size(field)`,
//!   whose bytes that field says; `bias(field)`, the bias for activations of as many bytes: four times as long.
//!   `order(field)` is for weights and scratch whose order that field says: `i8` in the plain order, else words, of
//!   weights as many as the order says, of scratch as many as fit the bytes. `state(field)` is an optimiser's state for
//!   so many parameters.
//! - Factors: `samples`; a field; `path => LIST`, a list made by `factors!` for the shape at that path; `/ field`,
//!   which divides what stands before it; `const NUMBER`; `NUMBER of field`, the first words of so many pairs that begin
//!   there; `factor unless field`, which counts as 1 where the field is 1.

mod build;
mod used;

pub(crate) use build::*;
pub(super) use used::Used;

use super::{Access, Operand, Operands, Ref, USED};
use crate::kernels::fixed::block::block_bytes;
use crate::optim::state::state_bytes;

/// Most codes of one operand.
const CODES: usize = 6;

// A code below BY is the number of a word of the record, which multiplies.
/// Plus the number of a word, which divides.
const BY: u8 = 0x40;
/// Codes from here on are no words.
const NO_WORD: u8 = 0x80;
/// Two bytes follow, low one first.
const CONST: u8 = 0x80;
/// A word follows; where it is 1, the factor after it does not count.
const UNLESS: u8 = 0x81;
const SAMPLES: u8 = 0x82;
const END: u8 = 0x83;
/// Plus a number of pairs; the first word of the first pair follows, and the first words multiply.
pub(crate) const PAIRS: u8 = 0x90;

/// What a step does with an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Reads it.
    Read,
    /// Reads it, or finds it in the place of what it writes.
    Input,
    /// Writes it.
    Write,
    /// Writes it; but where the word is 1 whose number is the first code behind the element's, only parts of it.
    Parts,
    /// Reads and writes it.
    Update,
    /// Needs it for itself.
    Scratch,
}

/// What an operand consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// 1 byte.
    Byte,
    /// 2 bytes.
    Half,
    /// 4 bytes.
    Word,
    /// 8 bytes, aligned as words.
    Wide,
    /// Half a byte.
    Nibble,
    /// As many bytes as the word says whose number is the first code.
    Size,
    /// Four times as many, aligned as words.
    Bias,
    /// What depends on an [`crate::kernels::order::OrderRecord`], whose first word's number is the first code.
    Order,
    /// Block floating point ([`crate::kernels::fixed::block`]).
    Block,
    /// State as the word says whose number is the first code ([`crate::optim::state`]).
    State,
}

/// One operand of a kind of steps; made by `operands!`.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    word: u8,
    using: Use,
    element: Element,
    codes: [u8; CODES],
}

/// What is left of an operand's codes, and the record that they speak of.
struct Codes<'a> {
    codes: &'a [u8],
    words: &'a [u32],
}

// Calls on a device, which has no room for a copy at each code that has a word.
impl Codes<'_> {
    #[cfg_attr(target_os = "none", inline(never))]
    fn next(&mut self) -> u8 {
        let Some((&code, rest)) = self.codes.split_first() else { return END };
        self.codes = rest;
        code
    }

    /// The word of this number.
    #[cfg_attr(target_os = "none", inline(never))]
    fn word(&self, number: u8) -> usize {
        self.words.get(usize::from(number)).copied().unwrap_or(0) as usize
    }

    /// The word whose number comes next.
    fn next_word(&mut self) -> usize {
        let number = self.next();
        self.word(number)
    }
}

#[cfg_attr(target_os = "none", inline(never))]
fn times(a: usize, b: usize) -> usize {
    a.saturating_mul(b)
}

impl Place {
    /// The operand of the record that consists of these words.
    pub(crate) fn operand(&self, words: &[u32], samples: usize) -> Operand {
        let mut codes = Codes { codes: &self.codes, words };
        let named = match self.element {
            Element::Size | Element::Bias | Element::State | Element::Order => codes.next(),
            _ => 0,
        };
        let given = codes.word(named);
        let (size, align) = match self.element {
            Element::Byte | Element::Nibble => (1, 1),
            Element::Half if const { USED.element(Element::Half) } => (2, 2),
            Element::Wide if const { USED.element(Element::Wide) } => (8, 4),
            Element::Size if const { USED.element(Element::Size) } => (given, given.max(1)),
            Element::Bias if const { USED.element(Element::Bias) } => (times(given, 4), 4),
            Element::State if const { USED.element(Element::State) } => (given, 4),
            Element::Order if given == 0 => (1, 1),
            // Of a stream, all of its bytes.
            Element::Order => (times(codes.word(named + 1), 4), 4),
            _ => (4, 4),
        };
        let access = match self.using {
            Use::Read | Use::Input => Access::Read,
            Use::Parts if const { USED.using(Use::Parts) } && codes.next_word() == 1 => Access::ReadWrite,
            Use::Write | Use::Parts => Access::Write,
            Use::Update => Access::ReadWrite,
            Use::Scratch => Access::Scratch,
        };
        let (mut elements, mut blocks) = (1usize, 1);
        loop {
            let factor = match codes.next() {
                END => break,
                SAMPLES if const { USED.element(Element::Block) } && self.element == Element::Block => {
                    blocks = samples;
                    continue;
                }
                SAMPLES => samples,
                CONST if const { USED.constants } => usize::from(u16::from_le_bytes([codes.next(), codes.next()])),
                UNLESS if const { USED.unless } => {
                    let repeats = codes.next_word() == 1;
                    match codes.next() {
                        _ if repeats => 1,
                        SAMPLES => samples,
                        code => codes.word(code),
                    }
                }
                code if const { USED.pairs } && code >= PAIRS => {
                    let first = codes.next();
                    for pair in 0..code - PAIRS {
                        elements = times(elements, codes.word(first + 2 * pair));
                    }
                    continue;
                }
                code if const { USED.divisors } && code >= BY => {
                    elements = elements.checked_div(codes.word(code - BY)).unwrap_or(0);
                    continue;
                }
                code => codes.word(code),
            };
            elements = times(elements, factor);
        }
        let at = Ref(codes.word(self.word) as u32);
        let bytes = match self.element {
            _ if at.is_none() => 0,
            Element::Nibble if const { USED.element(Element::Nibble) } => elements.div_ceil(2),
            Element::Order if align == 4 && access == Access::Read => size,
            // Whole words.
            Element::Order if align == 4 => elements & !3,
            Element::Block if const { USED.element(Element::Block) } => block_bytes(elements).saturating_mul(blocks),
            Element::State if const { USED.element(Element::State) } => state_bytes(size as u32, elements),
            _ => times(elements, size),
        };
        Operand { at, bytes, access, align }
    }
}

impl Operands {
    /// The operands of the record that consists of these words, absent ones included.
    #[inline(never)] // One copy for all kinds of steps.
    pub fn described(places: &[Place], words: &[u32], samples: usize) -> Self {
        let mut operands = Self::default();
        for place in places {
            let mut operand = place.operand(words, samples);
            if const { USED.using(Use::Input) } && place.using == Use::Write {
                for (input, _) in operands.list.iter_mut().zip(places).filter(|(_, place)| place.using == Use::Input) {
                    if input.at == operand.at {
                        *input = Operand::NONE;
                        operand.access = Access::ReadWrite;
                    }
                }
            }
            // There are at most MAX.
            let _ = operands.list.push(operand);
        }
        operands
    }
}
