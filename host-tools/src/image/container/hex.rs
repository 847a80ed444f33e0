//! Intel HEX.

use std::fmt::Write as _;

use super::Piece;

/// Bytes of one line.
const LINE: usize = 16;

/// Kinds of lines.
const DATA: u8 = 0;
const END: u8 = 1;
const UPPER_ADDRESS: u8 = 4;

/// The pieces as lines of text.
pub(super) fn write(pieces: &[Piece]) -> String {
    let mut text = String::new();
    let mut upper = None;
    for Piece { address, bytes } in pieces {
        let (mut at, mut rest) = (*address, &bytes[..]);
        while !rest.is_empty() {
            let (high, low) = ((at >> 16) as u16, at as u16);
            if upper != Some(high) {
                upper = Some(high);
                line(&mut text, 0, UPPER_ADDRESS, &high.to_be_bytes());
            }
            // A line may not cross into the next 64 KB.
            let (now, later) = rest.split_at(rest.len().min(LINE).min(0x1_0000 - usize::from(low)));
            line(&mut text, low, DATA, now);
            at = at.wrapping_add(now.len() as u32);
            rest = later;
        }
    }
    line(&mut text, 0, END, &[]);
    text
}

fn line(text: &mut String, offset: u16, kind: u8, data: &[u8]) {
    let [high, low] = offset.to_be_bytes();
    let mut sum = 0u8;
    text.push(':');
    for byte in [data.len() as u8, high, low, kind].iter().chain(data) {
        sum = sum.wrapping_add(*byte);
        let _ = write!(text, "{byte:02X}");
    }
    let _ = writeln!(text, "{:02X}", sum.wrapping_neg());
}
