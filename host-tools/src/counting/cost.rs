//! What instructions cost on a Cortex-M3 and a Cortex-M4.
//!
//! From the tables of Arm's Technical Reference Manuals: Cortex-M3 r2p1 (DDI 0337), table 3-1; Cortex-M4 r0p1 (DDI
//! 0439), tables 3-1 and 7-1. They hold for memory without wait states. Where a table gives a range this takes one
//! figure: a refilled pipeline costs 2 (of 1 to 3), a division 7 (of 2 to 12), on M3 a long product 4 (of 3 to 5) and
//! one that accumulates 5 (of 4 to 7). Of effects between neighbours it knows one: a load right behind another single
//! load or store takes one cycle less.

use super::thumb::{self, Kind};
use serde::Deserialize;

/// A core whose cycles can be estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Core {
    /// No DSP instructions, no floating point.
    CortexM3,
    /// With both.
    CortexM4,
}

/// Cycles of a pipeline that starts anew elsewhere.
const REFILL: u64 = 2;

/// What a piece of code costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Of one run that goes on behind it.
    pub cycles: u64,
    /// In addition, when it goes on elsewhere.
    pub leaving: u64,
}

/// The cost of instructions that run one after the other.
pub(super) fn of(core: Core, code: &[u8]) -> Cost {
    let mut cost = Cost::default();
    let mut behind_single = false;
    for instruction in thumb::decode(code) {
        cost.cycles += match instruction.kind {
            Kind::Load if behind_single => 1,
            kind => cycles(core, kind),
        };
        cost.leaving = if instruction.branches { REFILL } else { 0 };
        behind_single = matches!(instruction.kind, Kind::Load | Kind::Store);
    }
    cost
}

fn cycles(core: Core, kind: Kind) -> u64 {
    let m3 = core == Core::CortexM3;
    match kind {
        Kind::One | Kind::Store => 1,
        Kind::Load | Kind::FloatSingle | Kind::TwoCoreRegisters => 2,
        Kind::Multiple(words) => 1 + u64::from(words),
        Kind::MultiplyAccumulate => 1 + u64::from(m3),
        Kind::Long => {
            if m3 {
                4
            } else {
                1
            }
        }
        Kind::LongAccumulate => {
            if m3 {
                5
            } else {
                1
            }
        }
        Kind::Divide => 7,
        Kind::FloatMultiplyAccumulate => 3,
        Kind::FloatDivide => 14,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half-words as they lie in memory.
    fn code(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn loads_overlap_with_their_neighbours() {
        // ldr r0, [r1]; ldr r2, [r1]; adds r0, r0, r2; ldr r2, [r1]
        let cost = of(Core::CortexM4, &code(&[0x6808, 0x680A, 0x1880, 0x680A]));
        assert_eq!(cost, Cost { cycles: 2 + 1 + 1 + 2, leaving: 0 });
    }

    #[test]
    fn a_loops_branch_refills_the_pipeline() {
        // ldmia r0!, {r1, r2, r3, r4}; smlad r5, r1, r2, r5; cmp r0, r6; bne
        let loop_ = code(&[0xE8B0, 0x001E, 0xFB21, 0x5502, 0x42B0, 0xD1F9]);
        assert_eq!(of(Core::CortexM4, &loop_), Cost { cycles: 5 + 1 + 1 + 1, leaving: REFILL });
    }

    #[test]
    fn products_cost_more_on_the_older_core() {
        // mla r0, r1, r2, r0; smull r0, r1, r2, r3; smlal r0, r1, r2, r3
        let products = code(&[0xFB01, 0x0002, 0xFB82, 0x0103, 0xFBC2, 0x0103]);
        assert_eq!(of(Core::CortexM3, &products).cycles, 2 + 4 + 5);
        assert_eq!(of(Core::CortexM4, &products).cycles, 3);
    }
}
