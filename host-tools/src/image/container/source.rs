//! Source text: an array for a program that links its model.

use std::fmt::Write as _;

use embernet_core::image::Image;

use crate::image::AlignedBytes;

/// Bytes of one line.
const LINE: usize = 16;

/// A C file with `embernet_model` and `embernet_model_bytes`.
pub(super) fn c(bytes: &[u8]) -> String {
    format!(
        "/* An embernet image; see docs/image-format.md of embernet. */\n#include <stdint.h>\n\n\
         __attribute__((aligned(16)))\nconst uint8_t embernet_model[{count}] = {{\n{}}};\n\
         const uint32_t embernet_model_bytes = {count};\n",
        rows(bytes),
        count = bytes.len(),
    )
}

/// A Rust file with the static `MODEL`, for `include!`, and the arena that it needs.
pub(super) fn rust(bytes: &[u8]) -> String {
    let aligned = AlignedBytes::copy_of(bytes);
    let arena = Image::parse(&aligned).map(|image| image.arena_bytes()).ok();
    let arena = arena.map_or_else(String::new, |bytes| {
        format!("/// What the model works in: `Arena<ARENA_BYTES>`.\npub const ARENA_BYTES: usize = {bytes};\n\n")
    });
    format!(
        "// An embernet image; see docs/image-format.md of embernet.\n\n\
         {arena}/// Bytes at a multiple of 16.\n#[derive(Debug)]\n#[repr(C, align(16))]\npub struct Aligned<const N: usize>(pub [u8; N]);\n\n\
         /// The model's image, for `embernet_core::image::Image::parse(&MODEL.0)`.\n#[rustfmt::skip]\n\
         pub static MODEL: Aligned<{}> = Aligned([\n{}]);\n",
        bytes.len(),
        rows(bytes),
    )
}

fn rows(bytes: &[u8]) -> String {
    let mut text = String::new();
    for row in bytes.chunks(LINE) {
        text.push_str("   ");
        for byte in row {
            let _ = write!(text, " 0x{byte:02x},");
        }
        text.push('\n');
    }
    text
}
