//! The model of a new project.

use embernet_core::arch::IsaId;
use embernet_core::image::Image;
use embernet_core::optim::OptimizerRecord;

use super::ProjectError;
use crate::graph::ops::Dense;
use crate::graph::{Activation, Sequential};
use crate::image::{Loss, PackOptions, TrainOptions, pack};
use crate::link::Board;

/// A small network for so many features and two classes that learns everything, and knows nothing yet.
pub fn untrained(features: usize, board: &Board) -> Result<Vec<u8>, ProjectError> {
    let graph = Sequential::new([features])
        .add(Dense::new(16).activation(Activation::Relu))
        .add(Dense::new(2).activation(Activation::Softmax))
        .build(1)
        .unwrap_or_else(|error| unreachable!("two dense layers: {error}"));
    let train = TrainOptions {
        optimizer: OptimizerRecord::sgd(0.02),
        loss: Loss::SparseCrossEntropy,
        batch: 1,
        ..TrainOptions::default()
    };
    let options = PackOptions { train: Some(train), isa: board.isa, ..PackOptions::default() };
    Ok(pack(&graph, &options, None).map_err(ProjectError::Model)?.bytes.to_vec())
}

/// Refuses a model that a project on this board could not run.
pub fn check(image: &Image<'_>, board: &'static Board) -> Result<(), ProjectError> {
    let found = IsaId::from_u32(image.header().isa);
    // Not `can_run`: a host reads the weights of every core, a core its own.
    if !found.is_some_and(|found| found == board.isa || !found.has_layout()) {
        return Err(ProjectError::Isa {
            found: found.map_or("an unknown instruction set", IsaId::name).to_owned(),
            board: &board.name,
            expected: board.isa.name(),
        });
    }
    match (image.inputs().len(), image.outputs().len()) {
        (1, 1) => Ok(()),
        (inputs, outputs) => Err(ProjectError::Ends { inputs, outputs }),
    }
}
