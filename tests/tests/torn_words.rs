//! Flash that corrects errors, as an STM32H7's: where a cut has torn a word, reading it is a fault. The store never
//! counts on such a word, whatever it would read there.

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use embernet::flash::slot;
use embernet::link::Slots;
use embernet_app::{Region, Store, Trust};
use embernet_core::checksum::crc32;
use embernet_core::wire::Fault;
use embernet_tests::nor::{Nor, NorError, PAGE, Power};

const WORD: usize = 32;
const SLOT: usize = 8 * PAGE;

/// Words of 32 bytes, each torn or whole. A torn one holds what it should hold: the worst that it could seem to be.
#[derive(Debug)]
struct Corrected {
    cells: Nor,
    torn: Vec<bool>,
}

impl Corrected {
    fn slots() -> ([Self; 2], Power) {
        let (cells, power) = Nor::slots(SLOT);
        (cells.map(|cells| Self { cells, torn: vec![false; SLOT / WORD] }), power)
    }

    /// Does `work` with all the power it needs if the supply fails within it, and marks the words that this tears.
    fn cut(
        &mut self,
        words: std::ops::Range<usize>,
        work: impl Fn(&mut Nor) -> Result<(), NorError>,
    ) -> Result<(), NorError> {
        match work(&mut self.cells) {
            Ok(()) => {
                self.torn[words].fill(false);
                Ok(())
            }
            Err(NorError::NoPower) => {
                self.torn[words].fill(true);
                Err(NorError::NoPower)
            }
            Err(other) => Err(other),
        }
    }
}

impl ErrorType for Corrected {
    type Error = NorError;
}

impl ReadNorFlash for Corrected {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorError> {
        self.cells.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        SLOT
    }
}

impl NorFlash for Corrected {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorError> {
        for page in (from..to).step_by(PAGE) {
            let words = page as usize / WORD..(page as usize + PAGE) / WORD;
            self.cut(words, |cells| cells.erase(page, page + PAGE as u32))?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorError> {
        for (number, word) in bytes.chunks(WORD).enumerate() {
            let at = offset as usize + number * WORD;
            let done = self.cut(at / WORD..at / WORD + 1, |cells| cells.write(at as u32, word));
            if done.is_err() {
                // As if the program had got all the way but for its code.
                let whole = self.cells.bytes()[..at].iter().chain(word).copied().collect::<Vec<u8>>();
                self.cells.flash(&whole);
            }
            done?;
        }
        Ok(())
    }
}

impl Region for Corrected {
    fn bytes(&self) -> &[u8] {
        self.cells.bytes()
    }

    fn is_readable(&self, offset: usize, bytes: usize) -> bool {
        !self.torn[offset / WORD..(offset + bytes).div_ceil(WORD)].contains(&true)
    }
}

fn transfer(store: &mut Store<Corrected>, image: &[u8]) -> Result<u32, Fault> {
    let (bytes, crc) = (image.len() as u32, crc32(image));
    let (_, mut spare) = store.split();
    spare.erase(bytes)?;
    for (index, chunk) in image.chunks(256).enumerate() {
        spare.program(index as u32 * 256, chunk)?;
    }
    spare.image(bytes, crc)?;
    Ok(spare.commit(bytes, crc)?.record.generation)
}

fn active(store: &mut Store<Corrected>) -> Option<(u32, Vec<u8>)> {
    let (active, _) = store.split();
    active.map(|(active, bytes)| (active.record.generation, bytes.to_vec()))
}

#[test]
fn a_cut_at_any_word_leaves_the_old_image() {
    let [old, new] = [1, 2].map(|byte| vec![byte; 2100]);
    let mut cut = 0;
    loop {
        let (slots, power) = Corrected::slots();
        let mut store = Store::open(slots);
        assert_eq!(transfer(&mut store, &old), Ok(1));
        store.reopen(Trust::Records);
        power.cut_after(cut);
        let outcome = transfer(&mut store, &new);
        power.restore();
        let mut store = Store::open(store.into_slots());
        if outcome.is_ok() {
            assert_eq!(active(&mut store), Some((2, new)));
            break;
        }
        assert_eq!(active(&mut store), Some((1, old.clone())), "cut at operation {cut}");
        assert_eq!(transfer(&mut store, &new), Ok(2), "the next attempt works");
        store.reopen(Trust::Records);
        assert_eq!(active(&mut store), Some((2, new.clone())));
        cut += 1;
    }
    assert!(cut > 500, "{cut}");
}

#[test]
fn a_torn_image_of_a_programmer_is_no_image() {
    let image = vec![7; 500];
    let whole = slot(&image, &Slots::new([0, SLOT as u32], SLOT as u32, PAGE as u32), 3).unwrap();
    for torn in [0, PAGE / WORD, PAGE / WORD + 15] {
        let (mut slots, power) = Corrected::slots();
        slots[0].cells.flash(&whole);
        slots[0].torn[torn] = true;
        let before = power.operations();
        let mut store = Store::open(slots);
        assert_eq!(active(&mut store), None, "word {torn}");
        assert_eq!(power.operations(), before, "nothing says that it has been read back");
    }
}
