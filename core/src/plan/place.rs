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

/// Operands of a kind as a program carries them: for each the word that says where it lies, its use and element in one
/// byte, and its codes up to [`END`].
#[derive(Clone, Copy, Debug)]
pub struct Packed {
    bytes: [u8; Operands::MAX * (CODES + 3)],
    len: usize,
}

impl Packed {
    /// These.
    #[allow(clippy::indexing_slicing, reason = "most of it runs in the compiler, and there are at most so many")]
    pub const fn of(mut places: &[Place]) -> Self {
        let (mut bytes, mut len) = ([END; Operands::MAX * (CODES + 3)], 0);
        while let [Place { word, using, element, codes }, rest @ ..] = places {
            bytes[len] = *word;
            bytes[len + 1] = *using as u8 | (*element as u8) << ELEMENT_SHIFT;
            len += 2;
            let mut code = 0;
            while code < CODES && codes[code] != END {
                // The two bytes of a constant are no codes.
                let next = code + if codes[code] == CONST { 3 } else { 1 };
                while code < next {
                    bytes[len] = codes[code];
                    (code, len) = (code + 1, len + 1);
                }
            }
            len += 1;
            places = rest;
        }
        Self { bytes, len }
    }

    /// One after the other.
    pub const fn bytes(&self) -> &[u8] {
        match self.bytes.split_at_checked(self.len) {
            Some((bytes, _)) => bytes,
            None => &[],
        }
    }
}

/// In a byte of both, the element stands from this bit on.
const ELEMENT_SHIFT: u32 = 4;

impl Use {
    const fn of(code: u8) -> Self {
        match code & 0xF {
            0 => Self::Read,
            1 => Self::Input,
            2 => Self::Write,
            3 => Self::Parts,
            4 => Self::Update,
            _ => Self::Scratch,
        }
    }
}

impl Element {
    const fn of(code: u8) -> Self {
        match code >> ELEMENT_SHIFT {
            0 => Self::Byte,
            1 => Self::Half,
            2 => Self::Word,
            3 => Self::Wide,
            4 => Self::Nibble,
            5 => Self::Size,
            6 => Self::Bias,
            7 => Self::Order,
            8 => Self::Block,
            _ => Self::State,
        }
    }
}

/// What is left of the codes of some operands, and the record that they speak of.
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

impl Codes<'_> {
    /// The next operand, and what the step does with it.
    fn operand(&mut self, samples: usize) -> (Operand, Use) {
        let codes = self;
        let (word, kind) = (codes.next(), codes.next());
        let (using, element) = (Use::of(kind), Element::of(kind));
        let named = match element {
            Element::Size | Element::Bias | Element::State | Element::Order => codes.next(),
            _ => 0,
        };
        let given = codes.word(named);
        let (size, align) = match element {
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
        let access = match using {
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
                SAMPLES if const { USED.element(Element::Block) } && element == Element::Block => {
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
        let at = Ref(codes.word(word) as u32);
        let bytes = match element {
            _ if at.is_none() => 0,
            Element::Nibble if const { USED.element(Element::Nibble) } => elements.div_ceil(2),
            Element::Order if align == 4 && access == Access::Read => size,
            // Whole words.
            Element::Order if align == 4 => elements & !3,
            Element::Block if const { USED.element(Element::Block) } => block_bytes(elements).saturating_mul(blocks),
            Element::State if const { USED.element(Element::State) } => state_bytes(size as u32, elements),
            _ => times(elements, size),
        };
        (Operand { at, bytes, access, align }, using)
    }
}

impl Operands {
    /// The operands of the record that consists of these words, absent ones included; `places` are packed.
    #[inline(never)] // One copy for all kinds of steps.
    pub fn described(places: &[u8], words: &[u32], samples: usize) -> Self {
        let mut operands = Self::default();
        let mut codes = Codes { codes: places, words };
        // Bit by bit, whether an operand is an input.
        let mut inputs = 0u32;
        while !codes.codes.is_empty() {
            let (mut operand, using) = codes.operand(samples);
            inputs = inputs << 1 | u32::from(using == Use::Input);
            if const { USED.using(Use::Input) } && using == Use::Write {
                let mut inputs = inputs >> 1;
                for input in operands.list.iter_mut().rev() {
                    if inputs & 1 != 0 && input.at == operand.at {
                        *input = Operand::NONE;
                        operand.access = Access::ReadWrite;
                    }
                    inputs >>= 1;
                }
            }
            // There are at most MAX.
            let _ = operands.list.push(operand);
        }
        operands
    }
}
