//! From files to arrays and data sets; the file's name joins every error here.

use std::path::{Path, PathBuf};

use super::array::{Array, Values};
use super::dataset::{Dataset, DatasetError, Labels, Storage};
use super::{MAX_FILE_BYTES, csv, idx, npy};
use crate::files::{self, FileError};

/// A data set could not be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // `path` is the file, `source` what is wrong with it
pub enum DataError {
    /// The file is not there, or not readable.
    #[error(transparent)]
    File(#[from] FileError),
    /// A table with something wrong in it.
    #[error("{}", path.display())]
    Csv { path: PathBuf, source: csv::CsvError },
    /// A damaged or foreign NumPy file.
    #[error("{}", path.display())]
    Npy { path: PathBuf, source: npy::NpyError },
    /// A damaged or foreign IDX file.
    #[error("{}", path.display())]
    Idx { path: PathBuf, source: idx::IdxError },
    /// The parts do not fit together.
    #[error("{}", path.display())]
    Dataset { path: PathBuf, source: DatasetError },
    /// A file that is neither NumPy's nor IDX.
    #[error("{} is neither an npy nor an IDX file: it begins with {begins:02x?}", path.display())]
    Unknown { path: PathBuf, begins: Vec<u8> },
    /// A single number, which has no axis to stack samples on.
    #[error("{} holds a single number; samples are stacked on the first axis", path.display())]
    NoAxis { path: PathBuf },
    /// A label that is no class.
    #[error("{}: row {row}: label {found} is no class; classes are whole numbers from 0", path.display())]
    NotAClass { path: PathBuf, row: usize, found: String },
    /// A value that is not finite.
    #[error("{}: sample {sample}: {found} is not a finite number", path.display())]
    NotFinite { path: PathBuf, sample: usize, found: String },
}

/// Reads an npy or IDX file, also gzipped; which it is, the first bytes say.
pub fn read_array(path: &Path) -> Result<Array, DataError> {
    let bytes = files::read_unpacked(path, MAX_FILE_BYTES)?;
    if bytes.starts_with(npy::MAGIC) {
        npy::parse(&bytes).map_err(|source| DataError::Npy { path: path.into(), source })
    } else if bytes.starts_with(&[0, 0]) {
        idx::parse(bytes).map_err(|source| DataError::Idx { path: path.into(), source })
    } else {
        let begins = bytes.iter().take(4).copied().collect();
        Err(DataError::Unknown { path: path.into(), begins })
    }
}

/// Reads the named arrays of an npz archive.
pub fn read_npz<const N: usize>(path: &Path, names: [&str; N]) -> Result<[Array; N], DataError> {
    let fail = |source| DataError::Npy { path: path.into(), source };
    let bytes = files::read(path)?;
    let mut npz = npy::Npz::new(std::io::Cursor::new(bytes)).map_err(fail)?;
    let mut arrays = Vec::with_capacity(N);
    for name in names {
        arrays.push(npz.array(name).map_err(fail)?);
    }
    Ok(arrays.try_into().expect("one array for each name"))
}

/// Writes an npy file, whole or not at all.
pub fn write_npy(path: &Path, shape: &[usize], values: &Values) -> Result<(), FileError> {
    files::write(path, &npy::emit(shape, values))
}

/// Which labels an array of them holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelKind {
    /// Classes; the names if they are known, else `0` to the largest label.
    Class(Option<Vec<String>>),
    /// Numbers to predict.
    Values,
    /// None: the samples themselves.
    Samples,
}

/// Joins an array of samples (stacked on the first axis) and one of labels.
///
/// `x_path` and `y_path` are where they came from, for errors.
pub fn from_arrays(x: Array, y: Array, kind: LabelKind, x_path: &Path, y_path: &Path) -> Result<Dataset, DataError> {
    let (shape, samples) = samples(x, x_path)?;
    let labels = match kind {
        LabelKind::Class(names) => {
            let ids = y.values().to_ids().map_err(|index| DataError::NotAClass {
                path: y_path.into(),
                row: index + 1,
                found: y.values().text(index),
            })?;
            let names = names.unwrap_or_else(|| {
                let largest = ids.iter().max().map_or(0, |&id| id);
                (0..=largest).map(|id| id.to_string()).collect()
            });
            Labels::Class { ids, names }
        }
        LabelKind::Values => {
            let rows = y.shape().first().copied().unwrap_or(0);
            let values = y.values().to_f32();
            Labels::Values { width: values.len().checked_div(rows).unwrap_or(0), values }
        }
        LabelKind::Samples => return Ok(dataset(shape, samples, x_path)?.label_with_samples()),
    };
    Dataset::new(shape, samples, labels).map_err(|source| DataError::Dataset { path: y_path.into(), source })
}

/// Samples without labels; each counts as labelled 0.
pub fn unlabelled(x: Array, path: &Path) -> Result<Dataset, DataError> {
    let (shape, samples) = samples(x, path)?;
    dataset(shape, samples, path)
}

fn dataset(shape: Vec<usize>, samples: Storage, path: &Path) -> Result<Dataset, DataError> {
    let width = super::array::count_of(&shape).unwrap_or(0);
    let count = samples.len().checked_div(width).unwrap_or(0);
    let labels = Labels::Values { values: vec![0.0; count], width: 1 };
    Dataset::new(shape, samples, labels).map_err(|source| DataError::Dataset { path: path.into(), source })
}

/// Splits an array into the shape of one sample and all values; floats must be finite.
pub fn samples(x: Array, path: &Path) -> Result<(Vec<usize>, Storage), DataError> {
    let (mut shape, values) = x.into_parts();
    if shape.is_empty() {
        return Err(DataError::NoAxis { path: path.into() });
    }
    shape.remove(0);
    if shape.is_empty() {
        shape.push(1);
    }
    let samples = match values {
        Values::U8(bytes) => Storage::U8(bytes),
        Values::F32(floats) => Storage::F32(floats),
        other => Storage::F32(other.to_f32()),
    };
    if let Storage::F32(floats) = &samples
        && let Some(at) = floats.iter().position(|x| !x.is_finite())
    {
        let width = shape.iter().product::<usize>().max(1);
        return Err(DataError::NotFinite { path: path.into(), sample: at / width + 1, found: floats[at].to_string() });
    }
    Ok((shape, samples))
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
