//! A dense layer: two filters in a word.
//!
//! Filters come in fours. Their weights for an input, each with 128 added, are the bytes of a word. The even ones and
//! the odd ones become words of two halves, and what the 128 add is taken off a block's sums by the sum of its inputs.
//!
//! The stream is the distance between groups of four filters in words, and then the groups: for each filter its
//! [`NUMBERS`], and then blocks: a word with `LONGEST` less its length, and the weights. Filters beyond the last are
//! the last one again. Behind the stream lie as many words as any lengths of blocks lead to; a block that is longer
//! than what is left of the input ends its group.

use super::NUMBERS;

/// Filters of a group.
pub const GROUP: usize = 4;

/// Words that a loop may read of a group, whatever the lengths of its blocks say.
pub const fn most_words(inputs: usize) -> usize {
    NUMBERS * GROUP + 2 * inputs
}

/// What the assembly is given; it counts `groups` down and moves `group` and `y`.
#[derive(Debug)]
#[repr(C)]
pub struct Arguments {
    x: *const i8,
    x_end: *const i8,
    group: *const u32,
    /// Bytes from a group to the next.
    stride: usize,
    groups: usize,
    y: *mut i8,
}

/// [`super::Loops::dense`] by `assembly`.
///
/// # Safety
/// `assembly` reads and writes what the module's page says: of a group [`most_words`], of the input no more than there
/// is, and it writes four outputs for each group.
pub unsafe fn dense(assembly: unsafe extern "C" fn(&mut Arguments), stream: &[u32], x: &[i8], y: &mut [i8]) {
    let Some((stride, rows)) = stream.split_first() else { return };
    let stride = *stride as usize;
    let last = y.len().div_ceil(GROUP).saturating_sub(1);
    if last.saturating_mul(stride).saturating_add(most_words(x.len())) > rows.len() || x.is_empty() {
        return;
    }
    let run = |group: usize, groups: usize, y: &mut [i8]| {
        let mut arguments = Arguments {
            x: x.as_ptr(),
            x_end: x.as_ptr().wrapping_add(x.len()),
            group: rows.as_ptr().wrapping_add(group * stride),
            stride: 4 * stride,
            groups,
            y: y.as_mut_ptr(),
        };
        if groups > 0 {
            // SAFETY: the slices were checked above; `y` has four places for each group.
            unsafe { assembly(&mut arguments) };
        }
    };
    let (whole, rest) = y.as_chunks_mut::<GROUP>();
    run(0, whole.len(), whole.as_flattened_mut());
    if !rest.is_empty() {
        let mut four = [0; GROUP];
        run(whole.len(), 1, &mut four);
        rest.iter_mut().zip(four).for_each(|(y, four)| *y = four);
    }
}
