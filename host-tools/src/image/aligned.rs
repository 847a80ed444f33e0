//! Bytes on the heap, aligned as images and arenas need it.

use crate::lower::LINE_ALIGN;
use embernet_core::image::{ALIGN, Image};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One unit of alignment: more than images need, so that what a program aligns to cache lines lies so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
struct Unit([u8; LINE_ALIGN]);

const _: () = assert!(LINE_ALIGN.is_multiple_of(ALIGN));

/// A byte buffer that starts at a multiple of [`LINE_ALIGN`], for images and arenas on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlignedBytes {
    units: Vec<Unit>,
    len: usize,
}

impl AlignedBytes {
    /// So many zeros.
    pub fn zeroed(len: usize) -> Self {
        Self { units: vec![Unit([0; LINE_ALIGN]); len.div_ceil(LINE_ALIGN)], len }
    }

    /// A copy.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut copy = Self::zeroed(bytes.len());
        copy.copy_from_slice(bytes);
        copy
    }
}

impl core::ops::Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.units.as_bytes()[..self.len]
    }
}

impl core::ops::DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.units.as_mut_bytes()[..self.len]
    }
}

/// Memory for everything that the image can do.
pub fn arena_for(image: &Image<'_>) -> AlignedBytes {
    AlignedBytes::zeroed(image.arena_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_aligned_and_as_many_as_asked() {
        for len in [0, 1, 15, 16, 17, 1000] {
            let bytes = AlignedBytes::zeroed(len);
            assert_eq!(bytes.len(), len);
            assert_eq!(bytes.as_ptr().addr() % LINE_ALIGN, 0);
        }
        assert_eq!(*AlignedBytes::copy_of(&[1, 2, 3]), [1, 2, 3]);
    }
}
