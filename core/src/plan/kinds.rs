//! What the parser knows of each kind of step that a program carries, as data: a device has no room for a branch of
//! each kind in every function that asks.

use super::place::{Packed, Place, Used};
use super::{Encode, Operands, carries};

/// A kind of steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    number: u16,
    words: u8,
    places: &'static [Place],
}

impl Kind {
    /// That of a record.
    pub const fn of<R: Encode>() -> Self {
        const { assert!(R::PLACES.len() <= Operands::MAX, "a step has more operands than a table holds") };
        let words = size_of::<R>() / 4;
        assert!(words <= u8::MAX as usize, "a header counts a record's words");
        Self { number: R::KIND, words: words as u8, places: R::PLACES }
    }
}

/// One of the [`Kinds`] of a program: six bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Its number in the image format.
    pub number: u16,
    /// Words of its records.
    pub words: u8,
    bytes: u8,
    first: u16,
}

/// The kinds that a program carries: `N` of them, whose numbers ascend, with `P` bytes for their operands.
#[derive(Debug)]
pub(super) struct Kinds<const N: usize, const P: usize> {
    known: [Known; N],
    places: [u8; P],
}

impl<const N: usize, const P: usize> Kinds<N, P> {
    /// Those of `kinds` that this program carries; see [`count`].
    #[allow(clippy::indexing_slicing, reason = "runs in the compiler")]
    pub const fn carried(mut kinds: &[Kind]) -> Self {
        let mut known = [Known { number: 0, words: 0, bytes: 0, first: 0 }; N];
        let mut places = [0; P];
        let (mut used, mut first, mut last) = (0, 0, 0);
        while let [kind, rest @ ..] = kinds {
            let Kind { number, words, .. } = *kind;
            assert!(number > last, "kinds stand in the order of their numbers");
            last = number;
            if carries(number) {
                let packed = Packed::of(kind.places);
                let mut left = packed.bytes();
                known[used] = Known { number, words, bytes: left.len() as u8, first: first as u16 };
                used += 1;
                while let [byte, rest @ ..] = left {
                    places[first] = *byte;
                    first += 1;
                    left = rest;
                }
            }
            kinds = rest;
        }
        Self { known, places }
    }

    /// The one of this number, and its operands ([`Packed::bytes`]).
    pub fn find(&self, number: u16) -> Option<(&Known, &[u8])> {
        let before = self.known.partition_point(|kind| kind.number < number);
        let kind = self.known.get(before).filter(|kind| kind.number == number)?;
        Some((kind, crate::kernels::util::sub(&self.places, usize::from(kind.first), usize::from(kind.bytes))))
    }
}

/// How many of these kinds this program carries, and how many bytes their operands take.
pub(super) const fn count(mut kinds: &[Kind]) -> (usize, usize) {
    let (mut count, mut places) = (0, 0);
    while let [kind, rest @ ..] = kinds {
        if carries(kind.number) {
            count += 1;
            places += Packed::of(kind.places).bytes().len();
        }
        kinds = rest;
    }
    (count, places)
}

/// What the places of those that it carries use.
pub(super) const fn used(mut kinds: &[Kind]) -> Used {
    let mut used = Used::NONE;
    while let [kind, rest @ ..] = kinds {
        if carries(kind.number) {
            used = used.and(kind.places);
        }
        kinds = rest;
    }
    used
}
