//! What training a part of a model may gain.
//!
//! With samples: a small step of gradient descent lowers the loss by the step's size times the squared length of the
//! gradient, to first order. A part's gain is the squared length of its own gradient, over all samples, as a share of
//! that of the whole model's: 0 to 1 (adapters, whose matrices are no part of the model, may have more). It looks one
//! step ahead and knows nothing of what a part could learn after that.
//!
//! Without samples there is no gradient, and the gain is the share of the parameters that learn: a rough guess.

use crate::data::Dataset;
use crate::engine::encode_f32;
use crate::graph::{Graph, Selection};
use crate::image::{self, PackOptions, TrainOptions, pack};
use crate::lower::{Buffer, Home, Loss};
use crate::train::TrainError;
use embernet_core::exec::PlanKind;
use embernet_core::memory::{view, view_mut};
use embernet_core::optim::OptimizerRecord;
use std::collections::HashMap;
use std::ops::Range;

/// Most samples that are looked at, spread evenly.
const SAMPLES: usize = 512;
/// Samples at once.
const BATCH: usize = 32;

/// What can be told of a model before anything is planned.
#[derive(Debug)]
pub struct Gains<'d> {
    data: Option<(&'d Dataset, Loss)>,
    /// Squared length of the whole gradient, or the number of parameters.
    whole: f64,
    /// The gradient of each parameter, by name; with samples.
    gradients: HashMap<String, Vec<f64>>,
}

impl<'d> Gains<'d> {
    /// From the gradient of a model over samples, or, without any, from its sizes.
    ///
    /// # Errors
    /// If the model cannot be trained as a whole, or not with these samples.
    pub fn new(graph: &Graph, data: Option<&'d Dataset>, loss: Loss) -> Result<Self, TrainError> {
        let Some(data) = data else {
            let mut graph = graph.clone();
            let whole = learning(&mut graph, &Selection::All);
            return Ok(Self { data: None, whole, gradients: HashMap::new() });
        };
        let gradients = gradients(graph, &Selection::All, data, loss)?;
        let whole = squares(&gradients);
        Ok(Self { data: Some((data, loss)), whole, gradients })
    }

    /// The gain of training this.
    ///
    /// # Errors
    /// As [`Gains::new`].
    pub fn of(&self, graph: &Graph, selection: &Selection) -> Result<f64, TrainError> {
        let part = match self.data {
            Some((data, loss)) => squares(&gradients(graph, selection, data, loss)?),
            None => learning(&mut graph.clone(), selection),
        };
        Ok(if self.whole > 0.0 { part / self.whole } else { 0.0 })
    }

    /// Which `count` neighbouring output channels of a layer have the greatest gradient; without samples the first.
    pub(super) fn channels(&self, layer: &str, outputs: usize, count: usize) -> Range<usize> {
        let mut squares = vec![0.0; outputs];
        for role in ["kernel", "bias"] {
            let Some(gradient) = self.gradients.get(&format!("{layer}/{role}")) else { continue };
            let row = (gradient.len() / outputs.max(1)).max(1);
            for (sum, row) in squares.iter_mut().zip(gradient.chunks(row)) {
                *sum += row.iter().map(|g| g * g).sum::<f64>();
            }
        }
        let sum = |first: usize| squares[first..first + count].iter().sum::<f64>();
        let first = (0..=outputs - count).fold(0, |best, first| if sum(first) > sum(best) { first } else { best });
        first..first + count
    }
}

fn squares(gradients: &HashMap<String, Vec<f64>>) -> f64 {
    // In order of the names: sums of floats depend on their order, maps have none.
    let mut sums: Vec<(&String, f64)> =
        gradients.iter().map(|(name, g)| (name, g.iter().map(|g| g * g).sum())).collect();
    sums.sort_by_key(|(name, _)| *name);
    sums.iter().map(|(_, sum)| sum).sum()
}

/// How many parameters learn; 0 if the selection does not fit.
fn learning(graph: &mut Graph, selection: &Selection) -> f64 {
    if graph.set_trainable(selection).is_err() {
        return 0.0;
    }
    let trainable = graph.parameter_tensors().into_iter().map(|t| graph.tensor(t)).filter(|t| t.trainable);
    trainable.map(|t| t.elements() as f64).sum()
}

/// The mean gradient of what learns, by parameter.
///
/// A step with momentum 0 and a rate of 1 leaves the gradient's negative in the optimiser's state.
fn gradients(
    graph: &Graph,
    selection: &Selection,
    data: &Dataset,
    loss: Loss,
) -> Result<HashMap<String, Vec<f64>>, TrainError> {
    crate::train::check_data(graph, data, loss)?;
    let optimizer = OptimizerRecord::momentum(1.0, 0.0, false);
    let train =
        TrainOptions { optimizer, loss, batch: BATCH, layers: Some(selection.clone()), ..TrainOptions::default() };
    let options = PackOptions { isa: image::host_isa(true), train: Some(train), ..PackOptions::default() };
    let packed = pack(graph, &options, None)?;
    let parsed = packed.image()?;
    let mut arena = image::arena_for(&parsed);
    let mut session = image::open(&parsed, &mut arena, options.isa)?;
    let start = session.params().to_vec();
    let port = parsed.train_inputs()[0];
    let elements = port.elements as usize;
    let mut x = vec![0.0f32; BATCH * elements];
    let stride = data.len().div_ceil(SAMPLES).max(1);
    let rows: Vec<u32> = (0..data.len() as u32).step_by(stride).collect();
    let mut sums = vec![0.0f64; session.optimizer_state().len() / 4];
    for rows in rows.chunks(BATCH) {
        session.params_mut().copy_from_slice(&start);
        data.gather_into(rows, &mut x[..rows.len() * elements]);
        let bytes = encode_f32(&x[..rows.len() * elements], &port);
        session.input_mut(PlanKind::Train, 0)[..bytes.len()].copy_from_slice(&bytes);
        let target = session.target_mut();
        if loss == Loss::SparseCrossEntropy {
            data.labels().ids_into(rows, view_mut(target));
        } else {
            data.targets_into(rows, view_mut(target));
        }
        session.train_step(rows.len())?;
        let share = rows.len() as f64;
        for (sum, g) in sums.iter_mut().zip(view::<f32>(session.optimizer_state())) {
            *sum -= f64::from(*g) * share;
        }
    }
    // One slot for each parameter that has a gradient, in their order.
    let mut rest = sums.iter().map(|sum| sum / rows.len().max(1) as f64);
    let states = packed.program.buffers.iter().filter(|b| matches!(b.home, Home::State { .. }));
    let of = |state: &Buffer| {
        let name = state.name.strip_suffix("/state").unwrap_or(&state.name).to_owned();
        (name, rest.by_ref().take(state.bytes / 4).collect())
    };
    Ok(states.map(of).collect())
}
