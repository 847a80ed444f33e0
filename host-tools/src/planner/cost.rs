//! A model of what a training step takes: instructions, step by step.
//!
//! Each step costs a fixed overhead, so much for each multiply-accumulate, and so much for each value that it reads or
//! writes; an update so much for each parameter. The factors of multiply-accumulates follow from measured inferences
//! (`docs/performance.md` for cores with an FPU; the README's CNN for the others); all other factors are guesses that no
//! measurement has confirmed. They rank ways of training; they are no promise.

use crate::lower::{Program, Sequence};
use embernet_core::optim::state::StateFormat;
use embernet_core::optim::{OptimizerRecord, Rule};
use embernet_core::plan::{Access, Step};
use serde::{Deserialize, Serialize};

/// How a core computes with floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Core {
    /// In hardware.
    Fpu,
    /// In software, with a 32-bit multiplication that gives 64 bits and conditional instructions (Cortex-M3, RV32).
    Soft,
    /// In software, without (Cortex-M0).
    SoftSmall,
}

/// Instructions, in tenths.
struct Factors {
    step: u64,
    mac: u64,
    value: u64,
    /// A sum or product of floats within an update.
    operation: u64,
    /// A root or a quotient.
    hard: u64,
}

impl Core {
    /// Of a target, by its triple.
    pub fn of_target(target: &str) -> Self {
        match target {
            target if target.ends_with("eabihf") => Self::Fpu,
            target if target.starts_with("thumbv6m") => Self::SoftSmall,
            _ => Self::Soft,
        }
    }

    const fn factors(self) -> Factors {
        match self {
            Self::Fpu => Factors { step: 3_500, mac: 25, value: 40, operation: 20, hard: 30 },
            Self::Soft => Factors { step: 3_500, mac: 1_100, value: 100, operation: 500, hard: 2_500 },
            Self::SoftSmall => Factors { step: 5_000, mac: 1_850, value: 150, operation: 900, hard: 6_000 },
        }
    }
}

/// Estimated instructions of one update: all its passes.
pub fn update(program: &Program, optimizer: &OptimizerRecord, core: Core) -> u64 {
    let Some(train) = &program.train else { return 0 };
    let factors = core.factors();
    let pass: u64 = train.records.iter().filter_map(|record| record.step()).map(|s| step(&s, train, &factors)).sum();
    let integers: u64 = train.records.iter().filter_map(|record| record.step()).map(|s| weights_i8(&s)).sum();
    // Integers have a byte each.
    let learning = (program.parameter_bytes / 4) as u64 + integers - integers / 4;
    let sums = if optimizer.passes > 1 { 2 * factors.value * learning } else { 0 };
    let updated = learning * parameter(optimizer, &factors);
    ((pass + sums) * u64::from(optimizer.passes) + updated) / 10
}

fn step(step: &Step<'_>, train: &Sequence, factors: &Factors) -> u64 {
    let samples = train.samples as u64;
    let (macs, moves) = match step {
        Step::DenseF32(r) => (r.shape.macs(), true),
        Step::DenseBackwardInputF32(r) => (r.shape.macs(), true),
        // A gradient is made, and consumed by the update.
        Step::DenseBackwardWeightsF32(r) => (if r.trained.w.is_none() { 0 } else { r.shape.macs() }, true),
        Step::Conv2dF32(r) => (r.shape.macs(), true),
        Step::Conv2dBackwardInputF32(r) => (r.shape.macs(), true),
        Step::Conv2dBackwardWeightsF32(r) => (if r.trained.w.is_none() { 0 } else { r.shape.macs() }, true),
        Step::DepthwiseConv2dF32(r) => (r.shape.macs(), true),
        Step::DepthwiseConv2dBackwardInputF32(r) => (r.shape.macs(), true),
        Step::DepthwiseConv2dBackwardWeightsF32(r) => (if r.trained.w.is_none() { 0 } else { r.shape.macs() }, true),
        Step::DenseFixed(r) => (r.shape.macs(), true),
        Step::DenseBackwardInputFixed(r) => (r.shape.macs(), true),
        Step::DenseBackwardWeightsFixed(r) => (if r.trained.w.is_none() { 0 } else { r.shape.macs() }, true),
        Step::Conv2dFixed(r) => (r.shape.macs(), true),
        Step::Conv2dBackwardInputFixed(r) => (r.shape.macs(), true),
        Step::Conv2dBackwardWeightsFixed(r) => (if r.trained.w.is_none() { 0 } else { r.shape.macs() }, true),
        Step::DepthwiseConv2dFixed(r) => (r.shape.macs(), true),
        Step::DepthwiseConv2dBackwardInputFixed(r) => (r.shape.macs(), true),
        Step::DepthwiseConv2dBackwardWeightsFixed(r) => (if r.trained.w.is_none() { 0 } else { r.shape.macs() }, true),
        // Gradients are floats; what is unpacked meets several products, but for depthwise layers.
        Step::Conv2dBackwardInputI8(r) => (r.shape.macs(), true),
        Step::Conv2dBackwardWeightsI8(r) => (if r.trained.w.is_none() { 0 } else { r.shape.macs() }, true),
        Step::DepthwiseConv2dBackwardInputI8(r) => (2 * r.shape.macs(), true),
        Step::DepthwiseConv2dBackwardWeightsI8(r) => (if r.trained.w.is_none() { 0 } else { 2 * r.shape.macs() }, true),
        _ => (0, false),
    };
    let operands = step.operands(train.samples);
    let bytes = |o: &&embernet_core::plan::Operand| o.bytes as u64 / 4;
    // Weights are read once for each product; activations are what is moved.
    let values: u64 = if moves {
        operands.as_slice().iter().filter(|o| o.access == Access::Write).map(|o| bytes(&o)).sum()
    } else {
        operands.as_slice().iter().map(|o| bytes(&o)).sum()
    };
    if std::env::var("EMBERNET_FEATURES").is_ok() {
        eprintln!("feature {} {} {}", step.name(), macs * samples, values);
    }
    factors.step + macs * samples * factors.mac + values * factors.value
}

/// Int8 weights that a step updates.
fn weights_i8(step: &Step<'_>) -> u64 {
    match step {
        Step::Conv2dBackwardWeightsI8(r) if !r.trained.w.is_none() => r.shape.weights() as u64,
        Step::DepthwiseConv2dBackwardWeightsI8(r) if !r.trained.w.is_none() => r.shape.weights() as u64,
        _ => 0,
    }
}

/// The update of one parameter.
fn parameter(optimizer: &OptimizerRecord, factors: &Factors) -> u64 {
    let rule = optimizer.rule().unwrap_or(Rule::Sgd);
    let (operations, hard) = match rule {
        Rule::Sgd => (2, 0),
        Rule::Momentum { .. } => (4, 0),
        Rule::AdaGrad => (4, 2),
        Rule::Adam => (9, 2),
    };
    // Packing and unpacking is work on integers, whatever the core.
    let packing = match StateFormat::from_u32(optimizer.state) {
        Some(StateFormat::Bf16) => 150 * rule.slots() as u64 + 120,
        Some(StateFormat::Block8) => 220 * rule.slots() as u64 + 120,
        _ => 0,
    };
    operations * factors.operation + hard * factors.hard + packing
}
