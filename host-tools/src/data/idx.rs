//! IDX files, the format of MNIST: `0 0 type axes`, one big-endian `u32` per axis, then the numbers
//! in big-endian C order.
//!
//! Source of the format: the page of the MNIST database by Y. LeCun, C. Cortes and C. Burges.

use super::array::{Array, Values, count_of};

/// Why bytes are no usable IDX file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdxError {
    /// Fewer bytes than the header needs.
    #[error("the IDX header needs {need} bytes and the file has {have}")]
    HeaderCut {
        /// Bytes of the header.
        need: usize,
        /// Bytes there are.
        have: usize,
    },
    /// The first two bytes are not zero.
    #[error("not an IDX file: it begins with {0:#04x} {1:#04x} instead of two zeros")]
    Magic(u8, u8),
    /// An unknown type byte.
    #[error("type byte {0:#04x} is unknown; 0x08, 0x09 and 0x0b to 0x0e are")]
    Type(u8),
    /// The header and the length of the file disagree.
    #[error("the header says {shape:?} of {size}-byte numbers, which need {need} bytes; {have} follow")]
    Length {
        /// The shape in the header.
        shape: Vec<usize>,
        /// Bytes of one number.
        size: usize,
        /// Bytes they need together.
        need: usize,
        /// Bytes after the header.
        have: usize,
    },
    /// The shape's product is beyond this machine.
    #[error("shape {0:?} is too large")]
    TooLarge(Vec<usize>),
}

/// Parses a whole, unpacked IDX file. Images (`u8`) stay in the buffer that comes in.
pub fn parse(mut bytes: Vec<u8>) -> Result<Array, IdxError> {
    let cut = |need| IdxError::HeaderCut { need, have: bytes.len() };
    let (&[zero, also_zero, kind, axes], rest) = bytes.split_first_chunk().ok_or_else(|| cut(4))?;
    if (zero, also_zero) != (0, 0) {
        return Err(IdxError::Magic(zero, also_zero));
    }
    let size = match kind {
        0x08 | 0x09 => 1,
        0x0b => 2,
        0x0c | 0x0d => 4,
        0x0e => 8,
        other => return Err(IdxError::Type(other)),
    };
    let shape_bytes = 4 * usize::from(axes);
    let (shape, data) = rest.split_at_checked(shape_bytes).ok_or_else(|| cut(4 + shape_bytes))?;
    let shape: Vec<usize> = big_endian(shape, |axis| u32::from_be_bytes(axis) as usize);
    let need =
        count_of(&shape).and_then(|count| count.checked_mul(size)).ok_or_else(|| IdxError::TooLarge(shape.clone()))?;
    if need != data.len() {
        return Err(IdxError::Length { shape, size, need, have: data.len() });
    }
    let values = match kind {
        0x08 => {
            bytes.drain(..4 + shape_bytes);
            Values::U8(bytes)
        }
        0x09 => Values::I8(big_endian(data, i8::from_be_bytes)),
        0x0b => Values::I16(big_endian(data, i16::from_be_bytes)),
        0x0c => Values::I32(big_endian(data, i32::from_be_bytes)),
        0x0d => Values::F32(big_endian(data, f32::from_be_bytes)),
        _ => Values::F64(big_endian(data, f64::from_be_bytes)),
    };
    Ok(Array::new(shape, values).expect("the count was checked against the shape"))
}

fn big_endian<T, const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    data.as_chunks::<N>().0.iter().map(|&chunk| number(chunk)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SMALL: [u8; 18] = [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 10, 20];

    #[test]
    fn every_type() {
        assert_eq!(parse(SMALL.to_vec()).unwrap(), Array::new(vec![1, 1, 2], Values::U8(vec![10, 20])).unwrap());
        for (kind, data, values) in [
            (9, vec![0xff], Values::I8(vec![-1])),
            (11, vec![0xff, 0xfe], Values::I16(vec![-2])),
            (12, vec![0, 0, 1, 0], Values::I32(vec![256])),
            (13, 1.5f32.to_be_bytes().to_vec(), Values::F32(vec![1.5])),
            (14, 2.5f64.to_be_bytes().to_vec(), Values::F64(vec![2.5])),
        ] {
            let mut bytes = vec![0, 0, kind, 1, 0, 0, 0, 1];
            bytes.extend(data);
            assert_eq!(parse(bytes).unwrap().values(), &values);
        }
    }

    #[test]
    fn header_and_length_must_agree() {
        for (bytes, message) in [
            (&SMALL[..17], "the header says [1, 1, 2] of 1-byte numbers, which need 2 bytes; 1 follow"),
            (&SMALL[..12], "the IDX header needs 16 bytes and the file has 12"),
            (&SMALL[..3], "the IDX header needs 4 bytes and the file has 3"),
            (b"\x1f\x8b\x08\x00", "not an IDX file: it begins with 0x1f 0x8b instead of two zeros"),
            (b"\0\0\x0a\x01", "type byte 0x0a is unknown; 0x08, 0x09 and 0x0b to 0x0e are"),
        ] {
            assert_eq!(parse(bytes.to_vec()).unwrap_err().to_string(), message);
        }
        let mut huge = vec![0, 0, 14, 3];
        huge.extend([0xff; 12]);
        assert_eq!(parse(huge), Err(IdxError::TooLarge(vec![u32::MAX as usize; 3])));
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(
            data in prop::collection::vec(any::<u8>(), 0..40),
            kind in 7u8..16,
            axes in prop::collection::vec(0u32..9, 0..4),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = vec![0, 0, kind, axes.len() as u8];
            axes.iter().for_each(|axis| bytes.extend(axis.to_be_bytes()));
            bytes.extend(data);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = parse(bytes);
        }
    }
}
