//! Inner loops written once for every SIMD instruction set.
//!
//! An instruction set implements [`Vector`], the few operations that the loops need; [`gemm`] and [`loops`] do the
//! rest. Two rules make results independent of the width of a vector, of how a batch is split and of the number of
//! threads:
//!
//! - A vector holds *different outputs*, so every element of a product or an update is computed by one chain of
//!   operations in index order, as the scalar definition says. A fused vector rounds `a * b + c` once, an exact one
//!   twice, as the scalar token does; so exact tokens give the scalar bits and fused tokens all give each other's.
//! - Only [`loops::dot`] of fused vectors splits a sum, over [`loops::DOT_LANES`] partial sums whatever the width.
//!
//! The functions here are marked `inline(always)` and are called from functions that enable the instruction set;
//! that is where they are compiled.

pub mod gemm;
pub mod loops;
pub mod narrow;
pub mod norm;
pub mod pack;
pub mod pool;
pub mod tile;
#[macro_use]
mod token;
pub mod window;

use narrow::Narrow;
use pack::Block;
use tile::Tile;

/// Where rows 0, 4, 8 and 12 begin, for [`Vector::load_transposed`].
pub type Quads = [*const f32; 4];

/// A register of floats of one instruction set.
///
/// # Safety
/// Every method needs a processor that has the instructions: callers hold the token that proves it. Methods that
/// take pointers need them valid for the elements that they read or write; nothing needs alignment.
pub trait Vector: Copy {
    /// Floats in a register.
    const LANES: usize;
    /// Rows of C that a tile of two vectors may have before registers run out.
    const TILE_ROWS: usize;
    /// Whether `mul_add` rounds once; if not, the token promises the scalar bits.
    const FUSED: bool;
    /// Which lanes take part.
    type Mask: Copy;

    /// All lanes `x`.
    unsafe fn splat(x: f32) -> Self;
    /// Asks for the cache lines of so many vectors. Any address will do: nothing is read.
    #[inline(always)]
    fn prefetch(_from: *const f32, _vectors: usize) {}
    /// Reads `LANES` floats.
    unsafe fn load(from: *const f32) -> Self;
    /// Writes `LANES` floats.
    unsafe fn store(self, to: *mut f32);
    /// The first `lanes` lanes, at most `LANES`.
    unsafe fn mask(lanes: usize) -> Self::Mask;
    /// Reads the masked lanes; the others are zero and their memory is not touched.
    unsafe fn load_masked(from: *const f32, mask: Self::Mask) -> Self;
    /// Writes the masked lanes; the memory of the others is not touched.
    unsafe fn store_masked(self, to: *mut f32, mask: Self::Mask);
    /// `self` where masked, else `other`.
    unsafe fn select(self, other: Self, mask: Self::Mask) -> Self;

    /// Where `self > x`; nowhere if one of them is no number.
    unsafe fn greater(self, x: Self) -> Self::Mask;
    /// Where `self == x`.
    unsafe fn equal(self, x: Self) -> Self::Mask;

    /// `self + x`.
    unsafe fn add(self, x: Self) -> Self;
    /// `self - x`.
    unsafe fn sub(self, x: Self) -> Self;
    /// `self * x`.
    unsafe fn mul(self, x: Self) -> Self;
    /// `self / x`, correctly rounded.
    unsafe fn div(self, x: Self) -> Self;
    /// Square root, correctly rounded.
    unsafe fn sqrt(self) -> Self;
    /// `self * x + y`: rounded once by fused vectors, after each operation by exact ones.
    unsafe fn mul_add(self, x: Self, y: Self) -> Self;
    /// [`crate::math::max`] of each lane.
    unsafe fn max(self, x: Self) -> Self;
    /// [`crate::math::min`] of each lane.
    unsafe fn min(self, x: Self) -> Self;

    /// [`crate::math::settle`] of each lane.
    unsafe fn settle(self, least: f32) -> Self;

    /// Reads four floats from each of `LANES` rows and turns them over: lane `l` of vector `q` is element `q` of row
    /// `l`. `quads` says where every fourth row begins, the rows after it are `stride` apart; the first `LANES / 4`
    /// count.
    unsafe fn load_transposed(quads: Quads, stride: usize) -> [Self; 4];

    /// [`tile::run`], compiled for this instruction set.
    unsafe fn tile<const ROWS: usize, const VECTORS: usize, const MASKED: bool>(tile: &Tile);
    /// [`narrow::run`], compiled for this instruction set.
    unsafe fn narrow<const ROWS: usize, const VECTORS: usize>(narrow: &Narrow);
    /// [`pack::run`], compiled for this instruction set.
    unsafe fn pack(block: &Block, width: usize, to: *mut f32);
}

/// Hides from the compiler where a pointer comes from. It would otherwise keep one pointer for every row that a loop
/// walks along, far more than there are registers, instead of one for several rows and the distance between them.
#[inline(always)]
#[expect(clippy::pointers_in_nomem_asm_block, reason = "nothing follows the pointer")]
fn opaque(pointer: *const f32) -> *const f32 {
    let mut pointer = pointer;
    // SAFETY: there is no instruction, so nothing happens to registers, flags, stack or memory.
    unsafe {
        core::arch::asm!("/* {0} */", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags));
    }
    pointer
}
