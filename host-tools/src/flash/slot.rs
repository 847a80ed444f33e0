//! The bytes of a slot as a programmer writes them.

use embernet_core::slot::{RECORD_BYTES, Record};

use crate::link::Slots;

/// An image that no slot takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the image has {need} bytes, the board's slot takes {have}")]
pub struct TooLarge {
    /// Bytes of the image.
    pub need: u64,
    /// Bytes that a slot takes.
    pub have: u64,
}

/// Refuses an image that is larger than a slot.
pub fn fits(image: &[u8], slots: &Slots) -> Result<(), TooLarge> {
    let (need, have) = (image.len() as u64, u64::from(slots.image_bytes()));
    if need > have { Err(TooLarge { need, have }) } else { Ok(()) }
}

/// The bytes of a slot that holds `image`, from the slot's first address on.
///
/// Written to erased flash they make the image the board's model, if no slot holds a higher
/// generation. The result ends with the image; what follows on flash does not matter.
pub fn slot(image: &[u8], slots: &Slots, generation: u32) -> Result<Vec<u8>, TooLarge> {
    fits(image, slots)?;
    let mut bytes = vec![0xFF; slots.head_bytes() as usize];
    bytes[..RECORD_BYTES].copy_from_slice(&Record::of(image, generation).emit());
    bytes.extend_from_slice(image);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: Slots = Slots::new([0, 8192], 8192, 1024);

    #[test]
    fn a_slot_is_found_again() {
        let image = vec![42; 7168];
        let slot = slot(&image, &SLOTS, 3).unwrap();
        let (record, found) = Record::newest(&slot, 1024).unwrap();
        assert_eq!((record.generation, found), (3, &image[..]));
        assert!(record.matches(found) && !record.verified, "that is for the device to find out");
    }

    #[test]
    fn too_large_says_need_and_have() {
        let error = slot(&[0; 7169], &SLOTS, 1).unwrap_err();
        assert_eq!(error, TooLarge { need: 7169, have: 7168 });
    }
}
