//! The file's content, still borrowed from its bytes: tensors, operators, ports.

use super::error::{TensorProblem, TfliteError};
use super::flat::{FlatError, Scalars, Table, Tables};
use super::schema::{IDENTIFIER, OpCode, TensorType, VERSION, field as f, op};
use crate::import::budget::{Budget, Exhausted};

/// The largest number of axes we look at.
pub const MAX_RANK: usize = 8;

/// A parsed file of one subgraph.
#[derive(Debug)]
pub struct Model<'a> {
    file: &'a [u8],
    buffers: Tables<'a>,
    pub name: String,
    pub codes: Vec<OpCode>,
    pub tensors: Vec<Tensor<'a>>,
    pub operators: Vec<Operator<'a>>,
    pub inputs: Vec<usize>,
    pub outputs: Vec<usize>,
}

/// One tensor as the file describes it.
#[derive(Debug, Clone, Copy)]
pub struct Tensor<'a> {
    shape: Scalars<'a, 4>,
    pub ty: TensorType,
    buffer: u32,
    name: &'a [u8],
    pub variable: bool,
    sparse: bool,
    pub quant: Quantization<'a>,
}

/// Scales and zero points; both empty when there are none.
#[derive(Debug, Clone, Copy)]
pub struct Quantization<'a> {
    pub scales: Scalars<'a, 4>,
    pub zero_points: Scalars<'a, 8>,
    /// The axis that several scales run along.
    pub axis: i32,
    custom: bool,
}

/// One operator.
#[derive(Debug, Clone, Copy)]
pub struct Operator<'a> {
    /// Index into [`Model::codes`].
    pub code: u32,
    /// Tensor numbers; -1 for an optional input that is absent.
    pub inputs: Scalars<'a, 4>,
    pub outputs: Scalars<'a, 4>,
    pub options: Option<Table<'a>>,
}

impl<'a> Model<'a> {
    /// Reads any bytes.
    pub fn parse(file: &'a [u8], budget: &mut Budget) -> Result<Self, TfliteError> {
        let found = file.get(4..8).unwrap_or(file.get(4..).unwrap_or_default());
        if found != IDENTIFIER {
            return Err(TfliteError::NotTflite { found: found.to_vec() });
        }
        let limit = budget.limit;
        let too_large = |Exhausted| TfliteError::TooLarge { limit, file: file.len() };
        let root = Table::root(file)?;
        let version = root.u32(f::MODEL_VERSION)?;
        if version != VERSION {
            return Err(TfliteError::Version { found: version, known: VERSION });
        }
        let subgraphs = root.tables(f::MODEL_SUBGRAPHS)?;
        let (1, Some(graph)) = (subgraphs.len(), subgraphs.get(0)?) else {
            return Err(TfliteError::Subgraphs { found: subgraphs.len() });
        };

        let mut codes = Vec::new();
        for code in root.tables(f::MODEL_OPERATOR_CODES)?.iter() {
            let code = op_code(&code?)?;
            let name = if let OpCode::Custom(name) = &code { name.capacity() } else { 0 };
            budget.take(name + size_of::<OpCode>() * 2).map_err(too_large)?;
            codes.push(code);
        }
        let listed = graph.tables(f::GRAPH_TENSORS)?;
        budget.take(listed.len().saturating_mul(size_of::<Tensor<'_>>())).map_err(too_large)?;
        let tensors = listed.iter().map(|t| tensor(&t?)).collect::<Result<Vec<_>, FlatError>>()?;
        let listed = graph.tables(f::GRAPH_OPERATORS)?;
        budget.take(listed.len().saturating_mul(size_of::<Operator<'_>>())).map_err(too_large)?;
        let operators = listed.iter().map(|o| operator(&o?)).collect::<Result<Vec<_>, FlatError>>()?;
        let mut ports = |list, id| {
            let ports = graph.i32s(id)?;
            budget.take(ports.len().saturating_mul(16)).map_err(too_large)?;
            let count = tensors.len();
            let port = |found| {
                let index = usize::try_from(found).ok().filter(|index| *index < count);
                index.ok_or(TfliteError::Port { list, found, count })
            };
            ports.i32().map(port).collect::<Result<Vec<usize>, TfliteError>>()
        };
        let inputs = ports("inputs", f::GRAPH_INPUTS)?;
        let outputs = ports("outputs", f::GRAPH_OUTPUTS)?;
        let name = graph.string(f::GRAPH_NAME)?;
        budget.take(name.len().saturating_mul(6)).map_err(too_large)?;
        let name = String::from_utf8_lossy(name).into_owned();
        let buffers = root.tables(f::MODEL_BUFFERS)?;
        Ok(Self { file, buffers, name, codes, tensors, operators, inputs, outputs })
    }

    /// The bytes of a constant; `None` for an activation.
    pub fn data(&self, tensor: &Tensor<'a>) -> Result<Option<&'a [u8]>, TensorProblem> {
        let (index, count) = (tensor.buffer, self.buffers.len());
        let error = TensorProblem::Buffer { found: index, count };
        if tensor.sparse {
            return Err(TensorProblem::Sparse);
        }
        // Buffer 0 is empty by convention, also in files that leave it out.
        if index == 0 && count == 0 {
            return Ok(None);
        }
        let Ok(Some(buffer)) = self.buffers.get(index as usize) else { return Err(error) };
        let read = || Ok((buffer.bytes(f::BUFFER_DATA)?, buffer.u64(f::BUFFER_OFFSET)?, buffer.u64(f::BUFFER_SIZE)?));
        let (data, offset, size) = read().map_err(|_: FlatError| error)?;
        if !data.is_empty() {
            return Ok(Some(data));
        }
        // Files above 2 GB keep the bytes after the FlatBuffer; offsets 0 and 1 mean that they do not.
        if offset <= 1 {
            return Ok(None);
        }
        let range = usize::try_from(offset).ok().zip(usize::try_from(size).ok());
        let bytes = range.and_then(|(at, size)| self.file.get(at..)?.get(..size));
        let error = TensorProblem::BufferRange { offset, size, len: self.file.len() };
        bytes.map(Some).ok_or(error)
    }
}

impl Tensor<'_> {
    /// The name; some writers leave it out.
    pub fn name(&self, index: usize) -> String {
        if self.name.is_empty() { format!("tensor_{index}") } else { String::from_utf8_lossy(self.name).into_owned() }
    }

    /// Most bytes that [`Tensor::name`] can take: a stray byte becomes a three-byte mark.
    pub fn name_bytes(&self) -> usize {
        self.name.len().saturating_mul(3).saturating_add(24)
    }

    /// The shape with its batch axis; `None` if some dimension is not known before the run.
    pub fn shape(&self) -> Result<Option<Vec<usize>>, TensorProblem> {
        if self.shape.len() > MAX_RANK {
            return Err(TensorProblem::Rank { found: self.shape.len(), most: MAX_RANK });
        }
        if let Some(found) = self.shape.i32().find(|d| *d < -1) {
            return Err(TensorProblem::Dimension { found });
        }
        Ok(self.shape.i32().map(|d| usize::try_from(d).ok()).collect())
    }

    /// The shape if only its leading dimension, the batch, is unknown: that becomes 1.
    pub fn shape_for_one(&self) -> Option<Vec<usize>> {
        let mut dimensions = self.shape.i32();
        let batch = dimensions.next().filter(|d| *d == -1).map(|_| Some(1));
        batch.into_iter().chain(dimensions.map(|d| usize::try_from(d).ok())).collect()
    }

    /// Whether more cannot be known about the quantisation.
    pub fn check_quant(&self) -> Result<(), TensorProblem> {
        if self.quant.custom { Err(TensorProblem::CustomQuantization) } else { Ok(()) }
    }
}

fn op_code(table: &Table<'_>) -> Result<OpCode, FlatError> {
    // The byte was too small in the end; newer files fill both, older ones only the byte.
    let code = table.i32(f::CODE_BUILTIN, 0)?.max(i32::from(table.u8(f::CODE_DEPRECATED)? as i8));
    Ok(match code {
        op::CUSTOM => OpCode::Custom(String::from_utf8_lossy(table.string(f::CODE_CUSTOM)?).into_owned()),
        code => OpCode::Builtin(code),
    })
}

fn tensor<'a>(table: &Table<'a>) -> Result<Tensor<'a>, FlatError> {
    let quant = table.table(f::TENSOR_QUANTIZATION)?;
    let none = Quantization { scales: Scalars::EMPTY, zero_points: Scalars::EMPTY, axis: 0, custom: false };
    let quant = quant.map(|q| {
        Ok(Quantization {
            scales: q.f32s(f::QUANT_SCALE)?,
            zero_points: q.i64s(f::QUANT_ZERO_POINT)?,
            axis: q.i32(f::QUANT_DIMENSION, 0)?,
            custom: q.u8(f::QUANT_DETAILS_TYPE)? != 0,
        })
    });
    Ok(Tensor {
        shape: table.i32s(f::TENSOR_SHAPE)?,
        ty: TensorType::from_code(table.u8(f::TENSOR_TYPE)?),
        buffer: table.u32(f::TENSOR_BUFFER)?,
        name: table.string(f::TENSOR_NAME)?,
        variable: table.bool(f::TENSOR_IS_VARIABLE)?,
        sparse: table.table(f::TENSOR_SPARSITY)?.is_some(),
        quant: quant.transpose()?.unwrap_or(none),
    })
}

fn operator<'a>(table: &Table<'a>) -> Result<Operator<'a>, FlatError> {
    Ok(Operator {
        code: table.u32(f::OPERATOR_CODE)?,
        inputs: table.i32s(f::OPERATOR_INPUTS)?,
        outputs: table.i32s(f::OPERATOR_OUTPUTS)?,
        options: table.table(f::OPERATOR_OPTIONS)?,
    })
}
