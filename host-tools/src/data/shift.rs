//! Changes of the data after training: what a device meets when its world moves on.

use super::dataset::{Dataset, Storage};

/// The samples are not such images.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShiftError {
    /// Rotation needs square images.
    #[error("samples of shape {0:?} are no square images [side, side, channels]")]
    NotSquare(Vec<usize>),
    /// A value lies above the brightest.
    #[error("a value lies above {0}, the brightest")]
    Above(u8),
}

/// Turns every image a quarter, counter-clockwise (as NumPy's `rot90`).
///
/// Samples are `[side, side, channels]` or `[side, side]`.
pub fn rotate90(data: &Dataset) -> Result<Dataset, ShiftError> {
    let (side, channels) = match *data.shape() {
        [height, width] if height == width => (height, 1),
        [height, width, channels] if height == width => (height, channels),
        _ => return Err(ShiftError::NotSquare(data.shape().to_vec())),
    };
    Ok(data.with_samples(match data.samples() {
        Storage::U8(v) => Storage::U8(rotate(v, side, channels)),
        Storage::F32(v) => Storage::F32(rotate(v, side, channels)),
    }))
}

fn rotate<T: Copy>(from: &[T], side: usize, channels: usize) -> Vec<T> {
    let mut to = Vec::with_capacity(from.len());
    for image in from.chunks_exact(side * side * channels) {
        for row in 0..side {
            for column in 0..side {
                let pixel = (column * side + (side - 1 - row)) * channels;
                to.extend_from_slice(&image[pixel..pixel + channels]);
            }
        }
    }
    to
}

/// Swaps dark and bright: every raw value `x` becomes `brightest - x`.
pub fn invert(data: &Dataset, brightest: u8) -> Result<Dataset, ShiftError> {
    let above = ShiftError::Above(brightest);
    Ok(data.with_samples(match data.samples() {
        Storage::U8(v) => {
            let inverted = v.iter().map(|&x| brightest.checked_sub(x));
            Storage::U8(inverted.collect::<Option<_>>().ok_or(above)?)
        }
        Storage::F32(v) => {
            let top = f32::from(brightest);
            if v.iter().any(|&x| x > top) {
                return Err(above);
            }
            Storage::F32(v.iter().map(|&x| top - x).collect())
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::super::dataset::Labels;
    use super::*;

    fn image(shape: Vec<usize>, x: Vec<u8>) -> Dataset {
        Dataset::new(shape, Storage::U8(x), Labels::Values { values: vec![0.0], width: 1 }).unwrap()
    }

    #[test]
    fn a_quarter_turn_counter_clockwise() {
        // 1 2    2 4
        // 3 4 -> 1 3
        let turned = rotate90(&image(vec![2, 2, 1], vec![1, 2, 3, 4])).unwrap();
        assert_eq!(turned.samples(), &Storage::U8(vec![2, 4, 1, 3]));
        let turned = rotate90(&image(vec![2, 2, 2], vec![1, 10, 2, 20, 3, 30, 4, 40])).unwrap();
        assert_eq!(turned.samples(), &Storage::U8(vec![2, 20, 4, 40, 1, 10, 3, 30]));
    }

    #[test]
    fn four_quarters_are_none() {
        let data = image(vec![3, 3, 1], (0..9).collect());
        let mut turned = data.clone();
        for _ in 0..4 {
            turned = rotate90(&turned).unwrap();
        }
        assert_eq!(turned, data);
    }

    #[test]
    fn only_square_images_turn() {
        assert!(rotate90(&image(vec![1, 2, 1], vec![1, 2])).is_err());
        assert!(rotate90(&image(vec![2], vec![1, 2])).is_err());
    }

    #[test]
    fn inverting_twice_gives_the_original() {
        let data = image(vec![2, 1, 1], vec![0, 16]);
        let inverted = invert(&data, 16).unwrap();
        assert_eq!(inverted.samples(), &Storage::U8(vec![16, 0]));
        assert_eq!(invert(&inverted, 16).unwrap(), data);
        assert_eq!(invert(&data, 15), Err(ShiftError::Above(15)));
    }
}
