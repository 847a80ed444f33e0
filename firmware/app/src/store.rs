//! Two model slots in NOR flash: the active one is read in place, the other takes the next image.
//!
//! The layout is `embernet_core::slot`'s. The order of writes is what makes a cut harmless:
//! erase the other slot (its record first), program the image, check it, program the record.
//!
//! A record that this program wrote says that its image has been read back, so that a start need not read all of it
//! again. An image that a programmer put there is read once; then it gets such a record too.

use embedded_storage::nor_flash::NorFlash;
use embernet_core::arch::Isa;
use embernet_core::checksum::crc32;
use embernet_core::exec::Session;
use embernet_core::image::Image;
use embernet_core::slot::{RECORD_BYTES, Record};
use embernet_core::wire::Fault;

/// The flash of one slot: a driver whose offset 0 is the slot's first byte, and the same bytes
/// mapped for reading.
pub trait Region: NorFlash {
    /// Bytes at the slot's front for records; the image follows. Less than an erase unit where those are large: then
    /// records and image share the first one.
    const HEAD: usize = Self::ERASE_SIZE;

    /// The whole slot, [`capacity`](embedded_storage::nor_flash::ReadNorFlash::capacity) bytes.
    fn bytes(&self) -> &[u8];

    /// Whether these bytes can be read at all. Flash that corrects errors may answer with a fault where an erase or a
    /// program was cut; other flash gives bytes that mean nothing, which checksums find out.
    fn is_readable(&self, offset: usize, bytes: usize) -> bool {
        let _ = (offset, bytes);
        true
    }
}

/// The places of a slot's records that can be read, and where each begins.
fn places<F: Region>(flash: &F) -> impl Iterator<Item = (usize, &[u8; RECORD_BYTES])> {
    let head = flash.bytes().get(..F::HEAD).unwrap_or_default();
    let places = head.as_chunks::<RECORD_BYTES>().0.iter().enumerate();
    let places = places.map(|(number, place)| (number * RECORD_BYTES, place));
    places.filter(|(offset, _)| flash.is_readable(*offset, RECORD_BYTES))
}

/// The newest record of a slot, if its image lies within the slot.
#[inline(never)] // Inlined, it would be there once for each slot.
fn newest<F: Region>(flash: &F) -> Option<Record> {
    let record = Record::newest_in(places(flash).map(|(_, place)| place))?;
    (record.bytes as usize <= flash.capacity().saturating_sub(F::HEAD)).then_some(record)
}

/// Which image is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Active {
    /// 0 or 1.
    pub slot: u8,
    /// Its record.
    pub record: Record,
}

/// What counts as a proof that an image is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// A record that says so; else its checksum.
    Records,
    /// Its checksum and nothing else, for when a record has been found to be wrong.
    Checksums,
}

/// Both slots.
#[derive(Debug)]
pub struct Store<F> {
    slots: [F; 2],
    active: Option<Active>,
    /// The highest generation of any record.
    newest: u32,
}

impl<F: Region> Store<F> {
    /// Finds the active image: of two whole ones the newer.
    pub fn open(slots: [F; 2]) -> Self {
        const { assert!(RECORD_BYTES.is_multiple_of(F::WRITE_SIZE), "write size of 1 to 32") }
        const { assert!(F::HEAD.is_multiple_of(RECORD_BYTES) && F::HEAD > 0, "a head of whole records") }
        const { assert!(F::HEAD <= F::ERASE_SIZE, "records are erased at one go") }
        let mut store = Self::closed(slots);
        store.reopen(Trust::Records);
        store
    }

    /// One that nobody has looked into; [`Store::reopen`] does.
    pub(crate) fn closed(slots: [F; 2]) -> Self {
        Self { slots, active: None, newest: 0 }
    }

    /// Looks for the active image again, after a commit or because the active one turned out to be damaged.
    pub fn reopen(&mut self, trust: Trust) {
        let records = self.slots.each_ref().map(newest);
        let [zero, one] = records.map(|record| record.map(|record| record.generation));
        self.newest = zero.max(one).unwrap_or(0);
        self.active = None;
        // An older image is looked at only if the newer one is not whole.
        let mut slot = usize::from(one > zero);
        for _ in 0..2 {
            if let (Some(Some(record)), Some(flash)) = (records.get(slot), self.slots.get_mut(slot))
                && is_whole(flash, record, trust)
            {
                self.active = Some(Active { slot: slot as u8, record: *record });
                return;
            }
            slot ^= 1;
        }
    }

    /// The active image, and the other slot to write the next one to.
    pub fn split(&mut self) -> (Option<(Active, &[u8])>, Spare<'_, F>) {
        let generation = self.newest.saturating_add(1);
        let [first, second] = &mut self.slots;
        let Some(active) = self.active else {
            return (None, Spare { flash: first, slot: 0, generation });
        };
        let (used, flash, slot) = match active.slot {
            0 => (&*first, second, 1),
            _ => (&*second, first, 0),
        };
        let image = image_of::<F>(used.bytes(), active.record.bytes);
        (Some((active, image)), Spare { flash, slot, generation })
    }

    /// Makes both slots empty; cut in between, it leaves the active one.
    pub fn clear(&mut self) -> Result<(), Fault> {
        self.reopen(Trust::Records);
        let (active, spare) = self.split();
        let first = usize::from(spare.slot);
        let order = if active.is_some() { [first, 1 - first] } else { [0, 1] };
        for slot in order {
            if let Some(flash) = self.slots.get_mut(slot) {
                flash.erase(0, F::ERASE_SIZE as u32).map_err(|_| Fault::Flash)?;
            }
        }
        self.reopen(Trust::Records);
        Ok(())
    }

    /// Gives the flash back.
    pub fn into_slots(self) -> [F; 2] {
        self.slots
    }
}

/// Whether the newest image of a slot is whole; if that had to be found out, a record will say so from now on.
#[inline(never)] // Inlined, it would be there once for each slot.
fn is_whole<F: Region>(flash: &mut F, record: &Record, trust: Trust) -> bool {
    if record.verified && trust == Trust::Records {
        return true;
    }
    if !flash.is_readable(F::HEAD, record.bytes as usize) || !record.matches(image_of::<F>(flash.bytes(), record.bytes))
    {
        return false;
    }
    if !record.verified
        && let Some(place) = free_place(flash)
    {
        // A flash that refuses costs the next start the time of this one, nothing else.
        let _ = flash.write(place, &Record { verified: true, ..*record }.emit());
    }
    true
}

/// Where the next record of a slot can be programmed; `None` when its head is full.
fn free_place<F: Region>(flash: &F) -> Option<u32> {
    let mut places = places(flash);
    places.find(|(_, place)| place.iter().all(|byte| *byte == 0xFF)).map(|(offset, _)| offset as u32)
}

fn image_of<F: Region>(slot: &[u8], bytes: u32) -> &[u8] {
    // `open` has seen that the image fits its slot; an empty image parses to an error.
    let end = F::HEAD.saturating_add(bytes as usize);
    slot.get(F::HEAD..end).unwrap_or_default()
}

/// Reads a whole image: does it have this checksum?
pub(crate) fn verify(image: &[u8], expected: u32) -> Result<(), Fault> {
    let found = crc32(image);
    if found == expected { Ok(()) } else { Err(Fault::Crc { found, expected }) }
}

/// Whether an image runs here.
pub(crate) fn check<I: Isa>(image: &[u8], arena_bytes: usize) -> Result<(), Fault> {
    let image = Image::parse(image).map_err(Fault::Image)?;
    Session::<I>::check(&image, arena_bytes).map_err(Fault::Session)
}

/// The slot that is not active.
#[derive(Debug)]
pub struct Spare<'a, F> {
    flash: &'a mut F,
    slot: u8,
    generation: u32,
}

impl<F: Region> Spare<'_, F> {
    /// Bytes of the largest image.
    pub fn capacity(&self) -> u32 {
        let bytes = self.flash.capacity().saturating_sub(F::HEAD);
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// Erases the slot for an image of `bytes` bytes, record first.
    pub fn erase(&mut self, bytes: u32) -> Result<(), Fault> {
        let have = self.capacity();
        if bytes > have {
            return Err(Fault::SlotTooSmall { need: bytes, have });
        }
        let unit = F::ERASE_SIZE as u32;
        // The slot's last unit ends where the slot does.
        let whole =
            |bytes: u32| bytes.checked_next_multiple_of(unit).unwrap_or(u32::MAX).min(self.flash.capacity() as u32);
        let (first, end) = (whole(1), whole(bytes.saturating_add(F::HEAD as u32)));
        self.flash.erase(0, first).map_err(|_| Fault::Flash)?;
        if end > first { self.flash.erase(first, end).map_err(|_| Fault::Flash) } else { Ok(()) }
    }

    /// Programs `data` at `offset` of the image. `offset` is a multiple of the flash's write size;
    /// a last, odd piece of the data is filled up with ones, which flash keeps as it is.
    pub fn program(&mut self, offset: u32, data: &[u8]) -> Result<(), Fault> {
        let at = offset.saturating_add(F::HEAD as u32);
        let whole = data.len() - data.len() % F::WRITE_SIZE;
        let (front, rest) = data.split_at_checked(whole).unwrap_or((data, &[]));
        self.flash.write(at, front).map_err(|_| Fault::Flash)?;
        if rest.is_empty() {
            return Ok(());
        }
        let mut padded = [0xFF; RECORD_BYTES];
        for (place, byte) in padded.iter_mut().zip(rest) {
            *place = *byte;
        }
        let unit = padded.get(..F::WRITE_SIZE).unwrap_or(&padded);
        self.flash.write(at.saturating_add(whole as u32), unit).map_err(|_| Fault::Flash)
    }

    /// The image's bytes as they are on flash now, if they have this checksum.
    pub fn image(&self, bytes: u32, expected: u32) -> Result<&[u8], Fault> {
        if !self.flash.is_readable(F::HEAD, bytes as usize) {
            return Err(Fault::Flash);
        }
        let image = image_of::<F>(self.flash.bytes(), bytes);
        verify(image, expected).map(|()| image)
    }

    /// Writes the record, which makes this slot the active one after [`Store::reopen`]. The caller has seen that
    /// [`Spare::image`] is right.
    pub fn commit(&mut self, bytes: u32, crc: u32) -> Result<Active, Fault> {
        let record = Record { generation: self.generation, bytes, crc, verified: true };
        self.flash.write(0, &record.emit()).map_err(|_| Fault::Flash)?;
        Ok(Active { slot: self.slot, record })
    }

    /// The newest record here, whose image may be damaged.
    pub fn newest(&self) -> Option<Active> {
        newest(self.flash).map(|record| Active { slot: self.slot, record })
    }

    /// Makes the image that lies here the active one after [`Store::reopen`], if it is whole and runs in an arena of
    /// this size. `slot` is the one that the host means.
    #[inline(never)]
    pub fn activate<I: Isa>(&mut self, slot: u8, arena_bytes: usize) -> Result<Active, Fault> {
        let old = self.newest().filter(|found| found.slot == slot).ok_or(Fault::EmptySlot { slot })?.record;
        check::<I>(self.image(old.bytes, old.crc)?, arena_bytes)?;
        let record = Record { generation: self.generation, verified: true, ..old };
        let place = match free_place(self.flash) {
            Some(place) => place,
            // Its records cannot be erased without it.
            None if F::HEAD < F::ERASE_SIZE => return Err(Fault::Flash),
            None => {
                // A cut between this and the new record costs this image, not the active one.
                self.flash.erase(0, F::ERASE_SIZE as u32).map_err(|_| Fault::Flash)?;
                0
            }
        };
        self.flash.write(place, &record.emit()).map_err(|_| Fault::Flash)?;
        Ok(Active { slot, record })
    }
}
