//! How deep the stack has been: it is painted at start, and the paint that is left tells.

const PAINT: u32 = 0xE3BE_77ED;

/// Bytes below the caller's frame that painting leaves alone: its own frame lies there.
const MARGIN: usize = 256;

/// A painted stack.
#[derive(Debug)]
pub struct Painted {
    low: *const u32,
    words: usize,
}

/// Paints the unused part of the stack from `low`, its lowest address, to where it is now.
///
/// # Safety
/// `low` is a multiple of 4 and the lowest address of the running stack, which ends at `high`;
/// nothing else uses the memory between `low` and the current stack pointer.
#[inline(never)]
pub unsafe fn paint(low: usize, high: usize) -> Painted {
    let here = 0u32;
    let top = (&raw const here).addr().saturating_sub(MARGIN);
    let base = core::ptr::with_exposed_provenance_mut::<u32>(low);
    for word in 0..top.saturating_sub(low) / 4 {
        // SAFETY: the caller's promise; `word` stays more than `MARGIN` bytes below this frame.
        unsafe { base.add(word).write_volatile(PAINT) };
    }
    Painted { low: base, words: high.saturating_sub(low) / 4 }
}

impl Painted {
    /// Bytes of the whole stack.
    pub fn bytes(&self) -> u32 {
        (self.words * 4) as u32
    }

    /// The most bytes in use since the painting.
    pub fn used(&self) -> u32 {
        // SAFETY: `paint`'s caller said that these words are the stack, and volatile reads of
        // memory that the program itself changes are fine on its only thread.
        let is_paint = |word: &usize| unsafe { self.low.add(*word).read_volatile() } == PAINT;
        let untouched = (0..self.words).take_while(is_paint).count();
        ((self.words - untouched) * 4) as u32
    }
}
