//! What an image carries for the host: names, labels, preprocessing. The device skips it.

use crate::data::Preprocessing;
use crate::graph::Piece;
use crate::import::checkpoint::ModelId;
use serde::{Deserialize, Serialize};

/// Version of [`Metadata`] in images; another one is not read.
pub const METADATA_VERSION: u32 = 1;

/// The metadata section. It is encoded with postcard, behind its version.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Metadata {
    /// Name of the graph.
    pub name: String,
    /// The checkpoint that the image was packed from.
    pub parent: Option<ModelId>,
    /// Names of the output classes; empty if unknown.
    pub class_names: Vec<String>,
    /// What is done to raw values before they become the input.
    pub preprocessing: Preprocessing,
    /// Names of the inputs.
    pub inputs: Vec<String>,
    /// Names of the outputs.
    pub outputs: Vec<String>,
    /// The graph's name of each parameter record.
    pub params: Vec<String>,
    /// Those of them that stand for parts of the graph's own.
    pub pieces: Vec<Piece>,
    /// The layers that have steps.
    pub layers: Vec<LayerInfo>,
    /// The layer of each step of the inference plan, as an index.
    pub infer_steps: Vec<u16>,
    /// The layer of each step of the training plan.
    pub train_steps: Vec<u16>,
    /// Name of the loss; empty without training plan.
    pub loss: String,
    /// The most bytes of activations alive at one inference step: no plan takes less.
    pub infer_bound: u32,
    /// The same for training.
    pub train_bound: u32,
}

/// What tables say about a layer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LayerInfo {
    /// Its name in the graph.
    pub name: String,
    /// Output of one sample.
    pub shape: Vec<u32>,
    /// Multiply-accumulates of one sample, forward.
    pub macs: u64,
    /// Real value of one step of the output; 0 for floats.
    pub scale: f32,
    /// The number that stands for 0 in the output.
    pub zero_point: i32,
}

/// Metadata that cannot be read. The image runs all the same.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum MetadataError {
    #[error("the image's metadata has version {found}; this program reads version {METADATA_VERSION}")]
    Version { found: u32 },
    #[error("the image's metadata is damaged")]
    Postcard(#[from] postcard::Error),
}

impl Metadata {
    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = METADATA_VERSION.to_le_bytes().to_vec();
        // Encoding to memory cannot fail: every field is a plain value.
        bytes.extend(postcard::to_allocvec(self).unwrap_or_default());
        bytes
    }

    /// The layer of a step of the inference plan.
    pub fn infer_layer(&self, step: usize) -> Option<&LayerInfo> {
        self.layers.get(usize::from(*self.infer_steps.get(step)?))
    }

    /// The layer of a step of the training plan.
    pub fn train_layer(&self, step: usize) -> Option<&LayerInfo> {
        self.layers.get(usize::from(*self.train_steps.get(step)?))
    }

    /// The inverse; takes any bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MetadataError> {
        let (version, rest) = bytes.split_first_chunk().ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
        match u32::from_le_bytes(*version) {
            METADATA_VERSION => Ok(postcard::from_bytes(rest)?),
            found => Err(MetadataError::Version { found }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn metadata() -> Metadata {
        Metadata {
            name: "net".into(),
            parent: Some(ModelId(7)),
            class_names: vec!["a".into(), "b".into()],
            preprocessing: Preprocessing { scale: 0.1, mean: vec![1.5], deviation: vec![2.0], fill: vec![-1.0] },
            layers: vec![LayerInfo { name: "fc".into(), shape: vec![2], macs: 6, scale: 0.1, zero_point: -3 }],
            infer_steps: vec![0],
            infer_bound: 12,
            ..Metadata::default()
        }
    }

    #[test]
    fn comes_back_as_it_was() {
        let bytes = metadata().to_bytes();
        assert_eq!(Metadata::from_bytes(&bytes).unwrap(), metadata());
        assert_eq!(metadata().infer_layer(0).unwrap().name, "fc");
        assert!(metadata().infer_layer(1).is_none() && metadata().train_layer(0).is_none());
        let error = Metadata::from_bytes(&[9, 0, 0, 0]).unwrap_err().to_string();
        assert_eq!(error, "the image's metadata has version 9; this program reads version 1");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Metadata::from_bytes(&bytes);
            let mut bytes = bytes;
            bytes.splice(0..0, METADATA_VERSION.to_le_bytes());
            let _ = Metadata::from_bytes(&bytes);
        }
    }
}
