//! Inference on the PC: predictions, loss and accuracy of a graph.

use super::metrics;
use super::trainer::{TrainError, check_data};
use crate::data::{Batches, Dataset, Labels};
use crate::graph::{DType, Graph, Op};
use crate::image::{self, HostSession, PackError, PackOptions, Packed, pack};
use crate::lower::{Loss, Port, PortType};
use embernet_core::exec::PlanKind;
use embernet_core::memory::view;
use embernet_core::quant::{dequantize_i8, quantize_i8};
use zerocopy::IntoBytes;

/// How good a network is on a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Mean over the samples.
    pub loss: f64,
    /// Share of samples recognised; `None` for regression.
    pub accuracy: Option<f64>,
    /// `[samples, outputs]`, as the network gives them.
    pub outputs: Vec<f32>,
}

/// Runs the graph on prepared f32 values, `[samples, shape...]`, and gives `[samples, outputs]`.
///
/// For one input and one output. Those of an int8 graph are quantised and dequantised on the way, as
/// a device's host does.
pub fn predict(graph: &Graph, x: &[f32], exact: bool) -> Result<Vec<f32>, TrainError> {
    let expected = graph.tensor(graph.inputs[0]).elements();
    if !x.len().is_multiple_of(expected.max(1)) {
        return Err(TrainError::Values { found: x.len(), expected });
    }
    let samples = x.len() / expected.max(1);
    with_session(graph, samples, exact, |runner| {
        let mut outputs = Vec::new();
        for rows in x.chunks((runner.batch * expected).max(1)) {
            runner.rows(rows, rows.len() / expected.max(1), &mut outputs)?;
        }
        Ok(outputs)
    })
}

/// Loss and accuracy of the graph on a data set.
pub fn evaluate(graph: &Graph, data: &Dataset, loss: Loss, exact: bool) -> Result<Evaluation, TrainError> {
    check_data(graph, data, loss)?;
    with_session(graph, data.len(), exact, |runner| evaluate_session(runner, graph, data, loss))
}

/// Samples in one run of [`predict`] and [`evaluate`].
const PREDICT_BATCH: usize = 64;

fn with_session<T>(
    graph: &Graph,
    samples: usize,
    exact: bool,
    work: impl FnOnce(&mut Runner<'_>) -> Result<T, TrainError>,
) -> Result<T, TrainError> {
    let isa = image::host_isa(exact);
    let batch = samples.clamp(1, PREDICT_BATCH);
    let packed = pack(graph, &PackOptions { samples: batch, isa, ..PackOptions::default() }, None)?;
    let parsed = packed.image()?;
    let mut arena = image::arena_for(&parsed);
    let mut session = image::open(&parsed, &mut arena, isa)?;
    work(&mut Runner::new(session.as_mut(), &packed, batch)?)
}

/// Inference on real values, whatever type the network's ends have.
pub(super) struct Runner<'r> {
    session: &'r mut dyn HostSession,
    batch: usize,
    input: Edge,
    output: Edge,
}

/// How real values pass an end of the network.
#[derive(Clone, Copy)]
enum Edge {
    F32,
    I8 { scale: f32, zero_point: i32 },
}

impl Edge {
    fn of(ports: &[Port]) -> Result<Self, TrainError> {
        let [port] = ports else { return Err(TrainError::Ports { found: ports.len() }) };
        match port.dtype {
            PortType::Tensor(DType::F32) => Ok(Self::F32),
            PortType::Tensor(DType::I8) => Ok(Self::I8 { scale: port.scale, zero_point: port.zero_point }),
            PortType::Tensor(found) => Err(PackError::PortType { name: port.name.clone(), found }.into()),
            PortType::Class => Err(TrainError::Ports { found: 0 }),
        }
    }
}

impl<'r> Runner<'r> {
    pub(super) fn new(session: &'r mut dyn HostSession, packed: &Packed, batch: usize) -> Result<Self, TrainError> {
        let infer = &packed.program.infer;
        Ok(Self { session, batch, input: Edge::of(&infer.inputs)?, output: Edge::of(&infer.outputs)? })
    }

    /// Infers `count` samples of at most `batch` and appends their outputs.
    fn rows(&mut self, x: &[f32], count: usize, outputs: &mut Vec<f32>) -> Result<(), TrainError> {
        let to = self.session.input_mut(PlanKind::Infer, 0);
        match self.input {
            Edge::F32 => {
                let bytes = x.as_bytes();
                to[..bytes.len()].copy_from_slice(bytes);
            }
            Edge::I8 { scale, zero_point } => {
                for (to, x) in to.iter_mut().zip(x) {
                    *to = quantize_i8(*x, scale, zero_point) as u8;
                }
            }
        }
        self.session.infer(count)?;
        let all = self.session.output(0);
        let all = &all[..all.len() / self.batch * count];
        match self.output {
            Edge::F32 => outputs.extend_from_slice(view(all)),
            Edge::I8 { scale, zero_point } => {
                outputs.extend(view::<i8>(all).iter().map(|q| dequantize_i8(*q, scale, zero_point)));
            }
        }
        Ok(())
    }
}

pub(super) fn evaluate_session(
    runner: &mut Runner<'_>,
    graph: &Graph,
    data: &Dataset,
    loss: Loss,
) -> Result<Evaluation, TrainError> {
    let mut outputs = Vec::new();
    let mut batches = Batches::new(data, runner.batch);
    while let Some(b) = batches.next() {
        runner.rows(b.x, b.rows.len(), &mut outputs)?;
    }
    let width = outputs.len() / data.len();
    let (loss, accuracy) = match data.labels() {
        Labels::Class { ids, .. } if loss != Loss::MeanSquaredError => {
            let rows = outputs.chunks_exact(width.max(1)).zip(ids);
            let ends_in_softmax = ends_in_softmax(graph);
            let total: f64 = rows.map(|(row, id)| surprise(row, *id as usize, ends_in_softmax)).sum();
            (total / ids.len() as f64, Some(metrics::accuracy(ids, &outputs, width)))
        }
        Labels::Class { ids, .. } => {
            let Labels::Values { values, .. } = data.labels().one_hot() else {
                unreachable!("one-hot rows are values")
            };
            (metrics::mse(&values, &outputs), Some(metrics::accuracy(ids, &outputs, width)))
        }
        Labels::Values { values, .. } if loss == Loss::MeanSquaredError => (metrics::mse(values, &outputs), None),
        Labels::Samples { .. } => (metrics::mse(&data.x(), &outputs), None),
        Labels::Values { values, .. } => {
            let ends_in_softmax = ends_in_softmax(graph);
            let rows = outputs.chunks_exact(width.max(1)).zip(values.chunks_exact(width.max(1)));
            let total: f64 = rows
                .map(|(row, target)| {
                    let parts = target.iter().enumerate().filter(|(_, t)| **t != 0.0);
                    parts.map(|(c, t)| f64::from(*t) * surprise(row, c, ends_in_softmax)).sum::<f64>()
                })
                .sum();
            (total / data.len() as f64, None)
        }
    };
    Ok(Evaluation { loss, accuracy, outputs })
}

fn ends_in_softmax(graph: &Graph) -> bool {
    let producer = graph.producers()[graph.outputs[0].index()];
    producer.is_some_and(|id| matches!(graph.node(id).op, Op::Softmax(_)))
}

/// `-ln p` of one class, from probabilities or from logits.
fn surprise(row: &[f32], class: usize, probabilities: bool) -> f64 {
    let value = f64::from(row[class]);
    if probabilities {
        // A probability of 0 would cost infinitely much; Keras' bound.
        return -value.max(1e-7).ln();
    }
    let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = row.iter().map(|z| f64::from(z - greatest).exp()).sum();
    total.ln() - (value - f64::from(greatest))
}
