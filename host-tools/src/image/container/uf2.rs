//! UF2: blocks of 512 bytes, each with a page of flash and its address.

use std::collections::BTreeMap;

use super::Piece;

/// Bytes of flash in a block. Boot loaders want pages of this size at multiples of it.
pub(super) const PAGE: usize = 256;

const BLOCK: usize = 512;
const DATA_AT: usize = 32;
const FIRST_MAGIC: u32 = 0x0a32_4655;
const SECOND_MAGIC: u32 = 0x9e5d_5157;
const LAST_MAGIC: u32 = 0x0ab1_6f30;
const FAMILY_PRESENT: u32 = 0x2000;

/// The pieces as blocks; what a page has beside them stays erased.
pub(super) fn write(pieces: &[Piece], family: Option<u32>) -> Vec<u8> {
    let mut pages = BTreeMap::<u32, [u8; PAGE]>::new();
    for piece in pieces {
        let (mut at, mut rest) = (piece.address, &piece.bytes[..]);
        while !rest.is_empty() {
            let within = at as usize % PAGE;
            let (now, later) = rest.split_at(rest.len().min(PAGE - within));
            let page = pages.entry(at - within as u32).or_insert([0xff; PAGE]);
            page[within..within + now.len()].copy_from_slice(now);
            at = at.wrapping_add(now.len() as u32);
            rest = later;
        }
    }
    let blocks = pages.len() as u32;
    let mut file = Vec::with_capacity(pages.len() * BLOCK);
    for (number, (address, page)) in (0u32..).zip(&pages) {
        let words = [
            FIRST_MAGIC,
            SECOND_MAGIC,
            family.map_or(0, |_| FAMILY_PRESENT),
            *address,
            PAGE as u32,
            number,
            blocks,
            family.unwrap_or(0),
        ];
        words.iter().for_each(|word| file.extend(word.to_le_bytes()));
        file.extend(page);
        file.resize(file.len() + BLOCK - DATA_AT - PAGE - 4, 0);
        file.extend(LAST_MAGIC.to_le_bytes());
    }
    file
}
