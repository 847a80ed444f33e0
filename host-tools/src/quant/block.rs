//! Floats as block floating point and back: int16 mantissas with one exponent, as
//! [`embernet_core::kernels::fixed::block`] has them.

use embernet_core::kernels::fixed::block::{MAX_EXPONENT, MIN_EXPONENT, block_bytes};

/// The block of these values, rounded to nearest: mantissas of at most `bits` bits beside the sign, at 2^`least` or a
/// larger unit. What is no number becomes 0.
pub fn encode(values: &[f32], bits: u32, least: i32) -> Vec<u8> {
    let greatest = values.iter().filter(|v| v.is_finite()).fold(0.0f32, |greatest, v| greatest.max(v.abs()));
    let most = f64::from((1 << bits) - 1);
    let mantissa = |value: f32, exponent: i32| (f64::from(value) * f64::from(-exponent).exp2()).round();
    let mut exponent = least.max(MIN_EXPONENT);
    while exponent < MAX_EXPONENT && mantissa(greatest, exponent) > most {
        exponent += 1;
    }
    let mut bytes = [exponent as i16, 0].map(i16::to_le_bytes).concat();
    for value in values {
        // The cast takes not-a-number for 0.
        bytes.extend((mantissa(*value, exponent).clamp(-most, most) as i16).to_le_bytes());
    }
    bytes.resize(block_bytes(values.len()), 0);
    bytes
}

/// The values of a block with so many elements, exact; `None` if it has another length.
pub fn decode(block: &[u8], elements: usize) -> Option<Vec<f32>> {
    let halves: Vec<i16> = block.as_chunks().0.iter().map(|half| i16::from_le_bytes(*half)).collect();
    let (head, mantissas) = halves.split_at_checked(2).filter(|_| block.len() == block_bytes(elements))?;
    let unit = f64::from(head[0]).exp2();
    Some(mantissas[..elements].iter().map(|m| (f64::from(*m) * unit) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_come_back(values in proptest::collection::vec(-1e3f32..1e3, 1..20), bits in 8u32..16) {
            let block = encode(&values, bits, MIN_EXPONENT);
            let found = decode(&block, values.len()).unwrap();
            let greatest = values.iter().fold(0.0f32, |greatest, v| greatest.max(v.abs()));
            for (found, value) in found.iter().zip(&values) {
                prop_assert!((found - value).abs() <= greatest / (1 << (bits - 1)) as f32);
            }
            // What came back goes on as it is.
            prop_assert_eq!(decode(&encode(&found, bits, MIN_EXPONENT), values.len()).unwrap(), found);
        }
    }

    #[test]
    fn other_values() {
        assert_eq!(decode(&encode(&[0.0; 3], 14, -18), 3).unwrap(), [0.0; 3]);
        assert_eq!(encode(&[0.0; 2], 14, -18)[..2], (-18i16).to_le_bytes());
        assert_eq!(decode(&encode(&[f32::NAN, 1.0], 14, -18), 2).unwrap(), [0.0, 1.0]);
        assert!(decode(&[0; 7], 2).is_none() && decode(&[0; 8], 3).is_none() && decode(&[], 0).is_none());
    }
}
