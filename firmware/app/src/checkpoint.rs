//! What a model has learned, in flash: after a loss of power training goes on from there, to the same bits.
//!
//! Checkpoints alternate between two slots of their own, laid out as model slots are (`docs/slots.md`), so that a cut
//! leaves the one before. What lies there is [`Head`], then the trainable parameters, then the optimiser's state.

use embernet_core::arch::Isa;
use embernet_core::checksum::Crc32;
use embernet_core::exec::SessionError;
use embernet_core::slot::RECORD_BYTES;
use embernet_core::wire::Fault;

use crate::model::Model;
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
}

impl Head {
    fn of<I: Isa>(model: &Model<'_, I>) -> Self {
        let (params, state) = model.learned();
        Self {
            image_crc: model.crc(),
            updates: model.updates(),
            lr: model.lr().to_bits(),
            params_bytes: params.len() as u32,
            state_bytes: state.len() as u32,
        }
    }

    fn emit(self) -> [u8; HEAD_BYTES] {
        let words = [MAGIC, self.image_crc, self.updates, self.lr, self.params_bytes, self.state_bytes];
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
        Some(Self { image_crc, updates, lr, params_bytes, state_bytes: next()? })
    }
}

/// Writes what `model` has learned to the slot that does not hold the last checkpoint, and reads it back.
#[inline(never)]
pub(crate) fn save<F: Region, I: Isa>(store: &mut Store<F>, model: &Model<'_, I>) -> Result<Active, Fault> {
    let head = Head::of(model).emit();
    let (params, state) = model.learned();
    if params.is_empty() {
        return Err(Fault::Session(SessionError::NotTrainable));
    }
    let parts = [&head[..], params, state];
    let mut crc = Crc32::new();
    parts.iter().for_each(|part| crc.update(part));
    let bytes = parts.iter().fold(0u32, |sum, part| sum.saturating_add(part.len() as u32));

    let (_, mut spare) = store.split();
    spare.erase(bytes)?;
    let mut rest = parts.into_iter().flatten().copied();
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

/// Gives `model` back what the newest whole checkpoint holds, if that is of this very image.
#[inline(never)]
pub(crate) fn restore<F: Region, I: Isa>(store: &mut Store<F>, model: &mut Model<'_, I>) {
    if model.learned().0.is_empty() {
        // It never learns, and a start is short.
        return;
    }
    // All of it is copied anyway, so its checksum costs little more.
    store.reopen(Trust::Checksums);
    let (Some((_, bytes)), _) = store.split() else { return };
    let Some((head, rest)) = bytes.split_first_chunk() else { return };
    let Some(head) = Head::parse(head) else { return };
    // Equal but for what training changes.
    let expected = Head { updates: head.updates, lr: head.lr, ..Head::of(model) };
    if head == expected
        && let Some((params, state)) = rest.split_at_checked(head.params_bytes as usize)
    {
        model.learn_again(params, state, head.updates, f32::from_bits(head.lr));
    }
}
