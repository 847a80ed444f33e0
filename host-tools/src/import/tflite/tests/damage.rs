//! Mutated files: a graph or an error, never a panic.

use super::models::shared_models;
use super::*;
use embernet_core::rng::Rng;

/// Numbers that offsets, counts and sizes fear.
const NASTY: [u32; 10] = [0, 1, 4, 0x7f, 0xffff, 0x10000, 0x7fff_ffff, 0x8000_0000, 0xffff_fffc, 0xffff_ffff];

fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..=rng.below(3) {
        let len = bytes.len() as u32;
        if len < 8 {
            return;
        }
        let at = rng.below(len) as usize;
        let word = at / 4 * 4;
        match rng.below(7) {
            0 => bytes[at] = rng.next_u32() as u8,
            1 => bytes[at] ^= 1 << rng.below(8),
            2 => bytes.truncate(at),
            3 => {
                let value = NASTY[rng.below(NASTY.len() as u32) as usize];
                if let Some(place) = bytes.get_mut(word..word + 4) {
                    place.copy_from_slice(&value.to_le_bytes());
                }
            }
            4 => {
                // Another word of the file: a pointer that leads to the wrong but plausible place.
                let from = rng.below(len) as usize / 4 * 4;
                if from + 4 <= bytes.len() && word + 4 <= bytes.len() {
                    bytes.copy_within(from..from + 4, word);
                }
            }
            5 => {
                // A little more or less than before.
                if let Some(place) = bytes.get_mut(word..word + 4) {
                    let old = u32::from_le_bytes([place[0], place[1], place[2], place[3]]);
                    place.copy_from_slice(&old.wrapping_add(rng.below(9)).wrapping_sub(4).to_le_bytes());
                }
            }
            _ => bytes.insert(at, rng.next_u32() as u8),
        }
    }
}

#[test]
fn fifty_thousand_mutants_do_not_panic() {
    let mut originals = vec![small_cnn().to_bytes(); 4];
    for path in shared_models() {
        let bytes = std::fs::read(path).unwrap();
        // Large files are nearly all weights, where a mutation changes nothing.
        if bytes.len() < 60_000 {
            originals.push(bytes);
        }
    }
    let mut rng = Rng::new(3);
    let mut accepted = 0;
    for i in 0..50_000 {
        let mut mutant = originals[i % originals.len()].clone();
        mutate(&mut mutant, &mut rng);
        accepted += usize::from(from_bytes(&mutant).is_ok());
    }
    assert!(accepted > 0 && accepted < 50_000);
}

/// Where a string's length lies.
fn string_at(bytes: &[u8], text: &str) -> usize {
    let wanted = [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    bytes.windows(wanted.len()).position(|w| w == wanted).unwrap()
}

/// Lets the offset that leads to `from` lead to `to`. It is the nearest before, since parents lie
/// first; in between lies the shape, whose numbers are small.
fn redirect(bytes: &mut [u8], from: usize, to: usize) {
    let leads = |at: &usize| bytes[*at..*at + 4] == ((from - at) as u32).to_le_bytes();
    let at = (0..from - 15).rev().find(leads).unwrap();
    bytes[at..at + 4].copy_from_slice(&((to - at) as u32).to_le_bytes());
}

#[test]
fn a_small_file_cannot_ask_for_much() {
    // Tensors of a chain of operators, all with one and the same long name, which lies last.
    let count = 300;
    let mut tensors: Vec<FileTensor> = (0..=count).map(|i| activation(&format!("n{i:04}"), &[1, 4], F32)).collect();
    tensors.push(activation(&"x".repeat(200_000), &[1, 4], F32));
    let file = File {
        tensors,
        operators: (0..count).map(|i| operator(op::RELU, &[i], i + 1, None)).collect(),
        inputs: vec![0],
        outputs: vec![count],
        ..File::default()
    };
    let mut bytes = file.to_bytes();
    from_bytes(&bytes).unwrap();
    let long = string_at(&bytes, &"x".repeat(200_000));
    for i in 1..=count {
        let from = string_at(&bytes, &format!("n{i:04}"));
        redirect(&mut bytes, from, long);
    }
    let text = chain(&from_bytes(&bytes).unwrap_err());
    assert!(text.contains("out of proportion"), "{text}");
}
