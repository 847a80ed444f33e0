//! Frames: how a message becomes bytes on a link, and how bytes become a message again.

use cobs::CobsEncoder;
use serde::{Deserialize, Serialize};

use crate::checksum::{Crc32, crc32};

use super::codec::{self, Sink};
use super::{MAX_FRAME, PanicReport, Request, Response, WireError, len_u32};

const CRC_BYTES: usize = 4;

/// What a frame carries. The number is its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Kind {
    /// Host to device: a [`Request`].
    Request = 1,
    /// Device to host: the [`Response`] to the request with the same sequence number.
    Response = 2,
    /// Device to host: raw bytes of the device's defmt stream. The sequence number is 0.
    Log = 3,
    /// Device to host: a [`PanicReport`]; the device has stopped. The sequence number is 0.
    Panic = 4,
}

impl Kind {
    fn from_byte(byte: u8) -> Result<Self, WireError> {
        match byte {
            1 => Ok(Self::Request),
            2 => Ok(Self::Response),
            3 => Ok(Self::Log),
            4 => Ok(Self::Panic),
            found => Err(WireError::Kind { found }),
        }
    }
}

/// Writes one frame byte by byte into a buffer: checksum and byte stuffing on the way, no copy.
struct Writer<'b> {
    cobs: CobsEncoder<'b>,
    crc: Crc32,
    /// Whether something had no room.
    full: bool,
}

impl Sink for Writer<'_> {
    #[inline(never)]
    fn bytes(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.full |= self.cobs.push(bytes).is_err();
    }
}

/// Encodes one frame, its zero terminator included, into the front of `out`.
///
/// `out` of [`MAX_FRAME`] + 1 bytes takes every message whose data is at most a chunk.
/// The payload of a log frame is a byte slice.
pub fn encode<'b, T: Serialize + ?Sized>(
    kind: Kind,
    seq: u16,
    payload: &T,
    out: &'b mut [u8],
) -> Result<&'b [u8], WireError> {
    let too_long = WireError::TooLong { have: len_u32(out.len()) };
    let mut writer = Writer { cobs: CobsEncoder::new(out), crc: Crc32::new(), full: false };
    let [low, high] = seq.to_le_bytes();
    writer.bytes(&[kind as u8, low, high]);
    let written = codec::write(payload, &mut writer);
    writer.bytes(&writer.crc.value().to_le_bytes());
    if writer.full || written.is_err() {
        return Err(too_long);
    }
    let stuffed = writer.cobs.finalize();
    *out.get_mut(stuffed).ok_or(too_long)? = 0;
    out.get(..=stuffed).ok_or(too_long)
}

/// One received frame whose checksum is right. The payload is not yet understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the payload is.
    pub kind: Kind,
    /// Which request this is, or answers.
    pub seq: u16,
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The payload as a request.
    pub fn request(&self) -> Result<Request<'a>, WireError> {
        self.message(Kind::Request)
    }

    /// The payload as a response.
    pub fn response(&self) -> Result<Response<'a>, WireError> {
        self.message(Kind::Response)
    }

    /// The payload as bytes of the device's log stream.
    pub fn log(&self) -> Result<&'a [u8], WireError> {
        self.message(Kind::Log)
    }

    /// The payload as a panic report.
    pub fn panic(&self) -> Result<PanicReport<'a>, WireError> {
        self.message(Kind::Panic)
    }

    fn message<T: Deserialize<'a>>(&self, kind: Kind) -> Result<T, WireError> {
        if self.kind != kind {
            return Err(WireError::Kind { found: self.kind as u8 });
        }
        match codec::read(self.payload) {
            Ok((message, [])) => Ok(message),
            // Bytes left over: a longer message of another version, not this one.
            Ok(_) | Err(_) => Err(WireError::Payload),
        }
    }
}

/// Collects bytes until a terminator, then hands out the frame.
///
/// After damage of any sort it is in step again at the next zero byte.
#[derive(Debug, Clone)]
pub struct Decoder<const N: usize = MAX_FRAME> {
    buffer: [u8; N],
    used: usize,
    overflow: bool,
}

impl<const N: usize> Decoder<N> {
    /// An empty decoder.
    pub const fn new() -> Self {
        Self { buffer: [0; N], used: 0, overflow: false }
    }

    /// Takes one byte of the link and gives a frame, or what is wrong with it, when it ends one.
    ///
    /// Terminators in a row are one: either end may send a zero byte to clear the line.
    pub fn push(&mut self, byte: u8) -> Option<Result<Frame<'_>, WireError>> {
        if byte != 0 {
            match self.buffer.get_mut(self.used) {
                Some(place) => {
                    *place = byte;
                    self.used += 1;
                }
                None => self.overflow = true,
            }
            return None;
        }
        let used = core::mem::take(&mut self.used);
        if core::mem::take(&mut self.overflow) {
            return Some(Err(WireError::TooLong { have: len_u32(N) }));
        }
        let stuffed = self.buffer.get_mut(..used)?;
        if stuffed.is_empty() {
            return None;
        }
        Some(open(stuffed))
    }
}

impl<const N: usize> Default for Decoder<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Removes the stuffing in place and checks everything that is the frame's.
fn open(stuffed: &mut [u8]) -> Result<Frame<'_>, WireError> {
    let bytes = unstuff(stuffed).ok_or(WireError::Stuffing)?;
    let frame = stuffed.get(..bytes).ok_or(WireError::Stuffing)?;
    let short = WireError::TooShort { found: len_u32(frame.len()) };
    let (checked, crc) = frame.split_last_chunk::<CRC_BYTES>().ok_or(short)?;
    let (&[kind, low, high], payload) = checked.split_first_chunk::<3>().ok_or(short)?;
    let (found, expected) = (u32::from_le_bytes(*crc), crc32(checked));
    if found != expected {
        return Err(WireError::Crc { found, expected });
    }
    Ok(Frame { kind: Kind::from_byte(kind)?, seq: u16::from_le_bytes([low, high]), payload })
}

/// Undoes COBS in place and gives the number of bytes; `None` when the last block is cut.
///
/// (The crate's decoder does the same but indexes, and a device has no use for its panics.)
fn unstuff(bytes: &mut [u8]) -> Option<usize> {
    let (mut to, mut left, mut zero_before_next) = (0, 0u8, false);
    for from in 0..bytes.len() {
        let byte = *bytes.get(from)?;
        // Every block starts with its length; a block of less than 255 stands for a zero after it.
        let out = if left == 0 {
            left = byte;
            let zero = zero_before_next;
            zero_before_next = byte != 0xFF;
            zero.then_some(0)
        } else {
            Some(byte)
        };
        if let Some(out) = out {
            *bytes.get_mut(to)? = out;
            to += 1;
        }
        left = left.checked_sub(1)?;
    }
    (left == 0).then_some(to)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        /// Any bytes: the same result as the crate's decoder.
        #[test]
        fn unstuff_is_cobs(bytes in prop::collection::vec(prop_oneof![1..=255u8, Just(255), 1..=5u8], 1..600)) {
            let (mut ours, mut theirs) = (bytes.clone(), bytes);
            match cobs::decode_in_place(&mut theirs) {
                Ok(count) => {
                    prop_assert_eq!(super::unstuff(&mut ours), Some(count));
                    prop_assert_eq!(&ours[..count], &theirs[..count]);
                }
                Err(_) => prop_assert_eq!(super::unstuff(&mut ours), None),
            }
        }

        #[test]
        fn unstuff_undoes_stuffing(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(1)], 0..900)) {
            let mut stuffed = std::vec![0; cobs::max_encoding_length(bytes.len())];
            let count = cobs::encode(&bytes, &mut stuffed);
            stuffed.truncate(count);
            let count = super::unstuff(&mut stuffed).unwrap();
            let back: Vec<u8> = stuffed[..count].to_vec();
            prop_assert_eq!(back, bytes);
        }
    }
}
