//! A dense layer on a core with many registers: eight filters at a time, two in a word.
//!
//! As in [`quad`], four filters' weights for an input, each with 128 added, are the bytes of a word: the even ones become
//! a word of two halves. Shifted right by one byte, the word has the odd ones as halves and the third filter's weight
//! between them: a block's sum of that filter is known, and taken off. What the 128 add goes by the sum of the inputs,
//! which eight filters share. Blocks begin with `HALF`, so that upper halves are rounded; biases of the first two of
//! four filters make up for it.
//!
//! The stream is the distance between groups of eight filters in words, and then the groups: for each filter its
//! [`NUMBERS`], and then blocks: a word with [`LONGEST`](super::LONGEST) less its length, the words of the first four
//! filters, and those of the other four. Filters beyond the last are the last one again; a last group of up to four has no
//! other four. Behind the stream lie as many words as any lengths of blocks lead to; a block that is longer than what is
//! left of the input ends its group.

use super::{NUMBERS, quad};

/// Filters of a group.
pub const GROUP: usize = 2 * quad::GROUP;
/// A half of what an upper half counts.
#[cfg(any(test, feature = "std"))]
pub const HALF: i32 = 1 << 15;

/// Fours of filters in a group that computes so many outputs.
pub const fn quads(outputs: usize) -> usize {
    if matches!(outputs, 1..=quad::GROUP) { 1 } else { 2 }
}

/// Words that a loop may read of a group, whatever the lengths of its blocks say.
pub const fn most_words(quads: usize, inputs: usize) -> usize {
    NUMBERS * quad::GROUP * quads + (1 + quads) * inputs
}

/// What the assembly is given; it counts `outputs` down and moves `group` and `y`.
#[derive(Debug)]
#[repr(C)]
pub struct Arguments {
    x: *const i8,
    x_end: *const i8,
    group: *const u32,
    /// Bytes from a group to the next.
    stride: usize,
    /// At least one.
    outputs: usize,
    y: *mut i8,
}

/// [`super::Loops::dense`] by `assembly`.
///
/// # Safety
/// `assembly` reads and writes what the module's page says: of a group [`most_words`], of the input no more than there
/// is, and it writes one output for each filter.
pub unsafe fn dense(assembly: unsafe extern "C" fn(&mut Arguments), stream: &[u32], x: &[i8], y: &mut [i8]) {
    let Some((stride, rows)) = stream.split_first() else { return };
    let (stride, outputs) = (*stride as usize, y.len());
    let last = outputs.div_ceil(GROUP).saturating_sub(1);
    let most = last.saturating_mul(stride).saturating_add(most_words(quads(outputs % GROUP), x.len()));
    if most > rows.len() || x.is_empty() || outputs == 0 {
        return;
    }
    let mut arguments = Arguments {
        x: x.as_ptr(),
        x_end: x.as_ptr().wrapping_add(x.len()),
        group: rows.as_ptr(),
        stride: 4 * stride,
        outputs,
        y: y.as_mut_ptr(),
    };
    // SAFETY: the slices were checked above.
    unsafe { assembly(&mut arguments) };
}
