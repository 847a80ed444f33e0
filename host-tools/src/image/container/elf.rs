//! ELF, 32 bits, little-endian: a segment and a section for each piece.

use super::{Piece, Target};

const HEADER: u32 = 52;
const PROGRAM: u32 = 32;
const SECTION: u32 = 40;
/// Data stand congruent to their addresses by this much, an image's alignment.
const ALIGN: u32 = 16;

/// Section names: nothing, one that all pieces share, the table of names.
const NAMES: &[u8] = b"\0.embernet\0.shstrtab\0";
const PIECE_NAME: u32 = 1;
const NAMES_NAME: u32 = 11;

// Of the specification: e_type, p_type, p_flags, sh_type, sh_flags.
const EXECUTABLE: u16 = 2;
const LOAD: u32 = 1;
const READ_EXECUTE: u32 = 4 | 1;
const PROGRAM_BITS: u32 = 1;
const STRING_TABLE: u32 = 3;
const ALLOCATED: u32 = 2;

/// The pieces as an ELF file.
pub(super) fn write(pieces: &[Piece], target: &Target) -> Vec<u8> {
    let count = pieces.len() as u32;
    // Where each piece's bytes lie in the file.
    let mut end = HEADER + PROGRAM * count;
    let places: Vec<u32> = pieces
        .iter()
        .map(|piece| {
            let at = end.next_multiple_of(ALIGN) + piece.address % ALIGN;
            end = at + piece.bytes.len() as u32;
            at
        })
        .collect();
    let names_at = end;
    let sections_at = (names_at + NAMES.len() as u32).next_multiple_of(4);

    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |file: &mut Vec<u8>, values: &[u16]| values.iter().for_each(|v| file.extend(v.to_le_bytes()));
    let word = |file: &mut Vec<u8>, values: &[u32]| values.iter().for_each(|v| file.extend(v.to_le_bytes()));
    half(&mut file, &[EXECUTABLE, target.machine]);
    word(&mut file, &[1, target.entry, HEADER, sections_at, 0]);
    half(&mut file, &[HEADER as u16, PROGRAM as u16, count as u16]);
    half(&mut file, &[SECTION as u16, count as u16 + 2, count as u16 + 1]);
    for (piece, at) in pieces.iter().zip(&places) {
        let bytes = piece.bytes.len() as u32;
        word(&mut file, &[LOAD, *at, piece.address, piece.address, bytes, bytes, READ_EXECUTE, ALIGN]);
    }
    for (piece, at) in pieces.iter().zip(&places) {
        file.resize(*at as usize, 0);
        file.extend(&piece.bytes);
    }
    file.extend(NAMES);
    file.resize(sections_at as usize, 0);
    word(&mut file, &[0; SECTION as usize / 4]);
    for (piece, at) in pieces.iter().zip(&places) {
        let bytes = piece.bytes.len() as u32;
        word(&mut file, &[PIECE_NAME, PROGRAM_BITS, ALLOCATED, piece.address, *at, bytes, 0, 0, 1, 0]);
    }
    word(&mut file, &[NAMES_NAME, STRING_TABLE, 0, 0, names_at, NAMES.len() as u32, 0, 0, 1, 0]);
    file
}
