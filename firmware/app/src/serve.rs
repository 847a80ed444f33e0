//! The request loop over one model.

use embedded_io::{Read, Write};
use embernet_core::adapt::watch::Watch;
use embernet_core::arch::Isa;
use embernet_core::exec::SessionError;
use embernet_core::plan::{NORMALISES, TRAINS, WATCHES};
use embernet_core::slot::RECORD_BYTES;
use embernet_core::wire::{DeviceInfo, DeviceStats, Fault, Frame, Kind, ModelState, Request, Response, VERSION};

use crate::PROFILE_BYTES;
use crate::board::Board;
use crate::checkpoint;
use crate::link::{Ended, LOG_CHUNK, Receiver, Sender, send_log};
use crate::model::Model;
use crate::store::{Active, Region, Spare, Store};
use crate::transfer::Transfer;

/// Whether this program takes models over the link; else it runs what was flashed beside it.
const TAKES_MODELS: bool = cfg!(feature = "transfer");

/// Everything a request can touch, apart from the link and the board.
#[derive(Debug)]
pub(crate) struct Work<'a, F, I> {
    /// The model at work, or why there is none.
    pub model: Result<Model<'a, I>, ModelState>,
    /// The slot that the model lies in, whether it runs or is refused.
    pub active: Option<Active>,
    pub spare: Spare<'a, F>,
    /// What was learned, where the board has flash for it.
    pub checkpoints: Option<&'a mut Store<F>>,
    pub arena_bytes: usize,
    pub transfer: Option<Transfer>,
    /// Set when another image has become active: this work is over.
    pub replaced: bool,
    pub counters: Counters,
    /// The answer to a profile, an evaluation or a question for the slots.
    pub answer: [u8; PROFILE_BYTES],
}

/// What survives a change of model.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    /// Ticks between two readings of the counter with nothing between them.
    pub overhead: u32,
    /// What the counter said when the first request could be served.
    pub boot_ticks: u32,
    pub last_ticks: u32,
    pub bad_frames: u32,
}

/// The link and both directions' state.
#[derive(Debug)]
pub(crate) struct Port<L> {
    pub link: L,
    pub receiver: Receiver,
    pub sender: Sender,
}

impl<L: Read + Write> Port<L> {
    /// Serves requests until another image is active (`Ok`) or the link ends.
    pub fn serve<F: Region, I: Isa, B: Board>(
        &mut self,
        board: &mut B,
        work: &mut Work<'_, F, I>,
    ) -> Result<(), Ended<L::Error>> {
        while !work.replaced {
            let Self { link, receiver, sender } = self;
            match receiver.next(link)? {
                None => {}
                Some(Ok(frame)) if frame.kind == Kind::Request => {
                    answer(link, sender, board, work, &frame)?;
                }
                // Silence makes the host send its request again.
                Some(_) => {
                    work.counters.bad_frames = work.counters.bad_frames.saturating_add(1);
                }
            }
        }
        Ok(())
    }
}

#[inline(never)]
fn answer<L: Read + Write, F: Region, I: Isa, B: Board>(
    link: &mut L,
    sender: &mut Sender,
    board: &mut B,
    work: &mut Work<'_, F, I>,
    frame: &Frame<'_>,
) -> Result<(), Ended<L::Error>> {
    let response = match frame.request() {
        Ok(Request::Hello { .. }) => {
            sender.greeted = true;
            Response::Hello { version: VERSION }
        }
        _ if sender.is_repeat(frame.seq) => return sender.repeat(link),
        _ if !sender.greeted => Response::Fault(Fault::NoHello),
        Ok(request) => work.act(board, &request).unwrap_or_else(Response::Fault),
        Err(_) => Response::Fault(Fault::Unknown),
    };
    send_logs(link, board)?;
    sender.answer(link, frame.seq, &response)
}

/// Sends what the log holds.
///
/// Not inlined, as others below: their buffers would otherwise stay on the stack beneath a model's run.
#[inline(never)]
fn send_logs<L: Read + Write, B: Board>(link: &mut L, board: &mut B) -> Result<(), Ended<L::Error>> {
    let mut log = [0; LOG_CHUNK];
    loop {
        let bytes = board.take_log(&mut log);
        match log.get(..bytes) {
            Some(log @ [_, ..]) => send_log(link, log)?,
            _ => return Ok(()),
        }
    }
}

impl<'a, F: Region, I: Isa> Work<'a, F, I> {
    #[inline(never)] // Faults are large: one copy is enough.
    fn model(&mut self) -> Result<&mut Model<'a, I>, Fault> {
        self.model.as_mut().map_err(fault_of)
    }

    fn act<B: Board>(&mut self, board: &mut B, request: &Request<'_>) -> Result<Response<'_>, Fault> {
        match *request {
            Request::Hello { .. } => Ok(Response::Hello { version: VERSION }),
            Request::Info => Ok(Response::Info(self.info(board))),
            Request::Stats => Ok(Response::Stats(self.stats(board))),
            Request::Write { buffer, offset, data } => {
                self.model()?.write(buffer, offset, data)?;
                Ok(Response::Done)
            }
            Request::Read { buffer, offset, bytes } => Ok(Response::Data(self.model()?.read(buffer, offset, bytes)?)),
            Request::Infer { samples } => {
                let ticks = self.infer(board, samples)?;
                Ok(Response::Ran { ticks })
            }
            Request::InferOne { data } => {
                self.model()?.prepare_one(data)?;
                self.infer(board, 1)?;
                Ok(Response::Data(self.model()?.one_output()))
            }
            Request::Train { samples } | Request::Evaluate { samples } if TRAINS => {
                let learns = matches!(request, Request::Train { .. });
                let (found, ticks) = self.timed(board, |model| model.train(samples, learns))?;
                if learns {
                    return Ok(Response::Trained { loss: found.loss, ticks });
                }
                let [a, b, c] = [found.loss.to_bits(), found.right, ticks].map(u32::to_le_bytes);
                if let Some(places) = self.answer.as_chunks_mut::<4>().0.first_chunk_mut() {
                    *places = [a, b, c];
                }
                Ok(Response::Data(self.answer.first_chunk::<12>().map_or(&[], |words| words)))
            }
            Request::SetHyper(hyper) if TRAINS => {
                self.model()?.set(hyper);
                Ok(Response::Done)
            }
            Request::Reset => {
                self.model()?.reset();
                Ok(Response::Done)
            }
            Request::ModelBegin { bytes, crc, arena_bytes } if TAKES_MODELS => {
                self.begin(bytes, crc, arena_bytes)?;
                Ok(Response::Done)
            }
            Request::ModelChunk { offset, data } if TAKES_MODELS => {
                let transfer = self.transfer.as_mut().ok_or(Fault::NoTransfer)?;
                transfer.chunk(&mut self.spare, offset, data)?;
                Ok(Response::Done)
            }
            Request::ModelCommit if TAKES_MODELS => {
                let transfer = self.transfer.take().ok_or(Fault::NoTransfer)?;
                let active = transfer.commit::<F, I>(&mut self.spare, self.arena_bytes)?;
                self.replaced = true;
                let (slot, generation) = (active.slot, active.record.generation);
                Ok(Response::Committed { slot, generation })
            }
            Request::Verify => {
                self.model()?.verify()?;
                Ok(Response::Done)
            }
            Request::Boot => Ok(Response::Ran { ticks: self.counters.boot_ticks }),
            Request::Profile { samples, first } => {
                let model = self.model.as_mut().map_err(fault_of)?;
                let overhead = self.counters.overhead;
                let bytes = model.profile(samples, first, || board.ticks(), overhead, &mut self.answer)?;
                Ok(Response::Data(self.answer.get(..bytes).unwrap_or_default()))
            }
            Request::Slots if TAKES_MODELS => Ok(Response::Data(self.slots())),
            Request::Activate { slot } if TAKES_MODELS => {
                let active = match self.active.filter(|active| active.slot == slot) {
                    Some(active) => active,
                    None => {
                        self.transfer = None;
                        let active = self.spare.activate::<I>(slot, self.arena_bytes)?;
                        self.replaced = true;
                        active
                    }
                };
                Ok(Response::Committed { slot, generation: active.record.generation })
            }
            Request::Checkpoint if TRAINS => {
                let model = self.model.as_mut().map_err(fault_of)?;
                let checkpoints = self.checkpoints.as_mut().ok_or(Fault::NoCheckpoints)?;
                let image_crc = model.crc();
                let saved = checkpoint::save(checkpoints, model.session(), image_crc, &[])?;
                Ok(Response::Committed { slot: saved.slot, generation: saved.record.generation })
            }
            Request::Forget if TRAINS => {
                self.checkpoints.as_mut().ok_or(Fault::NoCheckpoints)?.clear()?;
                if let Ok(model) = &mut self.model {
                    model.reset();
                }
                Ok(Response::Done)
            }
            Request::Watch { reference } if WATCHES => {
                self.model()?.watch = Watch::new(reference.into());
                Ok(Response::Done)
            }
            Request::Statistics if WATCHES => Ok(Response::Data(self.model()?.watch.bytes())),
            Request::Normalise { samples } if NORMALISES => {
                let ticks = self.timed(board, |model| model.normalise(samples))?.1;
                Ok(Response::Ran { ticks })
            }
            // What this program was built without.
            Request::Train { .. }
            | Request::Evaluate { .. }
            | Request::SetHyper(_)
            | Request::ModelBegin { .. }
            | Request::ModelChunk { .. }
            | Request::ModelCommit
            | Request::Slots
            | Request::Activate { .. }
            | Request::Checkpoint
            | Request::Forget
            | Request::Watch { .. }
            | Request::Statistics
            | Request::Normalise { .. } => Err(Fault::Unknown),
        }
    }

    /// The newest record of both slots and the number of the active one.
    #[inline(never)]
    fn slots(&mut self) -> &[u8] {
        let spare = self.spare.newest();
        let records = [spare, self.active].map(|found| found.map(|found| (found.slot, found.record.emit())));
        self.answer.fill(0xFF);
        let (places, _) = self.answer.as_chunks_mut::<RECORD_BYTES>();
        for (slot, record) in records.into_iter().flatten() {
            if let Some(place) = places.get_mut(usize::from(slot)) {
                *place = record;
            }
        }
        if let (Some(place), Some(active)) = (self.answer.get_mut(2 * RECORD_BYTES), self.active) {
            *place = active.slot;
        }
        self.answer.get(..2 * RECORD_BYTES + 1).unwrap_or_default()
    }

    #[inline(never)]
    fn begin(&mut self, bytes: u32, crc: u32, arena_bytes: u32) -> Result<(), Fault> {
        // Every refusal comes before the old transfer, or the slot, is touched.
        let have = u32::try_from(self.arena_bytes).unwrap_or(u32::MAX);
        if arena_bytes > have {
            let error = SessionError::ArenaTooSmall { need: arena_bytes, have };
            return Err(Fault::Session(error));
        }
        if bytes > self.spare.capacity() {
            return Err(Fault::SlotTooSmall { need: bytes, have: self.spare.capacity() });
        }
        self.transfer = None;
        self.transfer = Some(Transfer::begin(&mut self.spare, bytes, crc)?);
        Ok(())
    }

    /// Watched, if it is: outside of the time that is told.
    fn infer<B: Board>(&mut self, board: &mut B, samples: u16) -> Result<u32, Fault> {
        if WATCHES {
            self.model()?.watch_inputs(samples);
        }
        let ticks = self.timed(board, |model| model.infer(samples))?.1;
        if WATCHES {
            self.model()?.watch_outputs(samples);
        }
        Ok(ticks)
    }

    fn timed<B: Board, T>(
        &mut self,
        board: &mut B,
        run: impl FnOnce(&mut Model<'_, I>) -> Result<T, Fault>,
    ) -> Result<(T, u32), Fault> {
        let overhead = self.counters.overhead;
        let model = self.model()?;
        let start = board.ticks();
        let result = run(model);
        let ticks = board.ticks().wrapping_sub(start).saturating_sub(overhead);
        let value = result?;
        self.counters.last_ticks = ticks;
        Ok((value, ticks))
    }

    #[inline(never)]
    fn info<B: Board>(&self, board: &B) -> DeviceInfo<'static> {
        DeviceInfo {
            board: board.name(),
            isa: I::ID.name(),
            firmware: env!("CARGO_PKG_VERSION"),
            arena_bytes: u32::try_from(self.arena_bytes).unwrap_or(u32::MAX),
            slot_bytes: self.spare.capacity(),
            tick_hz: board.tick_hz(),
            model: match &self.model {
                Ok(model) => ModelState::Ready(model.info()),
                Err(state) => *state,
            },
        }
    }

    #[inline(never)]
    fn stats<B: Board>(&self, board: &mut B) -> DeviceStats {
        let stack = board.stack();
        let model = self.model.as_ref().ok();
        DeviceStats {
            stack_used: stack.used,
            stack_bytes: stack.bytes,
            arena_used: model.map_or(0, Model::arena_bytes),
            arena_bytes: u32::try_from(self.arena_bytes).unwrap_or(u32::MAX),
            inferences: model.map_or(0, |model| model.inferences),
            steps: model.map_or(0, Model::updates),
            last_ticks: self.counters.last_ticks,
            bad_frames: self.counters.bad_frames,
        }
    }
}

/// Why there is no model to work with.
#[inline(never)]
fn fault_of(state: &mut ModelState) -> Fault {
    match state {
        ModelState::Refused(fault) => *fault,
        ModelState::Empty | ModelState::Ready(_) => Fault::NoModel,
    }
}
