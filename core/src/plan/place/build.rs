//! How `operands!` and `factors!` become data. All of it runs in the compiler.
#![allow(clippy::indexing_slicing, reason = "what leaves an array here does not compile")]

use super::{BY, CODES, CONST, END, Element, NO_WORD, Place, SAMPLES, UNLESS, Use};

/// A piece of a list of factors: codes of words count from `word` on.
#[derive(Clone, Copy, Debug)]
pub struct Piece(pub u8, pub &'static [u8]);

impl Place {
    /// For `operands!`.
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
}

/// Number of the word at a byte offset of a record or shape.
pub const fn word(offset: usize) -> u8 {
    assert!(offset.is_multiple_of(4) && offset / 4 < BY as usize, "a word among the first 64");
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
pub const BY_WORD: &[u8] = &[BY];
/// The word at its place decides whether what follows counts.
pub const UNLESS_WORD: &[u8] = &[UNLESS, 0];

/// Makes a list of factors for all records with a shape: `const INPUT: &[u8] = factors!(height, width, channels)`,
/// inside of an `impl` of the shape. Divisors are written `/ field`, elements of arrays `field[index]`.
macro_rules! factors {
    ($($list:tt)*) => {{
        use $crate::plan::place::{joined, length, pieces};
        &joined::<{ length(pieces!($($list)*)) }>(pieces!($($list)*))
    }};
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
    ($($($field:ident).+ : $using:ident $element:ident $(($($size:ident).+))? [$($factor:tt)*],)*) => {
        const PLACES: &'static [$crate::plan::place::Place] = {
            use $crate::plan::place::{Element, Place, Use, element, pieces, using, word};
            &[$(
                Place::new(
                    word(core::mem::offset_of!(Self, $($field).+)),
                    using!($using),
                    element!($element),
                    pieces!($(@($($size).+))? $($factor)*),
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
    (parts) => {
        Use::Parts
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
    (order) => {
        Element::Order
    };
    (state) => {
        Element::State
    };
    (block) => {
        Element::Block
    };
}
pub(crate) use element;

/// One factor after the other.
macro_rules! pieces {
    (@ ($($size:ident).+) $($rest:tt)*) => {
        $crate::plan::place::pieces!({$crate::plan::place::piece!($($size).+),} $($rest)*)
    };
    ({$($done:tt)*}) => { &[$($done)*] };
    ({$($done:tt)*} samples unless $($by:ident).+ $(, $($rest:tt)*)?) => {
        $crate::plan::place::pieces!({
            $($done)* $crate::plan::place::piece!(unless $($by).+), $crate::plan::place::OF_SAMPLES,
        } $($($rest)*)?)
    };
    ({$($done:tt)*} samples $(, $($rest:tt)*)?) => {
        $crate::plan::place::pieces!({$($done)* $crate::plan::place::OF_SAMPLES,} $($($rest)*)?)
    };
    ({$($done:tt)*} $pairs:literal of $($field:ident).+ $(, $($rest:tt)*)?) => {
        $crate::plan::place::pieces!({
            $($done)* $crate::plan::place::piece!($pairs of $($field).+),
        } $($($rest)*)?)
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
    ($pairs:literal of $($field:ident).+) => {
        $crate::plan::place::Piece(
            $crate::plan::place::word(core::mem::offset_of!(Self, $($field).+)),
            &[$crate::plan::place::PAIRS + $pairs, 0],
        )
    };
    ($($field:ident).+ => $list:expr) => {
        $crate::plan::place::Piece($crate::plan::place::word(core::mem::offset_of!(Self, $($field).+)), $list)
    };
    ($($field:ident).+ [$index:literal]) => { $crate::plan::place::piece!(@ OF_WORD, $index, $($field).+) };
    ($($field:ident).+) => { $crate::plan::place::piece!(@ OF_WORD, 0, $($field).+) };
}
pub(crate) use piece;
