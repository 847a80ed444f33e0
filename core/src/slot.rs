//! Model slots: how an image and its record lie in a device's flash. `docs/slots.md` is the
//! specification; host and device share this file.
//!
//! A slot is a head of records, then the image. The head is one erase unit, or less where those are large.
//! The record is written last, so a transfer that is cut leaves no record, and the slot that was
//! active before stays so.

use crate::checksum::crc32;
use crate::wire::len_u32;

/// Bytes of one record: a multiple of every program granularity up to 32 bytes.
pub const RECORD_BYTES: usize = 32;

/// First word of a record: `EMBS` in little-endian order.
pub const MAGIC: u32 = u32::from_le_bytes(*b"EMBS");

/// What a device knows about the image in a slot.
///
/// On flash: seven little-endian words (magic, generation, bytes, image CRC, whether the image has been read back, two
/// of all ones that later versions may use) and the CRC-32 of those 28 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Record {
    /// Counts up with every model that is made active; the highest one wins.
    pub generation: u32,
    /// Bytes of the image.
    pub bytes: u32,
    /// CRC-32 of the image's bytes.
    pub crc: u32,
    /// Whether the device has read the image back from this flash and found its checksum right. A programmer, which
    /// may write the record first, leaves that to the device.
    pub verified: bool,
}

/// Where a record says that its image is verified; all ones say that it is not.
const VERIFIED: u32 = 0;

impl Record {
    /// The record of `image` for a programmer.
    pub fn of(image: &[u8], generation: u32) -> Self {
        Self { generation, bytes: len_u32(image.len()), crc: crc32(image), verified: false }
    }

    /// The record as it lies on flash.
    pub fn emit(&self) -> [u8; RECORD_BYTES] {
        let verified = if self.verified { VERIFIED } else { u32::MAX };
        let words = [MAGIC, self.generation, self.bytes, self.crc, verified, u32::MAX, u32::MAX];
        let mut out = [0; RECORD_BYTES];
        let mut places = out.as_chunks_mut::<4>().0.iter_mut();
        for (place, word) in places.by_ref().zip(words) {
            *place = word.to_le_bytes();
        }
        let (checked, last) = out.split_at_mut(RECORD_BYTES - 4);
        let crc = crc32(checked);
        for (place, byte) in last.iter_mut().zip(crc.to_le_bytes()) {
            *place = byte;
        }
        out
    }

    /// Reads one record. Anything that is not a whole, undamaged record is `None`: an erased
    /// place, a record whose writing was cut, another format.
    pub fn parse(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let mut words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        let mut next = || words.next();
        // First, because most places hold no record, and a start looks at all of them.
        if next()? != MAGIC {
            return None;
        }
        let (checked, crc) = bytes.split_last_chunk::<4>()?;
        if u32::from_le_bytes(*crc) != crc32(checked) {
            return None;
        }
        Some(Self { generation: next()?, bytes: next()?, crc: next()?, verified: next()? == VERIFIED })
    }

    /// The newest record of a slot and the bytes of its image, which are not looked at.
    ///
    /// `slot` is the whole slot, `head_bytes` what its records take. `None` when no record is whole, or the newest one's
    /// image does not fit the slot.
    pub fn newest(slot: &[u8], head_bytes: usize) -> Option<(Self, &[u8])> {
        let (records, images) = slot.split_at_checked(head_bytes)?;
        let record = Self::newest_of(records)?;
        Some((record, images.get(..usize::try_from(record.bytes).ok()?)?))
    }

    /// The newest whole record among those of a slot's head.
    pub fn newest_of(records: &[u8]) -> Option<Self> {
        Self::newest_in(records.as_chunks().0)
    }

    /// The newest whole record among these places.
    pub fn newest_in<'p>(places: impl IntoIterator<Item = &'p [u8; RECORD_BYTES]>) -> Option<Self> {
        let age = |record: &Self| (record.generation, record.verified);
        let mut newest: Option<Self> = None;
        for record in places.into_iter().filter_map(Self::parse) {
            if newest.is_none_or(|newest| age(&record) >= age(&newest)) {
                newest = Some(record);
            }
        }
        newest
    }

    /// Whether `image` has this record's checksum.
    pub fn matches(&self, image: &[u8]) -> bool {
        crc32(image) == self.crc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_its_round_trip_and_no_other_bytes_do() {
        let record = Record { generation: 7, bytes: 1234, crc: 0xDEAD_BEEF, verified: false };
        let verified = Record { verified: true, ..record };
        assert_eq!(Record::parse(&verified.emit()), Some(verified));
        let bytes = record.emit();
        assert_eq!(Record::parse(&bytes), Some(record));
        assert_eq!(Record::parse(&[0xFF; RECORD_BYTES]), None);
        assert_eq!(Record::parse(&[0; RECORD_BYTES]), None);
        for bit in 0..RECORD_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::parse(&damaged), None, "bit {bit}");
        }
    }

    #[test]
    fn the_newest_whole_record_counts() {
        let image = [5u8; 100];
        let mut slot = [0xFF; 512];
        slot[256..356].copy_from_slice(&image);
        assert_eq!(Record::newest(&slot, 256), None);
        for (place, generation) in [(0, 3), (32, 9), (64, 4)] {
            slot[place..place + 32].copy_from_slice(&Record::of(&image, generation).emit());
        }
        let (record, found) = Record::newest(&slot, 256).unwrap();
        assert_eq!((record.generation, found), (9, &image[..]));
        assert!(record.matches(found) && !record.verified);
        let verified = Record { verified: true, ..record };
        slot[128..160].copy_from_slice(&verified.emit());
        assert_eq!(Record::newest(&slot, 256).unwrap().0, verified, "of equal records the verified one");
        slot[300] ^= 1;
        let (record, found) = Record::newest(&slot, 256).unwrap();
        assert!(!record.matches(found), "a damaged image");
    }

    #[test]
    fn a_record_that_claims_too_much_is_not_trusted() {
        let mut slot = [0xFF; 512];
        let record = Record { generation: 1, bytes: 257, crc: 0, verified: true };
        slot[..32].copy_from_slice(&record.emit());
        assert_eq!(Record::newest(&slot, 256), None);
        assert_eq!(Record::newest(&slot, 1024), None);
        let huge = Record { bytes: u32::MAX, ..record };
        slot[..32].copy_from_slice(&huge.emit());
        assert_eq!(Record::newest(&slot, 256), None);
    }
}
