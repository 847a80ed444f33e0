//! Models that meet other data than they were trained on, and learn them: int8 in place, and as floats.

use embernet::engine::{decode_f32, encode_f32};
use embernet::graph::{Graph, Selection};
use embernet::image::{self, AlignedBytes, Loss, Optimize, PackOptions, TrainOptions, pack};
use embernet_core::arch::IsaId;
use embernet_core::checksum::crc32;
use embernet_core::exec::PlanKind;
use embernet_core::image::{Header, Image};
use embernet_core::optim::OptimizerRecord;
use embernet_core::plan::Step;
use embernet_core::rng::Rng;
use zerocopy::IntoBytes;

/// Samples as reals, one after the other, and their classes.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// `[samples][elements]`
    pub x: Vec<f32>,
    /// `[samples]`
    pub labels: Vec<u32>,
}

impl Samples {
    /// Elements of one.
    pub fn elements(&self) -> usize {
        self.x.len() / self.labels.len().max(1)
    }

    /// Those that `keep` chooses by their numbers.
    #[must_use]
    pub fn some(&self, keep: impl Fn(usize) -> bool) -> Self {
        let elements = self.elements();
        let kept: Vec<usize> = (0..self.labels.len()).filter(|n| keep(*n)).collect();
        Self {
            x: kept.iter().flat_map(|n| self.x[n * elements..(n + 1) * elements].to_vec()).collect(),
            labels: kept.iter().map(|n| self.labels[*n]).collect(),
        }
    }
}

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
}

impl Learning {
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
}

/// Share of `test` recognised before the first epoch and after each.
pub fn accuracies(graph: &Graph, how: &Learning, train: &Samples, test: &Samples) -> Vec<f64> {
    let isa = image::host_isa(true);
    let packed = pack(graph, &how.options(isa), None).expect("a sound image");
    let bytes = if how.scaled { packed.bytes } else { unscaled(&packed.bytes) };
    let image = Image::parse(&bytes).expect("a sound image");
    let mut arena = image::arena_for(&image);
    let mut session = image::open(&image, &mut arena, isa).expect("the host runs it");
    let elements = train.elements();
    let [x, test_x] = [&train.x, &test.x].map(|x| encode_f32(x, &image.inputs()[0]));
    let bytes_each = image.inputs()[0].sample_bytes();
    let accuracy = |session: &mut dyn image::HostSession| {
        let right = test_x.chunks(bytes_each).zip(&test.labels).filter(|(x, label)| {
            session.input_mut(PlanKind::Infer, 0).copy_from_slice(x);
            session.infer(1).expect("inference");
            let y = decode_f32(session.output(0), &image.outputs()[0]);
            let best = (0..y.len()).fold(0, |best, class| if y[class] > y[best] { class } else { best });
            best == **label as usize
        });
        right.count() as f64 / test.labels.len() as f64
    };
    let mut found = vec![accuracy(session.as_mut())];
    let mut rng = Rng::new(1);
    let mut order: Vec<usize> = (0..train.x.len() / elements).collect();
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
        found.push(accuracy(session.as_mut()));
    }
    found
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

/// Images of `from` x `from` as `to` x `to`, bilinear; rows and columns at the border are repeated.
pub fn enlarged(images: &[f32], from: usize, to: usize) -> Vec<f32> {
    let place = |at: usize| {
        let at = ((at as f32 + 0.5) * from as f32 / to as f32 - 0.5).clamp(0.0, (from - 1) as f32);
        let low = at as usize;
        (low, (low + 1).min(from - 1), at - low as f32)
    };
    let mut enlarged = Vec::with_capacity(images.len() / (from * from) * to * to);
    for image in images.chunks(from * from) {
        for row in 0..to {
            let (top, bottom, down) = place(row);
            for column in 0..to {
                let (left, right, across) = place(column);
                let line = |row: usize| {
                    image[row * from + left] + (image[row * from + right] - image[row * from + left]) * across
                };
                enlarged.push(line(top) + (line(bottom) - line(top)) * down);
            }
        }
    }
    enlarged
}
