//! Dividing a data set into a part to train on and a part to judge by.

use embernet_core::rng::Rng;

use super::dataset::{Dataset, Labels};
use super::in_place;

/// A data set cannot be divided as asked.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum SplitError {
    /// The share is no fraction.
    #[error("the first part's share is {0}; it lies between 0 and 1")]
    Share(f64),
    /// A part would hold nothing.
    #[error("a share of {share} of {samples} samples leaves a part empty")]
    Empty {
        /// The share asked for.
        share: f64,
        /// Samples there are.
        samples: usize,
    },
}

/// Divides into `round(share * samples)` samples and the rest, both in random order, in the memory that they have.
///
/// With `stratify` each class gives the same share, as far as whole samples allow; labels that are
/// values have no classes and are divided plainly.
pub fn split(data: Dataset, share: f64, stratify: bool, rng: &mut Rng) -> Result<(Dataset, Dataset), SplitError> {
    let (first, second) = split_rows(&data, share, stratify, rng)?;
    Ok(in_place::divide(data, &first, &second))
}

/// [`split`], as row numbers.
pub fn split_rows(
    data: &Dataset,
    share: f64,
    stratify: bool,
    rng: &mut Rng,
) -> Result<(Vec<usize>, Vec<usize>), SplitError> {
    if !(share > 0.0 && share < 1.0) {
        return Err(SplitError::Share(share));
    }
    let samples = data.len();
    let wanted = (share * samples as f64).round() as usize;
    if wanted == 0 || wanted == samples {
        return Err(SplitError::Empty { share, samples });
    }
    let mut groups = match data.labels() {
        Labels::Class { ids, names } if stratify => {
            let mut groups = vec![Vec::new(); names.len()];
            ids.iter().enumerate().for_each(|(row, &id)| groups[id as usize].push(row));
            groups
        }
        _ => vec![(0..samples).collect::<Vec<_>>()],
    };

    // Each group gives the whole part of its share; the largest remainders give one more.
    let exact = |group: &Vec<usize>| wanted as f64 * group.len() as f64 / samples as f64;
    let mut takes: Vec<usize> = groups.iter().map(|group| exact(group) as usize).collect();
    let mut order: Vec<usize> = (0..groups.len()).collect();
    let remainder = |group: usize| exact(&groups[group]).fract();
    order.sort_by(|&a, &b| remainder(b).total_cmp(&remainder(a)));
    let missing = wanted - takes.iter().sum::<usize>();
    order.iter().take(missing).for_each(|&group| takes[group] += 1);

    let (mut first, mut second) = (Vec::with_capacity(wanted), Vec::with_capacity(samples - wanted));
    for (group, take) in groups.iter_mut().zip(takes) {
        rng.shuffle(group);
        let (ours, others) = group.split_at(take);
        first.extend_from_slice(ours);
        second.extend_from_slice(others);
    }
    rng.shuffle(&mut first);
    rng.shuffle(&mut second);
    Ok((first, second))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::dataset::Storage;
    use super::*;
    use embernet_core::rng::Rng; // proptest's prelude has another one

    fn data(ids: Vec<u32>) -> Dataset {
        let samples = Storage::F32((0..ids.len()).map(|i| i as f32).collect());
        let names = (0..4).map(|i| i.to_string()).collect();
        Dataset::new(vec![1], samples, Labels::Class { ids, names }).unwrap()
    }

    #[test]
    fn stratified_keeps_the_proportions() {
        let data = data([[0; 50], [1; 50], [2; 50]].concat());
        let (train, test) = split(data, 0.8, true, &mut Rng::new(1)).unwrap();
        for (part, each) in [(train, 40), (test, 10)] {
            let Labels::Class { ids, .. } = part.labels() else { unreachable!() };
            for class in 0..3 {
                assert_eq!(ids.iter().filter(|&&id| id == class).count(), each);
            }
            assert!(!ids.is_sorted(), "the parts are shuffled");
        }
    }

    #[test]
    fn impossible_shares_are_errors() {
        let data = data(vec![0; 3]);
        for share in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(matches!(split(data.clone(), share, false, &mut Rng::new(1)), Err(SplitError::Share(_))));
        }
        assert_eq!(
            split(data, 0.01, false, &mut Rng::new(1)).unwrap_err().to_string(),
            "a share of 0.01 of 3 samples leaves a part empty"
        );
    }

    proptest! {
        #[test]
        fn every_row_lands_in_one_part(
            ids in prop::collection::vec(0u32..4, 2..200),
            share in 0.01f64..0.99,
            stratify: bool,
            seed: u64,
        ) {
            let data = data(ids);
            let again = split_rows(&data, share, stratify, &mut Rng::new(seed));
            let Ok((first, second)) = split_rows(&data, share, stratify, &mut Rng::new(seed)) else {
                return Ok(());
            };
            prop_assert_eq!(again, Ok((first.clone(), second.clone())));
            prop_assert_eq!(first.len(), (share * data.len() as f64).round() as usize);
            let mut all = [first, second].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..data.len()).collect::<Vec<_>>());
        }
    }
}
