//! Bytes on the heap, aligned as images and arenas need it.

use crate::lower::LINE_ALIGN;
use embernet_core::image::{ALIGN, Image};
use memmap2::MmapMut;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One unit of alignment: more than images need, so that what a program aligns to cache lines lies so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
struct Unit([u8; LINE_ALIGN]);

const _: () = assert!(LINE_ALIGN.is_multiple_of(ALIGN));

/// From so many bytes on memory comes in pages of its own, large ones where the system has them: an arena of tens of
/// megabytes needs thousands of small pages, and finding them takes as long as reading what is in them.
const PAGES_FROM: usize = 4 << 20;

/// A byte buffer that starts at a multiple of [`LINE_ALIGN`], for images and arenas on a host.
#[derive(Debug)]
pub struct AlignedBytes {
    memory: Memory,
    len: usize,
}

#[derive(Debug)]
enum Memory {
    Units(Vec<Unit>),
    Pages(MmapMut),
}

impl AlignedBytes {
    /// So many zeros.
    pub fn zeroed(len: usize) -> Self {
        let pages = (len >= PAGES_FROM).then(|| pages(len)).flatten();
        let units = || Memory::Units(vec![Unit([0; LINE_ALIGN]); len.div_ceil(LINE_ALIGN)]);
        Self { memory: pages.map_or_else(units, Memory::Pages), len }
    }

    /// A copy.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut copy = Self::zeroed(bytes.len());
        copy.copy_from_slice(bytes);
        copy
    }
}

/// Zeros in pages of the system; `None` if it has no more.
fn pages(len: usize) -> Option<MmapMut> {
    let pages = MmapMut::map_anon(len).ok()?;
    // A wish: without large pages all is slower, nothing wrong.
    #[cfg(target_os = "linux")]
    let _ = pages.advise(memmap2::Advice::HugePage);
    Some(pages)
}

impl Default for AlignedBytes {
    fn default() -> Self {
        Self::zeroed(0)
    }
}

impl Clone for AlignedBytes {
    fn clone(&self) -> Self {
        Self::copy_of(self)
    }
}

impl PartialEq for AlignedBytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for AlignedBytes {}

impl core::ops::Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.memory {
            Memory::Units(units) => &units.as_bytes()[..self.len],
            Memory::Pages(pages) => pages,
        }
    }
}

impl core::ops::DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Units(units) => &mut units.as_mut_bytes()[..self.len],
            Memory::Pages(pages) => pages,
        }
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
        for len in [0, 1, 15, 16, 17, 1000, PAGES_FROM, PAGES_FROM + 1] {
            let bytes = AlignedBytes::zeroed(len);
            assert_eq!(bytes.len(), len);
            assert!(bytes.iter().all(|byte| *byte == 0));
            assert_eq!(bytes.as_ptr().addr() % LINE_ALIGN, 0);
        }
        assert_eq!(*AlignedBytes::copy_of(&[1, 2, 3]), [1, 2, 3]);
    }
}
