//! Which memory a step touches, and how.

use super::Ref;

/// What a step does with an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only read; may overlap other operands that are only read.
    Read,
    /// Wholly overwritten; what was there before does not matter.
    Write,
    /// Read and changed in place: parameters, optimiser state, in-place activations.
    ReadWrite,
    /// Contents matter neither before nor after the step.
    Scratch,
}

/// One range of memory that a step touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// Where it begins.
    pub at: Ref,
    /// How many bytes.
    pub bytes: usize,
    /// What the step does with it.
    pub access: Access,
    /// Alignment in bytes that the element type needs.
    pub align: usize,
}

impl Operand {
    /// `elements` 32-bit floats.
    pub const fn f32(at: Ref, elements: usize, access: Access) -> Self {
        Self::new(at, elements, 4, access)
    }

    /// `elements` 32-bit integers.
    pub const fn i32(at: Ref, elements: usize, access: Access) -> Self {
        Self::new(at, elements, 4, access)
    }

    /// `elements` bytes.
    pub const fn i8(at: Ref, elements: usize, access: Access) -> Self {
        Self::new(at, elements, 1, access)
    }

    /// `elements` 16-bit integers.
    pub const fn i16(at: Ref, elements: usize, access: Access) -> Self {
        Self::new(at, elements, 2, access)
    }

    /// `elements` 64-bit integers, each two words: they need no more alignment than a word.
    pub const fn i64(at: Ref, elements: usize, access: Access) -> Self {
        Self { align: 4, ..Self::new(at, elements, 8, access) }
    }

    // Every step comes here for each of its operands: on a device once is enough.
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    const fn new(at: Ref, elements: usize, size: usize, access: Access) -> Self {
        let bytes = if at.is_none() { 0 } else { elements.saturating_mul(size) };
        Self { at, bytes, access, align: size }
    }
}

/// The operands of one step; a step has at most [`Operands::MAX`].
#[derive(Clone, Debug, Default)]
pub struct Operands {
    pub(super) list: heapless::Vec<Operand, { Operands::MAX }>,
}

impl Operands {
    /// As many as any step has. A header counts up to 15 that are read, and as many that are written.
    pub const MAX: usize = 16;

    /// These.
    #[cfg(test)]
    pub(crate) fn of(list: impl Iterator<Item = Operand>) -> Self {
        Self { list: list.collect() }
    }

    /// Without those that are absent.
    #[inline(never)]
    pub fn present(mut self) -> Self {
        self.list.retain(|operand| !operand.at.is_none());
        self
    }

    /// With so many words as the last one, unless it is absent.
    #[must_use]
    pub fn with_last(mut self, words: usize) -> Self {
        if let Some(last) = self.list.last_mut().filter(|last| !last.at.is_none()) {
            last.bytes = words.saturating_mul(4);
        }
        self
    }

    /// As a slice.
    pub fn as_slice(&self) -> &[Operand] {
        &self.list
    }
}
