//! What tells a good network from a bad one.

use serde::Serialize;

/// How often class `truth` was taken for class `predicted`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    names: Vec<String>,
    /// `[truth, predicted]`
    counts: Vec<u64>,
}

/// Precision, recall and their harmonic mean, of one class; 0 where nothing was to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClassScore {
    /// Samples of this class.
    pub support: u64,
    /// Of what was taken for this class, the share that was of it.
    pub precision: f64,
    /// Of what was of this class, the share that was recognised.
    pub recall: f64,
    /// `2 * precision * recall / (precision + recall)`.
    pub f1: f64,
}

impl Confusion {
    /// An empty matrix for the named classes.
    pub fn new(names: Vec<String>) -> Self {
        let counts = vec![0; names.len() * names.len()];
        Self { names, counts }
    }

    /// The classes.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Counts one sample; classes beyond the names are a bug of the caller and are left out.
    pub fn add(&mut self, truth: u32, predicted: u32) {
        let classes = self.names.len();
        let (truth, predicted) = (truth as usize, predicted as usize);
        debug_assert!(truth < classes && predicted < classes);
        if truth < classes && predicted < classes {
            self.counts[truth * classes + predicted] += 1;
        }
    }

    /// Counts every sample of network outputs `[samples, classes]`.
    pub fn add_outputs(&mut self, truth: &[u32], outputs: &[f32]) {
        for (&truth, row) in truth.iter().zip(outputs.chunks_exact(self.names.len().max(1))) {
            self.add(truth, argmax(row));
        }
    }

    /// How often `truth` was taken for `predicted`.
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        self.counts[truth * self.names.len() + predicted]
    }

    /// Samples counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The share of samples on the diagonal; 0 without samples.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.names.len()).map(|class| self.count(class, class)).sum();
        ratio(right, self.total())
    }

    /// The score of every class.
    pub fn scores(&self) -> Vec<ClassScore> {
        let classes = 0..self.names.len();
        let score = |class| {
            let right = self.count(class, class);
            let support: u64 = classes.clone().map(|predicted| self.count(class, predicted)).sum();
            let taken: u64 = classes.clone().map(|truth| self.count(truth, class)).sum();
            // 2pr / (p + r) with p = right/taken and r = right/support.
            let f1 = ratio(2 * right, support + taken);
            ClassScore { support, precision: ratio(right, taken), recall: ratio(right, support), f1 }
        };
        classes.clone().map(score).collect()
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The index of the largest value, the first of equals; NaN never wins. 0 for no values.
pub fn argmax<T: PartialOrd>(row: &[T]) -> u32 {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        // A value that does not compare to itself is NaN; anything beats it.
        let beaten = row[best].partial_cmp(&row[best]).is_none();
        if *value > row[best] || (beaten && value.partial_cmp(value).is_some()) {
            best = index;
        }
    }
    best as u32
}

/// The share of rows of `outputs`, `[samples, classes]`, whose largest value is at the true class.
pub fn accuracy(truth: &[u32], outputs: &[f32], classes: usize) -> f64 {
    let rows = outputs.chunks_exact(classes.max(1));
    let right = truth.iter().zip(rows).filter(|&(&truth, row)| argmax(row) == truth).count();
    ratio(right as u64, truth.len() as u64)
}

/// The mean of squared differences, summed in f64; 0 for no values.
pub fn mse(truth: &[f32], outputs: &[f32]) -> f64 {
    let square = |(&t, &y): (&f32, &f32)| (f64::from(y) - f64::from(t)).powi(2);
    let sum: f64 = truth.iter().zip(outputs).map(square).sum();
    if truth.is_empty() { 0.0 } else { sum / truth.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn a_matrix_worked_by_hand() {
        let mut matrix = Confusion::new(vec!["a".into(), "b".into(), "c".into()]);
        for (truth, predicted) in [(0, 0), (0, 0), (0, 1), (1, 1), (2, 1)] {
            matrix.add(truth, predicted);
        }
        assert_eq!((matrix.total(), matrix.count(0, 1), matrix.count(1, 0)), (5, 1, 0));
        assert!(close(matrix.accuracy(), 0.6));
        let scores = matrix.scores();
        assert!(close(scores[0].precision, 1.0) && close(scores[0].recall, 2.0 / 3.0));
        assert!(close(scores[0].f1, 0.8));
        assert!(close(scores[1].precision, 1.0 / 3.0) && close(scores[1].recall, 1.0));
        assert_eq!((scores[2].support, scores[2].precision, scores[2].recall), (1, 0.0, 0.0));
    }

    #[test]
    fn nothing_gives_zero_not_nan() {
        let matrix = Confusion::new(vec!["a".into()]);
        assert_eq!(matrix.accuracy(), 0.0);
        assert_eq!(matrix.scores()[0].f1, 0.0);
        assert_eq!(mse(&[], &[]), 0.0);
        assert_eq!(accuracy(&[], &[], 3), 0.0);
    }

    #[test]
    fn argmax_takes_the_first_and_never_nan() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
        assert_eq!(argmax(&[f32::NAN, -1.0, -2.0]), 1);
        assert_eq!(argmax(&[-128i8, 127, 127]), 1);
        assert_eq!(argmax::<f32>(&[]), 0);
    }

    #[test]
    fn outputs_are_counted_by_row() {
        let outputs = [0.9, 0.1, 0.2, 0.8, 0.6, 0.4];
        assert!(close(accuracy(&[0, 1, 1], &outputs, 2), 2.0 / 3.0));
        let mut matrix = Confusion::new(vec!["a".into(), "b".into()]);
        matrix.add_outputs(&[0, 1, 1], &outputs);
        assert!(close(matrix.accuracy(), 2.0 / 3.0));
        assert!(close(mse(&[1.0, 0.0], &[0.5, 0.5]), 0.25));
    }
}
