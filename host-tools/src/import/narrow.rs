//! Numbers of 16 and 4 bits as files store them; all of them fit wider types exactly.

/// IEEE half precision to single; every half is a single.
pub fn halves(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    bytes.as_chunks().0.iter().map(|b| half(u16::from_le_bytes(*b)))
}

fn half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10) & 31;
    let fraction = u32::from(bits & 1023);
    match exponent {
        // Zero and subnormals: fraction * 2^-24, which a single holds exactly.
        0 => {
            let value = fraction as f32 * f32::from_bits((127 - 24) << 23);
            f32::from_bits(value.to_bits() | sign)
        }
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        e => f32::from_bits(sign | (e + 127 - 15) << 23 | fraction << 13),
    }
}

/// Four-bit integers, two per byte, low nibble first.
pub fn nibbles(bytes: &[u8]) -> impl Iterator<Item = i8> + '_ {
    bytes.iter().flat_map(|b| [((b << 4) as i8) >> 4, (*b as i8) >> 4])
}

/// As [`nibbles`], without a sign.
pub fn unsigned_nibbles(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    bytes.iter().flat_map(|b| [b & 15, b >> 4])
}

/// The upper half of a single.
pub fn bfloats(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    bytes.as_chunks().0.iter().map(|b| f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_become_singles_exactly() {
        let value = |bits: u16| half(bits);
        assert_eq!(value(0x3c00), 1.0);
        assert_eq!(value(0xc000), -2.0);
        assert_eq!(value(0x7bff), 65504.0);
        assert_eq!(value(0x0001), 2.0f32.powi(-24));
        assert_eq!(value(0x03ff), 1023.0 * 2.0f32.powi(-24));
        assert_eq!(value(0x0400), 2.0f32.powi(-14));
        assert_eq!(value(0x8000).to_bits(), (-0.0f32).to_bits());
        assert_eq!(value(0xfc00), f32::NEG_INFINITY);
        assert!(value(0x7e00).is_nan());
    }

    #[test]
    fn nibbles_are_signed_and_low_first() {
        assert_eq!(nibbles(&[0x87, 0xf1]).collect::<Vec<_>>(), [7, -8, 1, -1]);
        assert_eq!(unsigned_nibbles(&[0x87, 0xf1]).collect::<Vec<_>>(), [7, 8, 1, 15]);
    }
}
