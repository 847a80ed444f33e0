//! A model of what a training step takes: instructions, step by step.
//!
//! Each step costs a fixed overhead, so much for each multiply-accumulate, and so much for each value that it reads or
//! writes; an update so much for each parameter. Loops over neighbouring values are short in small convolutions, and
//! entering one counts. The factors were fitted to training steps measured in QEMU, which `tests/tests/qemu_fixed.rs`
//! compares them with: a dense network and one of convolutions and pools, in floats and in fixed point, on four boards.
//! The way forward through int8 layers is what their loops take ([`crate::lower::loops`]). The way back through them, state
//! in fewer bits and sums of several passes are guesses. They rank ways of training; they are no promise.

use crate::lower::loops::{Shape, costs};
use crate::lower::{Program, Sequence};
use embernet_core::arch::IsaId;
use embernet_core::kernels::conv2d::Conv2d;
use embernet_core::kernels::dense::Dense;
use embernet_core::kernels::depthwise_conv2d::DepthwiseConv2d;
use embernet_core::optim::state::StateFormat;
use embernet_core::optim::{OptimizerRecord, Rule};
use embernet_core::plan::{Access, Operand, Step};
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
    /// A parameter of a rule for which the core has no loop of its own: momentum, AdaGrad.
    no_loop: u64,
    /// Entering a product of matrices, and a loop over channels of a depthwise layer.
    calls: [u64; 2],
}

/// Instructions in 16-bit fixed point, in tenths.
struct FixedFactors {
    step: u64,
    mac: u64,
    /// Two values.
    pair: u64,
    /// Entering a loop.
    call: u64,
    /// A parameter's update: gradient descent, momentum, AdaGrad, Adam.
    update: [u64; 4],
    /// Adding up a parameter's gradient over several passes.
    sum: u64,
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
            Self::Fpu => {
                let calls = [3_000, 1_500];
                Factors { step: 5_200, mac: 25, value: 40, operation: 25, hard: 45, no_loop: 330, calls }
            }
            // Beside products of floats in software calls are nothing.
            Self::Soft => {
                let (no_loop, calls) = (0, [0; 2]);
                Factors { step: 3_500, mac: 1_100, value: 100, operation: 1_050, hard: 400, no_loop, calls }
            }
            Self::SoftSmall => {
                let (no_loop, calls) = (0, [0; 2]);
                Factors { step: 5_000, mac: 1_670, value: 150, operation: 1_900, hard: 1_500, no_loop, calls }
            }
        }
    }

    const fn fixed(self) -> FixedFactors {
        match self {
            Self::SoftSmall => {
                let update = [150, 850, 2_900, 3_750];
                FixedFactors { step: 12_700, mac: 90, pair: 250, call: 990, update, sum: 100 }
            }
            _ => {
                let update = [120, 550, 2_000, 2_500];
                FixedFactors { step: 11_500, mac: 80, pair: 200, call: 700, update, sum: 80 }
            }
        }
    }
}

/// Estimated instructions of one update: all its passes. `isa` is the token that the program was lowered for.
pub fn update(program: &Program, optimizer: &OptimizerRecord, core: Core, isa: IsaId) -> u64 {
    let Some(train) = &program.train else { return 0 };
    let factors = core.factors();
    let steps = || train.records.iter().filter_map(|record| record.step());
    let is_fixed = steps().any(|step| matches!(step, Step::FixedFromF32(_)));
    if is_fixed {
        let factors = core.fixed();
        let all: u64 = steps().map(|s| fixed_step(&s, train, &factors)).sum();
        let [sgd, momentum, adagrad, adam] = factors.update;
        let update = match optimizer.rule() {
            Some(Rule::Adam) => adam,
            Some(Rule::AdaGrad) => adagrad,
            Some(Rule::Momentum { .. }) => momentum,
            _ => sgd,
        };
        let parameters = (program.parameter_bytes / 2) as u64;
        let sums = if optimizer.passes > 1 { parameters * factors.sum } else { 0 };
        return ((all + sums) * u64::from(optimizer.passes) + parameters * update) / 10;
    }
    let forward_i8: u64 = steps().map(|s| 10 * forward_i8(&s, isa)).sum();
    let pass = steps().map(|s| step(&s, train, &factors)).sum::<u64>() + forward_i8 * train.samples as u64;
    let integers: u64 = steps().map(|s| weights_i8(&s)).sum();
    // Integers have a byte each.
    let learning = (program.parameter_bytes / 4) as u64 + integers - integers / 4;
    let sums = if optimizer.passes > 1 { 2 * factors.value * learning } else { 0 };
    let updated = learning * parameter(optimizer, &factors);
    ((pass + sums) * u64::from(optimizer.passes) + updated) / 10
}

/// What an int8 layer with weights takes on its way forward, for one sample: what its loop does ([`costs`], whose unit is
/// cycles where they are estimated), or the plain one's instructions for each product.
fn forward_i8(step: &Step<'_>, isa: IsaId) -> u64 {
    const PLAIN: f64 = 5.0;
    let Some((shape, order)) = Shape::of(step) else { return 0 };
    costs().estimate(isa, &shape, &order).unwrap_or((PLAIN * shape.products()) as u64)
}

/// Estimated instructions of a normalisation of inputs: to look up every value of a sample.
pub fn normalise(values: u64, core: Core) -> u64 {
    // Counted in QEMU (`tests/tests/qemu_normalise.rs`).
    let (step, value) = if core == Core::Fpu { (500, 10) } else { (500, 11) };
    step + value * values
}

/// The work of a step with weights, for one sample.
#[derive(Default)]
struct Work {
    macs: u64,
    /// Products of matrices, and loops over channels.
    calls: [u64; 2],
}

impl Work {
    fn dense(shape: &Dense, wanted: bool) -> Self {
        Self { macs: if wanted { shape.macs() } else { 0 }, calls: [0; 2] }
    }

    /// Some windows of a row, and a row of taps, are a product.
    fn conv2d(shape: &Conv2d, wanted: bool) -> Self {
        let (height, width) = (shape.window.height, shape.window.width);
        let runs = width.runs().count() as u64;
        let calls = u64::from(height.output) * u64::from(height.kernel) * runs;
        if wanted { Self { macs: shape.macs(), calls: [calls, 0] } } else { Self::default() }
    }

    /// Windows of a row, and a tap, are a product.
    fn conv2d_input(shape: &Conv2d) -> Self {
        let calls = u64::from(shape.window.height.output) * shape.window.taps() as u64;
        Self { macs: shape.macs(), calls: [calls, 0] }
    }

    fn depthwise(shape: &DepthwiseConv2d, wanted: bool) -> Self {
        let calls = shape.window.out_pixels() as u64 * shape.window.taps() as u64;
        if wanted { Self { macs: shape.macs(), calls: [0, calls] } } else { Self::default() }
    }

    fn twice(self) -> Self {
        Self { macs: 2 * self.macs, ..self }
    }
}

fn step(step: &Step<'_>, train: &Sequence, factors: &Factors) -> u64 {
    let samples = train.samples as u64;
    let (work, moves) = match step {
        Step::DenseF32(r) => (Work::dense(&r.shape, true), true),
        Step::DenseBackwardInputF32(r) => (Work::dense(&r.shape, true), true),
        // A gradient is made, and consumed by the update; that of the input is another product.
        Step::DenseBackwardWeightsF32(r) if !r.dx.is_none() => (Work::dense(&r.shape, true).twice(), true),
        Step::DenseBackwardWeightsF32(r) => (Work::dense(&r.shape, !r.trained.w.is_none()), true),
        Step::Conv2dF32(r) => (Work::conv2d(&r.shape, true), true),
        Step::Conv2dBackwardInputF32(r) => (Work::conv2d_input(&r.shape), true),
        Step::Conv2dBackwardWeightsF32(r) => (Work::conv2d(&r.shape, !r.trained.w.is_none()), true),
        Step::DepthwiseConv2dF32(r) => (Work::depthwise(&r.shape, true), true),
        Step::DepthwiseConv2dBackwardInputF32(r) => (Work::depthwise(&r.shape, true), true),
        Step::DepthwiseConv2dBackwardWeightsF32(r) => (Work::depthwise(&r.shape, !r.trained.w.is_none()), true),
        // Gradients are floats; what is unpacked meets several products, but for depthwise layers.
        Step::Conv2dBackwardInputI8(r) => (Work::conv2d_input(&r.shape), true),
        Step::Conv2dBackwardWeightsI8(r) => (Work::conv2d(&r.shape, !r.trained.w.is_none()), true),
        Step::DepthwiseConv2dBackwardInputI8(r) => (Work::depthwise(&r.shape, true).twice(), true),
        Step::DepthwiseConv2dBackwardWeightsI8(r) => (Work::depthwise(&r.shape, !r.trained.w.is_none()).twice(), true),
        // Loops over values that a product of floats, a sum and a rounding take.
        Step::QuantizeBlocks(r) => (Work { macs: 3 * u64::from(r.len), calls: [0; 2] }, false),
        Step::DequantizeBlocks(r) => (Work { macs: u64::from(r.len), calls: [0; 2] }, false),
        _ => (Work::default(), false),
    };
    let [products, loops] = work.calls;
    let calls = products * factors.calls[0] + loops * factors.calls[1];
    factors.step + (work.macs * factors.mac + calls) * samples + words(step, train, moves) * factors.value
}

fn fixed_step(step: &Step<'_>, train: &Sequence, factors: &FixedFactors) -> u64 {
    // Multiply-accumulates, and how many of them a loop has.
    let dense = |shape: &Dense, wanted: bool| (if wanted { shape.macs() } else { 0 }, shape.inputs as u64);
    let conv2d = |shape: &Conv2d, wanted: bool| {
        let row = if shape.rows_are_contiguous() { shape.window.width.kernel as usize } else { 1 };
        (if wanted { shape.macs() } else { 0 }, (row * shape.group_in()) as u64)
    };
    let depthwise =
        |shape: &DepthwiseConv2d, wanted: bool| (if wanted { shape.macs() } else { 0 }, u64::from(shape.in_c));
    let (macs, length) = match step {
        Step::DenseFixed(r) => dense(&r.shape, true),
        Step::DenseBackwardInputFixed(r) => dense(&r.shape, true),
        Step::DenseBackwardWeightsFixed(r) => dense(&r.shape, !r.trained.w.is_none()),
        Step::Conv2dFixed(r) => conv2d(&r.shape, true),
        Step::Conv2dBackwardInputFixed(r) => conv2d(&r.shape, true),
        Step::Conv2dBackwardWeightsFixed(r) => conv2d(&r.shape, !r.trained.w.is_none()),
        Step::DepthwiseConv2dFixed(r) => depthwise(&r.shape, true),
        Step::DepthwiseConv2dBackwardInputFixed(r) => depthwise(&r.shape, true),
        Step::DepthwiseConv2dBackwardWeightsFixed(r) => depthwise(&r.shape, !r.trained.w.is_none()),
        _ => (0, 0),
    };
    let calls = macs.checked_div(length).unwrap_or(0);
    let products = (macs * factors.mac + calls * factors.call) * train.samples as u64;
    factors.step + products + words(step, train, length > 0) * factors.pair
}

/// Words that a step moves. Weights are read once for each product: of layers with them what is written counts.
fn words(step: &Step<'_>, train: &Sequence, has_weights: bool) -> u64 {
    let operands = step.operands(train.samples);
    let counts = |o: &&Operand| !has_weights || o.access == Access::Write;
    operands.as_slice().iter().filter(counts).map(|o| o.bytes as u64 / 4).sum()
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
    let own = if matches!(rule, Rule::Momentum { .. } | Rule::AdaGrad) { factors.no_loop } else { 0 };
    operations * factors.operation + hard * factors.hard + own + packing
}
