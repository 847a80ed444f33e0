//! Flashing with a debug probe, which reads and writes the chip's flash while no program runs.

use embernet_core::checksum::crc32;
use embernet_core::slot::Record;

use super::{Action, Content, FlashError, Flashed, Plan};
use crate::link::{Board, SlotStates};

/// What a debug probe does. Errors are sentences.
pub trait Probe {
    /// Reads memory.
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), String>;

    /// Erases whole erase units.
    fn erase(&mut self, address: u32, bytes: u32) -> Result<(), String>;

    /// Programs erased flash.
    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), String>;

    /// Restarts the chip.
    fn restart(&mut self) -> Result<(), String>;
}

/// The debug probes of this machine.
pub trait Probes {
    /// One that is attached to a chip.
    type Attached: Probe;

    /// The name of each: `VID:PID`, or `VID:PID:SERIAL` where it has a serial number.
    fn names(&mut self) -> Vec<String>;

    /// Attaches to the chip behind the one with this number. Errors are sentences.
    fn attach(&mut self, number: usize, chip: &str) -> Result<Self::Attached, String>;
}

/// Attaches to `board`'s chip through the probe that `wanted` names (`VID:PID` or `VID:PID:SERIAL`), or the only one when
/// it is empty.
///
/// # Errors
/// [`FlashError`]: the board names no chip; no probe or several; no answer; another chip.
pub fn attach<P: Probes>(probes: &mut P, board: &Board, wanted: &str) -> Result<P::Attached, FlashError> {
    let Some(chip) = &board.chip else { return Err(FlashError::NoChip { board: board.name.clone() }) };
    let found = probes.names();
    if found.is_empty() {
        return Err(FlashError::NoProbe);
    }
    let is_meant = |name: &String| name.to_lowercase().starts_with(&wanted.to_lowercase());
    let meant: Vec<usize> = (0..found.len()).filter(|number| is_meant(&found[*number])).collect();
    let [number] = meant[..] else { return Err(FlashError::WhichProbe { wanted: wanted.into(), found }) };
    let no_answer = |reason| FlashError::NoAnswer { chip: chip.clone(), reason };
    let mut probe = probes.attach(number, chip).map_err(no_answer)?;
    if let Some(id) = board.chip_id {
        let mut word = [0; 4];
        probe.read(id.address, &mut word).map_err(no_answer)?;
        let found = u32::from_le_bytes(word);
        if !id.is(found) {
            return Err(FlashError::WrongChip { board: board.name.clone(), chip: chip.clone(), found });
        }
    }
    Ok(probe)
}

/// What lies in the board's slots, found as a device finds it at its start (`docs/slots.md`).
pub fn slot_states(probe: &mut dyn Probe, board: &Board) -> Result<SlotStates, FlashError> {
    let mut states = SlotStates { records: [None; 2], active: None };
    let mut records = vec![0; board.slots.head_bytes() as usize];
    for (origin, place) in board.slots.origins.into_iter().zip(&mut states.records) {
        probe.read(origin, &mut records).map_err(FlashError::Probe)?;
        *place = Record::newest_of(&records).filter(|record| record.bytes <= board.slots.image_bytes());
    }
    let [zero, one] = states.records.map(|record| record.map(|record| record.generation));
    for slot in if one > zero { [1, 0] } else { [0, 1] } {
        let Some(record) = states.records[slot] else { continue };
        if record.verified || crc32(&image_in(probe, board, slot, record.bytes)?) == record.crc {
            states.active = Some(slot as u8);
            break;
        }
    }
    Ok(states)
}

/// Writes `image` into the slot that is not active, reads it back, makes it the active one and restarts the chip.
///
/// `progress` hears bytes done and bytes in all.
///
/// # Errors
/// [`FlashError`]: the image does not fit, the probe fails, or flash does not hold what was written. Whatever the
/// moment, the old model stays until the new one's record is there.
pub fn over_probe(
    probe: &mut dyn Probe,
    board: &Board,
    image: &[u8],
    mut progress: impl FnMut(usize, usize),
) -> Result<Flashed, FlashError> {
    let states = slot_states(probe, board)?;
    let plan = Plan::new(image, &board.slots, states.spare())?;
    // It has been read back by the time the record is written.
    let record = Record { verified: true, ..Record::of(image, states.next_generation()) };
    for step in &plan.steps {
        match (step.action, step.what) {
            (Action::Erase, _) => probe.erase(step.start, step.bytes).map_err(FlashError::Probe)?,
            (Action::Write, Content::Record | Content::Records) => {
                probe.write(step.start, &record.emit()).map_err(FlashError::Probe)?;
            }
            (Action::Write, Content::Image) => {
                for (index, part) in image.chunks(PIECE).enumerate() {
                    progress(index * PIECE, image.len());
                    let address = step.start + (index * PIECE) as u32;
                    probe.write(address, part).map_err(FlashError::Probe)?;
                }
                compare(image, &image_in(probe, board, plan.slot.into(), step.bytes)?, step.start)?;
                progress(image.len(), image.len());
            }
        }
    }
    probe.restart().map_err(FlashError::Probe)?;
    Ok(Flashed { slot: plan.slot, generation: record.generation, sent: image.len() })
}

/// Bytes between two reports of progress: many, because a probe prepares the chip for every call.
const PIECE: usize = 1 << 15;

fn image_in(probe: &mut dyn Probe, board: &Board, slot: usize, bytes: u32) -> Result<Vec<u8>, FlashError> {
    let mut image = vec![0; bytes as usize];
    let origin = board.slots.origins[slot.min(1)].saturating_add(board.slots.head_bytes());
    probe.read(origin, &mut image).map_err(FlashError::Probe)?;
    Ok(image)
}

fn compare(written: &[u8], read: &[u8], start: u32) -> Result<(), FlashError> {
    match written.iter().zip(read).enumerate().find(|(_, (expected, found))| expected != found) {
        None => Ok(()),
        Some((index, (expected, found))) => {
            Err(FlashError::Differs { address: start + index as u32, found: *found, expected: *expected })
        }
    }
}
