//! The graph that an image was made from, carried behind it in its file, so that an image can be
//! exported again. It never goes to a device: the image's own length ends before it.
//!
//! ```text
//! "EMBG" | version u32 | length u32 of what follows the CRC | CRC-32 of that | deflate(length u32 of the JSON | JSON | values)
//! ```
//! The JSON holds the graph without values, and where each constant's values lie: in the image's data
//! section where they stand there as they are (so that what a device learned is exported, too), else
//! in the values here. `docs/image-format.md` is the specification.

use super::metadata::MetadataError;
use super::params::{ParamsError, apply_params, initial_params, normalisation};
use super::write::Packed;
use crate::graph::{Data, Graph, GraphError, TensorId};
use crate::lower::{BufferId, Home, Precision, Program};
use embernet_core::checksum::crc32;
use embernet_core::image::{Image, ImageError};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::{Read, Write};

const MAGIC: [u8; 4] = *b"EMBG";

/// The version that we write and read.
const VERSION: u32 = 1;

/// Bytes before the compressed part.
const HEAD: usize = 16;

/// Most bytes that the compressed part may become: sixteen times the file and 64 MB.
const fn limit(file: usize) -> usize {
    file.saturating_mul(16).saturating_add(64 << 20)
}

/// Why an image's graph could not be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum SourceError {
    #[error("the image is damaged")]
    Image(#[from] ImageError),
    #[error("the image carries no graph behind it: its file was stripped, or made by another program")]
    Absent,
    #[error("the graph behind the image has version {found}; this program reads version {VERSION}")]
    Version { found: u32 },
    #[error("the graph behind the image is damaged: {what}")]
    Damaged { what: &'static str },
    #[error("the graph behind the image cannot be read")]
    Json(#[from] serde_json::Error),
    #[error("the values of `{tensor}` are not where the graph behind the image says")]
    Values { tensor: String },
    #[error("the graph behind the image does not hold together")]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error(transparent)]
    Params(#[from] ParamsError),
}

/// Where a constant's little-endian values begin.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// In the image's data section.
    Data(u32),
    /// In the values behind the JSON.
    Here(u32),
}

#[derive(Serialize)]
struct Written<'g> {
    graph: &'g Graph,
    constants: Vec<(TensorId, Place)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Carried {
    graph: Graph,
    constants: Vec<(TensorId, Place)>,
}

/// The bytes to append to an image made from `graph`.
fn emit(graph: &Graph, program: &Program) -> Vec<u8> {
    let known = places(program);
    let mut values = Vec::new();
    let mut constants = Vec::new();
    for (id, tensor) in (0u32..).map(TensorId).zip(&graph.tensors) {
        let Some(data) = &tensor.data else { continue };
        let bytes = data.to_le_bytes();
        let place = match known.get(bytes.as_slice()) {
            Some(at) => Place::Data(*at),
            None => {
                let at = values.len() as u32;
                values.extend_from_slice(&bytes);
                Place::Here(at)
            }
        };
        constants.push((id, place));
    }
    // A graph always has a JSON form, and writing to memory cannot fail.
    let json = serde_json::to_vec(&Written { graph, constants }).unwrap_or_default();
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    let written =
        [&(json.len() as u32).to_le_bytes()[..], &json, &values].into_iter().all(|p| encoder.write_all(p).is_ok());
    let packed = encoder.finish().ok().filter(|_| written).unwrap_or_default();
    let head = [VERSION, packed.len() as u32, crc32(&packed)].map(u32::to_le_bytes);
    [&MAGIC[..], head.as_flattened(), &packed].concat()
}

/// Where each run of bytes of the data section lies.
fn places(program: &Program) -> HashMap<&[u8], u32> {
    let mut places = HashMap::new();
    for (id, buffer) in (0u32..).map(BufferId).zip(&program.buffers) {
        match &buffer.home {
            Home::Data(bytes) => places.insert(bytes.as_slice(), buffer.at.offset() as u32),
            Home::Parameter { initial, .. } => places.insert(initial, program.initial_at(id).offset() as u32),
            Home::State { .. } | Home::Transient | Home::Within { .. } => continue,
        };
    }
    places
}

/// What an image's file holds behind the image; empty if nothing.
pub fn source_bytes(file: &[u8]) -> &[u8] {
    let image = Image::peek(file).map_or(file.len(), |header| header.image_bytes as usize);
    file.get(image..).unwrap_or_default()
}

impl Packed {
    /// The file: the image, and behind it the graph that it was packed from, which [`read_source`]
    /// finds again.
    pub fn file_bytes(&self, graph: &Graph) -> Vec<u8> {
        [&self.bytes[..], &emit(graph, &self.program)].concat()
    }
}

/// The graph that the image at the start of `file` was made from, with the image's values.
///
/// `file` is aligned as an image. Takes any bytes and never panics.
pub fn read_source(file: &[u8]) -> Result<Graph, SourceError> {
    let image = Image::parse(file)?;
    let source = source_bytes(file);
    let Some((head, packed)) = source.split_at_checked(HEAD).filter(|(head, _)| head.starts_with(&MAGIC)) else {
        return Err(SourceError::Absent);
    };
    let damaged = |what| SourceError::Damaged { what };
    let mut words = head.as_chunks().0.iter().map(|w| u32::from_le_bytes(*w)).skip(1);
    let [version, len, crc] = std::array::from_fn(|_| words.next().unwrap_or_default());
    if version != VERSION {
        return Err(SourceError::Version { found: version });
    }
    let packed = packed.get(..len as usize).ok_or(damaged("it is cut short"))?;
    if crc32(packed) != crc {
        return Err(damaged("its checksum is wrong"));
    }
    let mut content = Vec::new();
    let most = limit(file.len());
    let read = DeflateDecoder::new(packed).take(most as u64 + 1).read_to_end(&mut content);
    if read.is_err() || content.len() > most {
        return Err(damaged("it does not unpack"));
    }
    let (json, values) = content
        .split_first_chunk()
        .and_then(|(len, rest)| rest.split_at_checked(u32::from_le_bytes(*len) as usize))
        .ok_or(damaged("it is cut short"))?;
    let Carried { mut graph, constants } = serde_json::from_slice(json)?;
    for (id, place) in constants {
        let Some(tensor) = graph.tensors.get_mut(id.index()) else { return Err(damaged("it names no tensor")) };
        let (section, at) = match place {
            Place::Data(at) => (image.data(), at),
            Place::Here(at) => (values, at),
        };
        let bytes = section.get(at as usize..).and_then(|rest| rest.get(..tensor.bytes()));
        let data = bytes.and_then(|bytes| Data::from_le_bytes(tensor.dtype, bytes));
        let name = || tensor.name.clone();
        tensor.data = Some(data.ok_or_else(|| SourceError::Values { tensor: name() })?);
    }
    graph.validate()?;
    // What learns may be equal at first and is not then; its parts have places of their own, and blocks of integers are
    // no floats.
    if image.is_trainable() || normalisation(&image).is_some() || Precision::of(&image) != Precision::F32 {
        apply_params(&mut graph, &image, &initial_params(&image))?;
    }
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ops::{Activation, Conv2d, Dense, Flatten};
    use crate::graph::{Quant, Sequential, Tensor};
    use crate::image::{AlignedBytes, Loss, PackOptions, TrainOptions, pack, with_params};
    use embernet_core::optim::OptimizerRecord;
    use embernet_core::rng::Rng;

    fn graph() -> Graph {
        let mut graph = Sequential::new([4, 4, 1])
            .add(Conv2d::new(2, [3, 3]).activation(Activation::Relu))
            .add(Flatten {})
            .add(Dense::new(3).activation(Activation::Softmax))
            .build(5)
            .unwrap();
        // Not in the plan, so not in the data section either.
        graph.add_tensor(
            Tensor::constant("spare", [2, 2], Data::I8(vec![-1, 2, -3, 4])).with_quant(Quant::per_tensor(0.1, 0)),
        );
        graph
    }

    fn packed(graph: &Graph) -> Packed {
        let train = TrainOptions {
            optimizer: OptimizerRecord::sgd(0.1),
            loss: Loss::SparseCrossEntropy,
            batch: 1,
            ..TrainOptions::default()
        };
        pack(graph, &PackOptions { train: Some(train), ..PackOptions::default() }, None).unwrap()
    }

    #[test]
    fn the_graph_comes_back_with_its_values() {
        let graph = graph();
        let packed = packed(&graph);
        let file = AlignedBytes::copy_of(&packed.file_bytes(&graph));
        assert_eq!(read_source(&file).unwrap(), graph);
        // The device's part is what it was, and the rest holds no weights.
        assert_eq!(Image::parse(&file).unwrap().bytes(), &packed.bytes[..]);
        assert!(source_bytes(&file).len() < 1000, "{}", source_bytes(&file).len());
        assert!(matches!(read_source(&packed.bytes), Err(SourceError::Absent)));
    }

    #[test]
    fn what_was_learned_is_in_it() {
        let graph = graph();
        let packed = packed(&graph);
        let image = packed.image().unwrap();
        let params = vec![0; image.header().param_bytes as usize];
        let learned = with_params(&image, &params).unwrap();
        let file = packed.file_bytes(&graph);
        let file = AlignedBytes::copy_of(&[&learned[..], source_bytes(&file)].concat());
        let found = read_source(&file).unwrap();
        for id in found.parameter_tensors() {
            assert!(found.tensor(id).data.as_ref().unwrap().as_f32().unwrap().iter().all(|v| *v == 0.0));
        }
    }

    /// Biases of one length begin as the same zeros.
    #[test]
    fn what_was_equal_is_told_apart() {
        let graph = Sequential::new([2]).add(Dense::new(3)).add(Dense::new(3)).build(5).unwrap();
        let packed = packed(&graph);
        let image = packed.image().unwrap();
        let params: Vec<u8> = (0..image.header().param_bytes / 4).flat_map(|n| (n as f32).to_le_bytes()).collect();
        let learned = with_params(&image, &params).unwrap();
        let file = packed.file_bytes(&graph);
        let file = AlignedBytes::copy_of(&[&learned[..], source_bytes(&file)].concat());
        let found = read_source(&file).unwrap();
        let values =
            found.parameter_tensors().into_iter().flat_map(|id| found.tensor(id).data.clone().unwrap().to_le_bytes());
        assert_eq!(values.collect::<Vec<_>>(), params);
    }

    #[test]
    fn damage_is_found() {
        let graph = graph();
        let file = packed(&graph).file_bytes(&graph);
        let read = |bytes: &[u8]| read_source(&AlignedBytes::copy_of(bytes)).map_err(|e| e.to_string());
        assert!(read(&file[..file.len() - 1]).unwrap_err().contains("cut short"));
        let image = packed(&graph).bytes.len();
        let mut newer = file.clone();
        newer[image + 4] = 2;
        assert!(read(&newer).unwrap_err().contains("has version 2; this program reads version 1"));
        let mut rng = Rng::new(3);
        for _ in 0..2_000 {
            let mut mutant = file.clone();
            let at = image + rng.below((file.len() - image) as u32) as usize;
            mutant[at] ^= 1 << rng.below(8);
            // With the right checksum, so that what is behind it is reached.
            let crc = crc32(&mutant[image + HEAD..]);
            mutant[image + 12..image + HEAD].copy_from_slice(&crc.to_le_bytes());
            let _ = read(&mutant);
        }
    }
}
