//! Messages and frames between host and device, protocol version 1.
//!
//! `docs/wire.md` is the specification; this module is both ends' implementation of it.
//! A frame is `COBS(kind, sequence number, payload, CRC-32)`, ended by a zero byte.
//! The host asks, the device answers, one exchange at a time; between a request and its answer
//! the device may send log frames.
//!
//! Everything here works in buffers of fixed size, so that a device with 16 KB of RAM can afford
//! it, and everything that arrives is untrusted: any bytes give a message or a [`WireError`].

mod codec;
mod frame;
mod message;
#[cfg(test)]
mod tests;

pub use frame::{Decoder, Frame, Kind, encode};
pub use message::{
    Buffer, DeviceInfo, DeviceStats, Fault, Hyper, ModelInfo, ModelState, PanicReport, Request, Response,
};

/// The protocol version that this crate speaks. Both ends name theirs in the hello exchange.
pub const VERSION: u16 = 1;

/// The most data bytes one request or response carries.
///
/// Small because a Cortex-M0 with 16 KB of RAM holds one frame in each direction.
pub const MAX_CHUNK: usize = 256;

/// The most bytes of an encoded frame without its zero terminator: a full chunk, at most 24 bytes
/// of header, and two COBS code bytes.
pub const MAX_FRAME: usize = 284;

/// The most steps that one answer to [`Request::Profile`] tells of: few, because a device holds them beside the frame.
pub const PROFILE_STEPS: usize = 32;

/// Why received bytes are not a message, or a message does not fit a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum WireError {
    /// More than `have` bytes came without a terminator, or a message needs more than `have`.
    TooLong {
        /// Bytes of the frame buffer.
        have: u32,
    },
    /// The byte stuffing is broken: a code byte points past the end of the frame.
    Stuffing,
    /// Fewer bytes than the smallest frame.
    TooShort {
        /// Bytes after the stuffing was removed.
        found: u32,
    },
    /// The checksum does not match the bytes before it.
    Crc {
        /// The checksum in the frame.
        found: u32,
        /// The checksum of the frame's bytes.
        expected: u32,
    },
    /// The first byte names no kind of frame.
    Kind {
        /// That byte.
        found: u8,
    },
    /// The checksum is right, but the payload is not a message of this protocol version.
    Payload,
}

impl core::fmt::Display for WireError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooLong { have } => write!(f, "frame is longer than {have} bytes"),
            Self::Stuffing => f.write_str("frame has broken byte stuffing"),
            Self::TooShort { found } => write!(f, "frame has only {found} bytes"),
            Self::Crc { found, expected } => {
                write!(f, "frame checksum is {found:#010x}, its bytes give {expected:#010x}")
            }
            Self::Kind { found } => write!(f, "no frame is of kind {found}"),
            Self::Payload => f.write_str("payload is no message of this protocol version"),
        }
    }
}

impl core::error::Error for WireError {}

/// Lengths on the wire are 32-bit; this is the one place that narrows them.
pub(crate) fn len_u32(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
