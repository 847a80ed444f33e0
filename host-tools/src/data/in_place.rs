//! A data set becomes two without a second copy of its samples: rows change places, then the last ones move out.

use super::dataset::{Dataset, Storage};

/// Bytes that are in memory twice at a time.
const MOVED_AT_ONCE: usize = 1 << 20;

/// The named rows as two data sets, in that order. Together they are all rows, each once.
pub(super) fn divide(data: Dataset, first: &[usize], second: &[usize]) -> (Dataset, Dataset) {
    let width = data.sample_len();
    // The second part lies behind the first, its last row in front, so that it can leave from the end.
    let mut order: Vec<usize> = first.iter().chain(second.iter().rev()).copied().collect();
    debug_assert_eq!(order.len(), data.len());
    data.divide([first, second], |samples| match samples {
        Storage::U8(mut values) => {
            arrange(&mut values, width, &mut order);
            let rest = take_from_end(&mut values, width, second.len());
            (Storage::U8(values), Storage::U8(rest))
        }
        Storage::F32(mut values) => {
            arrange(&mut values, width, &mut order);
            let rest = take_from_end(&mut values, width, second.len());
            (Storage::F32(values), Storage::F32(rest))
        }
    })
}

/// Puts row `order[i]` at place `i`, for all of them.
fn arrange<T: Copy>(values: &mut [T], width: usize, order: &mut [usize]) {
    for start in 0..order.len() {
        if order[start] == start {
            continue;
        }
        // Along a cycle of places that wait for one another.
        let held = values[start * width..(start + 1) * width].to_vec();
        let mut place = start;
        loop {
            let from = std::mem::replace(&mut order[place], place);
            if from == start {
                values[place * width..(place + 1) * width].copy_from_slice(&held);
                break;
            }
            values.copy_within(from * width..(from + 1) * width, place * width);
            place = from;
        }
    }
}

/// Moves the last `rows` rows out, the very last one first.
fn take_from_end<T: Copy>(values: &mut Vec<T>, width: usize, rows: usize) -> Vec<T> {
    let mut taken = Vec::with_capacity(rows * width);
    let some = (MOVED_AT_ONCE / (width * size_of::<T>()).max(1)).max(1);
    let mut left = rows;
    while left > 0 {
        for _ in 0..some.min(left) {
            let start = values.len() - width;
            taken.extend_from_slice(&values[start..]);
            values.truncate(start);
        }
        values.shrink_to_fit();
        left = left.saturating_sub(some);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::super::dataset::Labels;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_two_selections(
            order in Just((0..40usize).collect::<Vec<_>>()).prop_shuffle(),
            cut in 1usize..40,
            width in 1usize..4,
            bytes: bool,
        ) {
            let values = 0..order.len() * width;
            let samples = if bytes {
                Storage::U8(values.map(|v| v as u8).collect())
            } else {
                Storage::F32(values.map(|v| v as f32).collect())
            };
            let labels = Labels::Values { values: (0..order.len()).map(|v| v as f32).collect(), width: 1 };
            let data = Dataset::new(vec![width], samples, labels).unwrap();
            let (first, second) = order.split_at(cut);
            let expected = (data.select(first), data.select(second));
            prop_assert_eq!(divide(data, first, second), expected);
        }
    }

    #[test]
    fn more_rows_than_move_at_once() {
        let (width, rows) = (1000, 1500);
        let values: Vec<f32> = (0..rows * width).map(|v| v as f32).collect();
        let mut left = values.clone();
        let taken = take_from_end(&mut left, width, 1400);
        assert_eq!(left, values[..100 * width]);
        assert!(taken.chunks(width).eq(values[100 * width..].chunks(width).rev()));
    }
}
