//! Samples with their labels.

use super::prepare::Preprocessing;
use std::borrow::Cow;

/// How the raw values are kept. Images stay bytes, a quarter of the memory; they become `f32` batch
/// by batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Storage {
    /// One byte per value.
    U8(Vec<u8>),
    /// One float per value.
    F32(Vec<f32>),
}

impl Storage {
    pub(super) fn len(&self) -> usize {
        match self {
            Storage::U8(v) => v.len(),
            Storage::F32(v) => v.len(),
        }
    }
}

/// What a sample should be recognised as, or predicted to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// One class per sample: `ids[i] < names.len()`.
    Class {
        /// The class of every sample.
        ids: Vec<u32>,
        /// The name of every class.
        names: Vec<String>,
    },
    /// `width` numbers per sample, row by row (regression, or classes spread by [`Labels::one_hot`]).
    Values {
        /// All numbers, `[samples, width]`.
        values: Vec<f32>,
        /// Numbers per sample.
        width: usize,
    },
    /// The prepared sample itself, which an autoencoder is to give back. Takes no memory.
    Samples {
        /// How many samples there are.
        count: usize,
        /// Values of one sample.
        width: usize,
    },
}

impl Labels {
    /// How many samples have a label.
    pub fn len(&self) -> usize {
        match self {
            Labels::Class { ids, .. } => ids.len(),
            Labels::Values { values, width } => values.len().checked_div(*width).unwrap_or(0),
            Labels::Samples { count, .. } => *count,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many outputs a network for these labels has: the classes, or the values of a sample.
    pub fn outputs(&self) -> usize {
        match self {
            Labels::Class { names, .. } => names.len(),
            Labels::Values { width, .. } | Labels::Samples { width, .. } => *width,
        }
    }

    /// Classes as rows of one 1 and otherwise 0; values stay as they are.
    pub fn one_hot(&self) -> Labels {
        let Labels::Class { ids, names } = self else {
            return self.clone();
        };
        let width = names.len();
        let mut values = vec![0.0; ids.len() * width];
        for (row, &id) in values.chunks_exact_mut(width).zip(ids) {
            row[id as usize] = 1.0;
        }
        Labels::Values { values, width }
    }

    fn select(&self, rows: &[usize]) -> Labels {
        match self {
            Labels::Class { ids, names } => {
                Labels::Class { ids: rows.iter().map(|&row| ids[row]).collect(), names: names.clone() }
            }
            Labels::Values { values, width } => Labels::Values { values: gather(values, *width, rows), width: *width },
            Labels::Samples { width, .. } => Labels::Samples { count: rows.len(), width: *width },
        }
    }

    /// The classes of these rows, as far as `to` has room; nothing if the labels are no classes.
    pub fn ids_into(&self, rows: &[u32], to: &mut [u32]) {
        if let Labels::Class { ids, .. } = self {
            to.iter_mut().zip(rows).for_each(|(to, &row)| *to = ids[row as usize]);
        }
    }
}

/// The parts of a data set do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatasetError {
    /// The values are not a whole number of samples.
    #[error("{values} values are not a whole number of samples of shape {shape:?}")]
    Shape {
        /// Values there are.
        values: usize,
        /// The shape of a sample.
        shape: Vec<usize>,
    },
    /// Not one label per sample.
    #[error("{samples} samples and {labels} labels")]
    Count {
        /// Samples there are.
        samples: usize,
        /// Labels there are.
        labels: usize,
    },
    /// A label beyond the classes.
    #[error("row {row}: label {found} is out of range; there are {classes} classes (0 to {})", classes.saturating_sub(1))]
    Label {
        /// The row, counted from 1.
        row: usize,
        /// The label found there.
        found: u32,
        /// How many classes there are.
        classes: usize,
    },
    /// No sample at all.
    #[error("there is no sample")]
    Empty,
}

/// Samples of one shape, their labels, and the preparation that turns raw values into network input.
///
/// The raw values are kept; [`Dataset::gather_into`] prepares the samples it hands out. So bytes stay
/// bytes, and what a device's host side must do is the same [`Preprocessing`] value.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    shape: Vec<usize>,
    samples: Storage,
    labels: Labels,
    preprocessing: Preprocessing,
}

impl Dataset {
    /// Joins raw samples (C order, `shape` is that of one) and labels; both are checked.
    pub fn new(shape: Vec<usize>, samples: Storage, labels: Labels) -> Result<Self, DatasetError> {
        let count = labels.len();
        if count == 0 || samples.len() == 0 {
            return Err(DatasetError::Empty);
        }
        match super::array::count_of(&shape) {
            Some(values) if values > 0 && samples.len().is_multiple_of(values) => {
                let samples = samples.len() / values;
                if samples != count {
                    return Err(DatasetError::Count { samples, labels: count });
                }
            }
            _ => {
                return Err(DatasetError::Shape { values: samples.len(), shape });
            }
        }
        if let Labels::Samples { width, .. } = &labels
            && Some(*width) != super::array::count_of(&shape)
        {
            return Err(DatasetError::Shape { values: *width, shape });
        }
        if let Labels::Class { ids, names } = &labels
            && let Some(row) = ids.iter().position(|&id| id as usize >= names.len())
        {
            return Err(DatasetError::Label { row: row + 1, found: ids[row], classes: names.len() });
        }
        Ok(Self { shape, samples, labels, preprocessing: Preprocessing::default() })
    }

    /// How many samples there are; at least one.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The shape of one sample.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Values of one sample.
    pub fn sample_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The raw values.
    pub fn samples(&self) -> &Storage {
        &self.samples
    }

    /// The labels.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// What [`Dataset::gather_into`] does to raw values.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// Sets what [`Dataset::gather_into`] does to raw values.
    pub fn set_preprocessing(&mut self, preprocessing: Preprocessing) {
        self.preprocessing = preprocessing;
    }

    /// Gives the samples another shape of as many values.
    pub fn reshape(mut self, shape: Vec<usize>) -> Result<Self, DatasetError> {
        if super::array::count_of(&shape) != Some(self.sample_len()) {
            return Err(DatasetError::Shape { values: self.sample_len(), shape });
        }
        self.shape = shape;
        Ok(self)
    }

    /// The labels with every value in memory: samples that are their own labels become values.
    pub fn explicit_labels(&self) -> Cow<'_, Labels> {
        match &self.labels {
            Labels::Samples { width, .. } => Cow::Owned(Labels::Values { values: self.x(), width: *width }),
            labels => Cow::Borrowed(labels),
        }
    }

    /// The samples themselves as labels, for an autoencoder.
    pub fn label_with_samples(mut self) -> Self {
        self.labels = Labels::Samples { count: self.len(), width: self.sample_len() };
        self
    }

    /// Classes as one-hot rows.
    pub fn one_hot(mut self) -> Self {
        self.labels = self.labels.one_hot();
        self
    }

    /// The named rows, in that order, as a data set of their own.
    ///
    /// # Panics
    /// When a row is out of range or no row is named.
    pub fn select(&self, rows: &[usize]) -> Dataset {
        assert!(!rows.is_empty(), "a data set has at least one sample");
        let width = self.sample_len();
        let samples = match &self.samples {
            Storage::U8(v) => Storage::U8(gather(v, width, rows)),
            Storage::F32(v) => Storage::F32(gather(v, width, rows)),
        };
        Dataset {
            shape: self.shape.clone(),
            samples,
            labels: self.labels.select(rows),
            preprocessing: self.preprocessing.clone(),
        }
    }

    /// Two data sets: of the labels the named rows, of the samples what `divide` makes.
    pub(super) fn divide(
        self,
        rows: [&[usize]; 2],
        divide: impl FnOnce(Storage) -> (Storage, Storage),
    ) -> (Dataset, Dataset) {
        let Dataset { shape, samples, labels, preprocessing } = self;
        let [first, second] = rows.map(|rows| labels.select(rows));
        drop(labels);
        let (samples, rest) = divide(samples);
        let part =
            |samples, labels| Dataset { shape: shape.clone(), samples, labels, preprocessing: preprocessing.clone() };
        (part(samples, first), part(rest, second))
    }

    /// Writes the prepared samples of `rows` to `to`, `[rows, shape...]`, as far as it has room.
    ///
    /// # Panics
    /// When a row is out of range.
    pub fn gather_into(&self, rows: &[u32], to: &mut [f32]) {
        let width = self.sample_len();
        for (&row, to) in rows.iter().zip(to.chunks_exact_mut(width)) {
            let place = row as usize * width..(row as usize + 1) * width;
            match &self.samples {
                Storage::U8(v) => self.preprocessing.prepare_bytes(&v[place], to),
                Storage::F32(v) => {
                    to.copy_from_slice(&v[place]);
                    self.preprocessing.apply(to);
                }
            }
        }
    }

    /// The prepared samples of `rows`, `[rows, shape...]`; panics as [`Dataset::gather_into`].
    pub fn gather(&self, rows: &[u32]) -> Vec<f32> {
        let mut x = vec![0.0; rows.len() * self.sample_len()];
        self.gather_into(rows, &mut x);
        x
    }

    /// All prepared samples, `[samples, shape...]`.
    pub fn x(&self) -> Vec<f32> {
        self.gather(&(0..self.len() as u32).collect::<Vec<_>>())
    }

    /// Writes what is wanted for `rows` to `to`, `[rows, outputs]`, as far as it has room: classes as
    /// one-hot rows, values as they are, or the prepared samples. Panics as [`Dataset::gather_into`].
    pub fn targets_into(&self, rows: &[u32], to: &mut [f32]) {
        match &self.labels {
            Labels::Class { ids, names } => {
                for (&row, to) in rows.iter().zip(to.chunks_exact_mut(names.len())) {
                    to.fill(0.0);
                    to[ids[row as usize] as usize] = 1.0;
                }
            }
            Labels::Values { values, width } => {
                for (&row, to) in rows.iter().zip(to.chunks_exact_mut((*width).max(1))) {
                    to.copy_from_slice(&values[row as usize * width..][..*width]);
                }
            }
            Labels::Samples { .. } => self.gather_into(rows, to),
        }
    }

    /// Replaces the raw samples by changed ones of the same count and shape (a shift of the data).
    pub(super) fn with_samples(&self, samples: Storage) -> Dataset {
        debug_assert_eq!(samples.len(), self.samples.len());
        Dataset { samples, ..self.clone() }
    }
}

fn gather<T: Copy>(from: &[T], width: usize, rows: &[usize]) -> Vec<T> {
    let mut to = Vec::with_capacity(rows.len() * width);
    rows.iter().for_each(|&row| to.extend_from_slice(&from[row * width..(row + 1) * width]));
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|i| i.to_string()).collect()
    }

    #[test]
    fn labels_out_of_range_name_the_row() {
        let labels = Labels::Class { ids: vec![0, 2, 3], names: names(3) };
        let error = Dataset::new(vec![1], Storage::U8(vec![0; 3]), labels).unwrap_err();
        assert_eq!(error.to_string(), "row 3: label 3 is out of range; there are 3 classes (0 to 2)");
    }

    #[test]
    fn counts_must_agree() {
        let labels = Labels::Values { values: vec![0.0; 4], width: 2 };
        let new = |shape, values| Dataset::new(shape, Storage::F32(vec![0.0; values]), labels.clone());
        assert_eq!(new(vec![2, 2], 12), Err(DatasetError::Count { samples: 3, labels: 2 }));
        assert_eq!(new(vec![5], 12), Err(DatasetError::Shape { values: 12, shape: vec![5] }));
        assert_eq!(new(vec![0], 12), Err(DatasetError::Shape { values: 12, shape: vec![0] }));
        assert_eq!(new(vec![2], 0), Err(DatasetError::Empty));
        assert!(new(vec![2, 3], 12).is_ok());
    }

    #[test]
    fn rows_are_selected_and_gathered_in_order() {
        let labels = Labels::Class { ids: vec![0, 1, 1], names: names(2) };
        let data = Dataset::new(vec![2], Storage::U8(vec![1, 2, 3, 4, 5, 6]), labels).unwrap();
        let part = data.select(&[2, 0]);
        assert_eq!(part.samples(), &Storage::U8(vec![5, 6, 1, 2]));
        assert_eq!(part.labels(), &Labels::Class { ids: vec![1, 0], names: names(2) });
        assert_eq!(part.x(), [5.0, 6.0, 1.0, 2.0]);
        assert_eq!(part.labels().one_hot(), Labels::Values { values: vec![0.0, 1.0, 1.0, 0.0], width: 2 });
    }
}
