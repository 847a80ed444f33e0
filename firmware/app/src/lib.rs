//! The device program without hardware: it serves one model over a byte link.
//!
//! A board brings a link (`embedded-io`), two flash [`Region`]s for models, an arena, its
//! [`Board`] hooks and the instruction-set token of its processor; [`App::run`] does the rest.
//! The protocol is `embernet_core::wire`, specified in `docs/wire.md`.
//!
//! Nothing here allocates, panics or has `unsafe`; all state is in [`App`] and on the stack.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod board;
pub mod checkpoint;
mod link;
mod model;
mod serve;
mod store;
mod transfer;

use embedded_io::{Read, Write};
use embernet_core::arch::Isa;
use embernet_core::plan::TRAINS;
use embernet_core::wire::{Fault, ModelState, PROFILE_STEPS};

pub use board::{Board, Stack};
pub use link::Ended;
pub use store::{Active, Region, Spare, Store, Trust};

use link::{Receiver, Sender};
use model::Model;
use serve::{Counters, Port, Work};

/// Bytes of one answer to a profile.
const PROFILE_BYTES: usize = 4 * PROFILE_STEPS;

/// The device program.
#[derive(Debug)]
pub struct App<'a, L, F, B, I> {
    port: Port<L>,
    store: Store<F>,
    checkpoints: Option<Store<F>>,
    board: B,
    arena: &'a mut [u8],
    isa: I,
    counters: Counters,
}

impl<'a, L: Read + Write, F: Region, B: Board, I: Isa> App<'a, L, F, B, I> {
    /// The program of a board. `arena` must be aligned to 16 bytes.
    pub fn new(link: L, slots: [F; 2], mut board: B, arena: &'a mut [u8], isa: I) -> Self {
        let start = board.ticks();
        let overhead = board.ticks().wrapping_sub(start);
        Self {
            port: Port { link, receiver: Receiver::new(), sender: Sender::new() },
            store: Store::open(slots),
            checkpoints: None,
            board,
            arena,
            isa,
            counters: Counters { overhead, ..Counters::default() },
        }
    }

    /// With two more slots of flash, where the model keeps what it learns when the host asks for it.
    pub fn with_checkpoints(mut self, slots: [F; 2]) -> Self {
        if TRAINS {
            self.checkpoints = Some(Store::closed(slots));
        }
        self
    }

    /// Serves requests until the link ends, which on most boards is never.
    #[inline(never)]
    pub fn run(&mut self) -> Ended<L::Error> {
        let mut trust = Trust::Records;
        loop {
            let (active, spare) = self.store.split();
            let arena_bytes = self.arena.len();
            let found = active.map(|(active, _)| active);
            let mut model = match active {
                None => Err(ModelState::Empty),
                Some((active, bytes)) => Model::start(active, bytes, self.arena, self.isa).map_err(ModelState::Refused),
            };
            if trust == Trust::Records && matches!(model, Err(ModelState::Refused(Fault::Image(_)))) {
                // The image is not what its record says: perhaps flash has lost it, and the other slot has one.
                trust = Trust::Checksums;
                self.store.reopen(trust);
                continue;
            }
            if TRAINS && let (Ok(model), Some(checkpoints)) = (&mut model, &mut self.checkpoints) {
                let image_crc = model.crc();
                checkpoint::restore(checkpoints, model.session(), image_crc, &mut []);
            }
            report(&model);
            if self.counters.boot_ticks == 0 {
                self.counters.boot_ticks = self.board.ticks();
            }
            let counters = self.counters;
            let answer = [0; PROFILE_BYTES];
            let mut work = Work {
                model,
                active: found,
                spare,
                checkpoints: self.checkpoints.as_mut(),
                arena_bytes,
                transfer: None,
                replaced: false,
                counters,
                answer,
            };
            let ended = self.port.serve(&mut self.board, &mut work);
            self.counters = work.counters;
            match ended {
                Ok(()) => {
                    trust = Trust::Records;
                    self.store.reopen(trust);
                }
                Err(ended) => return ended,
            }
        }
    }

    /// Takes the program apart, as a loss of power does: only the flash remains, of models and of checkpoints.
    pub fn into_slots(self) -> ([F; 2], Option<[F; 2]>) {
        (self.store.into_slots(), self.checkpoints.map(Store::into_slots))
    }
}

/// Plain numbers: formatting the errors would cost flash, and `Info` tells them in full.
#[cfg(feature = "defmt")]
fn report<I: Isa>(model: &Result<Model<'_, I>, ModelState>) {
    match model {
        Ok(model) => {
            let info = model.info();
            defmt::info!("model runs: slot {}, generation {}, bytes: {}", info.slot, info.generation, info.bytes);
        }
        Err(ModelState::Refused(_)) => defmt::warn!("the model is refused"),
        Err(_) => defmt::warn!("no model"),
    }
}

#[cfg(not(feature = "defmt"))]
fn report<I: Isa>(_: &Result<Model<'_, I>, ModelState>) {}
