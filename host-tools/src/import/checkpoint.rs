//! Our checkpoint: a safetensors file with the graph in its metadata.
//!
//! Any safetensors reader sees the constants under their names. The metadata key `embernet` holds one
//! JSON object: `version`, `graph` (all but the values) and `parent` (the id of the model that this
//! one was trained from). The same content always gives the same bytes.

use crate::files::{self, FileError};
use crate::graph::{DType, Data, Graph, GraphError, shape_text};
use crate::import::Kind;
use safetensors::{Dtype as FileType, SafeTensorError, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// The metadata key.
pub const KEY: &str = "embernet";

/// The version that we write and read.
pub const VERSION: u32 = 1;

/// A model as a file: its graph with values, and where it came from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checkpoint {
    /// The model.
    pub graph: Graph,
    /// The model that this one was trained from.
    pub parent: Option<ModelId>,
}

/// Tells models apart: a CRC-64 of the checkpoint's bytes, written as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelId(pub u64);

impl core::fmt::Display for ModelId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<ModelId> for String {
    fn from(id: ModelId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for ModelId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        match u64::from_str_radix(&text, 16) {
            Ok(id) if digits => Ok(Self(id)),
            _ => Err(format!("model id `{text}` is not 16 hexadecimal digits")),
        }
    }
}

/// What is wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum CheckpointError {
    #[error("not a safetensors file: {}", kind_text(*.kind))]
    NotSafetensors {
        kind: Kind,
        #[source]
        source: SafeTensorError,
    },
    #[error("the model cannot be written as safetensors")]
    Unwritable(#[source] SafeTensorError),
    #[error(
        "a safetensors file without a graph (no metadata `{KEY}`): weights alone cannot run; \
         `embernet import --graph` puts them into a network"
    )]
    NoGraph,
    #[error("checkpoint version {found}; this program reads version {known}")]
    Version { found: u32, known: u32 },
    #[error("the graph in the metadata cannot be read")]
    Json(#[source] serde_json::Error),
    #[error("the file holds values for `{name}`, which is not in the graph")]
    Unknown { name: String },
    #[error("the values of `{name}` are {found}, the graph says {expected}")]
    Type { name: String, found: String, expected: DType },
    #[error("the values of `{name}` have shape {}, the graph says {}", shape_text(.found), shape_text(.expected))]
    Shape { name: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("a tensor may not be called `{name}` in this format")]
    ReservedName { name: String },
    #[error("the graph does not hold together")]
    Graph(#[from] GraphError),
}

/// What a file is that could not be read as safetensors.
fn kind_text(kind: Kind) -> &'static str {
    match kind {
        Kind::Safetensors => "it begins like one, but it is cut or damaged",
        kind => kind.advice(),
    }
}

/// [`CheckpointError`] with the file's name, or trouble with the file itself.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum LoadError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{path}")]
    Content {
        path: String,
        #[source]
        source: CheckpointError,
    },
}

/// The JSON object of the metadata.
#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    graph: &'a Graph,
    parent: Option<ModelId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[expect(dead_code, reason = "checked before, with a better message")]
    version: u32,
    graph: Graph,
    parent: Option<ModelId>,
}

/// Read first, so that a newer file says so instead of naming some field it added.
#[derive(Deserialize)]
struct Probe {
    version: u32,
}

impl Checkpoint {
    /// A model without a parent.
    pub fn new(graph: Graph) -> Self {
        Self { graph, parent: None }
    }

    /// Tells this content from any other.
    pub fn id(&self) -> Result<ModelId, CheckpointError> {
        Ok(id_of(&self.to_bytes()?))
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        self.graph.validate()?;
        if let Some(tensor) = self.graph.tensors.iter().find(|t| t.name == "__metadata__") {
            return Err(CheckpointError::ReservedName { name: tensor.name.clone() });
        }
        let written = Written { version: VERSION, graph: &self.graph, parent: self.parent };
        let json = serde_json::to_string(&written).map_err(CheckpointError::Json)?;
        let bytes: Vec<(&str, &[usize], FileType, Vec<u8>)> = self
            .graph
            .tensors
            .iter()
            .filter_map(|t| {
                let data = t.data.as_ref()?;
                Some((t.name.as_str(), t.shape.as_slice(), file_type(t.dtype), data.to_le_bytes()))
            })
            .collect();
        let views = bytes
            .iter()
            .map(|(name, shape, dtype, bytes)| Ok((*name, TensorView::new(*dtype, shape.to_vec(), bytes)?)))
            .collect::<Result<Vec<_>, SafeTensorError>>()
            .map_err(CheckpointError::Unwritable)?;
        safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), json)])))
            .map_err(CheckpointError::Unwritable)
    }

    /// The inverse of [`Checkpoint::to_bytes`]; takes any bytes and never panics.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let foreign = |source| CheckpointError::NotSafetensors { kind: Kind::of(bytes), source };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(foreign)?;
        let json = header.metadata().as_ref().and_then(|m| m.get(KEY)).ok_or(CheckpointError::NoGraph)?;
        let Probe { version } = serde_json::from_str(json).map_err(CheckpointError::Json)?;
        if version != VERSION {
            return Err(CheckpointError::Version { found: version, known: VERSION });
        }
        let Read { mut graph, parent, .. } = serde_json::from_str(json).map_err(CheckpointError::Json)?;
        let file = SafeTensors::deserialize(bytes).map_err(foreign)?;
        for (name, view) in file.tensors() {
            let id = graph.find_tensor(&name).ok_or_else(|| CheckpointError::Unknown { name: name.clone() })?;
            let tensor = graph.tensor_mut(id);
            if view.dtype() != file_type(tensor.dtype) {
                let (found, expected) = (format!("{:?}", view.dtype()), tensor.dtype);
                return Err(CheckpointError::Type { name, found, expected });
            }
            if view.shape() != tensor.shape {
                let (found, expected) = (view.shape().to_vec(), tensor.shape.clone());
                return Err(CheckpointError::Shape { name, found, expected });
            }
            // The reader has checked that the bytes are shape times type.
            tensor.data = Data::from_le_bytes(tensor.dtype, view.data());
        }
        graph.validate()?;
        Ok(Self { graph, parent })
    }

    /// Writes the file, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<(), LoadError> {
        let bytes = self.to_bytes().map_err(|source| at(path, source))?;
        Ok(files::write(path, &bytes)?)
    }

    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        Self::from_bytes(&files::read(path)?).map_err(|source| at(path, source))
    }
}

fn at(path: &Path, source: CheckpointError) -> LoadError {
    LoadError::Content { path: path.display().to_string(), source }
}

fn id_of(bytes: &[u8]) -> ModelId {
    ModelId(crc::Crc::<u64>::new(&crc::CRC_64_XZ).checksum(bytes))
}

fn file_type(dtype: DType) -> FileType {
    match dtype {
        DType::F32 => FileType::F32,
        // The format has no smaller integers; the graph says which of these are.
        DType::I4 | DType::I8 => FileType::I8,
        DType::U8 => FileType::U8,
        DType::I16 => FileType::I16,
        DType::I32 => FileType::I32,
        DType::I64 => FileType::I64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ops::{Activation, Conv2d, Dense, Flatten};
    use crate::graph::{Quant, Sequential, Tensor};
    use crate::image::{Loss, PackOptions, TrainOptions, pack};
    use embernet_core::optim::OptimizerRecord;
    use embernet_core::rng::Rng;

    fn model() -> Checkpoint {
        let mut graph = Sequential::new([4, 4, 1])
            .named("tiny")
            .add(Conv2d::new(2, [3, 3]).activation(Activation::Relu))
            .add(Flatten {})
            .add(Dense::new(3).activation(Activation::Softmax))
            .build(5)
            .unwrap();
        graph.meta.class_names = vec!["a".into(), "b".into(), "c".into()];
        graph.add_tensor(
            Tensor::constant("spare", [2, 2], Data::I8(vec![-1, 2, -3, 4]))
                .with_quant(Quant::per_axis(vec![0.1, 1.0e-7], 0)),
        );
        Checkpoint { graph, parent: Some(ModelId(0xfeed)) }
    }

    #[test]
    fn a_file_comes_back_as_it_was_and_has_an_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let model = model();
        model.save(&path).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap(), model);
        assert_eq!(model.to_bytes().unwrap(), std::fs::read(&path).unwrap());
        let mut other = model.clone();
        other.parent = None;
        assert_ne!(other.id().unwrap(), model.id().unwrap());
    }

    fn error_chain(error: &dyn std::error::Error) -> String {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text += &format!(": {error}");
            source = error.source();
        }
        text
    }

    #[test]
    fn foreign_files_are_named_and_explained() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, b"hello").unwrap();
        let error = error_chain(&Checkpoint::load(&path).unwrap_err());
        assert!(error.contains("model.safetensors: not a safetensors file"), "{error}");
        let bytes = safetensors::serialize(Vec::<(String, TensorView<'_>)>::new(), None).unwrap();
        let error = Checkpoint::from_bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains("without a graph"), "{error}");
        assert!(Checkpoint::load(&folder.path().join("none")).unwrap_err().to_string().starts_with("cannot read"));
    }

    /// The model's file with its JSON changed.
    fn edited(change: impl FnOnce(&mut serde_json::Value)) -> Result<Checkpoint, CheckpointError> {
        let bytes = model().to_bytes().unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let mut json = serde_json::from_str(&header.metadata().as_ref().unwrap()[KEY]).unwrap();
        change(&mut json);
        let metadata = HashMap::from([(KEY.to_owned(), json.to_string())]);
        Checkpoint::from_bytes(&safetensors::serialize(file.tensors(), Some(metadata)).unwrap())
    }

    #[test]
    fn contradictions_are_found() {
        let message = |change: fn(&mut serde_json::Value)| error_chain(&edited(change).unwrap_err());
        assert!(edited(|_| ()).is_ok());
        assert_eq!(message(|j| j["version"] = 2.into()), "checkpoint version 2; this program reads version 1");
        assert!(message(|j| j["parent"] = "xyz".into()).contains("16 hexadecimal digits"));
        assert!(
            message(|j| j["graph"]["tensors"][1]["shape"] = vec![2, 9].into())
                .contains("values of `conv2d/kernel` have shape 2x3x3x1, the graph says 2x9")
        );
        assert!(
            message(|j| j["graph"]["tensors"][1]["dtype"] = "i32".into())
                .contains("values of `conv2d/kernel` are F32, the graph says i32")
        );
        assert!(message(|j| j["graph"]["tensors"][1]["name"] = "w".into()).contains("`conv2d/kernel`, which is not"));
        assert!(message(|j| j["graph"]["nodes"][0]["inputs"][0] = 99.into()).contains("no tensor with number 99"));
        assert!(message(|j| j["graph"]["nodes"][0]["op"]["type"] = "warp".into()).contains("unknown variant"));
    }

    /// Numbers and words of the JSON exchanged for others: most mutants are well-formed, so that the
    /// graph's own checks and the lowering are what they meet.
    #[test]
    fn mutated_graphs_never_panic() {
        let train = TrainOptions {
            optimizer: OptimizerRecord::sgd(0.1),
            loss: Loss::MeanSquaredError,
            batch: 2,
            ..TrainOptions::default()
        };
        let options = PackOptions { train: Some(train), ..PackOptions::default() };
        let mut rng = Rng::new(12);
        let (mut loaded, mut packed) = (0, 0);
        for _ in 0..3_000 {
            let result = edited(|json| {
                for _ in 0..=rng.below(2) {
                    mutate(&mut json["graph"], &mut rng);
                }
            });
            if let Ok(Checkpoint { graph, .. }) = result {
                loaded += 1;
                packed += u32::from(pack(&graph, &options, None).is_ok());
            }
        }
        assert!(loaded > 100 && packed > 10, "{loaded} {packed}");
    }

    /// Changes one value somewhere below `json`.
    fn mutate(json: &mut serde_json::Value, rng: &mut Rng) {
        use serde_json::Value;
        let numbers = [0u64, 1, 2, 3, 4, 5, 7, 9, 1 << 31, 1 << 40, u64::MAX];
        let words = ["same", "valid", "relu", "tanh", "softmax", "dense", "conv2d", "flatten", "add", "f32", "i8"];
        match json {
            Value::Object(map) if !map.is_empty() => {
                let at = rng.below(map.len() as u32) as usize;
                if let Some(value) = map.values_mut().nth(at) {
                    mutate(value, rng);
                }
            }
            Value::Array(list) if !list.is_empty() => {
                let at = rng.below(list.len() as u32) as usize;
                match rng.below(12) {
                    0 => drop(list.remove(at)),
                    1 => list.push(list[at].clone()),
                    _ => mutate(&mut list[at], rng),
                }
            }
            Value::String(text) => *text = words[rng.below(words.len() as u32) as usize].into(),
            other => *other = numbers[rng.below(numbers.len() as u32) as usize].into(),
        }
    }

    #[test]
    fn mutated_files_never_panic() {
        let bytes = model().to_bytes().unwrap();
        let mut rng = Rng::new(11);
        let mut accepted = 0;
        let train = TrainOptions {
            optimizer: OptimizerRecord::adam(0.1),
            loss: Loss::SparseCrossEntropy,
            batch: 2,
            ..TrainOptions::default()
        };
        let options = PackOptions { train: Some(train), ..PackOptions::default() };
        for _ in 0..20_000 {
            let mut mutant = bytes.clone();
            for _ in 0..=rng.below(4) {
                let at = rng.below(mutant.len() as u32) as usize;
                match rng.below(4) {
                    0 => mutant[at] = rng.next_u32() as u8,
                    1 => mutant[at] ^= 1 << rng.below(8),
                    2 => mutant.truncate(at.max(1)),
                    _ => mutant.insert(at, b"0123456789[]{},:\"-"[rng.below(18) as usize]),
                }
            }
            if let Ok(Checkpoint { graph, .. }) = Checkpoint::from_bytes(&mutant) {
                accepted += 1;
                // What was accepted can be lowered or is refused.
                let _ = pack(&graph, &options, None);
            }
        }
        // Changes inside the values are still a checkpoint; most others are not.
        assert!(accepted > 0 && accepted < 20_000);
    }
}
