//! Small models and data for tests of the way to a device.

use embernet::engine::decode_f32;
use embernet::graph::ops::{
    Add, AveragePool2d, BatchNorm, Concat, Conv2d, Dense, DepthwiseConv2d, Div, Flatten, Gru, LogSoftmax, Lstm,
    MaxPool2d, Minimum, Pad, Padding, Reduce, Reduction, Reshape, ResizeNearest, Slice, Sub, Svdf,
};
use embernet::graph::{Activation, Graph, Sequential};
use embernet::image::{Loss, PackOptions, Packed, Precision, TrainOptions, arena_for, open, pack};
use embernet::link::Client;
use embernet::quant::{Scheme, quantize};
use embernet_core::arch::{IsaId, Scalar};
use embernet_core::exec::{PlanKind, Session};
use embernet_core::image::Image;
use embernet_core::optim::OptimizerRecord;
use embernet_core::quant::dequantize_i8;
use embernet_core::rng::Rng;
use zerocopy::IntoBytes;

/// Samples in one training step.
pub const BATCH: usize = 10;

/// This graph, which learns so, in plain order.
fn scalar(graph: &Graph, train: TrainOptions) -> Packed {
    pack(graph, &PackOptions { train: Some(train), isa: IsaId::Scalar, ..PackOptions::default() }, None)
        .expect("a sound image")
}

/// The 4-10-10-3 network for Iris, trainable with this optimiser, for devices.
pub fn iris(optimizer: OptimizerRecord) -> Packed {
    let graph = Sequential::new([4])
        .add(Dense::new(10).activation(Activation::Relu))
        .add(Dense::new(10).activation(Activation::Relu))
        .add(Dense::new(3).activation(Activation::Softmax))
        .build(7)
        .expect("a sound graph");
    let train = TrainOptions { optimizer, loss: Loss::SparseCrossEntropy, batch: BATCH, ..TrainOptions::default() };
    scalar(&graph, train)
}

/// An int8 network whose layers see groups of channels, in windows for which few cores have a loop.
pub fn grouped() -> Graph {
    let graph = Sequential::new([12, 10, 4])
        .add(DepthwiseConv2d::new([5, 5]).padding(Padding::Same).activation(Activation::Relu))
        .add(DepthwiseConv2d::new([3, 2]).depth_multiplier(2))
        .add(Conv2d::new(12, [3, 3]).groups(4).padding(Padding::Same).activation(Activation::Relu6))
        .add(DepthwiseConv2d::new([3, 3]).dilation([2, 2]).padding(Padding::Same))
        .add(DepthwiseConv2d::new([3, 3]).strides([2, 2]).padding(Padding::Same))
        .add(Flatten {})
        .add(Dense::new(5))
        .build(9)
        .expect("a sound graph");
    let mut rng = Rng::new(4);
    let samples: Vec<f32> = (0..20 * 12 * 10 * 4).map(|_| rng.unit_f32()).collect();
    quantize(&graph, &samples, Scheme::Int8).expect("an int8 form").graph
}

/// The network of [`iris`] that learns in this way: what of it, in passes of so many samples, what is computed again.
pub fn sparse(optimizer: OptimizerRecord, layers: &str, batch: usize, recompute: &[&str]) -> Packed {
    let graph = Sequential::new([4])
        .add(Dense::new(10).activation(Activation::Relu))
        .add(Dense::new(10).activation(Activation::Relu))
        .add(Dense::new(3).activation(Activation::Softmax))
        .build(7)
        .expect("a sound graph");
    let layers = Some(layers.parse().expect("a selection"));
    let recompute = recompute.iter().map(ToString::to_string).collect();
    let train = TrainOptions { optimizer, batch, layers, recompute, ..TrainOptions::default() };
    scalar(&graph, train)
}

/// A network for Iris that keeps what its layers say as int8, in more than one block.
pub fn compressed(optimizer: OptimizerRecord, batch: usize) -> Packed {
    let graph = Sequential::new([4])
        .add(Dense::new(70).activation(Activation::Relu))
        .add(Dense::new(10).activation(Activation::Tanh))
        .add(Dense::new(3).activation(Activation::Softmax))
        .build(7)
        .expect("a sound graph");
    let compress = ["dense", "tanh"].map(String::from).to_vec();
    scalar(&graph, TrainOptions { optimizer, batch, compress, ..TrainOptions::default() })
}

/// The network of [`iris`], or another one for Iris, that learns in these numbers, in batches of at most so many.
pub fn precise(precision: Precision, hidden: &[usize], optimizer: OptimizerRecord, batch: usize) -> Packed {
    let mut net = Sequential::new([4]);
    for units in hidden {
        net = net.add(Dense::new(*units).activation(Activation::Relu));
    }
    let graph = net.add(Dense::new(3).activation(Activation::Softmax)).build(7).expect("a sound graph");
    let train = TrainOptions { optimizer, loss: Loss::SparseCrossEntropy, batch, ..TrainOptions::default() };
    let options = PackOptions { train: Some(train), isa: IsaId::Scalar, precision, ..PackOptions::default() };
    pack(&graph, &options, None).expect("a sound image")
}

/// A network for Iris of layers that are rarely trained, in batches of 2: recurrent ones both ways, quotients, minima,
/// maxima, logarithms of softmax.
pub fn rare(optimizer: OptimizerRecord) -> Packed {
    let gru = |reverse| Gru { units: 3, reverse, reset_after: !reverse, use_bias: true };
    let lstm = Lstm { units: 4, reverse: false, use_bias: true, peepholes: true, cell_clip: 0.0 };
    let odd = ResizeNearest { rows: vec![0, 1, 1], cols: vec![0, 0, 2] };
    let greatest = Reduce { reduction: Reduction::Max, axes: vec![0], keepdims: false };
    let graph = Sequential::new([4])
        .add(Dense::new(12))
        .add_named("sequence", Reshape::new([6, 2]))
        .add_returning_sequences(lstm)
        .add_named("states", Activation::Tanh)
        .add_named("forward", gru(false))
        .add_reading("backward", &["states"], gru(true))
        .add_reading("smaller", &["forward", "backward"], Minimum::default())
        .add_reading("divisor", &["forward"], Activation::Exp)
        .add_reading("quotient", &["smaller", "divisor"], Div::default())
        .add_reading("greatest", &["states"], greatest)
        .add_reading("logarithm", &["greatest"], LogSoftmax {})
        .add_reading("joined", &["quotient", "logarithm"], Concat { axis: 0 })
        .add_named("padded", Pad { before: vec![0], after: vec![5], value: 0.5 })
        .add_named("image", Reshape::new([2, 3, 2]))
        .add_named("odd", odd)
        .add(Flatten {})
        .add(Dense::new(3).activation(Activation::Softmax))
        .build(7)
        .expect("a sound graph");
    let train = TrainOptions { optimizer, loss: Loss::SparseCrossEntropy, batch: 2, ..TrainOptions::default() };
    scalar(&graph, train)
}

/// A network for Iris with a memory, that learns a sample at a time.
pub fn remembering(optimizer: OptimizerRecord) -> Packed {
    let graph = Sequential::new([4])
        .add(Dense::new(6).activation(Activation::Relu))
        .add(Svdf { units: 5, rank: 2, memory: 3, use_bias: true, activation: Activation::Relu })
        .add(Dense::new(3).activation(Activation::Softmax))
        .build(7)
        .expect("a sound graph");
    let train = TrainOptions { optimizer, loss: Loss::SparseCrossEntropy, batch: 1, ..TrainOptions::default() };
    scalar(&graph, train)
}

/// A small int8 network of every layer that learns in int8, for inputs of `[6, 6, 1]` and 3 classes; trainable so.
pub fn int8(optimizer: OptimizerRecord, layers: &str, batch: usize, recompute: &[&str]) -> Packed {
    let layers = Some(layers.parse().expect("a selection"));
    let recompute = recompute.iter().map(ToString::to_string).collect();
    let train = TrainOptions { optimizer, batch, layers, recompute, ..TrainOptions::default() };
    scalar(&int8_graph(), train)
}

/// [`int8`] behind normalised inputs. What it was trained on is what [`int8_steps`] makes.
pub fn adapting(optimizer: OptimizerRecord, layers: &str) -> Packed {
    let mut graph = int8_graph();
    let port = graph.tensor(graph.inputs[0]).quant.as_ref().and_then(|quant| quant.single()).expect("an int8 input");
    let pixels = int8_steps(1, 50).into_iter().flat_map(|(inputs, _)| inputs);
    let real = |pixel: u8| dequantize_i8(pixel as i8, port.0, port.1);
    let reference = graph.measured(&pixels.map(real).collect::<Vec<f32>>()).expect("an int8 network");
    graph.normalise_inputs(reference).expect("an int8 network");
    let layers = Some(layers.parse().expect("a selection"));
    let train = TrainOptions { optimizer, batch: BATCH, layers, ..TrainOptions::default() };
    scalar(&graph, train)
}

/// The graph of [`int8`].
pub fn int8_graph() -> Graph {
    let float = Sequential::new([6, 6, 1])
        .add(Conv2d::new(5, [3, 3]).padding(Padding::Same).activation(Activation::Relu))
        .add(DepthwiseConv2d::new([3, 3]).activation(Activation::Relu6))
        .add(MaxPool2d::new([2, 2]))
        .add(Conv2d::new(6, [1, 1]))
        .add(AveragePool2d::new([2, 2]))
        .add(Flatten {})
        .add(Dense::new(7).activation(Activation::Sigmoid))
        .add(Dense::new(3).activation(Activation::Softmax))
        .build(5)
        .expect("a sound graph");
    let mut rng = Rng::new(4);
    let calibration: Vec<f32> = (0..36 * 50).map(|_| rng.unit_f32() * 2.0 - 1.0).collect();
    quantize(&float, &calibration, Scheme::Int8).expect("every layer has an int8 form").graph
}

/// A small convolutional network of every layer that learns in 16-bit fixed point, for inputs of `[6, 6, 1]` and 3
/// classes, in these numbers.
pub fn images(precision: Precision, optimizer: OptimizerRecord, batch: usize) -> Packed {
    let graph = Sequential::new([6, 6, 1])
        .add(Conv2d::new(5, [3, 3]).padding(Padding::Same).activation(Activation::Relu))
        .add(DepthwiseConv2d::new([3, 3]).padding(Padding::Same).activation(Activation::Relu6))
        .add(MaxPool2d::new([2, 2]))
        .add(Conv2d::new(6, [2, 2]).activation(Activation::Relu))
        .add(AveragePool2d::new([2, 2]))
        .add(Flatten {})
        .add(Dense::new(3).activation(Activation::Softmax))
        .build(5)
        .expect("a sound graph");
    let train = TrainOptions { optimizer, loss: Loss::SparseCrossEntropy, batch, ..TrainOptions::default() };
    let options = PackOptions { train: Some(train), isa: IsaId::Scalar, precision, ..PackOptions::default() };
    pack(&graph, &options, None).expect("a sound image")
}

/// A network for Iris whose branches part and meet, of which these layers learn in 16-bit fixed point.
pub fn branches(optimizer: OptimizerRecord, layers: &str, batch: usize) -> Packed {
    let taken = Slice { begin: vec![1], size: vec![5], stride: vec![2] };
    let graph = Sequential::new([4])
        .add_named("first", Dense::new(10).activation(Activation::Relu))
        .add_named("second", Dense::new(10).activation(Activation::Relu))
        .add_reading("sum", &["first", "second"], Add { activation: Activation::Relu6 })
        .add_named("third", Dense::new(10))
        .add_reading("difference", &["third", "first"], Sub { activation: Activation::ReluN1To1 })
        .add_reading("padded", &["second"], Pad { before: vec![1], after: vec![2], value: 0.0 })
        .add_reading("taken", &["sum"], taken)
        .add_reading("joined", &["difference", "padded", "taken"], Concat { axis: 0 })
        .add_named("last", Dense::new(3).activation(Activation::Softmax))
        .build(7)
        .expect("a sound graph");
    let (loss, layers) = (Loss::SparseCrossEntropy, Some(layers.parse().expect("a selection")));
    let train = TrainOptions { optimizer, loss, batch, layers, ..TrainOptions::default() };
    let precision = Precision::Fixed16;
    let options = PackOptions { train: Some(train), isa: IsaId::Scalar, precision, ..PackOptions::default() };
    pack(&graph, &options, None).expect("a sound image")
}

/// So many training steps for [`images`]: those of [`int8_steps`] as floats.
pub fn image_steps(seed: u64, count: usize) -> Vec<Step> {
    let float = |pixel: &u8| f32::from((*pixel as i8) as i16) / 128.0;
    let floats = |pixels: Vec<u8>| pixels.iter().map(float).collect::<Vec<_>>().as_bytes().to_vec();
    int8_steps(seed, count).into_iter().map(|(inputs, labels)| (floats(inputs), labels)).collect()
}

/// So many training steps for [`int8`]: the class is told by the brightest third.
pub fn int8_steps(seed: u64, count: usize) -> Vec<Step> {
    let mut rng = Rng::new(seed);
    let step = |_| {
        let (mut inputs, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..BATCH {
            let label = rng.below(3);
            let pixel = |i: usize| (rng.below(100) + if i as u32 / 12 == label { 120 } else { 20 }) as u8 ^ 0x80;
            inputs.extend((0..36).map(pixel));
            labels.extend_from_slice(&label.to_le_bytes());
        }
        (inputs, labels)
    };
    (0..count).map(step).collect()
}

/// The same in bad light: a quarter of the steps.
pub fn dark(steps: Vec<Step>) -> Vec<Step> {
    let darker = |pixel: u8| (i32::from(pixel as i8) / 4 - 96) as u8;
    steps.into_iter().map(|(inputs, labels)| (inputs.into_iter().map(darker).collect(), labels)).collect()
}

/// A network for Iris with batch normalisation, before anything else and behind a layer.
pub fn normalised(optimizer: OptimizerRecord) -> Packed {
    let graph = Sequential::new([4])
        .add(BatchNorm::new())
        .add(Dense::new(10).use_bias(false))
        .add(BatchNorm { momentum: 0.9, ..BatchNorm::new().activation(Activation::Relu) })
        .add(Dense::new(3).activation(Activation::Softmax))
        .build(7)
        .expect("a sound graph");
    let train = TrainOptions { optimizer, loss: Loss::SparseCrossEntropy, batch: BATCH, ..TrainOptions::default() };
    scalar(&graph, train)
}

/// The smallest network there is a use for, in two kinds: for tests that stop at every word of its image. Inference only.
pub fn tiny(seed: u64) -> Packed {
    let graph =
        Sequential::new([2]).add(Dense::new(2).activation(Activation::Softmax)).build(seed).expect("a sound graph");
    pack(&graph, &PackOptions { isa: IsaId::Scalar, ..PackOptions::default() }, None).expect("a sound image")
}

/// A network whose input of 400 bytes and batch of 3 do not fit one message. Inference only.
pub fn wide() -> Packed {
    let graph = Sequential::new([10, 10, 1])
        .add(Conv2d::new(2, [3, 3]).activation(Activation::Relu))
        .add(Flatten {})
        .add(Dense::new(70))
        .build(3)
        .expect("a sound graph");
    pack(&graph, &PackOptions { samples: 3, isa: IsaId::Scalar, ..PackOptions::default() }, None)
        .expect("a sound image")
}

/// So many values between -1 and 1, as bytes.
pub fn values(rng: &mut Rng, count: usize) -> Vec<u8> {
    let values: Vec<f32> = (0..count).map(|_| rng.unit_f32() * 2.0 - 1.0).collect();
    values.as_bytes().to_vec()
}

/// One training step's data: inputs and class indices, as bytes.
pub type Step = (Vec<u8>, Vec<u8>);

/// Makes so many training steps from a seed.
pub type Steps = fn(u64, usize) -> Vec<Step>;

/// So many training steps of Iris-like data: the class is told by the sum of the features.
pub fn steps(seed: u64, count: usize) -> Vec<Step> {
    let mut rng = Rng::new(seed);
    (0..count)
        .map(|_| {
            let mut inputs = Vec::new();
            let mut labels = Vec::new();
            for _ in 0..BATCH {
                let features: Vec<f32> = (0..4).map(|_| rng.unit_f32() * 2.0 - 1.0).collect();
                let sum: f32 = features.iter().sum();
                let class: u32 = if sum < -0.5 { 0 } else { 1 + u32::from(sum > 0.5) };
                inputs.extend_from_slice(features.as_bytes());
                labels.extend_from_slice(&class.to_le_bytes());
            }
            (inputs, labels)
        })
        .collect()
}

/// The steps in passes of as many samples as the image takes.
pub fn passes<'s>(image: &Image<'_>, steps: &'s [Step]) -> impl Iterator<Item = (&'s [u8], &'s [u8])> {
    let (samples, bytes) = (image.header().train.samples as usize, image.train_inputs()[0].sample_bytes());
    steps.iter().flat_map(move |(inputs, labels)| inputs.chunks(samples * bytes).zip(labels.chunks(samples * 4)))
}

/// What the host makes of these steps with the scalar token: losses, and parameters afterwards.
pub fn replay(image: &Image<'_>, steps: &[Step]) -> (Vec<f32>, Vec<u8>) {
    let mut arena = arena_for(image);
    let mut session = open(image, &mut arena, IsaId::Scalar).expect("the host runs it");
    let mut losses = Vec::new();
    for (inputs, labels) in passes(image, steps) {
        session.input_mut(PlanKind::Train, 0)[..inputs.len()].copy_from_slice(inputs);
        session.target_mut()[..labels.len()].copy_from_slice(labels);
        losses.push(session.train_step(labels.len() / 4).expect("a step"));
    }
    (losses, session.params().to_vec())
}

/// How well `params` of an image do on these steps, by the host's scalar token: the loss of each pass, and right answers.
///
/// # Panics
/// If these are not those of inference, counted here. The integer softmax of an int8 network makes some logits equal.
pub fn evaluate(image: &Image<'_>, params: &[u8], steps: &[Step]) -> (Vec<f32>, Vec<u32>) {
    let mut arena = arena_for(image);
    let mut session = Session::new(image, &mut arena, Scalar).expect("the host runs it");
    session.params_mut().copy_from_slice(params);
    let (input_bytes, output_bytes) = (image.inputs()[0].sample_bytes(), image.outputs()[0].sample_bytes());
    let (mut losses, mut right) = (Vec::new(), Vec::new());
    for (inputs, labels) in passes(image, steps) {
        session.input_mut(PlanKind::Train, 0)[..inputs.len()].copy_from_slice(inputs);
        session.target_mut()[..labels.len()].copy_from_slice(labels);
        let found = session.evaluate(labels.len() / 4).expect("an evaluation");
        losses.push(found.loss);
        right.push(found.right);
        let (mut alone, mut among) = (0, 0);
        for (sample, label) in inputs.chunks(input_bytes).zip(labels.as_chunks().0) {
            session.input_mut(PlanKind::Infer, 0)[..sample.len()].copy_from_slice(sample);
            session.infer(1).expect("inference");
            let output = decode_f32(&session.output(0)[..output_bytes], &image.outputs()[0]);
            let wanted = output[u32::from_le_bytes(*label) as usize];
            let above = output.iter().filter(|other| **other >= wanted).count();
            alone += u32::from(above == 1);
            among += u32::from(output.iter().all(|other| *other <= wanted));
        }
        assert!((alone..=among).contains(&found.right), "{found:?}, {alone} to {among} of inference");
    }
    assert_eq!(session.params(), params, "an evaluation changes nothing");
    (losses, right)
}

/// Has a device evaluate these steps and compares that with the host's [`evaluate`].
///
/// # Panics
/// If they differ, or if the device has learned from it.
pub fn evaluates_like_the_host(client: &mut Client, image: &Image<'_>, steps: &[Step]) {
    let (params, state) = (client.params(image).expect("parameters"), client.state(image).expect("state"));
    let (losses, right) = evaluate(image, &params, steps);
    for (((inputs, labels), loss), right) in passes(image, steps).zip(losses).zip(right) {
        let found = client.evaluate(image, &[inputs], labels).expect("an evaluation");
        assert_eq!((found.loss.to_bits(), found.right), (loss.to_bits(), right));
    }
    assert_eq!((client.params(image).expect("parameters"), client.state(image).expect("state")), (params, state));
}

/// What the host's scalar token infers from one input of any number of samples.
pub fn infer(image: &Image<'_>, input: &[u8]) -> Vec<u8> {
    let mut arena = arena_for(image);
    let mut session = open(image, &mut arena, IsaId::Scalar).expect("the host runs it");
    let (input_bytes, output_bytes) = (image.inputs()[0].sample_bytes(), image.outputs()[0].sample_bytes());
    let mut outputs = Vec::new();
    for sample in input.chunks(input_bytes) {
        session.input_mut(PlanKind::Infer, 0)[..sample.len()].copy_from_slice(sample);
        session.infer(1).expect("inference");
        outputs.extend_from_slice(&session.output(0)[..output_bytes]);
    }
    outputs
}

/// A trainable network whose widths, and with them the ends of every float loop, are random: convolutions, then dense
/// layers, for inputs of `[6, 5, channels]` and `classes`. Gives the elements of a sample and the classes too.
pub fn ragged(seed: u64, batch: usize) -> (Packed, usize, u32) {
    let mut rng = Rng::new(seed);
    let mut width = |most: u32| 1 + rng.below(most);
    let (channels, classes) = (width(5), 1 + width(6));
    let activations = [Activation::Linear, Activation::Relu, Activation::Relu6];
    let mut net = Sequential::new([6, 5, channels as usize]);
    for kernel in [[3, 3], [1, 1], [2, 3]] {
        net = net.add(Conv2d::new(width(11) as usize, kernel).activation(activations[width(3) as usize - 1]));
    }
    net = net.add(Flatten {});
    for _ in 0..3 {
        net = net.add(Dense::new(width(19) as usize).activation(activations[width(3) as usize - 1]));
    }
    let graph =
        net.add(Dense::new(classes as usize).activation(Activation::Softmax)).build(seed).expect("a sound graph");
    let mut optimizer = if seed < 4 { OptimizerRecord::sgd(0.05) } else { OptimizerRecord::adam(0.005) };
    optimizer.weight_decay = 0.01;
    let train = TrainOptions { optimizer, loss: Loss::SparseCrossEntropy, batch, ..TrainOptions::default() };
    (scalar(&graph, train), (6 * 5 * channels) as usize, classes)
}
