//! How well int8 models that learn a part of themselves in place recover from a shift of their data, beside their float
//! form that learns all of itself.
//!
//! `cargo run --release -p embernet-tests --example recovery -- images` (or `digits`, `garments`, `parity`); `--help`.
//!
//! A way to learn is tried at all its rates with one draw of the data; what is told is its best rate with other draws.

use clap::{Parser, ValueEnum};
use embernet::graph::{Graph, Selection};
use embernet::import::checkpoint::Checkpoint;
use embernet::quant::to_float;
use embernet_core::adapt::normalise::Moments;
use embernet_core::optim::OptimizerRecord;
use embernet_core::rng::Rng;
use embernet_tests::adaptation::tasks::{
    CIFAR_MOMENTS, Greys, SIDE, as_person_input, cifar, deployed, is_odd, is_worn_above, model, moments, person_layers,
};
use embernet_tests::adaptation::{COLOURS, GREYS, Learning, Samples, Shift, accuracies, losses, mirrored, normalised};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;

/// What is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Task {
    /// person_detect's network, deployed for odd and even digits, after shifts of its camera.
    Digits,
    /// person_detect as it is learns to tell garments: a new task.
    Garments,
    /// person_detect as it is learns to tell odd digits from even ones: a harder new task.
    Parity,
    /// ResNet-8 after shifts of brightness and colour.
    Images,
}

/// Recovery from a shift: int8 in place beside floats.
#[derive(Debug, Parser)]
struct Options {
    task: Task,
    /// Draws of the data that are told, beside the one that the rates are chosen with.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Passes over the samples.
    #[arg(long, default_value_t = 4)]
    epochs: usize,
    /// Samples to learn from, where there are so many.
    #[arg(long, default_value_t = 1000)]
    samples: usize,
    /// Samples to be asked, where there are so many.
    #[arg(long, default_value_t = 1000)]
    test: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Only shifts with this in their name.
    #[arg(long, default_value = "")]
    shift: String,
    /// Only the ways with these names, with semicolons between.
    #[arg(long, default_value = "")]
    way: String,
    /// Plain descent at these rates instead of each way's own.
    #[arg(long, value_delimiter = ',')]
    rates: Vec<f32>,
    /// Adam at these rates instead of each way's own.
    #[arg(long, value_delimiter = ',')]
    adam: Vec<f32>,
    /// What learns of the int8 model instead of a choice that fits.
    #[arg(long)]
    layers: Option<Selection>,
    /// Keep rates as they are; else they fall to 0 in a straight line.
    #[arg(long)]
    constant: bool,
    /// Every draw chooses its rate by itself, as somebody can who has nothing but its samples: a fifth of them is kept
    /// back in turn, and the rate whose mean loss on these is lowest learns from all, or none does.
    #[arg(long)]
    choose: bool,
    /// Int8 updates that know of no scales, to compare.
    #[arg(long)]
    unscaled: bool,
    /// Images that person_detect's network is deployed with.
    #[arg(long, default_value_t = 6000)]
    deploy: usize,
    /// Keep the deployed network here, or take it from here.
    #[arg(long)]
    deployed: Option<PathBuf>,
}

/// A way to learn.
struct Way {
    name: &'static str,
    float: bool,
    layers: Selection,
    /// Whether inputs are normalised before.
    normalised: bool,
    rules: Vec<OptimizerRecord>,
}

impl Way {
    fn learning(&self, options: &Options, optimizer: OptimizerRecord, seed: u64) -> Learning {
        let (layers, epochs) = (self.layers.clone(), options.epochs);
        Learning { layers, optimizer, epochs, falls: !options.constant, scaled: !options.unscaled, seed }
    }
}

/// Samples to learn from, and others to be asked.
type Split = (Samples, Samples);

/// Everything that is measured of one shift.
struct Trial<'t> {
    name: String,
    /// How often each sample to learn from is there: with its mirror image behind all of them, or alone.
    copies: usize,
    /// The splits of a draw, raw and normalised.
    splits: Box<dyn Fn(u64, bool) -> Vec<Split> + Sync + 't>,
}

/// The mean over a draw's splits, before and after.
fn measured(trial: &Trial<'_>, way: &Way, graph: &Graph, how: &Learning, draw: u64) -> [f64; 2] {
    let splits = (trial.splits)(draw, way.normalised);
    let mut sums = [0.0; 2];
    for (train, test) in &splits {
        for (sum, share) in sums.iter_mut().zip(accuracies(graph, how, train, test)) {
            *sum += share / splits.len() as f64;
        }
    }
    sums
}

/// All of them at once, by so many threads, in order.
fn all<T: Send + Sync, R: Send>(threads: usize, jobs: &[T], run: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = Mutex::new(jobs.iter().enumerate());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let job = next.lock().expect("no panic").next();
                    let Some((number, job)) = job else { break };
                    let result = run(job);
                    done.lock().expect("no panic").push((number, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no panic");
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

fn percent(shares: &[f64]) -> String {
    shares.iter().map(|share| format!("{:.1}", 100.0 * share)).collect::<Vec<_>>().join(" ")
}

fn rule_text(rule: &OptimizerRecord) -> String {
    format!("{} {:e}", if rule.beta_2 > 0.0 { "Adam" } else { "SGD" }, rule.lr)
}

fn rules(sgd: &[f32], adam: &[f32]) -> Vec<OptimizerRecord> {
    let sgd = sgd.iter().map(|rate| OptimizerRecord::sgd(*rate));
    sgd.chain(adam.iter().map(|rate| OptimizerRecord::adam(*rate))).collect()
}

/// Grey images: those to learn from, of which every draw takes others if there are enough, and those that are asked.
struct Grey {
    train: Greys,
    test: Greys,
    pool: Range<usize>,
    samples: usize,
    asked: usize,
    second: fn(u8) -> bool,
}

impl Grey {
    fn split(&self, draw: u64, shift: Option<Shift>) -> Split {
        let Self { train, test, pool, samples, asked, second } = self;
        let samples = (*samples).min(pool.len());
        let first = pool.start + draw as usize * samples % (pool.len() - samples + 1);
        let moved = |of: &Greys, images, seed| {
            let pixels = of.two_classes(images, second);
            as_person_input(&shift.map_or_else(|| pixels.clone(), |shift| shift.of(&pixels, SIDE, 1, seed)))
        };
        (moved(train, first..first + samples, draw), moved(test, 0..(*asked).min(test.count()), 1000 + draw))
    }
}

/// What a camera sees after a shift.
fn grey_trial<'t>(shift: Shift, images: &'t Grey, int8: &'t Graph, reference: [Moments; 1]) -> Trial<'t> {
    let splits = move |draw: u64, is_normalised: bool| {
        let (train, test) = images.split(draw, Some(shift));
        if !is_normalised {
            return vec![(train, test)];
        }
        let normalise = normalised(int8, &reference, &train);
        vec![(normalise(&train), normalise(&test))]
    };
    Trial { name: shift.name.to_owned(), copies: 1, splits: Box::new(splits) }
}

/// ResNet-8's images after a shift: one half and its mirror images are learned, the other asked, and the other way
/// round.
fn colour_trial<'t>(shift: Shift, images: &'t Samples, int8: &'t Graph) -> Trial<'t> {
    let splits = move |draw: u64, is_normalised: bool| {
        let [first, second] = shift.of(images, 32, 3, draw).halves(draw);
        let split = |train: &Samples, test: &Samples| match is_normalised {
            false => (mirrored(train, 32, 3), test.clone()),
            true => {
                let normalise = normalised(int8, &CIFAR_MOMENTS, train);
                (mirrored(&normalise(train), 32, 3), normalise(test))
            }
        };
        vec![split(&first, &second), split(&second, &first)]
    };
    Trial { name: shift.name.to_owned(), copies: 2, splits: Box::new(splits) }
}

/// A network that is to be deployed for a task of its own, and the moments of the images that it learned.
fn deploy(options: &Options, model: &Graph, images: &Grey) -> (Graph, [Moments; 1]) {
    let samples = as_person_input(&images.train.two_classes(0..options.deploy, images.second));
    let int8 = match options.deployed.as_deref().filter(|path| path.exists()) {
        Some(path) => Checkpoint::load(path).expect("a model").graph,
        None => deployed(model, &samples, 4, options.threads),
    };
    if let Some(path) = &options.deployed {
        Checkpoint::new(int8.clone()).save(path).expect("a file");
    }
    let (_, test) = images.split(0, None);
    for (text, graph) in [("int8", &int8), ("f32", &to_float(&int8).expect("a float form"))] {
        let how = Learning::sgd(Selection::Last(1), 0.1, 0);
        println!(
            "as deployed, not shifted, {text}: {}",
            percent(&accuracies(graph, &how, &Samples::default(), &test)[..1])
        );
    }
    let reference = moments(&int8, &samples);
    (int8, reference)
}

fn main() {
    let options = Options::parse();
    let name = if options.task == Task::Images { "mlperf_ic_resnet8_int8" } else { "tflm_person_detect_int8" };
    let Some(mut int8) = model(name) else { return };
    let grey = |set: &str, second: fn(u8) -> bool, from: usize| {
        let (train, test) = (Greys::load(set, "train")?, Greys::load(set, "t10k")?);
        let pool = from..train.count();
        Some(Grey { train, test, pool, samples: options.samples, asked: options.test, second })
    };
    let (greys, images) = match options.task {
        Task::Digits => (grey("mnist", is_odd, 50_000), None),
        Task::Parity => (grey("mnist", is_odd, 0), None),
        Task::Garments => (grey("fashion_mnist_2k", is_worn_above, 0), None),
        Task::Images => (None, cifar()),
    };
    let mut reference = [Moments { mean: 0.0, deviation: 0.0 }];
    if let (Task::Digits, Some(greys)) = (options.task, &greys) {
        (int8, reference) = deploy(&options, &int8, greys);
    }
    let float = to_float(&int8).expect("a float form");
    let sparse = options.layers.clone().unwrap_or_else(|| match options.task {
        Task::Images => "conv2d_6:bias,conv2d_7:bias,conv2d_8,dense".parse().expect("a selection"),
        _ => person_layers(&int8),
    });
    let (bytes, learn) = Learning::sgd(sparse.clone(), 0.1, 0).ram(&int8);
    println!("int8 learns {sparse}: {bytes} B of RAM, of which {learn} B learn");
    let asked = |shift: &&Shift| shift.name.contains(&options.shift);
    let trials: Vec<Trial<'_>> = match (options.task, &greys, &images) {
        (Task::Digits, Some(greys), _) => {
            GREYS.iter().filter(asked).map(|shift| grey_trial(*shift, greys, &int8, reference)).collect()
        }
        (_, Some(greys), _) => {
            vec![Trial { name: name.to_owned(), copies: 1, splits: Box::new(|draw, _| vec![greys.split(draw, None)]) }]
        }
        (_, _, Some(images)) => COLOURS.iter().filter(asked).map(|shift| colour_trial(*shift, images, &int8)).collect(),
        _ => return,
    };
    for trial in &trials {
        println!("\n{}", trial.name);
        for way in ways(&options, &sparse) {
            let tell = if options.choose { tell_chosen } else { tell };
            tell(&options, trial, &way, if way.float { &float } else { &int8 });
        }
    }
}

/// The ways that are compared.
fn ways(options: &Options, sparse: &Selection) -> Vec<Way> {
    let way = |name, float, layers: &Selection, normalised, (sgd, adam): (&[f32], &[f32])| {
        let own = options.rates.is_empty() && options.adam.is_empty();
        let rules = if own { rules(sgd, adam) } else { rules(&options.rates, &options.adam) };
        Way { name, float, layers: layers.clone(), normalised, rules }
    };
    let (whole, part): ((&[f32], &[f32]), &[f32]) = match options.task {
        Task::Images => ((&[1e-7, 1e-6], &[1e-6, 1e-5, 1e-4]), &[1e-6, 1e-5, 1e-4]),
        _ => ((&[3e-4, 1e-3, 3e-3], &[]), &[1e-2, 4e-2, 8e-2]),
    };
    let all = &Selection::All;
    let mut ways = vec![
        way("f32, all layers", true, all, false, whole),
        way("f32, the layers of int8", true, sparse, false, (part, &[])),
        way("int8", false, sparse, false, (part, &[])),
    ];
    if matches!(options.task, Task::Digits | Task::Images) {
        ways.push(way("f32, all layers, inputs normalised", true, all, true, whole));
        ways.push(way("f32, the layers of int8, inputs normalised", true, sparse, true, (part, &[])));
        ways.push(way("int8, inputs normalised", false, sparse, true, (part, &[])));
    }
    ways.retain(|way| options.way.is_empty() || options.way.split(';').any(|name| name == way.name));
    ways
}

/// Parts of the samples that are kept back in turn.
const FOLDS: usize = 5;

/// The mean loss on samples that were kept back, before and after learning from the others.
fn kept_back(graph: &Graph, how: &Learning, train: &Samples, copies: usize) -> [f64; 2] {
    let count = train.labels.len() / copies;
    let mut order: Vec<usize> = (0..count).collect();
    Rng::with_stream(how.seed, 9).shuffle(&mut order);
    let mut sums = [0.0; 2];
    for fold in 0..FOLDS {
        let (held, learned): (Vec<_>, Vec<_>) = order.iter().enumerate().partition(|(at, _)| at % FOLDS == fold);
        let held: Vec<usize> = held.into_iter().map(|(_, sample)| *sample).collect();
        let with_copies = |copy| learned.iter().map(move |(_, sample)| **sample + copy * count);
        let learned: Vec<usize> = (0..copies).flat_map(with_copies).collect();
        let found = losses(graph, how, &train.some(&learned), &train.some(&held));
        sums.iter_mut().zip(found).for_each(|(sum, loss)| *sum += loss * held.len() as f64 / count as f64);
    }
    sums
}

/// A draw whose splits choose their rules by themselves: shares before and after, and the rules that were chosen.
fn chosen(options: &Options, trial: &Trial<'_>, way: &Way, graph: &Graph, draw: u64) -> ([f64; 2], Vec<String>) {
    let splits = (trial.splits)(draw, way.normalised);
    let (mut sums, mut names) = ([0.0; 2], Vec::new());
    for (train, test) in &splits {
        let judged = way.rules.iter().map(|rule| {
            let [before, after] = kept_back(graph, &way.learning(options, *rule, draw), train, trial.copies);
            (after - before, rule)
        });
        // What is no number is not lower.
        let best = judged.filter(|(rise, _)| *rise < 0.0).min_by(|(a, _), (b, _)| a.total_cmp(b));
        let mut how = way.learning(options, best.map_or(way.rules[0], |(_, rule)| *rule), draw);
        if best.is_none() {
            how.epochs = 0;
        }
        names.push(best.map_or("none".into(), |(_, rule)| rule_text(rule)));
        for (sum, share) in sums.iter_mut().zip(accuracies(graph, &how, train, test)) {
            *sum += share / splits.len() as f64;
        }
    }
    (sums, names)
}

/// Measures and prints a way that chooses its rates by itself.
fn tell_chosen(options: &Options, trial: &Trial<'_>, way: &Way, graph: &Graph) {
    let draws: Vec<u64> = (1..=options.seeds).collect();
    let found = all(options.threads, &draws, |draw| chosen(options, trial, way, graph, *draw));
    let of = |at: usize| found.iter().map(|(shares, _)| shares[at]).collect::<Vec<_>>();
    let mean = |at: usize| of(at).iter().sum::<f64>() / found.len().max(1) as f64;
    let mut names: Vec<&String> = found.iter().flat_map(|(_, names)| names).collect();
    names.sort();
    let counts = names.chunk_by(|a, b| a == b).map(|same| format!("{} x {}", same.len(), same[0]));
    println!(
        "{}, rates chosen: {} -> {} ({} -> {}); {}",
        way.name,
        percent(&[mean(0)]),
        percent(&[mean(1)]),
        percent(&of(0)),
        percent(&of(1)),
        counts.collect::<Vec<_>>().join(", ")
    );
}

/// Measures and prints a way: its rates with one draw, the best of them with others.
fn tell(options: &Options, trial: &Trial<'_>, way: &Way, graph: &Graph) {
    let run = |optimizer, seed| measured(trial, way, graph, &way.learning(options, optimizer, seed), seed);
    let tried = all(options.threads, &way.rules, |rule| run(*rule, 0));
    let text: Vec<String> = way
        .rules
        .iter()
        .zip(&tried)
        .map(|(rule, [_, after])| format!("{} {}", rule_text(rule), percent(&[*after])))
        .collect();
    let best = way.rules.iter().zip(&tried).max_by(|(_, [_, a]), (_, [_, b])| a.total_cmp(b));
    let Some((rule, _)) = best else { return };
    let draws: Vec<u64> = (1..=options.seeds).collect();
    let found = all(options.threads, &draws, |draw| run(*rule, *draw));
    let mean = |at: usize| found.iter().map(|shares| shares[at]).sum::<f64>() / found.len().max(1) as f64;
    let ends: Vec<f64> = found.iter().map(|[_, after]| *after).collect();
    let (before, after) = (percent(&[mean(0)]), percent(&[mean(1)]));
    println!("{}, {}: {before} -> {after} ({}); tried: {}", way.name, rule_text(rule), percent(&ends), text.join(", "));
}
