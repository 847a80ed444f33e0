//! What an operation can do, found out by lowering it.

use super::examples::Example;
use embernet::graph::ops::{Dense, Parameter, Port, Quantize, Reshape};
use embernet::graph::{Activation, DType, Data, Graph, Op, Quant, Tensor, TensorId, elements};
use embernet::image::{Loss, PackOptions, TrainOptions, pack};
use embernet_core::optim::OptimizerRecord;
use std::collections::BTreeSet;

/// Number types of inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    F32,
    Int8,
    Int16,
    Hybrid,
    Int4,
}

impl Numbers {
    pub const ALL: [Self; 5] = [Self::F32, Self::Int8, Self::Int16, Self::Hybrid, Self::Int4];

    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Hybrid => "hybrid",
            Self::Int4 => "int4",
        }
    }

    const fn activations(self) -> DType {
        match self {
            Self::F32 | Self::Hybrid => DType::F32,
            Self::Int8 | Self::Int4 => DType::I8,
            Self::Int16 => DType::I16,
        }
    }

    /// Types that a kernel and a bias may have.
    const fn parameters(self) -> &'static [(DType, DType)] {
        match self {
            Self::F32 => &[(DType::F32, DType::F32)],
            Self::Int8 => &[(DType::I8, DType::I32), (DType::I8, DType::I8)],
            Self::Int16 => &[(DType::I8, DType::I64), (DType::I8, DType::I32), (DType::I16, DType::I32)],
            Self::Hybrid => &[(DType::I8, DType::F32)],
            Self::Int4 => &[(DType::I4, DType::I32)],
        }
    }
}

/// Found out about one operation.
pub struct Support {
    /// A word for each of [`Numbers::ALL`].
    pub numbers: Vec<&'static str>,
    /// The inference steps that it becomes.
    pub steps: BTreeSet<&'static str>,
    pub trains_input: bool,
    pub trains_weights: bool,
}

impl Support {
    pub fn of(example: &Example) -> Self {
        let mut steps = BTreeSet::new();
        let mut numbers = Vec::new();
        for kind in Numbers::ALL {
            // Weights of another type need weights.
            let applies = !matches!(kind, Numbers::Hybrid | Numbers::Int4) || example.op.parameter_count() > 0;
            let found = if applies { infers(example, kind) } else { None };
            numbers.push(match &found {
                None => "",
                Some(names) if names.is_empty() => "free",
                Some(_) => "yes",
            });
            steps.extend(found.into_iter().flatten());
        }
        let weights = example.op.parameter_count() > 0;
        Self { numbers, steps, trains_input: trains(example, false), trains_weights: weights && trains(example, true) }
    }
}

/// The steps that the operation becomes in these numbers; `None` if it has no such form.
fn infers(example: &Example, numbers: Numbers) -> Option<Vec<&'static str>> {
    let zero_point = if numbers == Numbers::Int16 { 0 } else { 3 };
    let input = Quant::per_tensor(0.1, zero_point);
    // What only moves values keeps the input's scale; some functions have one of their own.
    let fixed = [(1.0 / 256.0, -128), (1.0 / 128.0, 0), (1.0 / 32768.0, 0), (16.0 / 256.0, 127), (0.3, 0)];
    let outputs = std::iter::once(input.clone()).chain(fixed.map(|(scale, zero)| Quant::per_tensor(scale, zero)));
    for output in outputs {
        for parameters in numbers.parameters() {
            let graph = graph(example, numbers, *parameters, &input, &output)?;
            // Every tensor stays, so that no pass takes the example away.
            let options = PackOptions { reuse: false, ..PackOptions::default() };
            if let Ok(packed) = pack(&graph, &options, None) {
                let all = packed.program.infer.steps.iter().zip(&packed.program.infer.records);
                let own = all.filter(|(step, _)| step.layer == "example");
                return Some(own.map(|(_, record)| record.name).collect());
            }
        }
    }
    None
}

/// `inputs -> quantisation or a function -> the operation`: only what is computed can be an output, and some
/// operations are no step.
fn graph(
    example: &Example,
    numbers: Numbers,
    (kernel, bias): (DType, DType),
    input: &Quant,
    output: &Quant,
) -> Option<Graph> {
    let (from, to) = match (&example.op, numbers.activations()) {
        (Op::Quantize(_), DType::F32) | (Op::Dequantize(_), DType::F32) => return None,
        (Op::Quantize(_), dtype) => (DType::F32, dtype),
        (Op::Dequantize(_), dtype) => (dtype, DType::F32),
        (_, dtype) => (dtype, dtype),
    };
    let quantised = |dtype: DType, quant: &Quant| (dtype != DType::F32).then(|| quant.clone());
    let activation = |name: String, shape: &[usize], dtype: DType, quant: &Quant| Tensor {
        quant: quantised(dtype, quant),
        ..Tensor::activation(name, shape, dtype)
    };
    let mut g = Graph::new("example");
    let mut operands = Vec::new();
    for number in 0..example.inputs() {
        let x = g.add_tensor(activation(format!("x{number}"), &example.shape, DType::F32, input));
        let before = g.add_tensor(activation(format!("before{number}"), &example.shape, from, input));
        let makes = if from == DType::F32 { Op::from(Activation::Relu) } else { Quantize {}.into() };
        g.add_node(format!("before{number}"), makes, &[x], &[before]);
        g.inputs.push(x);
        operands.push(before);
    }
    operands.extend(parameters(&mut g, &example.op, &example.shape, kernel, bias, false));
    for (number, shape) in shapes_of(example)?.iter().enumerate() {
        // An LSTM's cells have 16 bits, and a power of two as their scale.
        let cell = matches!(example.op, Op::Lstm(_)) && to == DType::I8 && number == 2;
        let y = match cell {
            true => activation("cell".into(), shape, DType::I16, &Quant::per_tensor(1.0 / 2048.0, 0)),
            false => activation(format!("y{number}"), shape, to, output),
        };
        let y = g.add_tensor(y);
        g.outputs.push(y);
    }
    let outputs = g.outputs.clone();
    g.add_node("example", example.op.clone(), &operands, &outputs);
    // Whoever has several outputs is asked for the first.
    g.outputs.truncate(1);
    Some(g)
}

fn shapes_of(example: &Example) -> Option<Vec<Vec<usize>>> {
    let ports = vec![Port { name: "x", shape: &example.shape }; example.inputs()];
    example.op.outputs(&ports).ok()
}

/// Parameters that are all 1.
fn parameters(g: &mut Graph, op: &Op, input: &[usize], kernel: DType, bias: DType, trainable: bool) -> Vec<TensorId> {
    let make = |p: Parameter| {
        let count = p.shape.iter().product();
        let dtype = match p.role {
            "bias" => bias,
            "seen" => DType::I32,
            _ => kernel,
        };
        let data = match dtype {
            DType::F32 => Data::F32(vec![1.0; count]),
            DType::I4 => Data::I4(vec![1; count]),
            DType::I16 => Data::I16(vec![1; count]),
            DType::I32 => Data::I32(vec![1; count]),
            DType::I64 => Data::I64(vec![1; count]),
            _ => Data::I8(vec![1; count]),
        };
        let quant = (dtype != DType::F32).then(|| Quant::per_tensor(0.01, 0));
        g.add_tensor(Tensor { quant, trainable, ..Tensor::constant(p.role, p.shape, data) })
    };
    op.parameters(input).into_iter().map(make).collect()
}

/// Whether gradients pass through to a layer before it, or with `weights` reach its own parameters.
fn trains(example: &Example, weights: bool) -> bool {
    let Some(shapes) = shapes_of(example) else { return false };
    let Some(count) = elements(&example.shape) else { return false };
    let mut g = Graph::new("example");
    let activation = |name: &str, shape: &[usize]| Tensor::activation(name, shape, DType::F32);
    let [x, dense, at] = [("x", vec![4]), ("dense", vec![count]), ("at", example.shape.clone())]
        .map(|(name, shape)| g.add_tensor(activation(name, &shape)));
    let mut operands = vec![x];
    let layer = Op::from(Dense::new(count));
    operands.extend(parameters(&mut g, &layer, &[4], DType::F32, DType::F32, !weights));
    // Their names are those of the example's parameters.
    g.tensors.iter_mut().filter(|t| t.data.is_some()).for_each(|t| t.name.insert_str(0, "dense/"));
    g.add_node("dense", layer, &operands, &[dense]);
    g.add_node("reshape", Reshape::new(example.shape.clone()), &[dense], &[at]);
    let mut operands = vec![at; example.inputs()];
    operands.extend(parameters(&mut g, &example.op, &example.shape, DType::F32, DType::F32, weights));
    let named = shapes.iter().enumerate().map(|(number, shape)| activation(&format!("y{number}"), shape));
    let outputs: Vec<TensorId> = named.collect::<Vec<_>>().into_iter().map(|y| g.add_tensor(y)).collect();
    g.add_node("example", example.op.clone(), &operands, &outputs);
    (g.inputs, g.outputs) = (vec![x], outputs[..1].to_vec());
    // What has a memory learns one sample at a time.
    [1, 2].into_iter().any(|batch| {
        let (optimizer, loss) = (OptimizerRecord::sgd(0.1), Loss::MeanSquaredError);
        let train = Some(TrainOptions { optimizer, loss, batch, ..TrainOptions::default() });
        pack(&g, &PackOptions { train, reuse: false, ..PackOptions::default() }, None).is_ok()
    })
}
