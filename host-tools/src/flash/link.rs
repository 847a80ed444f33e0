//! Flashing through the program that runs on the board.

use embernet_core::checksum::crc32;
use embernet_core::image::Image;

use super::{FlashError, Flashed, fits};
use crate::link::{Board, Client};

/// Makes `image` the model of the board at the other end; it goes into the slot that is not active, and the device
/// reads it back before it becomes the model.
///
/// `progress` hears bytes done and bytes in all.
///
/// # Errors
/// [`FlashError`]: another board answers, the image does not fit, the link fails. The old model stays then.
pub fn over_link(
    client: &mut Client,
    board: &Board,
    image: &Image<'_>,
    progress: impl FnMut(usize, usize),
) -> Result<Flashed, FlashError> {
    let info = client.info()?;
    if info.board != board.name {
        return Err(FlashError::WrongBoard { found: info.board, expected: board.name.clone() });
    }
    fits(image.bytes(), &board.slots)?;
    let slots = client.slots()?;
    let spare = slots.spare();
    let crc = crc32(image.bytes());
    let is_there = slots.records[usize::from(spare)]
        .is_some_and(|record| record.crc == crc && record.bytes as usize == image.bytes().len());
    // One that lies in the other slot need not be sent again, if it is still whole.
    let upload = match is_there.then(|| client.activate(spare)) {
        Some(Ok(upload)) => upload,
        _ => client.load(image, progress)?,
    };
    client.verify()?;
    Ok(Flashed { slot: upload.slot, generation: upload.generation, sent: upload.sent })
}
