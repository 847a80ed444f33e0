//! Dense layers: four outputs at a time, inputs as bytes.

use super::limit;
use crate::kernels::dense::Dense;
use crate::kernels::requantize::Requantize;
use crate::kernels::util::{from, from_mut};

/// Fours of inputs in one round of the loop.
const UNROLLED: usize = 4;

#[repr(C)]
struct Arguments {
    stream: *const u32,
    x: *const i8,
    /// End of the whole fours.
    x_end: *const i8,
    zero_point: i32,
    y: *mut i8,
    y_end: *mut i8,
    /// End of the word with the inputs that are left; `x_end` if none is.
    rest_end: *const i8,
    /// Fours that the first round leaves out.
    skipped: usize,
}

unsafe extern "C" {
    fn embernet_dsp_dense(arguments: *const Arguments);
}

/// [`crate::arch::layout::Layout::dense`].
// A function of its own: what calls it has no registers left for it.
#[inline(never)]
pub fn dense(shape: &Dense, stream: &[u32], to: &Requantize<'_>, x: &[i8], y: &mut [i8]) {
    let (inputs, outputs) = (shape.inputs as usize, shape.outputs as usize);
    let (Some(x), Some(y)) = (x.get(..inputs), y.get_mut(..outputs)) else { return };
    let four = 4 * inputs.div_ceil(4) + 12;
    let (whole, rest) = (inputs & !3, inputs & 3);
    if inputs == 0 || outputs == 0 || stream.len() < outputs.div_ceil(4) * four {
        return;
    }
    // Inputs that are left over stand in a word by themselves.
    let mut last = [0; 4];
    last.iter_mut().zip(from(x, whole)).for_each(|(to, x)| *to = *x);
    let last_end = last.as_ptr_range().end;
    let (start, end) = (x.as_ptr(), x.as_ptr().wrapping_add(whole));
    let (done, left) = (outputs & !3, outputs & 3);
    let mut arguments = Arguments {
        stream: stream.as_ptr(),
        x: if whole == 0 { last.as_ptr() } else { start },
        x_end: if whole == 0 { last_end } else { end },
        zero_point: to.zero_point,
        y: y.as_mut_ptr(),
        y_end: y.as_mut_ptr().wrapping_add(done),
        rest_end: if rest == 0 { end } else { last_end },
        skipped: (whole.max(4) / 4).wrapping_neg() % UNROLLED,
    };
    if done > 0 {
        // SAFETY: there is at least one four of inputs, the last one perhaps in `last`; `stream` has a group for each
        // four outputs, whose number is not 0 here.
        unsafe { embernet_dsp_dense(&arguments) };
    }
    if left > 0 {
        // Of the last four outputs some are none: they go nowhere.
        let mut some = [0; 4];
        arguments.stream = stream.as_ptr().wrapping_add(done / 4 * four);
        (arguments.y, arguments.y_end) = (some.as_mut_ptr(), some.as_mut_ptr_range().end);
        // SAFETY: as above; this is the last group.
        unsafe { embernet_dsp_dense(&arguments) };
        from_mut(y, done).iter_mut().zip(some).for_each(|(y, some)| *y = some);
    }
    limit(to, y);
}
