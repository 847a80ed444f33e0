//! Which parts of the language of places the kinds of a program use: how to read the others is not in it.

use super::{BY, CONST, Element, NO_WORD, PAIRS, Place, UNLESS, Use};

/// What occurs in some places.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    elements: u16,
    uses: u8,
    /// Constant factors.
    pub constants: bool,
    /// Factors that may not count.
    pub unless: bool,
    /// Factors in pairs.
    pub pairs: bool,
    /// Divisors.
    pub divisors: bool,
}

impl Used {
    /// Everything.
    pub const ALL: Self =
        Self { elements: u16::MAX, uses: u8::MAX, constants: true, unless: true, pairs: true, divisors: true };

    /// Nothing.
    pub const NONE: Self =
        Self { elements: 0, uses: 0, constants: false, unless: false, pairs: false, divisors: false };

    /// This and what these places use. The bytes of a constant count as codes, which may say too much.
    pub const fn and(mut self, mut places: &[Place]) -> Self {
        while let [place, rest @ ..] = places {
            self.elements |= 1 << place.element as u16;
            self.uses |= 1 << place.using as u8;
            let mut codes: &[u8] = &place.codes;
            while let [code, rest @ ..] = codes {
                self.constants |= *code == CONST;
                self.unless |= *code == UNLESS;
                self.pairs |= *code >= PAIRS;
                self.divisors |= BY <= *code && *code < NO_WORD;
                codes = rest;
            }
            places = rest;
        }
        self
    }

    /// Whether there are such elements.
    pub const fn element(&self, element: Element) -> bool {
        self.elements >> element as u16 & 1 != 0
    }

    /// Whether there are such uses.
    pub const fn using(&self, using: Use) -> bool {
        self.uses >> using as u8 & 1 != 0
    }
}
