//! What must hold for any bytes whatever: used by the fuzz targets and by the mutation tests.

use embernet::image::{AlignedBytes, arena_for};
use embernet_core::arch::Scalar;
use embernet_core::checksum::crc32;
use embernet_core::exec::Session;
use embernet_core::image::{Header, Image};
use embernet_core::rng::Rng;
use embernet_core::wire::Decoder;
use zerocopy::FromBytes;

/// Largest arena that [`image`] gives to a parsed image; larger ones are parsed but not run.
pub const MOST_ARENA: usize = 1 << 20;

/// Parses `bytes` as an image and, if it is one, runs it: inference and a training step. Must not panic or hang.
/// Says whether it was an image.
pub fn image(bytes: &[u8]) -> bool {
    let bytes = AlignedBytes::copy_of(bytes);
    let Ok(image) = Image::parse(&bytes) else { return false };
    if image.arena_bytes() <= MOST_ARENA {
        let mut arena = arena_for(&image);
        if let Ok(mut session) = Session::new(&image, &mut arena, Scalar) {
            let _ = session.infer(1);
            let _ = session.train_step(1);
        }
    }
    true
}

/// Feeds `bytes` to a decoder as a device and as a host would; every frame is decoded as every message. Must not
/// panic. Gives the number of whole frames.
pub fn wire(bytes: &[u8]) -> usize {
    let mut decoder = Decoder::<{ embernet_core::wire::MAX_FRAME }>::default();
    let mut frames = 0;
    for &byte in bytes {
        if let Some(Ok(frame)) = decoder.push(byte) {
            let _ = (frame.request(), frame.response(), frame.log(), frame.panic());
            frames += 1;
        }
    }
    frames
}

/// Damages `bytes`: a few flips, overwritten words, copies within, or a cut.
pub fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..1 + rng.below(4) {
        let len = bytes.len() as u32;
        if len < 8 {
            return;
        }
        let at = rng.below(len - 4) as usize;
        match rng.below(6) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = rng.next_u32() as u8,
            2 => {
                let interesting = [0, 1, 2, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, u32::MAX];
                let word = interesting[rng.below(interesting.len() as u32) as usize];
                bytes[at & !3..(at & !3) + 4].copy_from_slice(&word.to_le_bytes());
            }
            3 => {
                let from = rng.below(len - 4) as usize;
                bytes.copy_within(from..from + 4, at);
            }
            4 => {
                let small = bytes[at].wrapping_add(rng.below(5) as u8).wrapping_sub(2);
                bytes[at] = small;
            }
            _ => {
                if rng.below(8) == 0 {
                    bytes.truncate(at);
                }
            }
        }
    }
}

/// Makes the checksums of a damaged image right again, so that the damage gets past the first door.
pub fn repair_checksums(bytes: &mut [u8]) {
    let Ok((header, _)) = Header::read_from_prefix(bytes) else { return };
    let data = header.data.offset as usize..(header.data.offset as usize).saturating_add(header.data.bytes as usize);
    let data_crc = bytes.get(data).map(crc32);
    let data_crc_at = std::mem::offset_of!(Header, data_crc);
    if let Some(crc) = data_crc {
        bytes[data_crc_at..data_crc_at + 4].copy_from_slice(&crc.to_le_bytes());
    }
    // The head's checksum covers the data's, so it comes last.
    let head_crc = bytes.get(16..header.head_bytes as usize).map(crc32);
    let head_crc_at = std::mem::offset_of!(Header, head_crc);
    if let Some(crc) = head_crc {
        bytes[head_crc_at..head_crc_at + 4].copy_from_slice(&crc.to_le_bytes());
    }
}
