//! The writer: a placed program becomes bytes.

use super::AlignedBytes;
use super::metadata::{LayerInfo, Metadata};
use crate::graph::{DType, Graph};
use crate::import::checkpoint::ModelId;
use crate::lower::{self, Home, LowerError, Options, Port, PortType, Program, Sequence};
use embernet_core::checksum::crc32;
use embernet_core::image::{
    ALIGN, DType as ImageType, Header, Image, ImageError, MAGIC, ParamRecord, PlanSection, Section, Table,
    TensorRecord, VERSION,
};
use embernet_core::optim::OptimizerRecord;
use embernet_core::plan::{NewTable, StepHeader};
use zerocopy::IntoBytes;

/// Where the checksum of the head begins: behind magic, version, lengths and itself.
const CRC_START: usize = 16;

/// Why no image was made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum PackError {
    #[error(transparent)]
    Lower(#[from] LowerError),
    #[error("port `{name}` has {found} axes; an image holds at most {most}")]
    Rank { name: String, found: usize, most: usize },
    #[error("port `{name}` is {found}; an image's ports are f32, i8 or i16")]
    PortType { name: String, found: DType },
    #[error("the image would take {bytes} bytes; the format ends at {most}")]
    TooLarge { bytes: usize, most: usize },
    /// A bug of ours, found before it leaves the house.
    #[error("the packed image does not pass the device's own check")]
    SelfCheck(#[source] ImageError),
}

/// An image and what it was made from.
#[derive(Debug)]
pub struct Packed {
    /// The image, aligned so that it can be parsed where it lies.
    pub bytes: AlignedBytes,
    /// Steps, buffers and their places.
    pub program: Program,
    /// What the image says about itself.
    pub metadata: Metadata,
}

impl Packed {
    /// The image, parsed.
    pub fn image(&self) -> Result<Image<'_>, ImageError> {
        Image::parse(&self.bytes)
    }
}

/// Lowers a graph and writes the image. `parent` is the checkpoint that the graph came from.
pub fn pack(graph: &Graph, options: &Options, parent: Option<ModelId>) -> Result<Packed, PackError> {
    let program = lower::lower(graph, options)?;
    let metadata = describe(graph, &program, options, parent);
    let optimizer = options.train.as_ref().map_or(OptimizerRecord::sgd(0.0), |t| t.optimizer);
    let bytes = write(&program, &metadata, &optimizer, options)?;
    Ok(Packed { bytes, program, metadata })
}

fn describe(graph: &Graph, program: &Program, options: &Options, parent: Option<ModelId>) -> Metadata {
    let mut layers: Vec<LayerInfo> = Vec::new();
    let mut steps = |sequence: &Sequence| -> Vec<u16> {
        let mut index = |name: &str| {
            let known = layers.iter().position(|l| l.name == name);
            known.unwrap_or_else(|| {
                layers.push(program.layers.iter().find(|l| l.name == name).cloned().unwrap_or_default());
                layers.len() - 1
            })
        };
        // More layers than 65,536 would lose their names in tables, nothing else.
        sequence.steps.iter().map(|s| u16::try_from(index(&s.layer)).unwrap_or(u16::MAX)).collect()
    };
    let infer_steps = steps(&program.infer);
    let train_steps = program.train.as_ref().map(steps).unwrap_or_default();
    let names = |ports: &[Port]| ports.iter().map(|p| p.name.clone()).collect();
    let parameters = program.buffers.iter().filter(|b| matches!(b.home, Home::Parameter { .. }));
    Metadata {
        name: graph.name.clone(),
        parent,
        class_names: graph.meta.class_names.clone(),
        preprocessing: graph.meta.preprocessing.clone(),
        inputs: names(&program.infer.inputs),
        outputs: names(&program.infer.outputs),
        params: parameters.map(|b| b.name.clone()).collect(),
        pieces: program.pieces.clone(),
        layers,
        infer_steps,
        train_steps,
        loss: options.train.as_ref().map(|t| t.loss.name().to_owned()).unwrap_or_default(),
        infer_bound: program.infer.layout.lower_bound as u32,
        train_bound: program.train.as_ref().map_or(0, |t| t.layout.lower_bound as u32),
    }
}

/// Sections while they are laid out.
struct Layout {
    bytes: Vec<u8>,
}

impl Layout {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn section(&mut self, bytes: &[u8]) -> Section {
        self.align(4);
        let section = Section { offset: self.bytes.len() as u32, bytes: bytes.len() as u32 };
        self.bytes.extend_from_slice(bytes);
        section
    }

    fn table<T: IntoBytes + zerocopy::Immutable>(&mut self, records: &[T]) -> Table {
        let Section { offset, .. } = self.section(records.as_bytes());
        Table { offset, count: records.len() as u32 }
    }

    fn plan(&mut self, sequence: &Sequence) -> PlanSection {
        let mut bytes = Vec::new();
        for record in &sequence.records {
            let table = record.step().and_then(|step| step.table(sequence.samples));
            let operands = table.as_ref().map_or(0, NewTable::operands);
            let header = StepHeader { kind: record.kind, words: record.words.len() as u8, operands };
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(record.words.as_bytes());
            bytes.extend_from_slice(table.as_ref().map_or(&[], NewTable::as_bytes));
        }
        PlanSection {
            section: self.section(&bytes),
            steps: sequence.records.len() as u32,
            arena_bytes: sequence.layout.arena_bytes as u32,
            samples: sequence.samples as u32,
        }
    }
}

/// Writes a placed program; the result has passed [`Image::parse`].
pub fn write(
    program: &Program,
    metadata: &Metadata,
    optimizer: &OptimizerRecord,
    options: &Options,
) -> Result<AlignedBytes, PackError> {
    let train = program.train.as_ref();
    let inputs = tensor_records(program, &program.infer.inputs)?;
    let outputs = tensor_records(program, &program.infer.outputs)?;
    let train_inputs = train.map(|t| tensor_records(program, &t.inputs)).transpose()?.unwrap_or_default();
    let target = train.and_then(|t| t.target.as_ref());
    let targets = tensor_records(program, target.map(std::slice::from_ref).unwrap_or_default())?;

    let mut layout = Layout { bytes: vec![0; size_of::<Header>()] };
    let mut header = Header {
        magic: MAGIC,
        version: VERSION,
        header_bytes: size_of::<Header>() as u16,
        image_bytes: 0,
        head_crc: 0,
        head_bytes: 0,
        data_crc: 0,
        isa: options.isa as u32,
        persistent_bytes: program.persistent_bytes as u32,
        param_bytes: program.parameter_bytes as u32,
        inputs: layout.table(&inputs),
        outputs: layout.table(&outputs),
        train_inputs: layout.table(&train_inputs),
        targets: layout.table(&targets),
        params: layout.table(&param_records(program)),
        infer: layout.plan(&program.infer),
        train: train.map(|t| layout.plan(t)).unwrap_or_default(),
        optimizer: *optimizer,
        metadata: layout.section(&metadata.to_bytes()),
        data: Section::default(),
    };
    layout.align(ALIGN);
    let head_bytes = layout.bytes.len();
    let data = data_section(program);
    header.data = layout.section(&data);
    layout.align(ALIGN);
    let image_bytes = layout.bytes.len();
    let most = i32::MAX as usize;
    if image_bytes > most {
        return Err(PackError::TooLarge { bytes: image_bytes, most });
    }
    header.image_bytes = image_bytes as u32;
    header.head_bytes = head_bytes as u32;
    header.data_crc = crc32(&data);
    layout.bytes[..size_of::<Header>()].copy_from_slice(header.as_bytes());
    header.head_crc = crc32(&layout.bytes[CRC_START..head_bytes]);
    layout.bytes[..size_of::<Header>()].copy_from_slice(header.as_bytes());

    let bytes = AlignedBytes::copy_of(&layout.bytes);
    Image::parse(&bytes).map_err(PackError::SelfCheck)?;
    Ok(bytes)
}

/// Constants at their places, then the parameters' initial values as they lie in the arena.
fn data_section(program: &Program) -> Vec<u8> {
    let mut data = vec![0; program.data_bytes];
    for (number, buffer) in (0u32..).zip(&program.buffers) {
        let (at, bytes) = match &buffer.home {
            Home::Data(bytes) => (buffer.at, bytes),
            Home::Parameter { initial, .. } => (program.initial_at(lower::BufferId(number)), initial),
            _ => continue,
        };
        data[at.offset()..][..bytes.len()].copy_from_slice(bytes);
    }
    data
}

fn param_records(program: &Program) -> Vec<ParamRecord> {
    (0u32..)
        .zip(&program.buffers)
        .filter(|(_, b)| matches!(b.home, Home::Parameter { .. }))
        .map(|(number, b)| ParamRecord {
            init: program.initial_at(lower::BufferId(number)),
            at: b.at,
            bytes: b.bytes as u32,
        })
        .collect()
}

fn tensor_records(program: &Program, ports: &[Port]) -> Result<Vec<TensorRecord>, PackError> {
    ports.iter().map(|port| tensor_record(program, port)).collect()
}

fn tensor_record(program: &Program, port: &Port) -> Result<TensorRecord, PackError> {
    let dtype = match port.dtype {
        PortType::Class => ImageType::U32,
        PortType::Tensor(DType::F32) => ImageType::F32,
        PortType::Tensor(DType::I8) => ImageType::I8,
        PortType::Tensor(DType::I16) => ImageType::I16,
        PortType::Tensor(found) => return Err(PackError::PortType { name: port.name.clone(), found }),
    };
    let mut dims = [0u32; 6];
    if port.shape.len() > dims.len() {
        let (name, found, most) = (port.name.clone(), port.shape.len(), dims.len());
        return Err(PackError::Rank { name, found, most });
    }
    for (to, from) in dims.iter_mut().zip(&port.shape) {
        *to = *from as u32;
    }
    Ok(TensorRecord {
        at: program.buffer(port.buffer).at,
        dtype: dtype as u32,
        elements: port.elements().unwrap_or(0) as u32,
        rank: port.shape.len() as u32,
        dims,
        scale: port.scale,
        zero_point: port.zero_point,
    })
}
