//! What of an STM32H7's flash can be read.
//!
//! Every word of 32 bytes has a code of its own that corrects one bit and notices two (RM0433, 4.3.12 "Flash memory
//! error protections"). A word whose erase or program was cut may be beyond that: then whoever reads it gets a bus
//! fault, which ends a program that does not expect it. So words that a cut may have torn are touched first, with bus
//! faults held back (ARMv7-M, `CCR.BFHFNMIGN` together with `FAULTMASK`), and are left alone if there was one.
//!
//! Not proven on hardware: nobody has cut the power of such a chip with this program yet. What is tested is which words
//! are touched and what follows from what registers then say. A fault that the processor tells late (imprecisely) would
//! not be held back; the Cortex-M7 is said to tell those of loads at once.

#[cfg(all(target_os = "none", armv7em))]
use crate::mmio::Register;

/// Bytes that share one code.
pub const WORD: usize = 32;

/// `FLASH_SR`: one bit was corrected, two were noticed.
const CORRECTED: u32 = 1 << 25;
const NOTICED: u32 = 1 << 26;

/// Flags of reads: protected and secured areas too. As long as one is set the controller may refuse to erase.
const OF_READS: u32 = 1 << 23 | 1 << 24 | CORRECTED | NOTICED;

/// One bank of flash with its controller and the processor's view of it.
pub trait Bank {
    /// `FLASH_SR`.
    fn flags(&self) -> u32;

    /// Clears these flags (`FLASH_CCR`).
    fn clear(&mut self, flags: u32);

    /// The first word, counted from the bank's start, that has had an error since flags were cleared (`FLASH_ECC_FAR`).
    fn failed(&self) -> u32;

    /// Reads from a word, counted from the bank's start; whether that was a bus fault.
    fn touch(&mut self, word: u32) -> bool;
}

/// Whether `from..to`, counted in bytes from the bank's start, can be read without a fault.
pub fn is_readable(bank: &mut impl Bank, from: usize, to: usize) -> bool {
    let words = (from / WORD) as u32..to.div_ceil(WORD) as u32;
    bank.clear(OF_READS);
    for word in words {
        let is_fault = bank.touch(word);
        let flags = bank.flags();
        let is_torn = is_fault || (flags & NOTICED != 0 && bank.failed() == word);
        if flags & OF_READS != 0 {
            bank.clear(OF_READS);
        }
        if is_torn {
            return false;
        }
    }
    true
}

/// The second bank of an STM32H743, behind a Cortex-M7.
#[cfg(all(target_os = "none", armv7em))]
#[derive(Debug)]
pub struct SecondBank {
    flags: Register,
    clear: Register,
    failed: Register,
    /// `CCR` and `CFSR` of the processor.
    control: Register,
    faults: Register,
}

#[cfg(all(target_os = "none", armv7em))]
impl SecondBank {
    /// Where it is mapped.
    pub const ORIGIN: usize = 0x0810_0000;

    /// # Safety
    /// The program runs on an STM32H743, and nothing else uses these registers as long as a call lasts.
    pub unsafe fn new() -> Self {
        // SAFETY: `FLASH_SR2`, `FLASH_CCR2`, `FLASH_ECC_FA2R` (RM0433, 4.9) and the processor's (ARMv7-M, B3.2); the
        // caller's promise.
        let register = |address| unsafe { Register::new(address) };
        Self {
            flags: register(0x5200_2110),
            clear: register(0x5200_2114),
            failed: register(0x5200_2160),
            control: register(0xE000_ED14),
            faults: register(0xE000_ED28),
        }
    }
}

/// `CCR`: a program that holds faults back does not hear of those of its own loads.
#[cfg(all(target_os = "none", armv7em))]
const BFHFNMIGN: u32 = 1 << 8;

/// `CFSR`: a load or store that failed, precisely told or not, and that its address is known.
#[cfg(all(target_os = "none", armv7em))]
const BUS_FAULTS: u32 = 1 << 9 | 1 << 10 | 1 << 15;

#[cfg(all(target_os = "none", armv7em))]
impl Bank for SecondBank {
    fn flags(&self) -> u32 {
        self.flags.read()
    }

    fn clear(&mut self, flags: u32) {
        self.clear.write(flags);
    }

    fn failed(&self) -> u32 {
        self.failed.read() & 0x7FFF
    }

    fn touch(&mut self, word: u32) -> bool {
        let place = (Self::ORIGIN + word as usize * WORD) as *const u32;
        let control = self.control.read();
        // SAFETY: the word lies in the bank, which is mapped for reading. Faults are held back for as long as it takes
        // to read it, no longer; nothing that a fault would stop goes on here.
        unsafe {
            core::arch::asm!("cpsid f", "dsb", "isb", options(nostack, preserves_flags));
            self.control.write(control | BFHFNMIGN);
            core::arch::asm!("dsb", "isb", options(nostack, preserves_flags));
            place.read_volatile();
            core::arch::asm!("dsb", "isb", options(nostack, preserves_flags));
        }
        let is_fault = self.faults.read() & BUS_FAULTS != 0;
        self.faults.write(BUS_FAULTS);
        self.control.write(control);
        // SAFETY: as above; what was held back has been cleared.
        unsafe { core::arch::asm!("dsb", "isb", "cpsie f", options(nostack, preserves_flags)) };
        is_fault
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use super::*;

    /// A bank with torn words, whose controller tells of some, whose processor tells of others.
    #[derive(Default)]
    struct Fake {
        faults: Vec<u32>,
        noticed: Vec<u32>,
        corrected: Vec<u32>,
        /// What the processor fetches of its own accord besides a word that it is asked for.
        ahead: u32,
        flags: u32,
        failed: u32,
        touched: Vec<u32>,
    }

    impl Bank for Fake {
        fn flags(&self) -> u32 {
            self.flags
        }

        fn clear(&mut self, flags: u32) {
            self.flags &= !flags;
            if self.flags & (CORRECTED | NOTICED) == 0 {
                self.failed = 0;
            }
        }

        fn failed(&self) -> u32 {
            self.failed
        }

        fn touch(&mut self, word: u32) -> bool {
            self.touched.push(word);
            for word in word..=word + self.ahead {
                for (words, flag) in [(&self.noticed, NOTICED), (&self.corrected, CORRECTED)] {
                    if words.contains(&word) {
                        // The controller keeps the first address only.
                        if self.flags & (CORRECTED | NOTICED) == 0 {
                            self.failed = word;
                        }
                        self.flags |= flag;
                    }
                }
            }
            self.faults.contains(&word)
        }
    }

    #[test]
    fn whole_words_can_be_read_and_all_are_touched() {
        let mut bank = Fake { flags: 1 << 17, ..Fake::default() };
        assert!(is_readable(&mut bank, 4096, 4096 + 3 * WORD + 1));
        assert_eq!(bank.touched, [128, 129, 130, 131]);
        assert_eq!(bank.flags, 1 << 17, "flags of writes are the driver's");
        assert!(is_readable(&mut bank, 64, 64) && bank.touched.len() == 4, "nothing to read");
    }

    #[test]
    fn torn_words_cannot() {
        for bank in [Fake { faults: vec![2], ..Fake::default() }, Fake { noticed: vec![2], ..Fake::default() }] {
            let mut bank = bank;
            assert!(!is_readable(&mut bank, 0, 128));
            assert_eq!(bank.touched, [0, 1, 2], "nothing behind a torn word is touched");
            assert_eq!(bank.flags, 0, "an erase is not refused");
            assert!(is_readable(&mut bank, 0, 64) && is_readable(&mut bank, 96, 128), "its neighbours can be read");
        }
    }

    #[test]
    fn a_corrected_bit_is_no_harm() {
        let mut bank = Fake { corrected: vec![1], ..Fake::default() };
        assert!(is_readable(&mut bank, 0, 96));
        assert_eq!(bank.flags, 0);
    }

    #[test]
    fn what_is_fetched_ahead_does_not_count() {
        let mut bank = Fake { noticed: vec![1], ahead: 1, ..Fake::default() };
        assert!(is_readable(&mut bank, 0, 32), "word 1 is torn, word 0 is not");
        assert!(!is_readable(&mut bank, 32, 64));
    }

    #[test]
    fn old_flags_do_not_count() {
        let mut bank = Fake { flags: NOTICED, failed: 0, ..Fake::default() };
        assert!(is_readable(&mut bank, 0, 32));
    }
}
