//! Between int8 and int16: the same reals in numbers of the other width.

use crate::arch::Isa;
use crate::kernels::integer::Width;
use crate::kernels::requantize::Rescale;
use crate::kernels::util::elements;
use crate::memory::Slices;
use crate::plan::{Context, Ref, StepRecord, operands};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Step from int8 to int16 or back: `y = (x - zero_point) * factor + y_zero_point`, rounded twice, saturated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RequantizeInt {
    /// Elements of one sample.
    pub len: u32,
    /// Of the input.
    pub width: Width,
    /// Of the output: the other one.
    pub y_width: Width,
    /// Input.
    pub x: Ref,
    /// Output.
    pub y: Ref,
    /// The input's scale over the output's.
    pub factor: Rescale,
    /// Zero point of the input.
    pub zero_point: i32,
    /// Zero point of the output.
    pub y_zero_point: i32,
}

impl RequantizeInt {
    #[inline]
    fn of(&self, x: i32) -> i32 {
        self.factor.of(x.wrapping_sub(self.zero_point)).wrapping_add(self.y_zero_point)
    }
}

impl StepRecord for RequantizeInt {
    operands! {
        x: read size(width) [samples, len],
        y: write size(y_width) [samples, len],
    }

    fn shape_is_valid(&self) -> bool {
        let widths = [self.width, self.y_width];
        elements([self.len]).is_some() && (widths == [Width::I8, Width::I16] || widths == [Width::I16, Width::I8])
    }

    fn run<I: Isa>(&self, _: I, at: &mut Slices<'_>, _: &mut Context) {
        if self.width == Width::I8 {
            let (x, y): (&[i8], &mut [i16]) = (at.read(), at.write());
            y.iter_mut().zip(x).for_each(|(y, x)| *y = self.of(i32::from(*x)).clamp(-32768, 32767) as i16);
        } else {
            let (x, y): (&[i16], &mut [i8]) = (at.read(), at.write());
            y.iter_mut().zip(x).for_each(|(y, x)| *y = self.of(i32::from(*x)).clamp(-128, 127) as i8);
        }
    }
}
