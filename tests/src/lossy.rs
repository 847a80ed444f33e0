//! Bad cables: they lose, repeat and damage what goes through them.

use std::collections::VecDeque;
use std::time::Duration;

use embernet::link::{LinkError, Transport};
use embernet_core::rng::Rng;

/// A transport in front of another one. Of every 16 frames, in either direction, about one is
/// lost, one comes twice, one is damaged and one is cut.
#[derive(Debug)]
pub struct Lossy<T> {
    inner: T,
    rng: Rng,
    inbox: VecDeque<u8>,
}

impl<T> Lossy<T> {
    /// The same seed does the same damage to the same traffic.
    pub fn new(inner: T, seed: u64) -> Self {
        Self { inner, rng: Rng::new(seed), inbox: VecDeque::new() }
    }

    fn suffer(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        match self.rng.below(16) {
            0 => out.clear(),
            1 => out.extend_from_slice(bytes),
            2 => {
                let at = self.rng.below(out.len() as u32) as usize;
                out[at] ^= 1 << self.rng.below(8);
            }
            3 => out.truncate(self.rng.below(out.len() as u32) as usize),
            _ => {}
        }
        out
    }
}

/// A transport that does to single bytes what a bad line does: of every hundred, in either direction, one is lost, comes
/// twice, has a bit turned over or changes places with the next.
#[derive(Debug)]
pub struct Noisy<T> {
    inner: T,
    rng: Rng,
    inbox: VecDeque<u8>,
}

impl<T> Noisy<T> {
    /// The same seed does the same damage to the same traffic.
    pub fn new(inner: T, seed: u64) -> Self {
        Self { inner, rng: Rng::new(seed), inbox: VecDeque::new() }
    }

    fn suffer(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + 8);
        let mut late = None;
        for &byte in bytes {
            match self.rng.below(400) {
                0 => {}
                1 => out.extend([byte, byte]),
                2 => out.push(byte ^ 1 << self.rng.below(8)),
                3 if late.is_none() => {
                    late = Some(byte);
                    continue;
                }
                _ => out.push(byte),
            }
            out.extend(late.take());
        }
        out.extend(late);
        out
    }
}

impl<T: Transport> Transport for Noisy<T> {
    fn read(&mut self, bytes: &mut [u8], timeout: Duration) -> Result<usize, LinkError> {
        if self.inbox.is_empty() {
            let mut frame = [0; 1024];
            let count = self.inner.read(&mut frame, timeout)?;
            let noisy = self.suffer(&frame[..count]);
            self.inbox.extend(noisy);
        }
        hand_over(&mut self.inbox, bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let noisy = self.suffer(bytes);
        self.inner.write(&noisy)
    }

    fn name(&self) -> &str {
        self.inner.name()
    }
}

/// Moves bytes from an inbox to a reader.
fn hand_over(inbox: &mut VecDeque<u8>, bytes: &mut [u8]) -> Result<usize, LinkError> {
    let count = bytes.len().min(inbox.len());
    for (place, byte) in bytes.iter_mut().zip(inbox.drain(..count)) {
        *place = byte;
    }
    Ok(count)
}

impl<T: Transport> Transport for Lossy<T> {
    fn read(&mut self, bytes: &mut [u8], timeout: Duration) -> Result<usize, LinkError> {
        if self.inbox.is_empty() {
            // The pipe hands over one frame at a time.
            let mut frame = [0; 1024];
            let count = self.inner.read(&mut frame, timeout)?;
            if count > 0 {
                let frame = self.suffer(&frame[..count]);
                self.inbox.extend(frame);
            }
        }
        hand_over(&mut self.inbox, bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let bytes = self.suffer(bytes);
        if bytes.is_empty() { Ok(()) } else { self.inner.write(&bytes) }
    }

    fn name(&self) -> &str {
        self.inner.name()
    }
}
