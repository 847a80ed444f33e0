//! Thumb instructions, as far as their cost tells them apart.
//!
//! After the encoding tables of the Armv7-M Architecture Reference Manual (DDI 0403), chapter A5.

/// What an instruction costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Data processing of all sorts, 32-bit products and SMLAD's kin, branches, hints; floating point but for what
    /// follows.
    One,
    /// One register from memory.
    Load,
    /// One register to memory.
    Store,
    /// So many words from or to memory.
    Multiple(u8),
    /// MLA, MLS.
    MultiplyAccumulate,
    /// SMULL, UMULL.
    Long,
    /// SMLAL, UMLAL and their kin.
    LongAccumulate,
    /// SDIV, UDIV.
    Divide,
    /// VLDR, VSTR of one word.
    FloatSingle,
    /// VMOV between two core registers and floating point.
    TwoCoreRegisters,
    /// VMLA, VMLS, VFMA and their kin.
    FloatMultiplyAccumulate,
    /// VDIV, VSQRT.
    FloatDivide,
}

/// An instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    pub kind: Kind,
    /// Whether execution may go on elsewhere.
    pub branches: bool,
}

/// The instructions of a piece of code.
pub(super) fn decode(code: &[u8]) -> impl Iterator<Item = Instruction> + '_ {
    let mut halves = code.as_chunks().0.iter().map(|half| u16::from_le_bytes(*half));
    std::iter::from_fn(move || {
        let first = halves.next()?;
        Some(if first >= 0xE800 { long(first, halves.next()?) } else { short(first) })
    })
}

fn plain(kind: Kind) -> Instruction {
    Instruction { kind, branches: false }
}

const BRANCH: Instruction = Instruction { kind: Kind::One, branches: true };

/// A load or a store of one register.
fn single(load: bool, to_pc: bool) -> Instruction {
    Instruction { kind: if load { Kind::Load } else { Kind::Store }, branches: load && to_pc }
}

fn several(words: u32, to_pc: bool) -> Instruction {
    Instruction { kind: Kind::Multiple(words as u8), branches: to_pc }
}

/// 16 bits (A5.2).
fn short(code: u16) -> Instruction {
    let bit = |n: u16| code >> n & 1 == 1;
    match code >> 12 {
        // BX and BLX, and what moves or adds to PC.
        0x4 if code >> 8 == 0x47 => BRANCH,
        0x4 if matches!(code >> 8, 0x44 | 0x46) && code & 0x87 == 0x87 => BRANCH,
        0x4 if bit(11) => single(true, false),
        // Register offset: STR, STRH, STRB, then the loads.
        0x5 => single(code >> 9 & 7 >= 3, false),
        0x6..=0x9 => single(bit(11), false),
        0xB if code & 0x0600 == 0x0400 => several((code & 0x1FF).count_ones(), bit(11) && bit(8)),
        0xB if code & 0x0500 == 0x0100 => BRANCH, // CBZ, CBNZ
        0xC => several((code & 0xFF).count_ones(), false),
        0xD | 0xE => BRANCH,
        _ => plain(Kind::One),
    }
}

/// 32 bits (A5.3), in two halves.
fn long(first: u16, second: u16) -> Instruction {
    let bit = |n: u16| first >> n & 1 == 1;
    let group = first >> 11 & 3;
    if bit(10) && group != 2 {
        return coprocessor(first, second);
    }
    match group {
        1 if bit(9) => plain(Kind::One), // data processing, shifted register
        1 if !bit(6) => several(second.count_ones(), bit(4) && second >> 15 == 1),
        1 if first & 0xFFF0 == 0xE8D0 && second & 0xFFE0 == 0xF000 => BRANCH, // TBB, TBH
        1 if first & 0xFF60 == 0xE840 => single(bit(4), false),               // exclusives
        1 => several(2, false),                                               // LDRD, STRD
        // Branches, but for MSR, MRS, hints and barriers.
        2 if second & 0x8000 != 0 => {
            let control = second & 0x5000 == 0 && first & 0x0380 == 0x0380;
            if control { plain(Kind::One) } else { BRANCH }
        }
        2 => plain(Kind::One),
        _ if !bit(9) => single(bit(4), second >> 12 == 15),
        _ => product(first, second),
    }
}

/// Data processing on registers, products, divisions (A5.3.12, A5.3.16, A5.3.17).
fn product(first: u16, second: u16) -> Instruction {
    let operation = first >> 4 & 7;
    plain(match first >> 7 & 3 {
        2 if operation == 0 && second >> 12 != 15 => Kind::MultiplyAccumulate,
        3 => match operation {
            0 | 2 => Kind::Long,
            1 | 3 => Kind::Divide,
            _ => Kind::LongAccumulate,
        },
        _ => Kind::One,
    })
}

/// Floating point (A6).
fn coprocessor(first: u16, second: u16) -> Instruction {
    let bit = |n: u16| first >> n & 1 == 1;
    if !bit(9) {
        return plain(match () {
            () if first & 0xFFE0 == 0xEC40 => Kind::TwoCoreRegisters,
            // VLDR and VSTR; two words where the register has two.
            () if bit(8) && !bit(5) && second & 0x0100 == 0 => Kind::FloatSingle,
            () if bit(8) && !bit(5) => Kind::Multiple(2),
            () => Kind::Multiple(second as u8),
        });
    }
    let transfer = second & 0x10 != 0;
    let root = first & 0xF == 1 && second & 0xC0 == 0xC0;
    plain(match first >> 4 & 0xB {
        _ if transfer => Kind::One,
        0 | 1 | 9 | 10 => Kind::FloatMultiplyAccumulate,
        8 => Kind::FloatDivide,
        11 if root => Kind::FloatDivide,
        _ => Kind::One,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(words: &[u16]) -> Instruction {
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let all: Vec<_> = decode(&code).collect();
        assert_eq!(all.len(), 1, "{words:x?}");
        all[0]
    }

    /// Encodings by an assembler.
    #[test]
    fn kinds_of_short_instructions() {
        for (code, kind) in [
            (0x1840, Kind::One),         // adds r0, r0, r1
            (0x4348, Kind::One),         // muls r0, r1, r0
            (0x4800, Kind::Load),        // ldr r0, [pc]
            (0x5488, Kind::Store),       // strb r0, [r1, r2]
            (0x5688, Kind::Load),        // ldrsb r0, [r1, r2]
            (0x9001, Kind::Store),       // str r0, [sp, #4]
            (0x8808, Kind::Load),        // ldrh r0, [r1]
            (0xB510, Kind::Multiple(2)), // push {r4, lr}
            (0xC80E, Kind::Multiple(3)), // ldmia r0!, {r1, r2, r3}
            (0xBF08, Kind::One),         // it eq
            (0xB240, Kind::One),         // sxtb r0, r0
        ] {
            assert_eq!(one(&[code]), plain(kind), "{code:x}");
        }
        for code in [0x4770, 0x4687, 0xB108, 0xD1FE, 0xE7FE] {
            assert_eq!(one(&[code]), BRANCH, "{code:x}"); // bx lr; mov pc, r0; cbz; bne; b
        }
        assert_eq!(one(&[0xBD10]), several(2, true)); // pop {r4, pc}
    }

    #[test]
    fn kinds_of_long_instructions() {
        for (code, kind) in [
            ([0xEA81, 0x0002], Kind::One),                     // eor.w r0, r1, r2
            ([0xF101, 0x0001], Kind::One),                     // add.w r0, r1, #1
            ([0xF8D1, 0x0004], Kind::Load),                    // ldr.w r0, [r1, #4]
            ([0xF991, 0x0001], Kind::Load),                    // ldrsb.w r0, [r1, #1]
            ([0xF8C1, 0x0004], Kind::Store),                   // str.w r0, [r1, #4]
            ([0xE9D1, 0x0200], Kind::Multiple(2)),             // ldrd r0, r2, [r1]
            ([0xE92D, 0x47F0], Kind::Multiple(8)),             // push.w {r4-r10, lr}
            ([0xFB01, 0xF002], Kind::One),                     // mul r0, r1, r2
            ([0xFB01, 0x3002], Kind::MultiplyAccumulate),      // mla r0, r1, r2, r3
            ([0xFB21, 0x3002], Kind::One),                     // smlad r0, r1, r2, r3
            ([0xFB51, 0xF012], Kind::One),                     // smmulr r0, r1, r2
            ([0xFB91, 0xF0F2], Kind::Divide),                  // sdiv r0, r1, r2
            ([0xFA4F, 0xF081], Kind::One),                     // sxtb.w r0, r1
            ([0xED91, 0x0A00], Kind::FloatSingle),             // vldr s0, [r1]
            ([0xECB1, 0x0A08], Kind::Multiple(8)),             // vldmia r1!, {s0-s7}
            ([0xEE20, 0x0A81], Kind::One),                     // vmul.f32 s0, s1, s2
            ([0xEE30, 0x0A81], Kind::One),                     // vadd.f32 s0, s1, s2
            ([0xEE00, 0x0A81], Kind::FloatMultiplyAccumulate), // vmla.f32 s0, s1, s2
            ([0xEEA0, 0x0A81], Kind::FloatMultiplyAccumulate), // vfma.f32 s0, s1, s2
            ([0xEE80, 0x0A81], Kind::FloatDivide),             // vdiv.f32 s0, s1, s2
            ([0xEEB1, 0x0AE0], Kind::FloatDivide),             // vsqrt.f32 s0, s1
            ([0xEEB4, 0x0A60], Kind::One),                     // vcmp.f32 s0, s1
            ([0xEE00, 0x0A10], Kind::One),                     // vmov s0, r0
            ([0xEC51, 0x0A10], Kind::TwoCoreRegisters),        // vmov r0, r1, s0, s1
        ] {
            assert_eq!(one(&code), plain(kind), "{code:x?}");
        }
        assert_eq!(one(&[0xF7FF, 0xFFFE]), BRANCH); // bl
        assert_eq!(one(&[0xE8DF, 0xF000]), BRANCH); // tbb [pc, r0]
        assert_eq!(one(&[0xE8BD, 0x8010]), several(2, true)); // pop.w {r4, pc}
    }
}
