//! The host's end of the protocol: one request at a time, repeated until it is answered.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use embernet_core::adapt::watch::Watch;
use embernet_core::wire::{
    Decoder, DeviceStats, Fault, Frame, Kind, MAX_FRAME, ModelState, Request, Response, VERSION, encode,
};

use super::{LinkError, LogDecoder, LogLine, Transport};

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// After this long without an answer the request is sent again; then after twice this, and so on.
    pub resend: Duration,
    /// After this long the device counts as silent.
    pub give_up: Duration,
    /// The same for requests that compute or erase.
    pub give_up_work: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            resend: Duration::from_millis(200),
            give_up: Duration::from_secs(20),
            give_up_work: Duration::from_secs(300),
        }
    }
}

/// What the device is; an owned [`embernet_core::wire::DeviceInfo`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The board's name.
    pub board: String,
    /// The instruction-set token its kernels run with.
    pub isa: String,
    /// Version of its firmware.
    pub firmware: String,
    /// Bytes of its arena.
    pub arena_bytes: u32,
    /// Bytes of the largest image it takes.
    pub slot_bytes: u32,
    /// Ticks per second of its counter.
    pub tick_hz: u32,
    /// Its model.
    pub model: ModelState,
}

/// A device that has said hello.
pub struct Client {
    transport: Box<dyn Transport>,
    decoder: Decoder<MAX_FRAME>,
    /// Bytes that have come and are not decoded yet.
    inbox: VecDeque<u8>,
    seq: u16,
    patience: Patience,
    log: Option<LogSink>,
    /// The front of the log stream, as long as nobody hears it.
    early_log: Vec<u8>,
}

/// Bytes of log that wait for somebody to hear them: some start-ups' worth.
const EARLY_LOG: usize = 4096;

/// Decodes log frames and hands lines on.
struct LogSink {
    decoder: LogDecoder,
    print: Box<dyn FnMut(&LogLine) + Send>,
}

impl LogSink {
    fn take(&mut self, log: &[u8]) {
        self.decoder.push(log).iter().for_each(&mut self.print);
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("device", &self.transport.name()).finish_non_exhaustive()
    }
}

/// An owned [`Response`].
#[derive(Debug)]
pub(super) enum Reply {
    Hello(u16),
    Done,
    Info(Info),
    Data(Vec<u8>),
    Ran(u64),
    Trained(f32, u64),
    Committed(u8, u32),
    Stats(DeviceStats),
}

impl Client {
    /// Says hello to the device, with the waiting times of its transport.
    pub fn connect(transport: impl Transport + 'static) -> Result<Self, LinkError> {
        let patience = transport.patience();
        Self::connect_with(Box::new(transport), patience)
    }

    /// [`Client::connect`] with other waiting times.
    pub fn connect_with(transport: Box<dyn Transport>, patience: Patience) -> Result<Self, LinkError> {
        // A number that the last program on this port hardly ended with.
        let seq = std::hash::RandomState::new().build_hasher().finish() as u16;
        let mut client = Self {
            transport,
            decoder: Decoder::new(),
            inbox: VecDeque::new(),
            seq,
            patience,
            log: None,
            early_log: Vec::new(),
        };
        client.hello()?;
        Ok(client)
    }

    /// Says hello again, to a device that has restarted ([`LinkError::is_restart`]).
    pub fn hello(&mut self) -> Result<(), LinkError> {
        match self.ask("hello", &Request::Hello { version: VERSION })? {
            Reply::Hello(found) if found == VERSION => Ok(()),
            Reply::Hello(found) => Err(LinkError::Version { found, known: VERSION }),
            _ => Err(LinkError::Unexpected { request: "hello" }),
        }
    }

    /// Decodes the device's log and hands on its lines, those of the time before this call too.
    pub fn log_to(&mut self, decoder: LogDecoder, print: impl FnMut(&LogLine) + Send + 'static) {
        let early = std::mem::take(&mut self.early_log);
        self.log.insert(LogSink { decoder, print: Box::new(print) }).take(&early);
    }

    /// What is at the other end, for messages.
    pub fn name(&self) -> &str {
        self.transport.name()
    }

    /// What device and model are there.
    pub fn info(&mut self) -> Result<Info, LinkError> {
        match self.ask("info", &Request::Info)? {
            Reply::Info(info) => Ok(info),
            _ => Err(LinkError::Unexpected { request: "info" }),
        }
    }

    /// What the run so far has cost.
    pub fn stats(&mut self) -> Result<DeviceStats, LinkError> {
        match self.ask("stats", &Request::Stats)? {
            Reply::Stats(stats) => Ok(stats),
            _ => Err(LinkError::Unexpected { request: "stats" }),
        }
    }

    /// Watches inference anew: the next `reference` samples are what is normal; 0 ends the watch.
    pub fn watch(&mut self, reference: u16) -> Result<(), LinkError> {
        match self.ask("watch", &Request::Watch { reference })? {
            Reply::Done => Ok(()),
            _ => Err(LinkError::Unexpected { request: "watch" }),
        }
    }

    /// What was seen since the model was started, or since the last watch began.
    pub fn statistics(&mut self) -> Result<Watch, LinkError> {
        match self.ask("statistics", &Request::Statistics)? {
            Reply::Data(bytes) => Watch::from_bytes(&bytes),
            _ => None,
        }
        .ok_or(LinkError::Unexpected { request: "statistics" })
    }

    /// What the device's start took, in ticks of its counter: from the counter's start until it could be asked.
    pub fn boot_ticks(&mut self) -> Result<u64, LinkError> {
        match self.ask("boot", &Request::Boot)? {
            Reply::Ran(ticks) => Ok(ticks),
            _ => Err(LinkError::Unexpected { request: "boot" }),
        }
    }

    /// Sends a request that is answered by [`Response::Done`].
    pub(super) fn order(&mut self, name: &'static str, request: &Request<'_>) -> Result<(), LinkError> {
        match self.ask(name, request)? {
            Reply::Done => Ok(()),
            _ => Err(LinkError::Unexpected { request: name }),
        }
    }

    /// Sends one request, again where needed, and waits for its answer.
    pub(super) fn ask(&mut self, name: &'static str, request: &Request<'_>) -> Result<Reply, LinkError> {
        self.seq = self.seq.wrapping_add(1);
        let mut out = [0; MAX_FRAME + 2];
        // A zero byte first: it ends whatever noise the line has brought the device.
        let bytes = 1 + encode(Kind::Request, self.seq, request, &mut out[1..]).map_err(LinkError::Wire)?.len();
        let give_up = match request {
            Request::Infer { .. }
            | Request::InferOne { .. }
            | Request::Train { .. }
            | Request::Evaluate { .. }
            | Request::Profile { .. }
            | Request::Verify
            | Request::ModelBegin { .. }
            | Request::Activate { .. }
            | Request::Checkpoint
            | Request::Forget
            | Request::ModelCommit => self.patience.give_up_work,
            _ => self.patience.give_up,
        };
        let begin = Instant::now();
        let mut wait = self.patience.resend;
        while begin.elapsed() < give_up {
            self.transport.write(&out[..bytes])?;
            if let Some(reply) = self.await_reply(name, Instant::now() + wait)? {
                return Ok(reply);
            }
            wait = wait.saturating_mul(2).min(give_up);
        }
        let what = self.transport.name().to_owned();
        Err(LinkError::Silent { what, request: name, waited: begin.elapsed() })
    }

    /// Handles what the device sends until it answers or `deadline` is over.
    fn await_reply(&mut self, name: &'static str, deadline: Instant) -> Result<Option<Reply>, LinkError> {
        loop {
            while let Some(byte) = self.inbox.pop_front() {
                // A damaged frame is as good as a lost one: the request is sent again.
                let Some(Ok(frame)) = self.decoder.push(byte) else { continue };
                match frame.kind {
                    Kind::Response if frame.seq == self.seq => return reply(name, &frame).map(Some),
                    Kind::Log => match (&mut self.log, frame.log()) {
                        (Some(sink), Ok(log)) => sink.take(log),
                        (None, Ok(log)) if self.early_log.len() + log.len() <= EARLY_LOG => {
                            self.early_log.extend_from_slice(log);
                        }
                        _ => {}
                    },
                    Kind::Panic => return Err(panicked(&frame)),
                    // An answer that was repeated, or our own request echoed by the line.
                    Kind::Response | Kind::Request => {}
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let mut bytes = [0; 512];
            let count = self.transport.read(&mut bytes, left)?;
            self.inbox.extend(&bytes[..count]);
        }
    }
}

fn reply(name: &'static str, frame: &Frame<'_>) -> Result<Reply, LinkError> {
    Ok(match frame.response().map_err(LinkError::Wire)? {
        Response::Hello { version } => Reply::Hello(version),
        Response::Fault(fault) => return Err(LinkError::Refused { request: name, fault }),
        Response::Done => Reply::Done,
        Response::Info(info) => Reply::Info(Info {
            board: info.board.to_owned(),
            isa: info.isa.to_owned(),
            firmware: info.firmware.to_owned(),
            arena_bytes: info.arena_bytes,
            slot_bytes: info.slot_bytes,
            tick_hz: info.tick_hz,
            model: info.model,
        }),
        Response::Data(bytes) => Reply::Data(bytes.to_vec()),
        Response::Ran { ticks } => Reply::Ran(ticks.into()),
        Response::Trained { loss, ticks } => Reply::Trained(loss, ticks.into()),
        Response::Committed { slot, generation } => Reply::Committed(slot, generation),
        Response::Stats(stats) => Reply::Stats(stats),
    })
}

fn panicked(frame: &Frame<'_>) -> LinkError {
    match frame.panic() {
        Ok(report) if report.file.is_empty() => LinkError::Faulted { address: report.line },
        Ok(report) => LinkError::Panicked { file: report.file.to_owned(), line: report.line },
        Err(error) => LinkError::Wire(error),
    }
}

/// Whether the device lost its memory: it restarted since hello.
impl LinkError {
    /// The device has restarted, so that what it had learned is gone.
    pub fn is_restart(&self) -> bool {
        matches!(self, Self::Refused { fault: Fault::NoHello, .. })
    }
}
