//! Dense layers: four outputs at a time, inputs as bytes.

use super::limit;
use crate::kernels::dense::Dense;
use crate::kernels::requantize::Requantize;
use crate::kernels::util::from;

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
pub fn dense(shape: &Dense, stream: &[u32], to: &Requantize<'_>, x: &[i8], y: &mut [i8]) {
    let (inputs, outputs) = (shape.inputs as usize, shape.outputs as usize);
    let quads = inputs.div_ceil(4);
    let four = 4 * quads + 12;
    let (Some(x), Some(y)) = (x.get(..inputs), y.get_mut(..outputs)) else { return };
    let Some(stream) = stream.get(..outputs.div_ceil(4) * four) else { return };
    let (mut whole, rest) = x.as_chunks::<4>();
    let mut last = [[0; 4]];
    last.iter_mut().flatten().zip(rest).for_each(|(to, x)| *to = *x);
    let rest_end = if rest.is_empty() { whole.as_ptr_range().end } else { last.as_ptr_range().end };
    if whole.is_empty() {
        whole = &last;
    }
    let run = |stream: &[u32], y: &mut [i8]| {
        let ends = whole.as_flattened().as_ptr_range();
        let arguments = Arguments {
            stream: stream.as_ptr(),
            x: ends.start,
            x_end: ends.end,
            zero_point: to.zero_point,
            y: y.as_mut_ptr(),
            y_end: y.as_mut_ptr_range().end,
            rest_end: rest_end.cast(),
            skipped: whole.len().wrapping_neg() % UNROLLED,
        };
        // SAFETY: there are `quads` fours of inputs, the last one perhaps in `last`; `stream` begins with a group of
        // that length for each four outputs of `y`, whose number is a multiple of four and not 0.
        unsafe { embernet_dsp_dense(&arguments) };
    };
    if inputs == 0 {
        return;
    }
    let (groups, tail) = y.as_chunks_mut::<4>();
    let done = groups.len();
    if done > 0 {
        run(stream, groups.as_flattened_mut());
    }
    if !tail.is_empty() {
        // Of the last four outputs some are none: they go nowhere.
        let mut outputs = [0; 4];
        run(from(stream, done * four), &mut outputs);
        tail.iter_mut().zip(outputs).for_each(|(y, output)| *y = output);
    }
    limit(to, y);
}
