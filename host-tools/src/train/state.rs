//! Where a training run stands between two batches: what an interrupted run goes on from.
//!
//! As a file it is a safetensors file: the bytes of parameters and optimiser state as the session
//! holds them, the order of the samples, the history as `f64`, and in the metadata (key
//! `embernet.state`) a JSON object with the rest. All numbers come back with the same bits.

use super::history::{Epoch, History};
use crate::files::{self, FileError};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use zerocopy::IntoBytes;

/// The metadata key.
const KEY: &str = "embernet.state";

/// The version that we write and read.
const VERSION: u32 = 1;

/// Sums over an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    /// Samples seen.
    pub samples: usize,
    /// Sum of their losses.
    pub loss: f64,
    /// How many were recognised.
    pub right: usize,
}

/// Everything that the rest of a training run depends on, beside graph, data and options.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainState {
    /// Trainable parameters as the session holds them.
    pub params: Vec<u8>,
    /// Optimiser state as the session holds it.
    pub optimizer: Vec<u8>,
    /// Updates done.
    pub updates: u32,
    /// The finished epochs.
    pub history: History,
    /// Batches done of the epoch after those.
    pub batch: usize,
    /// The order of the samples, in that epoch or before its shuffle.
    pub order: Vec<u32>,
    /// The shuffling generator.
    pub rng: Option<[u64; 2]>,
    /// Sums over the batches done.
    pub tally: Tally,
    /// Time spent so far.
    pub seconds: f64,
}

/// A state that cannot be gone on from.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum StateError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{}: not the state of a training run", path.display())]
    Foreign { path: PathBuf, source: SafeTensorError },
    #[error("{}: not the state of a training run: {what}", path.display())]
    Content { path: PathBuf, what: String },
    #[error("{}: version {found} of a training state; this program reads version {VERSION}", path.display())]
    Version { path: PathBuf, found: u32 },
    #[error("the saved state cannot be written")]
    Write(#[source] SafeTensorError),
    #[error("the saved state has {found} bytes of {what}; this network has {expected}")]
    Bytes { what: &'static str, found: usize, expected: usize },
    #[error("the saved state is of {found} training samples; the data have {expected}")]
    Samples { found: usize, expected: usize },
    #[error("the saved state does not name every sample once")]
    Order,
    #[error("the saved state has done {found} batches of an epoch; an epoch has {most}")]
    Batch { found: usize, most: usize },
}

/// The JSON object.
#[derive(Serialize, Deserialize)]
struct Json {
    version: u32,
    updates: u32,
    batch: usize,
    rng: Option<[u64; 2]>,
    samples: usize,
    right: usize,
    about: BTreeMap<String, String>,
}

/// Names of the tensors.
const PARAMS: &str = "params";
const OPTIMIZER: &str = "optimizer";
const ORDER: &str = "order";
const HISTORY: &str = "history";
const SUMS: &str = "sums";

/// Columns of the history: an epoch without its number.
const COLUMNS: usize = 5;

impl TrainState {
    /// Whether it is one of a network and data of these sizes.
    pub(super) fn check(&self, params: usize, optimizer: usize, samples: usize) -> Result<(), StateError> {
        for (what, found, expected) in
            [("parameters", self.params.len(), params), ("optimiser state", self.optimizer.len(), optimizer)]
        {
            if found != expected {
                return Err(StateError::Bytes { what, found, expected });
            }
        }
        if self.order.len() != samples {
            return Err(StateError::Samples { found: self.order.len(), expected: samples });
        }
        let mut seen = vec![false; samples];
        let fresh = |row: &u32| seen.get_mut(*row as usize).is_some_and(|seen| !std::mem::replace(seen, true));
        if !self.order.iter().all(fresh) { Err(StateError::Order) } else { Ok(()) }
    }

    /// Writes the file, whole or not at all. `about` are free facts, which [`TrainState::load`] gives back.
    pub fn save(&self, path: &Path, about: &BTreeMap<String, String>) -> Result<(), StateError> {
        let json = Json {
            version: VERSION,
            updates: self.updates,
            batch: self.batch,
            rng: self.rng,
            samples: self.tally.samples,
            right: self.tally.right,
            about: about.clone(),
        };
        // Plain numbers and texts always have a JSON form.
        let json = serde_json::to_string(&json).unwrap_or_default();
        let history: Vec<f64> = self.history.epochs.iter().flat_map(row_of).collect();
        let sums = [self.tally.loss, self.seconds];
        let epochs = self.history.epochs.len();
        let tensors = [
            (PARAMS, Dtype::U8, vec![self.params.len()], self.params.as_slice()),
            (OPTIMIZER, Dtype::U8, vec![self.optimizer.len()], &self.optimizer),
            (ORDER, Dtype::U32, vec![self.order.len()], self.order.as_bytes()),
            (HISTORY, Dtype::F64, vec![epochs, COLUMNS], history.as_bytes()),
            (SUMS, Dtype::F64, vec![sums.len()], sums.as_bytes()),
        ];
        let views =
            tensors.into_iter().map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(dtype, shape, bytes)?)));
        let views = views.collect::<Result<Vec<_>, _>>().map_err(StateError::Write)?;
        let bytes = safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), json)])));
        Ok(files::write(path, &bytes.map_err(StateError::Write)?)?)
    }

    /// Reads a file; takes any bytes and never panics. That it fits a network is checked when it is used.
    pub fn load(path: &Path) -> Result<(Self, BTreeMap<String, String>), StateError> {
        let bytes = files::read(path)?;
        let foreign = |source| StateError::Foreign { path: path.into(), source };
        let content = |what: String| StateError::Content { path: path.into(), what };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(foreign)?;
        let json = header.metadata().as_ref().and_then(|m| m.get(KEY));
        let json = json.ok_or_else(|| content(format!("no metadata `{KEY}`")))?;
        let json: Json = serde_json::from_str(json).map_err(|error| content(error.to_string()))?;
        if json.version != VERSION {
            return Err(StateError::Version { path: path.into(), found: json.version });
        }
        let file = SafeTensors::deserialize(&bytes).map_err(foreign)?;
        let tensor = |name: &str, dtype: Dtype, columns: usize| {
            let view = file.tensor(name).map_err(foreign)?;
            let whole = view.shape().last().is_some_and(|last| columns == 0 || *last == columns);
            if view.dtype() != dtype || !whole {
                return Err(content(format!("`{name}` is {:?} of shape {:?}", view.dtype(), view.shape())));
            }
            Ok(view.data().to_vec())
        };
        let f64s = |bytes: Vec<u8>| bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect::<Vec<f64>>();
        let history = f64s(tensor(HISTORY, Dtype::F64, COLUMNS)?);
        let sums = f64s(tensor(SUMS, Dtype::F64, 2)?);
        let [loss, seconds] = sums[..] else { return Err(content(format!("`{SUMS}` has {} numbers", sums.len()))) };
        let epochs = (1..).zip(history.chunks_exact(COLUMNS)).map(|(epoch, row)| epoch_of(epoch, row)).collect();
        let order = tensor(ORDER, Dtype::U32, 0)?;
        let state = Self {
            params: tensor(PARAMS, Dtype::U8, 0)?,
            optimizer: tensor(OPTIMIZER, Dtype::U8, 0)?,
            updates: json.updates,
            history: History { epochs },
            batch: json.batch,
            order: order.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect(),
            rng: json.rng,
            tally: Tally { samples: json.samples, loss, right: json.right },
            seconds,
        };
        Ok((state, json.about))
    }
}

/// An epoch as numbers; what it lacks is not a number.
fn row_of(epoch: &Epoch) -> [f64; COLUMNS] {
    let or_nan = |value: Option<f64>| value.unwrap_or(f64::NAN);
    [epoch.seconds, epoch.loss, or_nan(epoch.accuracy), or_nan(epoch.val_loss), or_nan(epoch.val_accuracy)]
}

fn epoch_of(epoch: u32, row: &[f64]) -> Epoch {
    let at = |column: usize| row.get(column).copied().unwrap_or(f64::NAN);
    let known = |column: usize| Some(at(column)).filter(|value| !value.is_nan());
    Epoch { epoch, seconds: at(0), loss: at(1), accuracy: known(2), val_loss: known(3), val_accuracy: known(4) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> TrainState {
        let epoch = Epoch { epoch: 1, seconds: 0.1, loss: 0.3, accuracy: Some(1.0 / 3.0), ..Epoch::default() };
        TrainState {
            params: vec![1, 2, 3, 4],
            optimizer: vec![5; 8],
            updates: 7,
            history: History { epochs: vec![epoch] },
            batch: 2,
            order: vec![2, 0, 1],
            rng: Some([u64::MAX, 3]),
            tally: Tally { samples: 2, loss: 0.1 + 0.2, right: 1 },
            seconds: 1.0 / 3.0,
        }
    }

    #[test]
    fn a_file_comes_back_with_every_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        let about = BTreeMap::from([("seed".to_owned(), "3".to_owned())]);
        state().save(&path, &about).unwrap();
        assert_eq!(TrainState::load(&path).unwrap(), (state(), about));
    }

    #[test]
    fn damaged_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        state().save(&path, &BTreeMap::new()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(TrainState::load(&path).is_err());
        }
        let mut bytes = whole;
        let version = b"version\\\":1";
        let at = bytes.windows(version.len()).position(|window| window == version).unwrap();
        bytes[at + version.len() - 1] = b'2';
        std::fs::write(&path, bytes).unwrap();
        let error = TrainState::load(&path).unwrap_err().to_string();
        assert!(error.ends_with("version 2 of a training state; this program reads version 1"), "{error}");
    }

    #[test]
    fn states_of_something_else_are_refused() {
        let message =
            |state: &TrainState, sizes: [usize; 3]| state.check(sizes[0], sizes[1], sizes[2]).unwrap_err().to_string();
        assert!(state().check(4, 8, 3).is_ok());
        assert_eq!(message(&state(), [5, 8, 3]), "the saved state has 4 bytes of parameters; this network has 5");
        assert_eq!(message(&state(), [4, 8, 4]), "the saved state is of 3 training samples; the data have 4");
        let twice = TrainState { order: vec![0, 1, 1], ..state() };
        assert_eq!(message(&twice, [4, 8, 3]), "the saved state does not name every sample once");
    }
}
