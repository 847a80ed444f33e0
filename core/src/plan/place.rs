//! The operands of a kind of step, as data: a device has no room for a function of each kind.
//!
//! A record lists its operands with [`operands!`], in the order in which its `run` takes their slices:
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
//!   read and written: the step works in place); `write`; `update`, read and written; `scratch`.
//! - Elements: `i8`, `u8`, `i16`, `u16`, `i32`, `u32`, `f32`; `i64` in two words; `i4`, two in a byte; `size(field)`,
//!   whose bytes that field says; `bias(field)`, the bias for activations of as many bytes: four times as long.
//! - Factors: `samples`; a field; `path => LIST`, a list made by [`factors!`] for the shape at that path; `/ field`,
//!   which divides what stands before it; `const NUMBER`; `factor unless field`, which counts as 1 where the field is 1.

use super::{Access, Operand, Operands, Ref};

/// Most codes of one operand.
const CODES: usize = 6;

// A code below DIVIDE is the number of a word of the record, which multiplies.
const DIVIDE: u8 = 0x40;
/// Codes from here on are no words.
const NO_WORD: u8 = 0x80;
/// Two bytes follow, low one first.
const CONST: u8 = 0x80;
/// A word follows; where it is 1, the factor after it does not count.
const UNLESS: u8 = 0x81;
const SAMPLES: u8 = 0x82;
const END: u8 = 0x83;

/// What a step does with an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Reads it.
    Read,
    /// Reads it, or finds it in the place of what it writes.
    Input,
    /// Writes it.
    Write,
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
}

/// One operand of a kind of steps; made by [`operands!`].
#[derive(Clone, Copy, Debug)]
pub struct Place {
    word: u8,
    using: Use,
    element: Element,
    codes: [u8; CODES],
}

/// A piece of a list of factors: codes of words count from `word` on.
#[derive(Clone, Copy, Debug)]
pub struct Piece(pub u8, pub &'static [u8]);

impl Place {
    /// For [`operands!`].
    pub const fn new(field: u8, using: Use, element: Element, pieces: &[Piece]) -> Self {
        let mut codes = [END; CODES];
        let mut used = 0;
        let mut piece = 0;
        while piece < pieces.len() {
            let Piece(first, list) = pieces[piece];
            let mut i = 0;
            while i < list.len() {
                // What follows CONST is no code, but such a piece has no first word either.
                codes[used] = if list[i] < NO_WORD { list[i] + first } else { list[i] };
                used += 1;
                i += 1;
            }
            piece += 1;
        }
        Self { word: field, using, element, codes }
    }

    /// The operand of the record that consists of these words.
    fn operand(&self, words: &[u32], samples: usize) -> Operand {
        let word = |number: u8| words.get(usize::from(number)).copied().unwrap_or(0);
        let mut codes = self.codes.iter().copied();
        let mut next = || codes.next().unwrap_or(END);
        let (size, align) = match self.element {
            Element::Byte | Element::Nibble => (1, 1),
            Element::Half => (2, 2),
            Element::Word => (4, 4),
            Element::Wide => (8, 4),
            Element::Size => {
                let size = word(next()) as usize;
                (size, size.max(1))
            }
            Element::Bias => ((word(next()) as usize).saturating_mul(4), 4),
        };
        let mut elements = 1usize;
        let mut counts = true;
        loop {
            let factor = match next() {
                END => break,
                SAMPLES => samples,
                CONST => usize::from(u16::from_le_bytes([next(), next()])),
                UNLESS => {
                    counts = word(next()) != 1;
                    continue;
                }
                code if code >= DIVIDE => {
                    elements = elements.checked_div(word(code - DIVIDE) as usize).unwrap_or(0);
                    continue;
                }
                code => word(code) as usize,
            };
            if core::mem::replace(&mut counts, true) {
                elements = elements.saturating_mul(factor);
            }
        }
        if self.element == Element::Nibble {
            elements = elements.div_ceil(2);
        }
        let access = match self.using {
            Use::Read | Use::Input => Access::Read,
            Use::Write => Access::Write,
            Use::Update => Access::ReadWrite,
            Use::Scratch => Access::Scratch,
        };
        let at = Ref(word(self.word));
        let bytes = if at.is_none() { 0 } else { elements.saturating_mul(size) };
        Operand { at, bytes, access, align }
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

/// Number of the word at a byte offset of a record or shape.
pub const fn word(offset: usize) -> u8 {
    assert!(offset % 4 == 0 && offset / 4 < DIVIDE as usize, "a word among the first 64");
    (offset / 4) as u8
}

/// Codes of a constant factor.
pub const fn constant(number: usize) -> [u8; 3] {
    assert!(number < 1 << 16, "constants have 16 bits");
    [CONST, number as u8, (number >> 8) as u8]
}

/// The factor `samples`.
pub const OF_SAMPLES: Piece = Piece(0, &[SAMPLES]);
/// The factor that this piece multiplies by is the word at its place.
pub const OF_WORD: &[u8] = &[0];
/// The word at its place divides.
pub const BY_WORD: &[u8] = &[DIVIDE];
/// The word at its place decides whether what follows counts.
pub const UNLESS_WORD: &[u8] = &[UNLESS, 0];

/// Makes a list of factors for all records with a shape: `const INPUT: &[Piece] = factors!(height, width, channels)`,
/// inside of an `impl` of the shape. Divisors are written `/ field`, elements of arrays `field[index]`.
macro_rules! factors {
    ($($list:tt)*) => { &$crate::plan::place::joined::<{ $crate::plan::place::length($crate::plan::place::pieces!($($list)*)) }>($crate::plan::place::pieces!($($list)*)) };
}
pub(crate) use factors;

/// How many codes some pieces have.
pub const fn length(pieces: &[Piece]) -> usize {
    let (mut sum, mut i) = (0, 0);
    while i < pieces.len() {
        sum += pieces[i].1.len();
        i += 1;
    }
    sum
}

/// Pieces as one list of codes.
pub const fn joined<const N: usize>(pieces: &[Piece]) -> [u8; N] {
    let place = Place::new(0, Use::Read, Element::Byte, pieces);
    let (mut codes, mut i) = ([END; N], 0);
    while i < N {
        codes[i] = place.codes[i];
        i += 1;
    }
    codes
}

/// The operands of a record, inside of its `impl StepRecord`. See the module's page.
macro_rules! operands {
    ($($($field:ident).+ : $using:ident $element:ident $(($size:ident))? [$($factor:tt)*],)*) => {
        const PLACES: &'static [$crate::plan::place::Place] = {
            use $crate::plan::place::{Element, Place, Use, element, pieces, using, word};
            &[$(
                Place::new(
                    word(core::mem::offset_of!(Self, $($field).+)),
                    using!($using),
                    element!($element),
                    pieces!($(@$size)? $($factor)*),
                ),
            )*]
        };
    };
}
pub(crate) use operands;

macro_rules! using {
    (read) => {
        Use::Read
    };
    (input) => {
        Use::Input
    };
    (write) => {
        Use::Write
    };
    (update) => {
        Use::Update
    };
    (scratch) => {
        Use::Scratch
    };
}
pub(crate) use using;

macro_rules! element {
    (i4) => {
        Element::Nibble
    };
    (i8) => {
        Element::Byte
    };
    (u8) => {
        Element::Byte
    };
    (i16) => {
        Element::Half
    };
    (u16) => {
        Element::Half
    };
    (i32) => {
        Element::Word
    };
    (u32) => {
        Element::Word
    };
    (f32) => {
        Element::Word
    };
    (i64) => {
        Element::Wide
    };
    (size) => {
        Element::Size
    };
    (bias) => {
        Element::Bias
    };
}
pub(crate) use element;

/// One factor after the other.
macro_rules! pieces {
    (@ $size:ident $($rest:tt)*) => { $crate::plan::place::pieces!({$crate::plan::place::piece!($size),} $($rest)*) };
    ({$($done:tt)*}) => { &[$($done)*] };
    ({$($done:tt)*} samples unless $($by:ident).+ $(, $($rest:tt)*)?) => {
        $crate::plan::place::pieces!({
            $($done)* $crate::plan::place::piece!(unless $($by).+), $crate::plan::place::OF_SAMPLES,
        } $($($rest)*)?)
    };
    ({$($done:tt)*} samples $(, $($rest:tt)*)?) => {
        $crate::plan::place::pieces!({$($done)* $crate::plan::place::OF_SAMPLES,} $($($rest)*)?)
    };
    ({$($done:tt)*} const $number:expr $(, $($rest:tt)*)?) => {
        $crate::plan::place::pieces!({
            $($done)* $crate::plan::place::Piece(0, &$crate::plan::place::constant($number)),
        } $($($rest)*)?)
    };
    ({$($done:tt)*} / $($field:ident).+ $(, $($rest:tt)*)?) => {
        $crate::plan::place::pieces!({$($done)* $crate::plan::place::piece!(/ $($field).+),} $($($rest)*)?)
    };
    ({$($done:tt)*} $($field:ident).+ => $list:expr $(, $($rest:tt)*)?) => {
        $crate::plan::place::pieces!({$($done)* $crate::plan::place::piece!($($field).+ => $list),} $($($rest)*)?)
    };
    ({$($done:tt)*} $($field:ident).+ [$index:literal] $(, $($rest:tt)*)?) => {
        $crate::plan::place::pieces!({$($done)* $crate::plan::place::piece!($($field).+ [$index]),} $($($rest)*)?)
    };
    ({$($done:tt)*} $($field:ident).+ unless $($by:ident).+ $(, $($rest:tt)*)?) => {
        $crate::plan::place::pieces!({
            $($done)* $crate::plan::place::piece!(unless $($by).+), $crate::plan::place::piece!($($field).+),
        } $($($rest)*)?)
    };
    ({$($done:tt)*} $($field:ident).+ $(, $($rest:tt)*)?) => {
        $crate::plan::place::pieces!({$($done)* $crate::plan::place::piece!($($field).+),} $($($rest)*)?)
    };
    ($($rest:tt)*) => { $crate::plan::place::pieces!({} $($rest)*) };
}
pub(crate) use pieces;

macro_rules! piece {
    (@ $codes:ident, $index:expr, $($field:ident).+) => {
        $crate::plan::place::Piece(
            $crate::plan::place::word(core::mem::offset_of!(Self, $($field).+)) + $index,
            $crate::plan::place::$codes,
        )
    };
    (unless $($field:ident).+) => { $crate::plan::place::piece!(@ UNLESS_WORD, 0, $($field).+) };
    (/ $($field:ident).+) => { $crate::plan::place::piece!(@ BY_WORD, 0, $($field).+) };
    ($($field:ident).+ => $list:expr) => {
        $crate::plan::place::Piece($crate::plan::place::word(core::mem::offset_of!(Self, $($field).+)), $list)
    };
    ($($field:ident).+ [$index:literal]) => { $crate::plan::place::piece!(@ OF_WORD, $index, $($field).+) };
    ($($field:ident).+) => { $crate::plan::place::piece!(@ OF_WORD, 0, $($field).+) };
}
pub(crate) use piece;
