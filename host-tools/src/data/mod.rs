//! Data sets: reading files, preparing values, dividing and batching.
//!
//! A [`Dataset`] holds raw samples of one shape and their [`Labels`]; what turns raw values into
//! network input is a [`Preprocessing`] value, which is kept with the trained model.
//!
//! | from | by |
//! |---|---|
//! | CSV tables | [`csv`] |
//! | NumPy `.npy` and `.npz` | [`npy`] |
//! | IDX (MNIST), also gzipped | [`idx`] |
//!
//! [`sets`] fetches published ones.

mod array;
mod batches;
pub mod csv;
mod dataset;
pub mod idx;
mod in_place;
mod load;
pub mod npy;
mod prepare;
pub mod sets;
pub mod shift;
mod split;

pub use array::{Array, ShapeError, Values};
pub use batches::{Batch, Batches};
pub use dataset::{Dataset, DatasetError, Labels, Storage};
pub use load::{DataError, LabelKind, from_arrays, read_array, read_npz, samples, unlabelled, write_npy};
pub use prepare::{Axis, Fill, NoNumber, Preprocessing};
pub use split::{SplitError, split, split_rows};

/// No file is unpacked beyond this (4 GiB): more is no data set for a microcontroller.
pub(crate) const MAX_FILE_BYTES: u64 = 4 << 30;
