//! The byte links under a [`super::Client`].

use std::io::{ErrorKind, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::{LinkError, Patience};

/// A byte link to a device.
pub trait Transport: Send {
    /// Waits for bytes, at most `timeout`; gives their number, 0 when none came in time.
    fn read(&mut self, bytes: &mut [u8], timeout: Duration) -> Result<usize, LinkError>;

    /// Sends all bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError>;

    /// What is at the other end, for messages.
    fn name(&self) -> &str;

    /// How long to wait for what is at the other end.
    fn patience(&self) -> Patience {
        Patience::default()
    }
}

/// A thread that reads something blocking, so that others can wait for it with a time limit.
#[derive(Debug)]
pub(super) struct Pump {
    chunks: Receiver<Vec<u8>>,
    rest: Vec<u8>,
    used: usize,
}

/// The other end has closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed;

impl Pump {
    /// Starts to read `source` until its end. The thread ends with it.
    pub fn start(mut source: impl Read + Send + 'static) -> Self {
        // Bounded, so that a device that floods us is slowed down instead of filling memory.
        let (sender, chunks) = sync_channel(64);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                match source.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(bytes) => {
                        if sender.send(buffer[..bytes].to_vec()).is_err() {
                            break;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        });
        Self::of(chunks)
    }

    /// Reads what another thread sends.
    pub fn of(chunks: Receiver<Vec<u8>>) -> Self {
        Self { chunks, rest: Vec::new(), used: 0 }
    }

    /// Waits for bytes, at most `timeout`; 0 when none came.
    pub fn read(&mut self, bytes: &mut [u8], timeout: Duration) -> Result<usize, Closed> {
        if self.used == self.rest.len() {
            match self.chunks.recv_timeout(timeout) {
                Ok(chunk) => (self.rest, self.used) = (chunk, 0),
                Err(RecvTimeoutError::Timeout) => return Ok(0),
                Err(RecvTimeoutError::Disconnected) => return Err(Closed),
            }
        }
        let ready = &self.rest[self.used..];
        let count = ready.len().min(bytes.len());
        bytes[..count].copy_from_slice(&ready[..count]);
        self.used += count;
        Ok(count)
    }
}

/// A channel for a [`Pump`].
pub(super) fn chunks() -> (SyncSender<Vec<u8>>, Receiver<Vec<u8>>) {
    sync_channel(64)
}
