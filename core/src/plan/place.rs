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
//!   weights as many as the order says, of scratch as many as fit the bytes.
//! - Factors: `samples`; a field; `path => LIST`, a list made by `factors!` for the shape at that path; `/ field`,
//!   which divides what stands before it; `const NUMBER`; `NUMBER of field`, the first words of so many pairs that begin
//!   there; `factor unless field`, which counts as 1 where the field is 1.

mod build;

pub(crate) use build::*;

use super::{Access, Operand, Operands, Ref};

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
}

/// One operand of a kind of steps; made by `operands!`.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    word: u8,
    using: Use,
    element: Element,
    codes: [u8; CODES],
}

impl Place {
    /// The operand of the record that consists of these words.
    pub(crate) fn operand(&self, words: &[u32], samples: usize) -> Operand {
        let word = |number: u8| words.get(usize::from(number)).copied().unwrap_or(0);
        let mut codes = self.codes.as_slice();
        let access = match self.using {
            Use::Read | Use::Input => Access::Read,
            Use::Write | Use::Parts => Access::Write,
            Use::Update => Access::ReadWrite,
            Use::Scratch => Access::Scratch,
        };
        let size = match self.element {
            Element::Byte => 1,
            Element::Half => 2,
            Element::Word => 4,
            _ => 0,
        };
        let mut operand = Operand { at: Ref(word(self.word)), bytes: size, access, align: size };
        if size == 0 || self.using == Use::Parts {
            self.resolve(words, &mut operand, &mut codes);
        }
        let mut elements = 1usize;
        while let [code, rest @ ..] = codes {
            codes = rest;
            let factor = match *code {
                END => break,
                SAMPLES => samples,
                code if code < BY => word(code) as usize,
                code => match special(code, words, samples, elements, &mut codes) {
                    Ok(factor) => factor,
                    Err(divided) => {
                        elements = divided;
                        continue;
                    }
                },
            };
            elements = elements.saturating_mul(factor);
        }
        operand.bytes = match self.element {
            _ if operand.at.is_none() => 0,
            Element::Nibble => elements.div_ceil(2),
            // Whole words; of a stream, `resolve` has found how many.
            Element::Order if operand.align == 4 && operand.access == Access::Read => operand.bytes,
            Element::Order if operand.align == 4 => elements & !3,
            _ => elements.saturating_mul(operand.bytes),
        };
        operand
    }

    /// Bytes and alignment of an element, and the access, where words of the record decide.
    #[inline(never)]
    fn resolve(&self, words: &[u32], operand: &mut Operand, codes: &mut &[u8]) {
        let word = |number: u8| words.get(usize::from(number)).copied().unwrap_or(0) as usize;
        let mut next = || take(codes);
        (operand.bytes, operand.align) = match self.element {
            Element::Byte | Element::Nibble => (1, 1),
            Element::Half => (2, 2),
            Element::Word => (4, 4),
            Element::Wide => (8, 4),
            Element::Size => {
                let size = word(next());
                (size, size.max(1))
            }
            Element::Bias => (word(next()).saturating_mul(4), 4),
            Element::Order => {
                let order = next();
                if word(order) == 0 { (1, 1) } else { (word(order + 1).saturating_mul(4), 4) }
            }
        };
        if self.using == Use::Parts && word(next()) == 1 {
            operand.access = Access::ReadWrite;
        }
    }
}

/// The next code.
fn take(codes: &mut &[u8]) -> u8 {
    let Some((code, rest)) = codes.split_first() else { return END };
    *codes = rest;
    *code
}

/// The factor that a code stands for which is neither a word nor the number of samples, or the quotient.
#[inline(never)]
fn special(code: u8, words: &[u32], samples: usize, elements: usize, codes: &mut &[u8]) -> Result<usize, usize> {
    let word = |number: u8| words.get(usize::from(number)).copied().unwrap_or(0) as usize;
    let mut next = || take(codes);
    match code {
        CONST => Ok(usize::from(u16::from_le_bytes([next(), next()]))),
        UNLESS => {
            let repeats = word(next()) == 1;
            match next() {
                _ if repeats => Ok(1),
                SAMPLES => Ok(samples),
                code => Ok(word(code)),
            }
        }
        code if code >= PAIRS => {
            let first = next();
            Ok((0..code - PAIRS).fold(1, |product: usize, pair| product.saturating_mul(word(first + 2 * pair))))
        }
        code => Err(elements.checked_div(word(code - BY)).unwrap_or(0)),
    }
}

impl Operands {
    /// The operands of a record, absent ones included.
    #[inline(never)] // One copy for all kinds of steps.
    pub fn described(places: &[Place], record: &[u8], samples: usize) -> Self {
        let words = crate::memory::view::<u32>(record);
        let mut operands = Self::default();
        for place in places {
            let mut operand = place.operand(words, samples);
            if place.using == Use::Write {
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
