//! Int8 models that learn in place recover on other data as their float form does.
//!
//! The long comparisons: `cargo test --release -p embernet-tests --test int8_learning -- --ignored --nocapture`.

use embernet::data::read_array;
use embernet::graph::{Channels, Choice, Graph, Layers, NodeId, Op, Selection, What};
use embernet::image::pack;
use embernet::import::tflite;
use embernet::quant::to_float;
use embernet::train::Runaway;
use embernet_core::arch::IsaId;
use embernet_core::optim::OptimizerRecord;
use embernet_tests::adaptation::{Learning, Samples, accuracies, enlarged};
use embernet_tests::{models, shared};

/// Most RAM for person_detect.
const PERSON_RAM: usize = 110_000;

fn model(name: &str) -> Option<Graph> {
    let folder = shared::dir("learning in int8", &format!("models/{name}"))?;
    Some(tflite::load(&folder.join("model.tflite")).unwrap().graph)
}

/// The layers with parameters, in order.
fn layers(graph: &Graph) -> Vec<NodeId> {
    graph.iter().filter(|(_, node)| !node.parameters().is_empty()).map(|(id, _)| id).collect()
}

/// The last third of person_detect, sparsely: all biases, the weights of the depthwise layers and of the classifier; of
/// the four layers of 1x1, all weights of the third and those of 32 channels of the fourth.
fn person_layers(graph: &Graph) -> Selection {
    let all = layers(graph);
    let third = &all[all.len() - all.len() / 3..];
    let choice = |id: &NodeId| {
        let node = graph.node(*id);
        let weights = graph.tensor(node.parameters()[0]).elements();
        let what = match &node.op {
            Op::Conv2d(_) if weights > 40_000 => What::Channels(Channels::new(std::iter::once(0..32)).unwrap()),
            Op::Conv2d(_) if weights < 20_000 && weights > 1_000 => What::Biases,
            _ => What::Whole,
        };
        Choice { layers: Layers::Name(node.name.clone()), what }
    };
    Selection::Each(third.iter().map(choice).collect())
}

/// Images of a set, enlarged to 96 x 96, from -1 to 1, in two classes.
fn grey(set: &str, part: &str, count: usize, class: impl Fn(u32) -> bool) -> Option<Samples> {
    let folder = shared::dir("learning in int8", &format!("sets/{set}"))?;
    let images = read_array(&folder.join(format!("{part}-images-idx3-ubyte.gz"))).unwrap();
    let classes = read_array(&folder.join(format!("{part}-labels-idx1-ubyte.gz"))).unwrap();
    let pixels: Vec<f32> = images.values().to_f32()[..count * 28 * 28].iter().map(|x| x / 127.5 - 1.0).collect();
    let labels = classes.values().to_f32()[..count].iter().map(|of| u32::from(class(*of as u32))).collect();
    Some(Samples { x: enlarged(&pixels, 28, 96), labels })
}

/// Fashion-MNIST: what is worn above the hips, against the rest.
fn garments(part: &str, count: usize) -> Option<Samples> {
    grey("fashion_mnist_2k", part, count, |class| [0, 2, 3, 4, 6].contains(&class))
}

/// MNIST: odd digits against even ones.
fn digits(part: &str, count: usize) -> Option<Samples> {
    grey("mnist", part, count, |class| class % 2 == 1)
}

fn percent(accuracies: &[f64]) -> String {
    accuracies.iter().map(|a| format!("{:5.1}", 100.0 * a)).collect::<Vec<_>>().join(" ")
}

/// Whether rates fall to 0 in the long comparisons.
fn falls() -> bool {
    std::env::var_os("FALLS").is_some()
}

/// Plain descent at several rates.
struct Way<'g> {
    name: &'static str,
    graph: &'g Graph,
    layers: Selection,
    epochs: usize,
    scaled: bool,
    rates: Vec<f32>,
    /// Of each rate, the shares recognised in the end, of all tasks so far.
    found: Vec<Vec<f64>>,
}

impl<'g> Way<'g> {
    /// At the rates that a variable of this name says, or at these.
    fn new(name: &'static str, graph: &'g Graph, layers: Selection, epochs: usize, rates: &[f32]) -> Self {
        let named = std::env::var(name).map(|list| list.split(',').filter_map(|rate| rate.parse().ok()).collect());
        let rates: Vec<f32> = named.unwrap_or_else(|_| rates.to_vec());
        let found = vec![Vec::new(); rates.len()];
        Self { name, graph, layers, epochs, scaled: true, rates, found }
    }

    /// Learns a task at all rates at the same time: for each, the share recognised before and after every epoch.
    fn learn(&self, train: &Samples, test: &Samples) -> Vec<Vec<f64>> {
        let Self { graph, layers, epochs, scaled, rates, .. } = self;
        std::thread::scope(|scope| {
            let one = |rate: &f32| {
                let (layers, optimizer) = (layers.clone(), OptimizerRecord::sgd(*rate));
                let how = Learning { layers, optimizer, epochs: *epochs, falls: falls(), scaled: *scaled };
                scope.spawn(move || accuracies(graph, &how, train, test))
            };
            let runs: Vec<_> = rates.iter().map(one).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        })
    }

    /// Notes and prints what a task has come to.
    fn note(&mut self, task: &str, all: &[Vec<f64>]) {
        for ((rate, found), shares) in self.rates.iter().zip(&mut self.found).zip(all) {
            println!("{task}, {}, rate {rate:e}: {}", self.name, percent(shares));
            found.extend(shares.last());
        }
    }

    /// The mean over all tasks at the rate at which it is best, and that rate.
    fn best(&self) -> (f64, f32) {
        let mean = |found: &Vec<f64>| found.iter().sum::<f64>() / found.len().max(1) as f64;
        let means = self.found.iter().map(mean).zip(self.rates.iter().copied());
        means.fold((0.0, 0.0), |best, of| if of.0 > best.0 { of } else { best })
    }
}

/// Bytes of the arena for training this on a device.
fn ram(graph: &Graph, layers: &Selection) -> (usize, usize) {
    let how = Learning {
        layers: layers.clone(),
        optimizer: OptimizerRecord::sgd(0.1),
        epochs: 0,
        falls: false,
        scaled: true,
    };
    let packed = pack(graph, &how.options(IsaId::Scalar), None).unwrap();
    let image = packed.image().unwrap();
    (image.arena_bytes(), image.header().param_bytes as usize)
}

#[test]
fn person_detection_learns_its_last_third_in_110_kilobytes() {
    let Some(graph) = model("tflm_person_detect_int8") else { return };
    let layers = person_layers(&graph);
    let (bytes, parameters) = ram(&graph, &layers);
    println!("{layers}: {bytes} B, of which {parameters} B learn");
    assert!(bytes <= PERSON_RAM, "{bytes}");
    let (Some(train), Some(test)) = (garments("train", 150), garments("t10k", 100)) else { return };
    let how = Learning { layers, optimizer: OptimizerRecord::sgd(1e-2), epochs: 2, falls: false, scaled: true };
    let found = accuracies(&graph, &how, &train, &test);
    println!("{}", percent(&found));
    assert!(found[2] > 0.8 && found[2] > found[0] + 0.15, "{found:?}");
}

fn count(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

#[test]
#[ignore = "minutes"]
fn person_detection_recovers_like_floats() {
    let Some(graph) = model("tflm_person_detect_int8") else { return };
    let float = to_float(&graph).unwrap();
    let layers = person_layers(&graph);
    let (samples, epochs) = (count("SAMPLES", 1000), count("EPOCHS", 5));
    println!("{:?} B of RAM and parameters; whole third {:?}", ram(&graph, &layers), ram(&graph, &Selection::Last(9)));
    let only = std::env::var("TASK").ok();
    for (task, samples_of) in [("garments", garments as fn(&str, usize) -> _), ("digits", digits)] {
        if only.as_ref().is_some_and(|only| only != task) {
            continue;
        }
        let (Some(train), Some(test)): (Option<Samples>, _) =
            (samples_of("train", samples), samples_of("t10k", samples))
        else {
            return;
        };
        let mut whole = Way::new("FLOAT", &float, Selection::All, epochs, &[3e-4, 1e-3, 3e-3]);
        let mut sparse = Way::new("INT8", &graph, layers.clone(), epochs, &[2e-2, 4e-2, 8e-2]);
        let mut plain = Way { scaled: false, ..Way::new("PLAIN", &graph, layers.clone(), epochs, &[]) };
        for way in [&mut whole, &mut sparse, &mut plain] {
            let found = way.learn(&train, &test);
            way.note(task, &found);
        }
        println!("{task}: FLOAT {:?}, INT8 {:?}, PLAIN {:?}", whole.best(), sparse.best(), plain.best());
        // The other task needs more than a sparse third: docs/training-on-device.md.
        assert!(sparse.best().0 > whole.best().0 - 0.01 || task == "digits", "{task}");
    }
}

/// The model's hundred CIFAR-10 images, as pixels from 0 to 255.
fn cifar() -> Option<Samples> {
    let folder = shared::dir("learning in int8", "models/mlperf_ic_resnet8_int8")?;
    let x = shared::npy(&folder.join("input_real.npy")).values().to_f32().iter().map(|x| x + 128.0).collect();
    let labels = shared::npy(&folder.join("labels_real.npy")).values().to_f32().iter().map(|y| *y as u32).collect();
    Some(Samples { x, labels })
}

/// What happens to the camera: each channel times a factor plus an offset.
struct Shift {
    name: &'static str,
    factor: [f32; 3],
    offset: f32,
}

const SHIFTS: [Shift; 4] = [
    Shift { name: "dark", factor: [0.12, 0.12, 0.12], offset: 0.0 },
    Shift { name: "bright", factor: [0.25, 0.25, 0.25], offset: 190.0 },
    Shift { name: "orange", factor: [1.4, 0.6, 0.15], offset: 0.0 },
    Shift { name: "blue", factor: [0.15, 0.5, 1.3], offset: 20.0 },
];

/// Images of which so much of a shift has happened, from 0 to 1.
fn shifted(samples: &Samples, shift: &Shift, strength: f32) -> Samples {
    let change = |(i, x): (usize, &f32)| {
        let moved = x * shift.factor[i % 3] + shift.offset;
        (x + (moved - x) * strength).round().clamp(0.0, 255.0)
    };
    Samples { x: samples.x.iter().enumerate().map(change).collect(), labels: samples.labels.clone() }
}

/// Both with their mirror images.
fn mirrored(samples: &Samples) -> Samples {
    let flip = samples.x.chunks(32 * 3).flat_map(|row| row.chunks(3).rev().flatten().copied().collect::<Vec<_>>());
    Samples {
        x: samples.x.iter().copied().chain(flip).collect(),
        labels: [&samples.labels[..], &samples.labels].concat(),
    }
}

/// Every second image is learned with its mirror image, the others are asked; then the other way round.
#[test]
#[ignore = "minutes"]
fn image_classification_recovers_like_floats() {
    let Some(graph) = model("mlperf_ic_resnet8_int8") else { return };
    let Some(images) = cifar() else { return };
    let float = to_float(&graph).unwrap();
    let (epochs, last) = (count("EPOCHS", 5), Selection::Last(count("LAST", 4)));
    let strength = count("PERCENT", 50) as f32 / 100.0;
    println!("{last}: {:?} B of RAM and parameters", ram(&graph, &last));
    let mut whole = Way::new("FLOAT", &float, Selection::All, epochs, &[1e-6, 3e-6, 1e-5]);
    let mut sparse = Way::new("INT8", &graph, last.clone(), epochs, &[3e-5, 1e-4, 3e-4]);
    for shift in &SHIFTS {
        let shifted = shifted(&images, shift, strength);
        let halves = [0, 1].map(|half| (mirrored(&shifted.some(|n| n % 2 != half)), shifted.some(|n| n % 2 == half)));
        let found = std::thread::scope(|scope| {
            let learn = |way| halves.each_ref().map(|(train, test)| scope.spawn(move || Way::learn(way, train, test)));
            [&whole, &sparse].map(learn).map(|halves| halves.map(|half| half.join().unwrap()))
        });
        for (way, found) in [&mut whole, &mut sparse].into_iter().zip(&found) {
            found.iter().for_each(|found| way.note(shift.name, found));
        }
    }
    println!("FLOAT {:?}, INT8 {:?}", whole.best(), sparse.best());
    assert!(sparse.best().0 > whole.best().0 - 0.01);
}

/// A thousand updates at rates that serve are no runaway; at rates that are, the network does worse than one that gives
/// every class the same chance.
#[test]
fn weights_that_have_run_away_have_learned_nothing() {
    let steps = models::int8_steps(3, 1000);
    for (rate, is_away) in [(0.01, false), (0.05, false), (0.2, false), (20.0, true), (200.0, true), (20_000.0, true)] {
        let packed = models::int8(OptimizerRecord::sgd(rate), "all", models::BATCH, &[]);
        let image = packed.image().unwrap();
        let (losses, params) = models::replay(&image, &steps);
        let loss = losses[980..].iter().sum::<f32>() / 20.0;
        let found = Runaway::of_params(&image, &params);
        println!("rate {rate}: loss {loss:.3}, {found:?}");
        assert_eq!((found.is_some(), loss > 3f32.ln()), (is_away, is_away), "rate {rate}: {loss}, {found:?}");
    }
}
