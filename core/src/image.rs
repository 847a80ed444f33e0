//! The flash image: parsed once, then trusted. `docs/image-format.md` is the specification.
//!
//! ```text
//! Header | tensor records | parameter records | inference plan | training plan | metadata | data
//! ```
//! All numbers are little-endian; every section starts at a multiple of 4, the data section at a multiple of 16.
//! Plans and records are read in place. Metadata (names, labels, preprocessing) is postcard and concerns the host
//! only: the device skips it.

use crate::arch::IsaId;
use crate::checksum::crc32;
use crate::optim::{OptimizerRecord, state};
use crate::plan::{Bounds, Plan, PlanError, Ref, STATES, TRAINS};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// First four bytes of every image.
pub const MAGIC: [u8; 4] = *b"EMBR";

/// Version of the format that this crate reads and the host writes.
pub const VERSION: u16 = 1;

/// Alignment of the image, of its data section and of arenas, in bytes.
pub const ALIGN: usize = 16;

/// A section: byte offset from the image's start, and length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Section {
    /// Offset in bytes.
    pub offset: u32,
    /// Length in bytes.
    pub bytes: u32,
}

/// A table of fixed-size records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Table {
    /// Offset in bytes.
    pub offset: u32,
    /// Number of records.
    pub count: u32,
}

/// One plan and what it needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PlanSection {
    /// The records.
    pub section: Section,
    /// Number of steps; 0 means that the image has no such plan.
    pub steps: u32,
    /// Bytes of arena, parameters and optimiser state included.
    pub arena_bytes: u32,
    /// Most samples in one run.
    pub samples: u32,
}

/// The image's first bytes.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 4],
    /// [`VERSION`].
    pub version: u16,
    /// Length of this header.
    pub header_bytes: u16,
    /// Length of the whole image.
    pub image_bytes: u32,
    /// CRC-32 (ISO-HDLC) of everything from behind this field up to `head_bytes`.
    pub head_crc: u32,
    /// Length of all that precedes the data section.
    pub head_bytes: u32,
    /// CRC-32 (ISO-HDLC) of the data section.
    pub data_crc: u32,
    /// [`IsaId`] whose scratch the plans were sized for.
    pub isa: u32,
    /// Bytes at the arena's start that outlive a run: parameters, then optimiser state.
    pub persistent_bytes: u32,
    /// Of these, bytes of parameters.
    pub param_bytes: u32,
    /// Inputs of the inference plan ([`TensorRecord`]s).
    pub inputs: Table,
    /// Its outputs.
    pub outputs: Table,
    /// Inputs of the training plan.
    pub train_inputs: Table,
    /// Targets of the training plan: at most one.
    pub targets: Table,
    /// Trainable parameters ([`ParamRecord`]s).
    pub params: Table,
    /// Inference.
    pub infer: PlanSection,
    /// Training.
    pub train: PlanSection,
    /// Optimiser of the training plan.
    pub optimizer: OptimizerRecord,
    /// Host-side metadata, postcard.
    pub metadata: Section,
    /// Frozen parameters, initial values of trainable ones, tables.
    pub data: Section,
}

/// Where the first CRC begins: behind itself.
const CRC_START: usize = 16;

/// Element type of an input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u32)]
pub enum DType {
    /// 32-bit float.
    F32 = 0,
    /// 8-bit integer with scale and zero point.
    I8 = 1,
    /// 16-bit integer with scale.
    I16 = 2,
    /// Unsigned 32-bit integer: class indices.
    U32 = 3,
}

impl DType {
    /// From its number.
    pub const fn from_u32(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::F32),
            1 => Some(Self::I8),
            2 => Some(Self::I16),
            3 => Some(Self::U32),
            _ => None,
        }
    }

    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::I16 => 2,
            Self::I8 => 1,
        }
    }
}

/// An input, output or target.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TensorRecord {
    /// Place in the arena.
    pub at: Ref,
    /// [`DType`].
    pub dtype: u32,
    /// Elements of one sample: the product of the dimensions.
    pub elements: u32,
    /// Number of dimensions without the batch axis.
    pub rank: u32,
    /// The dimensions; unused ones are 0.
    pub dims: [u32; 6],
    /// Real value of one step (quantised types; 1 otherwise).
    pub scale: f32,
    /// Number that stands for zero. For a class-index target: the number of classes.
    pub zero_point: i32,
}

impl TensorRecord {
    /// The element type (checked by the parser).
    pub fn dtype(&self) -> DType {
        DType::from_u32(self.dtype).unwrap_or(DType::I8)
    }

    /// Bytes of one sample.
    pub fn sample_bytes(&self) -> usize {
        (self.elements as usize).saturating_mul(self.dtype().bytes())
    }

    /// The dimensions without the batch axis.
    pub fn shape(&self) -> &[u32] {
        self.dims.get(..self.rank as usize).unwrap_or(&[])
    }
}

/// A trainable parameter: where its initial values lie and where it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ParamRecord {
    /// Initial values in the data section.
    pub init: Ref,
    /// Place in the arena.
    pub at: Ref,
    /// Length in bytes.
    pub bytes: u32,
}

/// Why bytes are not an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ImageError {
    /// The bytes do not start at a multiple of [`ALIGN`].
    Misaligned,
    /// The bytes do not start with [`MAGIC`].
    BadMagic {
        /// What they start with.
        found: [u8; 4],
    },
    /// Another version of the format.
    Version {
        /// The image's.
        found: u16,
        /// The one that this build reads.
        known: u16,
    },
    /// Fewer bytes than the image says it has.
    Truncated {
        /// Bytes needed.
        need: u32,
        /// Bytes given.
        have: u32,
    },
    /// A checksum does not match: the bytes were damaged.
    Crc {
        /// Whether it is the data section's (else the head's).
        data: bool,
        /// Computed.
        found: u32,
        /// As the image says.
        expected: u32,
    },
    /// A section leaves the image or is misaligned.
    BadSection {
        /// Which one, in the header's order.
        section: u8,
    },
    /// A tensor record contradicts itself or leaves the arena.
    BadTensor {
        /// Which one, counted over all tables.
        index: u32,
    },
    /// A parameter record leaves its section.
    BadParam {
        /// Which one.
        index: u32,
    },
    /// The header contradicts itself (optimiser, instruction set or memory sizes).
    BadHeader,
    /// The inference plan is unsound.
    Infer(PlanError),
    /// The training plan is unsound.
    Train(PlanError),
    /// State of the optimiser that this build cannot keep.
    State {
        /// See [`state::layout`].
        found: u32,
    },
    /// It learns, and this program was built without all that learns.
    Trains,
}

impl core::fmt::Display for ImageError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::Misaligned => write!(f, "image does not start at a multiple of {ALIGN} bytes"),
            Self::BadMagic { found } => {
                write!(f, "not an embernet image: starts with {found:02x?}, expected {MAGIC:02x?}")
            }
            Self::Version { found, known } => write!(f, "image has format version {found}, this build reads {known}"),
            Self::Truncated { need, have } => write!(f, "image is truncated: needs {need} bytes, has {have}"),
            Self::Crc { data, found, expected } => write!(
                f,
                "image is damaged: checksum of its {} is {found:08x}, expected {expected:08x}",
                if data { "data" } else { "head" }
            ),
            Self::BadSection { section } => write!(f, "section {section} leaves the image or is misaligned"),
            Self::BadTensor { index } => write!(f, "tensor record {index} contradicts itself or leaves the arena"),
            Self::BadParam { index } => write!(f, "parameter record {index} leaves its section"),
            Self::BadHeader => write!(f, "image header contradicts itself"),
            Self::Infer(error) => write!(f, "inference plan: {error}"),
            Self::Train(error) => write!(f, "training plan: {error}"),
            Self::State { found } => {
                write!(f, "this build keeps optimiser state as f32 only; the image's is laid out as {found:#x}")
            }
            Self::Trains => {
                write!(f, "image learns, but this program has no kernels that train: it takes images for inference")
            }
        }
    }
}

impl core::error::Error for ImageError {}

/// A parsed image; borrows the bytes it was parsed from.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    bytes: &'a [u8],
    header: &'a Header,
    infer: Plan<'a>,
    train: Plan<'a>,
    data: &'a [u8],
}

impl<'a> Image<'a> {
    /// Proves everything that running relies on: lengths, alignment, checksums, shapes, every operand of every step.
    ///
    /// `bytes` may be longer than the image (a flash region). Any bytes give an image or an error, never a panic.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let image = Self::parse_without_data_crc(bytes)?;
        let found = crc32(image.data);
        let expected = image.header.data_crc;
        if found != expected {
            return Err(ImageError::Crc { data: true, found, expected });
        }
        Ok(image)
    }

    /// [`Image::parse`] without the checksum over the data section, whose cost grows with the weights.
    ///
    /// Memory-safe for any bytes, but damaged weights go unnoticed: for boot after a slot's own checksum.
    #[inline(never)]
    pub fn parse_without_data_crc(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let header = Self::peek(bytes)?;
        if !bytes.as_ptr().addr().is_multiple_of(ALIGN) {
            return Err(ImageError::Misaligned);
        }
        let need = header.image_bytes;
        let bytes = bytes
            .get(..need as usize)
            .ok_or(ImageError::Truncated { need, have: bytes.len().min(u32::MAX as usize) as u32 })?;
        let head = bytes
            .get(CRC_START..header.head_bytes as usize)
            .ok_or(ImageError::Truncated { need: header.head_bytes, have: need })?;
        let found = crc32(head);
        if found != header.head_crc {
            return Err(ImageError::Crc { data: false, found, expected: header.head_crc });
        }
        Self::check(bytes, header)
    }

    /// The header alone: enough to see what an image needs before the rest has arrived. Checks magic and version.
    pub fn peek(bytes: &'a [u8]) -> Result<&'a Header, ImageError> {
        let have = bytes.len().min(u32::MAX as usize) as u32;
        let need = size_of::<Header>() as u32;
        let magic: [u8; 4] = bytes.first_chunk().copied().ok_or(ImageError::Truncated { need, have })?;
        if magic != MAGIC {
            return Err(ImageError::BadMagic { found: magic });
        }
        if !bytes.as_ptr().addr().is_multiple_of(align_of::<Header>()) {
            return Err(ImageError::Misaligned);
        }
        let (header, _) = Header::ref_from_prefix(bytes).map_err(|_| ImageError::Truncated { need, have })?;
        if header.version != VERSION {
            return Err(ImageError::Version { found: header.version, known: VERSION });
        }
        Ok(header)
    }

    fn check(bytes: &'a [u8], header: &'a Header) -> Result<Self, ImageError> {
        let h = header;
        // A program that does not train has no room for what it would do with the rest of the header.
        if !TRAINS && (h.train.steps, h.params.count, h.persistent_bytes) != (0, 0, 0) {
            return Err(ImageError::Trains);
        }
        let slots = if TRAINS { state::layout(&h.optimizer).ok_or(ImageError::BadHeader)? } else { 0 };
        if !STATES && slots > 0xff {
            return Err(ImageError::State { found: slots });
        }
        let is_consistent = |plan: &PlanSection| {
            plan.steps == 0
                || (plan.samples > 0 && plan.arena_bytes >= h.persistent_bytes && plan.arena_bytes <= i32::MAX as u32)
        };
        let consistent = usize::from(h.header_bytes) == size_of::<Header>()
            && IsaId::from_u32(h.isa).is_some()
            && h.param_bytes <= h.persistent_bytes
            && h.param_bytes.is_multiple_of(4)
            && h.persistent_bytes.is_multiple_of(4)
            && h.infer.steps > 0
            && is_consistent(&h.infer)
            && (!TRAINS || is_consistent(&h.train));
        if !consistent {
            return Err(ImageError::BadHeader);
        }
        let section = |number, section| section_of(bytes, section).ok_or(ImageError::BadSection { section: number });
        section(0, h.metadata)?;
        let data = section(1, h.data)?;
        if !(h.data.offset as usize).is_multiple_of(ALIGN) {
            return Err(ImageError::BadSection { section: 1 });
        }
        let plan = |bytes: &'a [u8], plan: &PlanSection| {
            let (arena_bytes, samples) = (plan.arena_bytes as usize, plan.samples as usize);
            Plan::check(bytes, plan.steps, &Bounds { data_bytes: data.len(), arena_bytes, samples, slots })
        };
        let infer = plan(section(2, h.infer.section)?, &h.infer).map_err(ImageError::Infer)?;
        let train = section(3, h.train.section)?;
        let train = if TRAINS { plan(train, &h.train).map_err(ImageError::Train)? } else { Plan::default() };
        let image = Self { bytes, header, infer, train, data };
        image.check_tensors()?;
        if TRAINS {
            image.check_params()?;
        }
        Ok(image)
    }

    #[inline(never)]
    fn check_tensors(&self) -> Result<(), ImageError> {
        let h = self.header;
        let tables = [(h.inputs, &h.infer), (h.outputs, &h.infer), (h.train_inputs, &h.train), (h.targets, &h.train)];
        let mut index = 0;
        for (number, (table, plan)) in tables.into_iter().enumerate().take(if TRAINS { 4 } else { 2 }) {
            let records: &[TensorRecord] =
                table_of(self.bytes, table).ok_or(ImageError::BadSection { section: 4 + number as u8 })?;
            for record in records {
                let bad = ImageError::BadTensor { index };
                let dtype = DType::from_u32(record.dtype).ok_or(bad)?;
                let product =
                    record.dims.get(..record.rank as usize).ok_or(bad)?.iter().try_fold(1u32, |p, &d| p.checked_mul(d));
                let bytes = record.sample_bytes().checked_mul(plan.samples as usize).ok_or(bad)?;
                let end = record.at.offset().checked_add(bytes).ok_or(bad)?;
                let placed =
                    !record.at.is_data() && end <= plan.arena_bytes as usize && record.at.offset() % dtype.bytes() == 0;
                if product != Some(record.elements) || record.elements == 0 || !placed {
                    return Err(bad);
                }
                index += 1;
            }
        }
        if (TRAINS && (h.targets.count > 1 || (h.train.steps > 0 && h.targets.count != 1)))
            || h.inputs.count == 0
            || h.outputs.count == 0
        {
            return Err(ImageError::BadHeader);
        }
        Ok(())
    }

    #[inline(never)]
    fn check_params(&self) -> Result<(), ImageError> {
        let records: &[ParamRecord] =
            table_of(self.bytes, self.header.params).ok_or(ImageError::BadSection { section: 8 })?;
        for (index, record) in records.iter().enumerate() {
            let inside = |place: Ref, section: usize| {
                place.offset().checked_add(record.bytes as usize).is_some_and(|end| end <= section)
            };
            let sound = record.init.is_data()
                && !record.at.is_data()
                && inside(record.init, self.data.len())
                && inside(record.at, self.header.param_bytes as usize);
            if !sound {
                return Err(ImageError::BadParam { index: index as u32 });
            }
        }
        Ok(())
    }

    /// The header.
    pub fn header(&self) -> &'a Header {
        self.header
    }

    /// The image's own bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The data section.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The inference plan.
    pub fn infer_plan(&self) -> Plan<'a> {
        self.infer
    }

    /// The training plan; empty if the image has none.
    pub fn train_plan(&self) -> Plan<'a> {
        self.train
    }

    /// Whether the image carries a training plan.
    pub fn is_trainable(&self) -> bool {
        !self.train.is_empty()
    }

    /// Bytes of arena for everything that the image can do.
    pub fn arena_bytes(&self) -> usize {
        self.header.arena_bytes()
    }

    /// Inputs of inference.
    pub fn inputs(&self) -> &'a [TensorRecord] {
        table_of(self.bytes, self.header.inputs).unwrap_or(&[])
    }

    /// Outputs of inference.
    pub fn outputs(&self) -> &'a [TensorRecord] {
        table_of(self.bytes, self.header.outputs).unwrap_or(&[])
    }

    /// Inputs of training.
    pub fn train_inputs(&self) -> &'a [TensorRecord] {
        table_of(self.bytes, self.header.train_inputs).unwrap_or(&[])
    }

    /// What training aims at; `None` if the image cannot train.
    pub fn target(&self) -> Option<&'a TensorRecord> {
        table_of(self.bytes, self.header.targets).and_then(|targets| targets.first())
    }

    /// Trainable parameters.
    pub fn params(&self) -> &'a [ParamRecord] {
        if TRAINS { table_of(self.bytes, self.header.params).unwrap_or(&[]) } else { &[] }
    }

    /// Host-side metadata, postcard.
    pub fn metadata(&self) -> &'a [u8] {
        let Section { offset, bytes } = self.header.metadata;
        self.bytes.get(offset as usize..(offset as usize).saturating_add(bytes as usize)).unwrap_or(&[])
    }

    /// A number that tells images apart: both checksums.
    pub fn id(&self) -> u64 {
        self.header.id()
    }
}

impl Header {
    /// Bytes of arena for everything that the image can do.
    pub fn arena_bytes(&self) -> usize {
        self.infer.arena_bytes.max(if TRAINS && self.train.steps > 0 { self.train.arena_bytes } else { 0 }) as usize
    }

    /// A number that tells images apart: both checksums.
    pub fn id(&self) -> u64 {
        u64::from(self.head_crc) << 32 | u64::from(self.data_crc)
    }
}

#[inline]
fn table_of<T: FromBytes + Immutable + KnownLayout>(bytes: &[u8], table: Table) -> Option<&[T]> {
    <[T]>::ref_from_bytes(records_of(bytes, table, size_of::<T>())?).ok()
}

/// The bytes of a section that begins at a word.
#[inline(never)] // There are four.
fn section_of(bytes: &[u8], section: Section) -> Option<&[u8]> {
    let start = section.offset as usize;
    let section = bytes.get(start..start.checked_add(section.bytes as usize)?)?;
    start.is_multiple_of(4).then_some(section)
}

/// One copy for all types of records.
#[inline(never)]
fn records_of(bytes: &[u8], table: Table, record_bytes: usize) -> Option<&[u8]> {
    let start = table.offset as usize;
    let len = (table.count as usize).checked_mul(record_bytes)?;
    bytes.get(start..start.checked_add(len)?)
}
