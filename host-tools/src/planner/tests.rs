//! The planner against what the device says: an arena of exactly the printed size works, and none smaller.

use super::*;
use crate::data::{Dataset, Labels, Storage};
use crate::graph::ops::{Conv2d, Dense, Flatten, MaxPool2d};
use crate::graph::{Activation, Graph, Selection, Sequential};
use crate::image::{self, AlignedBytes, pack};
use crate::lower::Options;
use crate::quant::{Scheme, quantize};
use embernet_core::arch::Scalar;
use embernet_core::exec::{PlanKind, Session, SessionError};
use embernet_core::memory::view_mut;
use embernet_core::rng::Rng;

fn net() -> Graph {
    Sequential::new([12, 12, 1])
        .add(Conv2d::new(6, [3, 3]).activation(Activation::Relu))
        .add(MaxPool2d::new([2, 2]))
        .add(Conv2d::new(8, [3, 3]).activation(Activation::Relu))
        .add(Flatten {})
        .add(Dense::new(16).activation(Activation::Relu))
        .add(Dense::new(4).activation(Activation::Softmax))
        .build(3)
        .unwrap()
}

fn request(ram: Option<usize>) -> Request {
    Request {
        isa: IsaId::Scalar,
        optimize: Optimize::Speed,
        core: cost::Core::Fpu,
        ram,
        flash: None,
        erase_bytes: 1024,
        optimizer: OptimizerRecord::adam(0.01),
        loss: Loss::SparseCrossEntropy,
        batch: 4,
        precisions: vec![Precision::F32],
    }
}

fn data() -> Dataset {
    let mut rng = Rng::new(2);
    let x = (0..40 * 144).map(|_| rng.unit_f32()).collect();
    let ids = (0..40).map(|_| rng.below(4)).collect();
    let names = ["a", "b", "c", "d"].map(String::from).to_vec();
    Dataset::new(vec![12, 12, 1], Storage::F32(x), Labels::Class { ids, names }).unwrap()
}

fn planned(request: &Request) -> Vec<Candidate> {
    let graph = net();
    plan(&graph, request, &Gains::new(&graph, None, request.loss).unwrap(), 2).unwrap()
}

/// Trains in an arena of so many bytes.
fn trains(image: &image::Packed, passes: u32, bytes: usize) -> Result<(), SessionError> {
    let parsed = image.image().unwrap();
    let mut arena = AlignedBytes::zeroed(bytes);
    let mut session = Session::new(&parsed, &mut arena, Scalar)?;
    let before = session.params().to_vec();
    for _ in 0..passes {
        view_mut(session.input_mut(PlanKind::Train, 0)).fill(0.5f32);
        session.target_mut().fill(0);
        session.train_step(parsed.header().train.samples as usize)?;
    }
    session.infer(1)?;
    assert_ne!(session.params(), before, "it learns");
    Ok(())
}

#[test]
fn the_device_needs_exactly_the_printed_bytes() {
    for ram in [None, Some(12_000), Some(6_000), Some(3_000)] {
        let request = request(ram);
        for candidate in planned(&request) {
            let packed = pack(&net(), &candidate.way.options(&request), None).unwrap();
            let (bytes, passes) = (candidate.ram_bytes, candidate.way.passes);
            trains(&packed, passes, bytes).unwrap();
            let short = trains(&packed, passes, bytes - 1).unwrap_err();
            let expected = SessionError::ArenaTooSmall { need: bytes as u32, have: bytes as u32 - 1 };
            assert_eq!(short, expected, "{:?}", candidate.way);
        }
    }
}

/// In fixed point and for integers, too, and in half the memory.
#[test]
fn every_kind_of_numbers_has_its_plans() {
    let mut request = Request { core: cost::Core::SoftSmall, ..request(None) };
    request.precisions = vec![Precision::F32, Precision::Fixed16];
    let both = planned(&request);
    for candidate in both.iter().filter(|c| c.way.precision == Precision::Fixed16) {
        let packed = pack(&net(), &candidate.way.options(&request), None).unwrap();
        trains(&packed, candidate.way.passes, candidate.ram_bytes).unwrap();
        trains(&packed, candidate.way.passes, candidate.ram_bytes - 1).unwrap_err();
        let float = both.iter().find(|c| c.way.train == candidate.way.train && c.way.precision == Precision::F32);
        assert!(float.is_some_and(|float| float.ram_bytes > candidate.ram_bytes), "{candidate:?} {float:?}");
    }
    let adapters = |c: &&Candidate| c.way.train.to_string().contains("lora");
    assert!(both.iter().filter(adapters).any(|c| c.way.precision == Precision::Fixed16));
    let best = &both[0];
    assert!(best.fits && best.way.precision == Precision::Fixed16, "{best:?}");

    let calibration: Vec<f32> = data().x().iter().take(10 * 144).copied().collect();
    let graph = crate::quant::quantize(&net(), &calibration, crate::quant::Scheme::Int8).unwrap().graph;
    let request = self::request(Some(5_000));
    let choices = plan(&graph, &request, &Gains::new(&graph, None, request.loss).unwrap(), 2).unwrap();
    assert!(choices[0].fits && choices[0].gain > 0.0);
    for candidate in &choices {
        let packed = pack(&graph, &candidate.way.options(&request), None).unwrap();
        trains(&packed, candidate.way.passes, candidate.ram_bytes).unwrap();
        trains(&packed, candidate.way.passes, candidate.ram_bytes - 1).unwrap_err();
    }
}

#[test]
fn less_memory_takes_more_instructions_or_less_to_learn() {
    let (all, tight) = (planned(&request(None)), planned(&request(Some(9_000))));
    assert!(all.iter().all(|c| c.fits) && all[0].way.train == Selection::All);
    assert_eq!(all[0].gain, 1.0);
    let best = &tight[0];
    assert!(best.fits && best.ram_bytes <= 9_000 && best.gain < 1.0, "{best:?}");
    for (free, bound) in all.iter().filter_map(|a| Some((a, tight.iter().find(|t| t.way.train == a.way.train)?))) {
        assert!(bound.ram_bytes <= free.ram_bytes && bound.instructions >= free.instructions, "{bound:?}");
    }
    // Everything that saves RAM is used somewhere.
    assert!(tight.iter().any(|c| c.way.state != StateFormat::F32));
    assert!(tight.iter().any(|c| c.way.passes == 4 && c.way.batch == 1));
    assert!(tight.iter().any(|c| !c.way.recompute.is_empty()));
    assert!(tight.iter().any(|c| !c.way.compress.is_empty()));
    // Nothing fits: the smallest comes first.
    let none = planned(&request(Some(100)));
    assert!(none.iter().all(|c| !c.fits));
    assert!(none.iter().all(|c| c.ram_bytes >= none[0].ram_bytes));
    // Flash counts, too: two copies and two records.
    let mut flash = request(None);
    flash.flash = Some(4 * 1024);
    let in_flash = planned(&flash);
    assert!(in_flash[0].fits && in_flash[0].flash_bytes == 4096 && in_flash.iter().any(|c| !c.fits));
}

#[test]
fn gains_are_shares_of_the_gradient() {
    let (graph, data) = (net(), data());
    let gains = Gains::new(&graph, Some(&data), Loss::SparseCrossEntropy).unwrap();
    let of = |text: &str| gains.of(&graph, &text.parse().unwrap()).unwrap();
    assert!((of("all") - 1.0).abs() < 1e-12);
    let layers = ["conv2d", "conv2d_1", "dense", "dense_1"].map(of);
    assert!((layers.iter().sum::<f64>() - 1.0).abs() < 1e-9 && layers.iter().all(|gain| *gain > 0.0), "{layers:?}");
    assert!((of("last:2") - layers[2] - layers[3]).abs() < 1e-9);
    let halves = of("dense:channels=0-7") + of("dense:channels=8-15");
    assert!((halves - layers[2]).abs() < 1e-9);
    assert!(of("last:1:lora=2") > 0.0);
    // Of all quarters of a layer the one with most gradient.
    let best = gains.channels("dense", 16, 4);
    let quarter = |first: usize| of(&format!("dense:channels={first}-{}", first + 3));
    assert!((0..=12).all(|first| quarter(first) <= quarter(best.start) + 1e-12));
    // Without samples: the share of the parameters.
    let blind = Gains::new(&graph, None, Loss::SparseCrossEntropy).unwrap();
    let count = graph.parameter_count() as f64;
    assert_eq!(blind.of(&graph, &"dense_1".parse().unwrap()).unwrap(), 68.0 / count);
}

#[test]
fn a_plan_is_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.toml");
    let request = request(Some(9_000));
    let best = planned(&request).remove(0);
    let file = PlanFile::new("m4", &request, &best);
    file.write(&path).unwrap();
    let read = PlanFile::read(&path).unwrap();
    assert_eq!(read, file);
    assert_eq!(read.options(request.isa), best.way.options(&request));
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap().replace("\"adam\"", "\"eve\"")).unwrap();
    let error = PlanFile::read(&path).unwrap_err().to_string();
    assert!(error.ends_with("rule is `eve`; known: sgd, momentum, nesterov, adam, adagrad"), "{error}");
    std::fs::write(&path, "train = \"all\"").unwrap();
    assert!(PlanFile::read(&path).unwrap_err().to_string().contains("is no plan"));
}

/// The bytes of normalised inputs are those that the device needs, alone and beside training.
#[test]
fn normalised_inputs_are_counted_exactly() {
    let samples: Vec<f32> = (0..144 * 8).map(|n| (n % 17) as f32 / 17.0).collect();
    let int8 = quantize(&net(), &samples, Scheme::Int8).unwrap().graph;
    let reference = int8.meta.reference.clone().unwrap();
    let request = Request { precisions: vec![Precision::F32], ..request(None) };
    let alone = normalisation(&int8, Some(&reference), &request, Some(&data())).unwrap();
    assert!(alone.fits && alone.state_bytes == 272 && alone.loss.is_some(), "{alone:?}");
    let mut graph = int8.clone();
    graph.normalise_inputs(reference).unwrap();
    let options = Options { isa: request.isa, optimize: request.optimize, ..Options::default() };
    let packed = pack(&graph, &options, None).unwrap();
    let image = packed.image().unwrap();
    let normalises = |bytes: usize| -> Result<(), SessionError> {
        let mut arena = AlignedBytes::zeroed(bytes);
        let mut session = Session::new(&image, &mut arena, Scalar)?;
        session.measure(1)?;
        session.normalise()?;
        session.infer(1)
    };
    normalises(alone.ram_bytes).unwrap();
    let (need, have) = (alone.ram_bytes as u32, alone.ram_bytes as u32 - 1);
    assert_eq!(normalises(alone.ram_bytes - 1), Err(SessionError::ArenaTooSmall { need, have }));

    for train in ["last:1", "all"].map(|text| text.parse::<Selection>().unwrap()) {
        let of = |graph: &Graph| {
            let gains = Gains::new(graph, None, request.loss).unwrap();
            plan(graph, &request, &gains, 2).unwrap().into_iter().find(|choice| choice.way.train == train).unwrap()
        };
        let (with, without) = (of(&graph), of(&int8));
        assert_eq!(with.ram_bytes, without.ram_bytes + 272, "{train}");
        let packed = pack(&graph, &with.way.options(&request), None).unwrap();
        trains_or_not(&packed, with.ram_bytes).unwrap();
        assert!(trains_or_not(&packed, with.ram_bytes - 1).is_err());
    }
    assert_eq!(normalisation(&net(), None, &request, None), None);
}

/// One training step on integers in an arena of so many bytes.
fn trains_or_not(image: &image::Packed, bytes: usize) -> Result<f32, SessionError> {
    let parsed = image.image().unwrap();
    let mut arena = AlignedBytes::zeroed(bytes);
    let mut session = Session::new(&parsed, &mut arena, Scalar)?;
    session.train_step(parsed.header().train.samples as usize)
}
