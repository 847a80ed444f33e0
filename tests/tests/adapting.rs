//! What stands beside a network that adapts, on handwritten digits: class means, replay, drift.

use std::ops::ControlFlow;

use embernet::data::{Dataset, Labels, Storage};
use embernet::graph::ops::Dense;
use embernet::graph::{Activation, Graph, Sequential};
use embernet::image::{Loss, PackOptions, TrainOptions, arena_for, open, pack};
use embernet::train::{FitOptions, fit, predict};
use embernet_core::adapt::prototypes::{Prototypes, words};
use embernet_core::adapt::replay::Replay;
use embernet_core::adapt::watch::Watch;
use embernet_core::arch::IsaId;
use embernet_core::exec::PlanKind;
use embernet_core::optim::OptimizerRecord;
use embernet_core::quant::{dequantize_i8, quantize_i8};
use embernet_core::rng::Rng;
use embernet_tests::shared;
use zerocopy::IntoBytes;

/// Pixels of an image, 0 to 16.
const PIXELS: usize = 64;
const CLASSES: usize = 10;
const HIDDEN: usize = 32;
const SCALE: f32 = 1.0 / 16.0;

struct Digit {
    pixels: [i8; PIXELS],
    class: u16,
}

impl Digit {
    fn input(&self) -> [f32; PIXELS] {
        self.pixels.map(|pixel| dequantize_i8(pixel, SCALE, 0))
    }
}

/// Three of four to learn from, the fourth to ask.
fn digits() -> (Vec<Digit>, Vec<Digit>) {
    let text = std::fs::read_to_string(shared::root().join("datasets/digits.csv")).unwrap();
    let (mut learn, mut ask) = (Vec::new(), Vec::new());
    for (row, line) in text.lines().skip(1).enumerate() {
        let values: Vec<i8> = line.split(',').map(|value| value.parse().unwrap()).collect();
        let digit = Digit { pixels: values[..PIXELS].try_into().unwrap(), class: values[PIXELS] as u16 };
        if row % 4 == 3 { ask.push(digit) } else { learn.push(digit) }
    }
    (learn, ask)
}

/// 64-32-10, or its front without the last layer.
fn network(whole: bool) -> Graph {
    let net = Sequential::new([PIXELS]).add(Dense::new(HIDDEN).activation(Activation::Relu));
    let net = if whole { net.add(Dense::new(CLASSES).activation(Activation::Softmax)) } else { net };
    net.build(5).unwrap()
}

/// The network, trained on some digits on the PC.
fn trained(digits: &[&Digit]) -> Graph {
    let ids = digits.iter().map(|digit| digit.class.into()).collect();
    let labels = Labels::Class { ids, names: vec![String::new(); CLASSES] };
    let inputs = digits.iter().flat_map(|digit| digit.input()).collect();
    let data = Dataset::new(vec![PIXELS], Storage::F32(inputs), labels).unwrap();
    let mut graph = network(true);
    let options =
        FitOptions { epochs: 20, optimizer: OptimizerRecord::adam(0.005), exact: true, ..FitOptions::default() };
    fit(&mut graph, &data, None, &options, &mut |_| ControlFlow::Continue(())).unwrap();
    graph
}

/// The share of right answers after each of five lessons, of two digits each. With `places` for earlier examples, half
/// of every batch is drawn from them.
fn lessons(places: usize) -> Vec<f64> {
    const BATCH: usize = 16;
    let (learn, ask) = digits();
    let optimizer = OptimizerRecord::sgd(0.1);
    let train = TrainOptions { optimizer, loss: Loss::SparseCrossEntropy, batch: BATCH, ..TrainOptions::default() };
    let packed = pack(&network(true), &PackOptions { train: Some(train), ..PackOptions::default() }, None).unwrap();
    let image = packed.image().unwrap();
    let mut arena = arena_for(&image);
    let mut session = open(&image, &mut arena, IsaId::Scalar).unwrap();

    let (mut samples, mut labels, mut seen) = (vec![0; places * PIXELS], vec![0; places], [0; CLASSES]);
    let mut replay = Replay::new(&mut samples, &mut labels, &mut seen, Rng::new(1));
    let mut shares = Vec::new();
    for lesson in 0..5 {
        let mut lesson: Vec<&Digit> = learn.iter().filter(|digit| digit.class / 2 == lesson).collect();
        let mut rng = Rng::new(2);
        for _ in 0..10 {
            rng.shuffle(&mut lesson);
            for new in lesson.chunks_exact(if replay.is_empty() { BATCH } else { BATCH / 2 }) {
                let mut batch: Vec<([i8; PIXELS], u16)> = new.iter().map(|digit| (digit.pixels, digit.class)).collect();
                while batch.len() < BATCH {
                    let (pixels, class) = replay.draw().unwrap();
                    batch.push((pixels.try_into().unwrap(), class));
                }
                let inputs: Vec<f32> =
                    batch.iter().flat_map(|(pixels, _)| pixels.map(|pixel| dequantize_i8(pixel, SCALE, 0))).collect();
                let classes: Vec<u32> = batch.iter().map(|(_, class)| u32::from(*class)).collect();
                session.input_mut(PlanKind::Train, 0).copy_from_slice(inputs.as_bytes());
                session.target_mut().copy_from_slice(classes.as_bytes());
                session.train_step(BATCH).unwrap();
            }
        }
        for digit in lesson {
            replay.keep(digit.pixels, digit.class);
        }
        let right = ask.iter().filter(|digit| {
            session.input_mut(PlanKind::Infer, 0).copy_from_slice(digit.input().as_bytes());
            session.infer(1).unwrap();
            highest(session.output(0)) == usize::from(digit.class)
        });
        shares.push(right.count() as f64 / ask.len() as f64);
    }
    shares
}

fn highest(output: &[u8]) -> usize {
    let scores = output.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    scores.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0
}

/// The figures of docs/training-on-device.md.
#[test]
fn replay_keeps_a_network_from_forgetting() {
    let figures: Vec<(usize, Vec<f64>)> = [0, 50, 200].map(|places| (places, lessons(places))).into();
    for (places, shares) in &figures {
        eprintln!("{places} places: {shares:.3?}");
    }
    let last = |at: usize| figures[at].1[4];
    assert!(last(0) < 0.35, "what was learned last is known, what was learned before forgotten");
    assert!(last(1) > 0.75 && last(2) > 0.85);
}

/// The share of right answers to known and to new digits, which are learned from so many examples each: means of 20 draws.
fn class_means(learn: &[(usize, Features)], ask: &[(usize, Features)], shots: u32) -> [f64; 2] {
    let mut order: Vec<usize> = (0..learn.len()).collect();
    let mut rng = Rng::new(3);
    let mut right = [0; 2];
    for _ in 0..DRAWS {
        rng.shuffle(&mut order);
        let mut memory = [0; words(CLASSES, HIDDEN)];
        let mut prototypes = Prototypes::new(&mut memory, HIDDEN);
        for (class, features) in order.iter().map(|at| &learn[*at]) {
            if prototypes.examples(*class) < if *class < KNOWN { 50 } else { shots } {
                prototypes.learn(*class, features).unwrap();
            }
        }
        for (class, features) in ask {
            right[usize::from(*class >= KNOWN)] += usize::from(prototypes.nearest(features).unwrap().class == *class);
        }
    }
    let new = ask.iter().filter(|(class, _)| *class >= KNOWN).count();
    [right[0] as f64 / (DRAWS * (ask.len() - new)) as f64, right[1] as f64 / (DRAWS * new) as f64]
}

type Features = [i8; HIDDEN];
/// Digits that the network was trained to know.
const KNOWN: usize = 7;
const DRAWS: usize = 20;

/// A network that knows 0 to 6 gives features by which 7, 8 and 9 are told, too. The figures of
/// docs/training-on-device.md.
#[test]
fn class_means_learn_new_digits_from_a_few_examples() {
    let (learn, ask) = digits();
    let known: Vec<&Digit> = learn.iter().filter(|digit| usize::from(digit.class) < KNOWN).collect();
    let whole = trained(&known);
    let mut front = network(false);
    for tensor in front.parameter_tensors() {
        let from = whole.find_tensor(&front.tensor(tensor).name).unwrap();
        front.tensor_mut(tensor).data = whole.tensor(from).data.clone();
    }
    let features = |digits: &[Digit]| -> Vec<(usize, Features)> {
        let inputs: Vec<f32> = digits.iter().flat_map(Digit::input).collect();
        let outputs = predict(&front, &inputs, true).unwrap();
        let rows = outputs.as_chunks().0.iter().map(|row: &[f32; HIDDEN]| row.map(|value| quantize_i8(value, 0.1, 0)));
        digits.iter().map(|digit| digit.class.into()).zip(rows).collect()
    };
    let (learned, asked) = (features(&learn), features(&ask));
    let figures = [1, 5, 20].map(|shots| (shots, class_means(&learned, &asked, shots)));
    eprintln!("examples of a new digit, right answers to known and new ones: {figures:.3?}");
    let [_, (_, [known, new]), (_, [_, more])] = figures;
    assert!(known > 0.9 && new > 0.65 && more > new);
}

/// Digits like those of the reference do not drift; the same ones at half the brightness do.
#[test]
fn dimmed_digits_drift() {
    let (learn, ask) = digits();
    // What the network has learned it answers more surely than what it has not: no reference for what is to come.
    let (learn, reference) = learn.split_at(learn.len() / 2);
    let graph = trained(&learn.iter().collect::<Vec<_>>());
    let packed = pack(&graph, &PackOptions::default(), None).unwrap();
    let image = packed.image().unwrap();
    let mut arena = arena_for(&image);
    let mut session = open(&image, &mut arena, IsaId::Scalar).unwrap();
    let mut watch = Watch::new(reference.len() as u32);
    let mut show = |watch: &mut Watch, digit: &Digit, brightness: f32| {
        let input = digit.input().map(|pixel| pixel * brightness);
        watch.observe_inputs(&image.inputs()[0], input.as_bytes());
        session.input_mut(PlanKind::Infer, 0).copy_from_slice(input.as_bytes());
        session.infer(1).unwrap();
        watch.observe_outputs(&image.outputs()[0], session.output(0));
    };
    reference.iter().for_each(|digit| show(&mut watch, digit, 1.0));
    let mut highest = 0f32;
    for digit in &ask {
        show(&mut watch, digit, 1.0);
        highest = highest.max(watch.score());
    }
    let needed = ask.iter().take_while(|digit| {
        show(&mut watch, digit, 0.5);
        !watch.input.level.has_drifted()
    });
    let needed = needed.count() + 1;
    eprintln!("highest score without drift: {highest:.1}; dimmed digits until it shows: {needed}");
    assert!(highest < 10.0 && needed < 20);
}
