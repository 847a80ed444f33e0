//! The token of a core with these loops: assembly between safe functions.

/// Makes the token `$token`, whose convolutions are those of the module `$tile`, of `$group` filters if it leaves that open,
/// and whose dense layers those of `$four`. Its tiles are filled pixel by pixel by `$place`, or at any borders by `$windows`;
/// `$numbers` are what [`plain`](crate::arch::sums::plain) is told about sums.
/// Behind a semicolon may stand methods of the token's own.
macro_rules! token {
    ($(#[$about:meta])* $token:ident, $tile:ident $(<$group:literal>)?, $four:ident, $filters:ident, $dense:ident,
        $band:ident, $(pixel $place:ident)? $(windows $windows:ident)?, $place_tile:ident, $gather:ident, $add:ident $numbers:tt
        $(; $($method:tt)*)?) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug)]
        pub struct $token(());

        impl $token {
            /// The token.
            ///
            /// # Safety
            /// The core has its instructions.
            pub const unsafe fn new() -> Self {
                Self(())
            }
        }

        impl $crate::arch::Isa for $token {
            const ID: $crate::arch::IsaId = $crate::arch::IsaId::$token;
            type Layout = $crate::arch::layout::words::Words<Self>;

            fn layout(self) -> Self::Layout {
                $crate::arch::layout::words::Words(self)
            }

            fn add_i8(self, sum: &$crate::kernels::add::Sum, a: Option<&[i8]>, b: Option<&[i8]>, y: &mut [i8]) {
                let (shifts, times) = $numbers;
                let numbers = |sum: &$crate::arch::sums::Halved| $crate::arch::sums::plain(shifts, times, sum);
                // SAFETY: this is the assembly of this loop; the token proves that the core runs it.
                unsafe { $crate::arch::sums::add($add, numbers, sum, a, b, y) };
            }

            // Not inlined, so that a device program's kernels are compiled in this crate: its optimisation level is
            // theirs.
            #[inline(never)]
            fn run_step(
                self,
                step: $crate::plan::Stored<'_>,
                at: &mut $crate::memory::Slices<'_>,
                context: &mut $crate::plan::Context,
            ) {
                step.run(self, at, context);
            }

            $($($method)*)?
        }

        unsafe extern "C" {
            fn $filters(arguments: &mut $crate::arch::layout::words::$tile::Arguments);
            fn $dense(arguments: &mut $crate::arch::layout::words::$four::Arguments);
            fn $band(arguments: &mut $crate::arch::layout::words::band::Arguments);
            $(fn $place(x: *const i8, x_end: *const i8, words: *mut u32, upper: usize);)?
            $(fn $windows(taps: &$crate::arch::layout::words::$tile::Taps);)?
            fn $place_tile(arguments: &mut $crate::arch::layout::words::tile::Patches);
            fn $gather(arguments: &$crate::arch::layout::words::band::Gather);
            fn $add(a: *const i8, b: *const i8, y: *mut i8, count: usize, numbers: &[i32; 8]);
        }

        impl $crate::arch::layout::words::Loops for $token {
            const ID: $crate::arch::IsaId = $crate::arch::IsaId::$token;
            const PIXELS: usize = $crate::arch::layout::words::$tile::PIXELS;

            fn tile_words(patch: usize) -> usize {
                $crate::arch::layout::words::$tile::words(patch)
            }

            fn filters(self, stream: &[u32], patch: usize, count: usize, tile: &[u32], y: &mut [i8]) {
                // SAFETY: this is the assembly of this loop; the token proves that the core runs it.
                unsafe {
                    $crate::arch::layout::words::$tile::filters$(::<$group>)?($filters, stream, patch, count, tile, y);
                }
            }

            fn dense(self, stream: &[u32], x: &[i8], y: &mut [i8]) {
                // SAFETY: likewise.
                unsafe { $crate::arch::layout::words::$four::dense($dense, stream, x, y) };
            }

            fn band(self, band: &$crate::arch::layout::words::band::Band<'_>, y: &mut [i8]) {
                // SAFETY: likewise.
                unsafe { $crate::arch::layout::words::band::band($band, band, y) };
            }

            $(fn place(self, tile: &mut [u32], pixel: usize, at: usize, x: &[i8]) {
                // SAFETY: likewise.
                unsafe { $crate::arch::layout::words::$tile::place($place, tile, pixel, at, x) };
            })?

            $(const WINDOWS: bool = true;

            fn place_windows(
                self,
                tile: &mut [u32],
                windows: &$crate::arch::layout::Windows<'_>,
                first: usize,
                x: &[i8],
            ) {
                // SAFETY: likewise.
                unsafe { $crate::arch::layout::words::$tile::place_windows($windows, tile, windows, first, x) };
            })?

            fn place_tile(self, tile: &mut [u32], from: &$crate::arch::layout::Patch, apart: usize, x: &[i8]) {
                // SAFETY: likewise.
                unsafe { $crate::arch::layout::words::$tile::place_tile($place_tile, tile, from, apart, x) };
            }

            fn gather(self, source: &$crate::arch::layout::words::band::Source<'_>, words: &mut [u32]) {
                // SAFETY: likewise.
                unsafe { $crate::arch::layout::words::band::gather($gather, source, words) };
            }
        }
    };
}

pub(crate) use token;
