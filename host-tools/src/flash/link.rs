//! Flashing through the program that runs on the board.

use embernet_core::checksum::crc32;
use embernet_core::image::Image;

use super::{FlashError, Flashed, fits};
use crate::link::{Board, Client};

/// Where an image goes on the board at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// The slot that is not active.
    pub slot: u8,
    /// It holds this very image: nothing has to be sent.
    pub is_there: bool,
}

/// Looks where `image` would go. Nothing changes.
///
/// # Errors
/// [`FlashError`]: another board answers, the image does not fit, the link fails.
pub fn destination(client: &mut Client, board: &Board, image: &Image<'_>) -> Result<Destination, FlashError> {
    let info = client.info()?;
    if info.board != board.name {
        return Err(FlashError::WrongBoard { found: info.board, expected: board.name.clone() });
    }
    fits(image.bytes(), &board.slots)?;
    let slots = client.slots()?;
    let slot = slots.spare();
    let crc = crc32(image.bytes());
    let is_there = slots.records[usize::from(slot)]
        .is_some_and(|record| record.crc == crc && record.bytes as usize == image.bytes().len());
    Ok(Destination { slot, is_there })
}

/// Makes `image` the model of the board at the other end; it goes into the slot that is not active, and the device
/// reads it back before it becomes the model.
///
/// `progress` hears bytes done and bytes in all.
///
/// # Errors
/// As [`destination`]. The old model stays then.
pub fn over_link(
    client: &mut Client,
    board: &Board,
    image: &Image<'_>,
    progress: impl FnMut(usize, usize),
) -> Result<Flashed, FlashError> {
    let Destination { slot, is_there } = destination(client, board, image)?;
    // One that lies in the other slot need not be sent again, if it is still whole.
    let upload = match is_there.then(|| client.activate(slot)) {
        Some(Ok(upload)) => upload,
        _ => client.load(image, progress)?,
    };
    client.verify()?;
    Ok(Flashed { slot: upload.slot, generation: upload.generation, sent: upload.sent })
}
