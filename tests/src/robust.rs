//! What must hold for any bytes whatever: used by the fuzz targets and by the mutation tests.

pub mod seeds;

use embernet::data::{csv, idx, npy};
use embernet::graph::Graph;
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

/// Most bytes that importing a file of this size may take at a time.
pub const fn most_memory(file: usize) -> usize {
    16 * file + (64 << 20)
}

/// Imports `bytes` as a TFLite model, if they are one. Must not panic or hang.
pub fn tflite(bytes: &[u8]) -> Option<Graph> {
    embernet::import::tflite::from_bytes(bytes).ok().map(|imported| imported.graph)
}

/// As [`tflite`], of ONNX.
pub fn onnx(bytes: &[u8]) -> Option<Graph> {
    embernet::import::onnx::from_bytes(bytes, &Default::default()).ok().map(|imported| imported.graph)
}

/// As [`tflite`], of a checkpoint; the same bytes are also weights for a network of ours.
pub fn safetensors(bytes: &[u8]) -> Option<Graph> {
    let mut network = seeds::network();
    let _ = embernet::import::state_dict::apply(&mut network, bytes, &[]);
    embernet::import::checkpoint::Checkpoint::from_bytes(bytes).ok().map(|checkpoint| checkpoint.graph)
}

/// Reads `bytes` as data of every kind that there are files of. Must not panic or hang. Says whether they were any.
pub fn data(bytes: &[u8]) -> bool {
    let archive = npy::Npz::new(std::io::Cursor::new(bytes)).map(|mut archive| {
        for name in archive.names() {
            let _ = archive.array(&name);
        }
    });
    let table = csv::parse(bytes, &csv::CsvOptions::default());
    npy::parse(bytes).is_ok() || idx::parse(bytes.to_vec()).is_ok() || archive.is_ok() || table.is_ok()
}

/// Packs a graph and runs it if its arena is small. Must not panic or hang.
pub fn graph(graph: &Graph) {
    let small = graph.tensors.iter().all(|tensor| tensor.bytes() <= MOST_ARENA) && graph.macs() <= MOST_MACS;
    if small && let Ok(packed) = embernet::image::pack(graph, &embernet::image::PackOptions::default(), None) {
        image(&packed.bytes);
    }
}

/// Most multiply-accumulates of a graph that [`graph`] runs.
pub const MOST_MACS: u64 = 1 << 24;

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

/// Numbers that offsets, counts and sizes fear.
const NASTY: [u32; 10] = [0, 1, 4, 0x7f, 0xffff, 0x10000, 0x7fff_ffff, 0x8000_0000, 0xffff_fffc, 0xffff_ffff];

/// Sets one to four words to nasty numbers, to other words of the file, or to nearby numbers.
pub fn mutate_words(bytes: &mut [u8], rng: &mut Rng) {
    let words = (bytes.len() / 4) as u32;
    for _ in 0..=rng.below(4) {
        if words == 0 {
            return;
        }
        let [at, from] = [rng.below(words), rng.below(words)].map(|word| word as usize * 4);
        let word = |at: usize| bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let value = match rng.below(3) {
            0 => NASTY[rng.below(NASTY.len() as u32) as usize],
            1 => word(from),
            _ => word(at).wrapping_add(rng.below(9)).wrapping_sub(4),
        };
        if let Some(place) = bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    }
}
