//! Handing a data set out in batches.

use embernet_core::rng::Rng;

use super::dataset::{Dataset, Labels};

/// The labels of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Targets<'b> {
    /// One class per sample.
    Class(&'b [u32]),
    /// Rows of numbers, `[samples, outputs]`.
    Values(&'b [f32]),
}

/// Some samples of a data set, prepared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Batch<'b> {
    /// How many samples; the last batch of an epoch may be smaller.
    pub samples: usize,
    /// Prepared values, `[samples, shape...]`.
    pub x: &'b [f32],
    /// Their labels.
    pub targets: Targets<'b>,
}

/// Goes through a data set batch by batch, in an order that [`Batches::shuffle`] changes.
///
/// Not an `Iterator`, because each batch borrows the one buffer.
#[derive(Debug)]
pub struct Batches<'d> {
    data: &'d Dataset,
    order: Vec<usize>,
    batch: usize,
    at: usize,
    x: Vec<f32>,
    ids: Vec<u32>,
    values: Vec<f32>,
}

impl<'d> Batches<'d> {
    /// Batches of `batch` samples (at least one) in the data's own order.
    pub fn new(data: &'d Dataset, batch: usize) -> Self {
        Self {
            data,
            order: (0..data.len()).collect(),
            batch: batch.max(1),
            at: 0,
            x: Vec::new(),
            ids: Vec::new(),
            values: Vec::new(),
        }
    }

    /// How many batches an epoch has.
    pub fn count(&self) -> usize {
        self.order.len().div_ceil(self.batch)
    }

    /// Starts again from the first batch.
    pub fn rewind(&mut self) {
        self.at = 0;
    }

    /// Shuffles the present order and starts again: a new epoch.
    pub fn shuffle(&mut self, rng: &mut Rng) {
        rng.shuffle(&mut self.order);
        self.at = 0;
    }

    /// The next batch, or `None` after the last.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Batch<'_>> {
        let rows = self.order.get(self.at..)?;
        let rows = &rows[..rows.len().min(self.batch)];
        if rows.is_empty() {
            return None;
        }
        self.at += rows.len();
        self.x.clear();
        self.data.gather(rows, &mut self.x);
        let targets = match self.data.labels() {
            Labels::Class { ids, .. } => {
                self.ids.clear();
                self.ids.extend(rows.iter().map(|&row| ids[row]));
                Targets::Class(&self.ids)
            }
            Labels::Values { values, width } => {
                self.values.clear();
                for &row in rows {
                    self.values.extend_from_slice(&values[row * width..(row + 1) * width]);
                }
                Targets::Values(&self.values)
            }
        };
        Some(Batch { samples: rows.len(), x: &self.x, targets })
    }
}

#[cfg(test)]
mod tests {
    use super::super::dataset::Storage;
    use super::*;

    fn data() -> Dataset {
        let labels = Labels::Class { ids: vec![0, 1, 2, 3, 4], names: vec![String::new(); 5] };
        Dataset::new(vec![2], Storage::U8((0..10).collect()), labels).unwrap()
    }

    #[test]
    fn the_last_batch_is_smaller() {
        let data = data();
        let mut batches = Batches::new(&data, 2);
        assert_eq!(batches.count(), 3);
        let mut sizes = Vec::new();
        while let Some(batch) = batches.next() {
            assert_eq!(batch.x.len(), batch.samples * 2);
            sizes.push(batch.samples);
        }
        assert_eq!(sizes, [2, 2, 1]);
        assert!(batches.next().is_none());
        batches.rewind();
        assert_eq!(batches.next().unwrap().x, [0.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn samples_and_labels_shuffle_together_and_repeatably() {
        let data = data();
        let mut batches = Batches::new(&data, 5);
        let mut rng = Rng::new(3);
        let mut seen = Vec::new();
        for _ in 0..2 {
            batches.shuffle(&mut rng);
            let batch = batches.next().unwrap();
            let Targets::Class(ids) = batch.targets else { unreachable!() };
            for (x, &id) in batch.x.chunks(2).zip(ids) {
                assert_eq!(x[0], 2.0 * id as f32);
            }
            seen.push(ids.to_vec());
        }
        assert_ne!(seen[0], seen[1]);
        let mut again = Batches::new(&data, 5);
        again.shuffle(&mut Rng::new(3));
        assert_eq!(again.next().unwrap().targets, Targets::Class(&seen[0]));
    }
}
