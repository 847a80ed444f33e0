//! Models that meet other data than they were trained on, and learn them: int8 in place, and as floats.

mod front;
mod samples;
mod shift;
pub mod tasks;

pub use samples::{Samples, enlarged, mirrored};
pub use shift::{COLOURS, GREYS, Shift, normalised};

use embernet::engine::{decode_f32, encode_f32};
use embernet::graph::{DType, Graph, Selection};
use embernet::image::{self, AlignedBytes, Loss, Optimize, PackOptions, TrainOptions, pack};
use embernet_core::arch::IsaId;
use embernet_core::checksum::crc32;
use embernet_core::exec::PlanKind;
use embernet_core::image::{Header, Image};
use embernet_core::optim::OptimizerRecord;
use embernet_core::plan::Step;
use embernet_core::rng::Rng;
use zerocopy::IntoBytes;

/// How to learn.
#[derive(Debug, Clone)]
pub struct Learning {
    /// What of the model.
    pub layers: Selection,
    /// By which rule.
    pub optimizer: OptimizerRecord,
    /// How often all samples are shown, one at a time.
    pub epochs: usize,
    /// Whether the learning rate falls to 0 meanwhile, by as much at every update.
    pub falls: bool,
    /// Whether int8 updates are scaled.
    pub scaled: bool,
    /// Of the order in which samples are shown.
    pub seed: u64,
}

impl Learning {
    /// Plain descent.
    pub fn sgd(layers: Selection, rate: f32, epochs: usize) -> Self {
        Self { layers, optimizer: OptimizerRecord::sgd(rate), epochs, falls: false, scaled: true, seed: 1 }
    }

    /// What an image is packed with.
    pub fn options(&self, isa: IsaId) -> PackOptions {
        let train = TrainOptions {
            optimizer: self.optimizer,
            loss: Loss::SparseCrossEntropy,
            layers: Some(self.layers.clone()),
            ..TrainOptions::default()
        };
        PackOptions { isa, train: Some(train), optimize: Optimize::Ram, ..PackOptions::default() }
    }

    /// Bytes of the arena for learning so on a device, and of what learns.
    pub fn ram(&self, graph: &Graph) -> (usize, usize) {
        let packed = pack(graph, &self.options(IsaId::Scalar), None).expect("a model that can learn so");
        let image = packed.image().expect("a sound image");
        (image.arena_bytes(), image.header().param_bytes as usize)
    }
}

/// Share of `test` recognised before the first epoch and after the last. Integers are those of a device, bit for bit.
///
/// The layers in front of the first that learns run once for each sample: what they make never changes.
///
/// # Panics
/// If the model cannot learn so.
pub fn accuracies(graph: &Graph, how: &Learning, train: &Samples, test: &Samples) -> [f64; 2] {
    learned(graph, how, front::split(graph, &how.layers), train, test).accuracy
}

/// Mean loss on `held` before the first epoch and after the last: what somebody can measure who has nothing but samples
/// to learn from, and keeps some of them back.
///
/// # Panics
/// If the model cannot learn so.
pub fn losses(graph: &Graph, how: &Learning, train: &Samples, held: &Samples) -> [f64; 2] {
    learned(graph, how, front::split(graph, &how.layers), train, held).loss
}

/// What became of a model.
#[derive(Debug, PartialEq)]
struct Learned {
    /// Share of the test samples recognised, before and after.
    accuracy: [f64; 2],
    /// Mean loss on them.
    loss: [f64; 2],
    params: Vec<u8>,
}

/// Whether a front that runs once for each sample leaves the same parameters as the whole network.
///
/// # Panics
/// If the model cannot learn so, or has no such front.
pub fn split_changes_nothing(graph: &Graph, how: &Learning, samples: &Samples) -> bool {
    let split = front::split(graph, &how.layers);
    assert!(split.is_some(), "a front");
    learned(graph, how, split, samples, samples) == learned(graph, how, None, samples, samples)
}

/// All that can be told of a model that learns.
fn learned(graph: &Graph, how: &Learning, split: Option<(Graph, Graph)>, train: &Samples, test: &Samples) -> Learned {
    let is_float = graph.tensor(graph.inputs[0]).dtype == DType::F32;
    let isa = image::host_isa(!is_float);
    let back = split.as_ref().map_or(graph, |(_, back)| back);
    let packed = pack(back, &how.options(isa), None).expect("a sound image");
    let bytes = if how.scaled { packed.bytes } else { unscaled(&packed.bytes) };
    let image = Image::parse(&bytes).expect("a sound image");
    let mut arena = image::arena_for(&image);
    let mut session = image::open(&image, &mut arena, isa).expect("the host runs it");
    let [x, test_x] = [train, test].map(|samples| match &split {
        Some((front, _)) => front::run(front, samples),
        None => encode_f32(&samples.x, &image.inputs()[0]),
    });
    let bytes_each = image.inputs()[0].sample_bytes();
    let judged = |session: &mut dyn image::HostSession| {
        let mut loss = 0.0;
        for (x, label) in test_x.chunks(bytes_each).zip(&test.labels) {
            session.input_mut(PlanKind::Train, 0).copy_from_slice(x);
            session.target_mut().copy_from_slice(label.as_bytes());
            loss += f64::from(session.evaluate(1).expect("an evaluation").loss);
        }
        let right = test_x.chunks(bytes_each).zip(&test.labels).filter(|(x, label)| {
            session.input_mut(PlanKind::Infer, 0).copy_from_slice(x);
            session.infer(1).expect("inference");
            let y = decode_f32(session.output(0), &image.outputs()[0]);
            let best = (0..y.len()).fold(0, |best, class| if y[class] > y[best] { class } else { best });
            best == **label as usize
        });
        [right.count() as f64, loss].map(|sum| sum / test.labels.len() as f64)
    };
    let before = judged(session.as_mut());
    let mut rng = Rng::new(how.seed);
    let mut order: Vec<usize> = (0..train.labels.len()).collect();
    let updates = (how.epochs * order.len()) as f32;
    for _ in 0..how.epochs {
        rng.shuffle(&mut order);
        for sample in &order {
            if how.falls {
                session.set_lr(how.optimizer.lr * (1.0 - session.updates() as f32 / updates));
            }
            session.input_mut(PlanKind::Train, 0).copy_from_slice(&x[sample * bytes_each..(sample + 1) * bytes_each]);
            session.target_mut().copy_from_slice(train.labels[*sample].as_bytes());
            session.train_step(1).expect("a step");
        }
    }
    let after = if how.epochs == 0 { before } else { judged(session.as_mut()) };
    let [accuracy, loss] = [0, 1].map(|at| [before[at], after[at]]);
    Learned { accuracy, loss, params: session.params().to_vec() }
}

/// The same image, whose updates do not know of scales.
fn unscaled(bytes: &AlignedBytes) -> AlignedBytes {
    let image = Image::parse(bytes).expect("a sound image");
    let base = bytes.as_ptr().addr();
    let flags: Vec<usize> = image
        .train_plan()
        .steps()
        .filter_map(|step| match step {
            Step::Conv2dBackwardWeightsI8(record) => Some(&record.trained.scaled),
            Step::DepthwiseConv2dBackwardWeightsI8(record) => Some(&record.trained.scaled),
            _ => None,
        })
        .map(|flag| core::ptr::from_ref(flag).addr() - base)
        .collect();
    let mut header = *image.header();
    let mut bytes = AlignedBytes::copy_of(bytes);
    for at in flags {
        bytes[at..at + 4].copy_from_slice(&0u32.to_le_bytes());
    }
    header.head_crc = crc32(&bytes[16..header.head_bytes as usize]);
    bytes[..size_of::<Header>()].copy_from_slice(header.as_bytes());
    bytes
}
