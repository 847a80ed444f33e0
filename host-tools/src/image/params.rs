//! Learned parameters: from a device or session back into an image or a graph.

use super::AlignedBytes;
use super::metadata::{Metadata, MetadataError};
use crate::graph::ops::Normalise;
use crate::graph::{DType, Data, Graph, GraphError, TensorId, merge};
use crate::lower::Precision;
use crate::quant::block;
use embernet_core::adapt::normalise::Moments;
use embernet_core::checksum::crc32;
use embernet_core::image::{Header, Image, ImageError};
use embernet_core::memory::view;
use embernet_core::plan::Step;
use std::collections::HashMap;
use zerocopy::IntoBytes;

/// Parameters that do not fit.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum ParamsError {
    #[error("{found} bytes of parameters; the image has {expected}")]
    Length { found: usize, expected: usize },
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error("the image is damaged")]
    Image(#[from] ImageError),
    #[error("the image's metadata names {names} parameters, it has {records}")]
    Names { names: usize, records: usize },
    #[error("the image trains `{name}`, which the graph does not have as a constant of {bytes} bytes")]
    Graph { name: String, bytes: usize },
    #[error("the image normalises its input, which this graph does not allow")]
    Normalise(#[source] GraphError),
    #[error("the image trains `{name}`, which belongs to a parameter that the graph does not have in this shape")]
    Piece { name: String },
}

/// Bytes of all parameters as the arena holds them (`Session::params`), checked for length.
fn check_length(image: &Image<'_>, params: &[u8]) -> Result<(), ParamsError> {
    let expected = image.header().param_bytes as usize;
    if params.len() != expected {
        return Err(ParamsError::Length { found: params.len(), expected });
    }
    Ok(())
}

/// The same image starting from other parameters: what a device learned, made permanent.
pub fn with_params(image: &Image<'_>, params: &[u8]) -> Result<AlignedBytes, ParamsError> {
    check_length(image, params)?;
    let mut bytes = AlignedBytes::copy_of(image.bytes());
    let mut header = *image.header();
    let data_at = header.data.offset as usize;
    // The parser has proved that both ranges exist.
    for record in image.params() {
        let from = &params[record.at.offset()..][..record.bytes as usize];
        bytes[data_at + record.init.offset()..][..from.len()].copy_from_slice(from);
    }
    let end = data_at + header.data.bytes as usize;
    header.data_crc = crc32(&bytes[data_at..end]);
    bytes[..size_of::<Header>()].copy_from_slice(header.as_bytes());
    header.head_crc = crc32(&bytes[16..header.head_bytes as usize]);
    bytes[..size_of::<Header>()].copy_from_slice(header.as_bytes());
    Image::parse(&bytes)?;
    Ok(bytes)
}

/// What the image brings its inputs back to, if it does.
pub fn normalisation(image: &Image<'_>) -> Option<Normalise> {
    image.infer_plan().steps().find_map(|step| match step {
        Step::NormaliseI8(record) => {
            let bytes = record.channels as usize * size_of::<Moments>();
            let reference = image.data().get(record.reference.offset()..)?.get(..bytes)?;
            Some(Normalise::new(view(reference)))
        }
        _ => None,
    })
}

/// Writes learned parameters into the graph that the image was packed from. Where that does not normalise its input and
/// the image does, it does then, too.
///
/// All names are checked before the first value changes. A graph is of no use after an error.
pub fn apply_params(graph: &mut Graph, image: &Image<'_>, params: &[u8]) -> Result<(), ParamsError> {
    check_length(image, params)?;
    let Metadata { params: names, pieces, .. } = Metadata::from_bytes(image.metadata())?;
    if graph.normalisation().is_none()
        && let Some(op) = normalisation(image)
    {
        graph.normalise_inputs(op).map_err(ParamsError::Normalise)?;
    }
    let precision = Precision::of(image);
    let records = image.params();
    if names.len() != records.len() {
        return Err(ParamsError::Names { names: names.len(), records: records.len() });
    }
    let (mut found, mut parts) = (Vec::with_capacity(names.len()), HashMap::new());
    for (name, record) in names.into_iter().zip(records) {
        let len = record.bytes as usize;
        let bytes = &params[record.at.offset()..][..len];
        if let Some(piece) = pieces.iter().find(|piece| piece.name == name) {
            let dtype = graph.find_tensor(&piece.of).map_or(DType::F32, |of| graph.tensor(of).dtype);
            let values = match precision {
                Precision::Fixed16 => block::decode(bytes, piece.elements as usize).map(Data::F32),
                _ => Data::from_le_bytes(dtype, bytes),
            };
            parts.insert(name, values);
            continue;
        }
        let values = |t: TensorId| match (&graph.tensor(t).data, precision) {
            (Some(Data::F32(values)), Precision::Fixed16) => block::decode(bytes, values.len()).map(Data::F32),
            (Some(_), _) if graph.tensor(t).bytes() == len => Data::from_le_bytes(graph.tensor(t).dtype, bytes),
            _ => None,
        };
        let learned = graph.find_tensor(&name).and_then(|id| Some((id, values(id)?)));
        found.push(learned.ok_or(ParamsError::Graph { name, bytes: len })?);
    }
    let values = |name: &str| parts.get(name)?.as_ref();
    merge(graph, &pieces, values).map_err(|name| ParamsError::Piece { name })?;
    for (id, data) in found {
        graph.tensor_mut(id).data = Some(data);
    }
    Ok(())
}

/// The parameters that an image starts with, as a session holds them.
pub(crate) fn initial_params(image: &Image<'_>) -> Vec<u8> {
    let mut params = vec![0; image.header().param_bytes as usize];
    // The parser has proved that both ranges exist.
    for record in image.params() {
        let from = &image.data()[record.init.offset()..][..record.bytes as usize];
        params[record.at.offset()..][..from.len()].copy_from_slice(from);
    }
    params
}
