//! The device's end of the link: requests in, each answered once.

use embedded_io::{Read, Write};
use embernet_core::wire::{Decoder, Frame, Kind, MAX_FRAME, Response, WireError, encode};

/// Why the request loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended<E> {
    /// The host closed the link.
    Closed,
    /// The link failed.
    Link(E),
}

/// Receives frames.
#[derive(Debug)]
pub(crate) struct Receiver {
    decoder: Decoder<MAX_FRAME>,
    /// Whether a zero byte has come yet. What ends at the first may have begun before this end listened.
    joined: bool,
}

impl Receiver {
    pub const fn new() -> Self {
        Self { decoder: Decoder::new(), joined: false }
    }

    /// Waits for a byte of the link; gives the frame that it ends, or what is wrong with it. Drops everything up to the
    /// first zero byte: the rest of a frame whose beginning came before the board's serial port was set up, or nothing.
    pub fn next<L: Read>(&mut self, link: &mut L) -> Received<'_, L::Error> {
        let mut byte = [0];
        if link.read(&mut byte).map_err(Ended::Link)? == 0 {
            return Err(Ended::Closed);
        }
        let [byte] = byte;
        if !self.joined {
            self.joined = byte == 0;
            return Ok(None);
        }
        Ok(self.decoder.push(byte))
    }
}

/// What one byte of the link brought: usually nothing yet.
type Received<'a, E> = Result<Option<Result<Frame<'a>, WireError>>, Ended<E>>;

/// Sends frames and keeps the last response, which a repeated request gets again.
#[derive(Debug)]
pub(crate) struct Sender {
    response: [u8; MAX_FRAME + 1],
    used: usize,
    answered: Option<u16>,
    /// Whether the host has said hello since start.
    pub greeted: bool,
}

impl Sender {
    pub const fn new() -> Self {
        Self { response: [0; MAX_FRAME + 1], used: 0, answered: None, greeted: false }
    }

    /// Whether the last answer was to this request.
    pub fn is_repeat(&self, seq: u16) -> bool {
        self.answered == Some(seq)
    }

    /// Answers the request `seq`.
    #[inline(never)]
    pub fn answer<L: Write>(&mut self, link: &mut L, seq: u16, response: &Response<'_>) -> Result<(), Ended<L::Error>> {
        let encoded = encode(Kind::Response, seq, response, &mut self.response).map(<[u8]>::len);
        // Responses are bounded by a chunk, which fits; were one not to, an empty frame makes the
        // host time out instead of the device failing.
        self.used = encoded.unwrap_or(0);
        self.answered = Some(seq);
        self.repeat(link)
    }

    /// Sends the last answer again.
    pub fn repeat<L: Write>(&mut self, link: &mut L) -> Result<(), Ended<L::Error>> {
        link.write_all(self.response.get(..self.used).unwrap_or_default()).map_err(Ended::Link)?;
        link.flush().map_err(Ended::Link)
    }
}

/// Bytes of log stream in one frame: few, because the frame is built on the stack.
pub(crate) const LOG_CHUNK: usize = 64;

/// Sends a piece of the log stream.
pub(crate) fn send_log<L: Write>(link: &mut L, log: &[u8]) -> Result<(), Ended<L::Error>> {
    let mut frame = [0; LOG_CHUNK + 16];
    match encode(Kind::Log, 0, log, &mut frame) {
        Ok(bytes) => link.write_all(bytes).map_err(Ended::Link),
        // `log` is at most LOG_CHUNK bytes, and the frame adds 11.
        Err(_) => Ok(()),
    }
}
