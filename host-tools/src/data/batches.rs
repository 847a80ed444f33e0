//! Handing a data set out in batches.

use embernet_core::rng::Rng;

use super::dataset::Dataset;

/// Some samples of a data set, prepared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Batch<'b> {
    /// Which samples; the last batch of an epoch may be smaller.
    pub rows: &'b [u32],
    /// Prepared values, `[samples, shape...]`.
    pub x: &'b [f32],
}

/// Goes through a data set batch by batch, in an order that [`Batches::shuffle`] changes.
///
/// Not an `Iterator`, because each batch borrows the one buffer.
#[derive(Debug)]
pub struct Batches<'d> {
    data: &'d Dataset,
    order: Vec<u32>,
    batch: usize,
    /// Where the last batch began, and where the next one begins.
    last: usize,
    at: usize,
    x: Vec<f32>,
}

impl<'d> Batches<'d> {
    /// Batches of `batch` samples (at least one) in the data's own order.
    pub fn new(data: &'d Dataset, batch: usize) -> Self {
        // No file that we read has as many samples as a u32 counts.
        let order = (0..data.len() as u32).collect();
        Self { data, order, batch: batch.max(1), last: 0, at: 0, x: Vec::new() }
    }

    /// How many batches an epoch has.
    pub fn count(&self) -> usize {
        self.order.len().div_ceil(self.batch)
    }

    /// Starts again from the first batch.
    pub fn rewind(&mut self) {
        (self.last, self.at) = (0, 0);
    }

    /// Shuffles the present order and starts again: a new epoch.
    pub fn shuffle(&mut self, rng: &mut Rng) {
        rng.shuffle(&mut self.order);
        self.rewind();
    }

    /// The present order of the samples.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Goes on with this order, behind so many batches. The order names every sample once.
    pub fn set_order(&mut self, order: &[u32], batches: usize) {
        debug_assert_eq!(order.len(), self.data.len());
        self.order = order.to_vec();
        self.at = batches.saturating_mul(self.batch).min(self.order.len());
        self.last = self.at;
    }

    /// Which samples the next batch holds, or `None` after the last. For [`Dataset::gather_into`].
    pub fn next_rows(&mut self) -> Option<&[u32]> {
        self.last = self.at;
        self.at = (self.at + self.batch).min(self.order.len());
        Some(self.last_rows()).filter(|rows| !rows.is_empty())
    }

    /// Which samples the last batch held.
    pub fn last_rows(&self) -> &[u32] {
        &self.order[self.last..self.at]
    }

    /// The next batch, or `None` after the last.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Batch<'_>> {
        let count = self.next_rows()?.len();
        self.x.resize(count * self.data.sample_len(), 0.0);
        let rows = &self.order[self.last..self.at];
        self.data.gather_into(rows, &mut self.x);
        Some(Batch { rows, x: &self.x })
    }
}

#[cfg(test)]
mod tests {
    use super::super::dataset::{Labels, Storage};
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
            assert_eq!(batch.x.len(), batch.rows.len() * 2);
            sizes.push(batch.rows.len());
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
            let mut ids = [0; 5];
            data.labels().ids_into(batch.rows, &mut ids);
            for (x, id) in batch.x.chunks(2).zip(ids) {
                assert_eq!(x[0], 2.0 * id as f32);
            }
            seen.push(ids);
        }
        assert_ne!(seen[0], seen[1]);
        let mut again = Batches::new(&data, 5);
        again.shuffle(&mut Rng::new(3));
        assert_eq!(again.next_rows(), Some(&seen[0][..]));
    }

    #[test]
    fn an_order_goes_on_where_it_was_left() {
        let data = data();
        let mut batches = Batches::new(&data, 2);
        batches.shuffle(&mut Rng::new(3));
        batches.next_rows();
        let mut other = Batches::new(&data, 2);
        other.set_order(batches.order(), 1);
        assert_eq!(other.next_rows(), batches.next_rows());
        assert_eq!(other.last_rows(), batches.last_rows());
    }
}
