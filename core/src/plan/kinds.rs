//! What the parser knows of each kind of step that a program carries, as data: a device has no room for a branch of
//! each kind in every function that asks.

use super::place::{Place, Used};
use super::{Encode, Operands, carries};

/// A kind of steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    number: u16,
    /// Its operands.
    pub places: &'static [Place],
}

impl Kind {
    /// That of a record.
    pub const fn of<R: Encode>() -> Self {
        const { assert!(R::PLACES.len() <= Operands::MAX, "a step has more operands than a table holds") };
        Self { number: R::KIND, places: R::PLACES }
    }

    /// The one of this number among `kinds`, whose numbers ascend.
    pub fn find(kinds: &[Self], number: u16) -> Option<&Self> {
        let (before, _) = kinds.split_at_checked(kinds.partition_point(|kind| kind.number < number))?;
        kinds.get(before.len()).filter(|kind| kind.number == number)
    }
}

/// How many of these kinds this program carries.
pub(super) const fn count(mut kinds: &[Kind]) -> usize {
    let mut count = 0;
    while let [kind, rest @ ..] = kinds {
        count += carries(kind.number) as usize;
        kinds = rest;
    }
    count
}

/// Those that it carries, `N` of them. The numbers of all have to ascend.
#[allow(clippy::indexing_slicing, reason = "runs in the compiler")]
pub(super) const fn carried<const N: usize>(mut kinds: &[Kind]) -> [Kind; N] {
    let mut carried = [Kind { number: 0, places: &[] }; N];
    let (mut used, mut last) = (0, 0);
    while let [kind, rest @ ..] = kinds {
        assert!(kind.number > last, "kinds stand in the order of their numbers");
        last = kind.number;
        if carries(kind.number) {
            carried[used] = *kind;
            used += 1;
        }
        kinds = rest;
    }
    carried
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
