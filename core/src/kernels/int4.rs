//! int4 weights: two in a byte, the low nibble first, the whole tensor in one row.

use super::util::{from, rows_mut};

/// Bytes of `weights` weights.
pub const fn packed_bytes(weights: usize) -> usize {
    weights.div_ceil(2)
}

/// Writes the weights from number `first` on to `w`, sign-extended; as many as both have.
pub fn unpack(packed: &[u8], first: usize, w: &mut [i8]) {
    let low = |byte: u8| (byte << 4) as i8 >> 4;
    let high = |byte: u8| byte as i8 >> 4;
    let mut packed = from(packed, first / 2).iter().copied();
    let mut w = w;
    if first % 2 == 1 {
        let Some((head, rest)) = w.split_first_mut() else { return };
        *head = packed.next().map_or(0, high);
        w = rest;
    }
    let whole = w.len() / 2 * 2;
    let (pairs, last) = w.split_at_mut_checked(whole).unwrap_or_default();
    for (pair, byte) in rows_mut(pairs, 2).zip(packed.by_ref()) {
        if let [a, b] = pair {
            (*a, *b) = (low(byte), high(byte));
        }
    }
    if let ([last], Some(byte)) = (last, packed.next()) {
        *last = low(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn every_start_and_length() {
        let all: Vec<i8> = (-8..8).chain((-8..8).rev()).collect();
        let packed: Vec<u8> = all.chunks(2).map(|pair| (pair[0] as u8 & 15) | (pair[1] as u8) << 4).collect();
        assert_eq!(packed.len(), packed_bytes(all.len()));
        for first in 0..all.len() {
            for len in 0..=all.len() - first {
                let mut w = vec![99; len];
                unpack(&packed, first, &mut w);
                assert_eq!(w, all[first..first + len]);
            }
        }
    }
}
