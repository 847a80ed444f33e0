//! What a model has learned, in flash: after a loss of power training goes on from there, to the same bits.
//!
//! Checkpoints alternate between two slots of their own, laid out as model slots are (`docs/slots.md`), so that a cut
//! leaves the one before. What lies there is a head, then the trainable parameters, the optimiser's state, and what else
//! the program wants to have kept with them, such as a replay buffer ([`embernet_core::adapt::replay`]).
//!
//! For firmware of one's own, too:
//!
//! ```
//! # use embernet_app::{Region, Store, checkpoint};
//! # use embernet_core::{adapt::replay::{Replay, STANDING_BYTES}, arch::Scalar, exec::Session, wire::Fault};
//! # fn start<F: Region>(store: &mut Store<F>, session: &mut Session<'_, Scalar>, replay: &mut Replay<'_>, image_crc: u32) {
//! let mut standing = [0; STANDING_BYTES];
//! let [samples, labels, seen] = replay.parts_mut();
//! if checkpoint::restore(store, session, image_crc, &mut [&mut standing, samples, labels, seen]) {
//!     replay.go_on(standing);
//! }
//! # }
//! # fn later<F: Region>(store: &mut Store<F>, session: &Session<'_, Scalar>, replay: &Replay<'_>, image_crc: u32) -> Result<(), Fault> {
//! let [samples, labels, seen] = replay.parts();
//! checkpoint::save(store, session, image_crc, &[&replay.standing(), samples, labels, seen])?;
//! # Ok(())
//! # }
//! ```

use embernet_core::arch::Isa;
use embernet_core::checksum::Crc32;
use embernet_core::exec::{Session, SessionError};
use embernet_core::slot::RECORD_BYTES;
use embernet_core::wire::Fault;

use crate::model::copy;
use crate::store::{Active, Region, Store, Trust};

/// `EMBC` in little-endian order.
const MAGIC: u32 = u32::from_le_bytes(*b"EMBC");

/// Bytes of a checkpoint's head.
const HEAD_BYTES: usize = RECORD_BYTES;

/// Which model has learned this, and how far it was: little-endian words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    /// Checksum of the model's image.
    image_crc: u32,
    updates: u32,
    /// The learning rate's bits.
    lr: u32,
    params_bytes: u32,
    state_bytes: u32,
    /// Of what else is kept.
    more_bytes: u32,
}

impl Head {
    fn of<I: Isa>(session: &Session<'_, I>, image_crc: u32, more_bytes: u32) -> Self {
        Self {
            image_crc,
            updates: session.updates(),
            lr: session.optimizer().lr.to_bits(),
            params_bytes: session.params().len() as u32,
            state_bytes: session.optimizer_state().len() as u32,
            more_bytes,
        }
    }

    fn emit(self) -> [u8; HEAD_BYTES] {
        let words =
            [MAGIC, self.image_crc, self.updates, self.lr, self.params_bytes, self.state_bytes, self.more_bytes];
        let mut out = [0; HEAD_BYTES];
        for (place, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        out
    }

    fn parse(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let mut words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        let mut next = || words.next();
        if next()? != MAGIC {
            return None;
        }
        let (image_crc, updates, lr, params_bytes) = (next()?, next()?, next()?, next()?);
        let state_bytes = next()?;
        Some(Self { image_crc, updates, lr, params_bytes, state_bytes, more_bytes: next()? })
    }
}

/// Writes what `session` has learned, with the image of checksum `image_crc`, and `more` to the slot that does not hold
/// the last checkpoint, and reads it back. Of an update that takes several passes those that were done do not count.
///
/// # Errors
/// [`Fault::Session`] if nothing learns, [`Fault::SlotTooSmall`], [`Fault::Flash`], [`Fault::Crc`]. The last checkpoint
/// stays then.
#[inline(never)]
pub fn save<F: Region, I: Isa>(
    store: &mut Store<F>,
    session: &Session<'_, I>,
    image_crc: u32,
    more: &[&[u8]],
) -> Result<Active, Fault> {
    let (params, state) = (session.params(), session.optimizer_state());
    if params.is_empty() {
        return Err(Fault::Session(SessionError::NotTrainable));
    }
    let head = Head::of(session, image_crc, total(more.iter().map(|part| part.len()))).emit();
    let first = [&head[..], params, state];
    let parts = first.iter().chain(more).copied();
    let mut crc = Crc32::new();
    parts.clone().for_each(|part| crc.update(part));
    let bytes = total(parts.clone().map(<[u8]>::len));

    let (_, mut spare) = store.split();
    spare.erase(bytes)?;
    let mut rest = parts.flatten().copied();
    let mut offset = 0;
    while offset < bytes {
        let mut block = [0xFF; RECORD_BYTES];
        let mut filled = 0;
        // Zip asks for a place first, so that no byte is lost at a block's end.
        for (place, byte) in block.iter_mut().zip(&mut rest) {
            *place = byte;
            filled += 1;
        }
        spare.program(offset, block.get(..filled).unwrap_or_default())?;
        offset = offset.saturating_add(RECORD_BYTES as u32);
    }
    spare.image(bytes, crc.value())?;
    let saved = spare.commit(bytes, crc.value())?;
    store.reopen(Trust::Records);
    Ok(saved)
}

/// Gives `session` and `more` back what the newest whole checkpoint holds, if that is of the image with this checksum and
/// of parts as long as these; else nothing changes. Says whether it was so.
#[inline(never)]
pub fn restore<F: Region, I: Isa>(
    store: &mut Store<F>,
    session: &mut Session<'_, I>,
    image_crc: u32,
    more: &mut [&mut [u8]],
) -> bool {
    if session.params().is_empty() {
        // It never learns, and a start is short.
        return false;
    }
    // All of it is copied anyway, so its checksum costs little more.
    store.reopen(Trust::Checksums);
    let (Some((_, bytes)), _) = store.split() else { return false };
    let Some((head, rest)) = bytes.split_first_chunk() else { return false };
    let Some(head) = Head::parse(head) else { return false };
    // Equal but for what training changes.
    let here = Head::of(session, image_crc, total(more.iter().map(|part| part.len())));
    if head != (Head { updates: head.updates, lr: head.lr, ..here }) {
        return false;
    }
    let mut rest = rest.iter();
    copy(session.params_mut(), &mut rest);
    copy(session.optimizer_state_mut(), &mut rest);
    more.iter_mut().for_each(|part| copy(part, &mut rest));
    session.set_updates(head.updates);
    session.set_lr(f32::from_bits(head.lr));
    true
}

fn total(lengths: impl Iterator<Item = usize>) -> u32 {
    lengths.fold(0, |sum, bytes| sum.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX)))
}
