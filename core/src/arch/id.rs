//! The names of the tokens.

use crate::plan::COMPACT;

/// Which token an image's weights were laid out and its scratch was sized for. Numbers are part of the image format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum IsaId {
    /// The definition; needs no scratch.
    Scalar = 0,
    /// x86-64 with AVX2 and FMA.
    Avx2 = 1,
    /// x86-64 with AVX-512.
    Avx512 = 2,
    /// x86-64 with AVX2, giving the scalar token's bits.
    Avx2Exact = 3,
    /// Cortex-M with the DSP extension: M4, M7, M33.
    Dsp = 4,
    /// Cortex-M with the vector extension (Helium): M55.
    Mve = 5,
    /// Cortex-M3.
    Thumb2 = 6,
    /// Cortex-M0.
    Thumb1 = 7,
    /// RISC-V with 32-bit integers.
    Rv32 = 8,
    /// AArch64, all of which has NEON.
    Neon = 9,
}

impl IsaId {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Scalar,
        Self::Avx2,
        Self::Avx512,
        Self::Avx2Exact,
        Self::Dsp,
        Self::Mve,
        Self::Thumb2,
        Self::Thumb1,
        Self::Rv32,
        Self::Neon,
    ];

    /// From its number.
    pub const fn from_u32(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Scalar),
            1 => Some(Self::Avx2),
            2 => Some(Self::Avx512),
            3 => Some(Self::Avx2Exact),
            4 => Some(Self::Dsp),
            5 => Some(Self::Mve),
            6 => Some(Self::Thumb2),
            7 => Some(Self::Thumb1),
            8 => Some(Self::Rv32),
            9 => Some(Self::Neon),
            _ => None,
        }
    }

    /// From its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|id| id.name() == name)
    }

    /// Name as in tables and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx2Exact => "avx2-exact",
            Self::Dsp => "dsp",
            Self::Mve => "mve",
            Self::Thumb2 => "thumb2",
            Self::Thumb1 => "thumb1",
            Self::Rv32 => "rv32",
            Self::Neon => "neon",
        }
    }

    /// Whether float convolutions copy their filters into scratch, to multiply large matrices (a host with wide
    /// registers), or read them where they are (a device with little RAM, and a host that replays one).
    pub const fn packs(self) -> bool {
        matches!(self, Self::Avx2 | Self::Avx512 | Self::Neon)
    }

    /// Whether int8 weights lie in an order of the token's own; see [`super::layout`].
    pub const fn has_layout(self) -> bool {
        matches!(self, Self::Dsp | Self::Mve | Self::Thumb2 | Self::Thumb1 | Self::Rv32)
    }

    /// Whether programs with it have room for a second way of doing the same: a host's, which no device has.
    pub const fn has_room(self) -> bool {
        !matches!(self, Self::Scalar) && !self.has_layout()
    }

    /// Whether all float results are the scalar token's bits.
    pub const fn is_exact(self) -> bool {
        !self.packs()
    }

    /// Whether this token can run an image that was packed for `image`: there is scratch enough, and weights lie in
    /// an order that it reads. A host reads all of them. A program for size reads what was packed for size, whatever
    /// the token, and refuses layers in another order as it parses them.
    pub const fn can_run(self, image: Self) -> bool {
        let scratch = !self.packs() || image.packs();
        let own = image as u32 == self as u32 || COMPACT || cfg!(any(test, feature = "std"));
        let readable = !image.has_layout() || own;
        scratch && readable
    }
}
