//! Steps whose records have their kinds' lengths: the parser compares them once, running steps do not.
#![allow(unsafe_code)]

use crate::plan::{Encode, Known, Step, header};

/// A step as it lies in an image: its header and its record, which is as long as the header's kind says.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a>(&'a [u32]);

impl<'a> Stored<'a> {
    /// The step that consists of these words; `None` if they are more or fewer than those of its kind.
    pub(crate) fn of(words: &'a [u32], kind: &Known) -> Option<Self> {
        let step = Self(words);
        (step.kind() == kind.number && words.len() == 1 + usize::from(kind.words)).then_some(step)
    }

    /// The same without a look.
    ///
    /// # Safety
    /// [`Stored::of`] has given a step for these words.
    #[inline(always)]
    pub(super) const unsafe fn proved(words: &'a [u32]) -> Self {
        Self(words)
    }

    /// Its record; `None` if the kind is unknown.
    pub fn decode(self) -> Option<Step<'a>> {
        Step::decode(self.kind(), self.words())
    }

    /// The number of its kind.
    #[inline(always)]
    pub(crate) fn kind(self) -> u16 {
        self.0.first().map_or(0, |word| header(*word).kind)
    }

    /// The words of its record.
    pub(crate) fn words(self) -> &'a [u32] {
        self.0.get(1..).unwrap_or(&[])
    }

    /// Its record, if it is of this kind.
    #[inline(always)]
    pub(crate) fn record<R: Encode>(self) -> Option<&'a R> {
        const { assert!(size_of::<R>().is_multiple_of(4) && align_of::<R>() <= 4) };
        if self.kind() != R::KIND {
            return None;
        }
        debug_assert_eq!(self.0.len(), 1 + size_of::<R>() / 4, "a step that is as long as its kind says");
        // SAFETY: there are as many words as the table of kinds says of this one, which has each number once and its
        // length from the record's type; words are aligned as the record is, which consists of any.
        Some(unsafe { &*self.0.as_ptr().add(1).cast::<R>() })
    }
}
