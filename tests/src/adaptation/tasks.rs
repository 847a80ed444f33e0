//! Models of the shared data, and what they are to learn.

use super::{Samples, enlarged};
use crate::shared;
use embernet::data::{Dataset, Labels, Storage, Values, read_array};
use embernet::graph::{Channels, Choice, Graph, Layers, Op, Selection, What};
use embernet::import::tflite;
use embernet::quant::{Scheme, quantize, to_float};
use embernet::train::{FitOptions, fit};
use embernet_core::adapt::normalise::{Moments, Seen};
use embernet_core::optim::OptimizerRecord;
use embernet_core::quant::quantize_i8;
use embernet_core::rng::Rng;
use std::ops::{ControlFlow, Range};

/// Most RAM for person_detect's network.
pub const PERSON_RAM: usize = 110_000;

/// Its input's side.
pub const SIDE: usize = 96;

/// A model of the shared data, if it is here.
///
/// # Panics
/// If it is damaged.
pub fn model(name: &str) -> Option<Graph> {
    let folder = shared::dir("learning in int8", &format!("models/{name}"))?;
    Some(tflite::load(&folder.join("model.tflite")).expect("a model").graph)
}

/// The last third of person_detect's network, sparsely: all biases, the weights of the depthwise layers and of the
/// classifier; of the four layers of 1x1, all weights of the third and those of 32 channels of the fourth.
///
/// # Panics
/// If it is another network.
pub fn person_layers(graph: &Graph) -> Selection {
    let all: Vec<_> = graph.iter().filter(|(_, node)| !node.parameters().is_empty()).map(|(id, _)| id).collect();
    let choice = |node: &embernet::graph::Node| {
        let what = match (&node.op, graph.tensor(node.parameters()[0]).elements()) {
            (Op::Conv2d(_), 40_001..) => What::Channels(Channels::new(std::iter::once(0..32)).expect("a range")),
            (Op::Conv2d(_), 1_001..20_000) => What::Biases,
            _ => What::Whole,
        };
        Choice { layers: Layers::Name(node.name.clone()), what }
    };
    Selection::Each(all[all.len() - all.len() / 3..].iter().map(|id| choice(graph.node(*id))).collect())
}

/// Grey images of 28 x 28 pixels and their classes.
#[derive(Debug)]
pub struct Greys {
    pixels: Vec<u8>,
    classes: Vec<u8>,
}

impl Greys {
    /// A part (`train` or `t10k`) of a set of the shared data, if it is here.
    ///
    /// # Panics
    /// If it is damaged.
    pub fn load(set: &str, part: &str) -> Option<Self> {
        let folder = shared::dir("learning in int8", &format!("sets/{set}"))?;
        let read =
            |name: &str| match read_array(&folder.join(format!("{part}-{name}-ubyte.gz"))).expect("a set").values() {
                Values::U8(bytes) => bytes.clone(),
                other => panic!("{} in place of bytes", other.type_name()),
            };
        Some(Self { pixels: read("images-idx3"), classes: read("labels-idx1") })
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.classes.len()
    }

    /// Some of them with pixels from 0 to 255, enlarged to [`SIDE`], in two classes.
    pub fn two_classes(&self, images: Range<usize>, second: impl Fn(u8) -> bool) -> Samples {
        let pixels: Vec<f32> =
            self.pixels[images.start * 28 * 28..images.end * 28 * 28].iter().map(|x| f32::from(*x)).collect();
        let labels = self.classes[images].iter().map(|class| u32::from(second(*class))).collect();
        Samples { x: enlarged(&pixels, 28, SIDE), labels }
    }
}

/// Fashion-MNIST: what is worn above the hips, against the rest.
pub fn is_worn_above(class: u8) -> bool {
    [0, 2, 3, 4, 6].contains(&class)
}

/// MNIST: odd digits against even ones.
pub fn is_odd(class: u8) -> bool {
    class % 2 == 1
}

/// The hundred CIFAR-10 images of ResNet-8, as pixels from 0 to 255: also what its input means by them.
pub fn cifar() -> Option<Samples> {
    let folder = shared::dir("learning in int8", "models/mlperf_ic_resnet8_int8")?;
    let x = shared::npy(&folder.join("input_real.npy")).values().to_f32().iter().map(|x| x + 128.0).collect();
    let labels = shared::npy(&folder.join("labels_real.npy")).values().to_f32().iter().map(|y| *y as u32).collect();
    Some(Samples { x, labels })
}

/// Mean and deviation of CIFAR-10's training images, red, green, blue, as the model's int8 input has them (pixel - 128):
/// the published 0.4914, 0.4822, 0.4465 and 0.2470, 0.2435, 0.2616 of the range.
pub const CIFAR_MOMENTS: [Moments; 3] = [
    Moments { mean: -2.7, deviation: 63.0 },
    Moments { mean: -5.0, deviation: 62.1 },
    Moments { mean: -14.1, deviation: 66.7 },
];

/// Pixels as person_detect's network takes them: -1 to 1.
#[must_use]
pub fn as_person_input(samples: &Samples) -> Samples {
    samples.map(|x| x / 127.5 - 1.0)
}

/// Moments of grey images as an int8 model's input has them.
///
/// # Panics
/// If its input is not int8.
pub fn moments(model: &Graph, samples: &Samples) -> [Moments; 1] {
    let quant = model.tensor(model.inputs[0]).quant.as_ref().and_then(|quant| quant.single());
    let (scale, zero_point) = quant.expect("an int8 model");
    let mut seen = Seen::default();
    samples.x.iter().for_each(|x| seen.add(quantize_i8(*x, scale, zero_point)));
    [seen.moments().expect("samples")]
}

/// person_detect's network as somebody would deploy it for another task: trained as floats on `samples`, then
/// quantised.
///
/// # Panics
/// If it cannot be.
pub fn deployed(model: &Graph, samples: &Samples, epochs: u32, threads: usize) -> Graph {
    let mut float = to_float(model).expect("a float form");
    float.set_trainable(&Selection::All).expect("layers");
    let labels = Labels::Class { ids: samples.labels.clone(), names: vec!["even".into(), "odd".into()] };
    let data = Dataset::new(vec![SIDE, SIDE, 1], Storage::F32(samples.x.clone()), labels).expect("samples");
    let options = FitOptions {
        epochs,
        batch: 16,
        optimizer: OptimizerRecord::adam(3e-4),
        shuffle: Some(Rng::new(1)),
        threads,
        ..FitOptions::default()
    };
    fit(&mut float, &data, None, &options, &mut |_| ControlFlow::Continue(())).expect("training");
    let calibration = &samples.x[..256.min(samples.labels.len()) * SIDE * SIDE];
    quantize(&float, calibration, Scheme::Int8).expect("an int8 form").graph
}
