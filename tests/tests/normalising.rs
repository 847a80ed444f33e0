//! Inputs that a device brings back to what its model was trained on, as a part of the model: kept, forgotten and
//! computed again like what it learns.

use embernet::engine::{self, EngineError, Place};
use embernet::graph::ops::Quantize;
use embernet::graph::{DType, Graph, Selection, Tensor};
use embernet::image::{
    AlignedBytes, PackOptions, Packed, TrainOptions, apply_params, arena_for, pack, read_source, source_bytes,
    with_params,
};
use embernet::link::{Client, LinkError};
use embernet_core::adapt::normalise::Table;
use embernet_core::arch::Scalar;
use embernet_core::exec::{PlanKind, Session, SessionError};
use embernet_core::image::Image;
use embernet_core::optim::OptimizerRecord;
use embernet_core::wire::Fault;
use embernet_tests::nor::{Nor, PAGE};
use embernet_tests::{device, models};
use zerocopy::IntoBytes;

const SLOT: usize = 16 * PAGE;
const CHECKPOINT: usize = 4 * PAGE;
const ARENA: usize = 16_000;

/// All inputs of these steps.
fn inputs(steps: &[models::Step]) -> Vec<u8> {
    steps.iter().flat_map(|(inputs, _)| inputs.clone()).collect()
}

/// What the host makes of an image: inputs normalised, then these steps; the loss of each, and parameters in the end.
fn on_host(image: &Image<'_>, seen: &[u8], steps: &[models::Step]) -> (Vec<u32>, Vec<u8>) {
    let work = |engine: &mut dyn engine::Engine| -> Result<_, EngineError> {
        engine.normalise(seen)?;
        let losses: Result<Vec<u32>, EngineError> =
            steps.iter().map(|(inputs, labels)| Ok(engine.train_step(inputs, labels)?.to_bits())).collect();
        Ok((losses?, engine.params()?))
    };
    engine::with(&Place::Host, image, &mut |_| {}, work).unwrap()
}

/// Mean loss over some steps, and the share of right answers, before inputs are normalised and after.
fn scores(image: &Image<'_>, seen: &[u8], steps: &[models::Step]) -> [engine::Score; 2] {
    let labels: Vec<u8> = steps.iter().flat_map(|(_, labels)| labels.clone()).collect();
    let work = |engine: &mut dyn engine::Engine| -> Result<_, EngineError> {
        let before = engine.evaluate(&inputs(steps), &labels)?;
        engine.normalise(seen)?;
        Ok([before, engine.evaluate(&inputs(steps), &labels)?])
    };
    engine::with(&Place::Host, image, &mut |_| {}, work).unwrap()
}

/// The same image with the parameters that it has after learning bright samples.
fn trained(packed: &Packed) -> AlignedBytes {
    let image = packed.image().unwrap();
    let steps = models::int8_steps(3, 300);
    let (_, params) = models::replay(&image, &steps);
    with_params(&image, &params).unwrap()
}

#[test]
fn a_network_in_bad_light_recovers_without_labels() {
    let packed = models::adapting(OptimizerRecord::adam(0.01), "all");
    let bytes = trained(&packed);
    let image = Image::parse(&bytes).unwrap();
    let (bright, dark) = (models::int8_steps(9, 30), models::dark(models::int8_steps(9, 30)));
    let [good, same] = scores(&image, &inputs(&models::int8_steps(8, 50)), &bright);
    let [bad, recovered] = scores(&image, &inputs(&models::dark(models::int8_steps(8, 20))), &dark);
    println!("{good:?} {same:?} {bad:?} {recovered:?}");
    assert!(good.accuracy() > 0.9 && same.accuracy() > good.accuracy() - 0.02, "{good:?} {same:?}");
    assert!(bad.accuracy() < 0.7, "{bad:?}");
    assert!(recovered.accuracy() > good.accuracy() - 0.05, "{recovered:?}");
}

/// A device that has flash for what it learns.
fn learner(image: &Image<'_>) -> (Client, std::thread::JoinHandle<[[Nor; 2]; 2]>) {
    let slots = [Nor::slots(SLOT).0, Nor::slots(CHECKPOINT).0];
    let (mut client, thread) = device::connect_learner(slots, ARENA);
    client.load(image, |_, _| {}).unwrap();
    (client, thread)
}

#[test]
fn a_device_keeps_its_tables_as_it_keeps_what_it_learns() {
    let packed = models::adapting(OptimizerRecord::momentum(0.05, 0.9, false), "last:2");
    let image = packed.image().unwrap();
    let steps = models::dark(models::int8_steps(4, 10));
    let seen = inputs(&models::dark(models::int8_steps(5, 3)));
    let (losses, learned) = on_host(&image, &seen, &steps);

    let (mut client, mut thread) = learner(&image);
    let factory = client.params(&image).unwrap();
    client.normalise(&image, &seen).unwrap();
    let normalised = client.params(&image).unwrap();
    assert_ne!(normalised, factory);
    for (number, ((inputs, labels), loss)) in steps.iter().zip(&losses).enumerate() {
        if number == 6 {
            client.checkpoint().unwrap();
            drop(client);
            (client, thread) = device::connect_learner(thread.join().unwrap(), ARENA);
        }
        assert_eq!(client.train_step(&image, &[inputs], labels).unwrap().loss.to_bits(), *loss, "step {number}");
    }
    assert!(client.params(&image).unwrap() == learned);

    // What was seen so far is kept, too: measuring goes on.
    let bytes = image.inputs()[0].sample_bytes();
    let measure = |client: &mut Client, samples: &[u8]| {
        for sample in samples.chunks(bytes) {
            client.write(embernet_core::wire::Buffer::Input(0), sample).unwrap();
            client.measure(1).unwrap();
        }
    };
    client.reset().unwrap();
    let (first, rest) = seen.split_at(4 * bytes);
    measure(&mut client, first);
    client.checkpoint().unwrap();
    drop(client);
    let (mut client, thread) = device::connect_learner(thread.join().unwrap(), ARENA);
    measure(&mut client, rest);
    client.normalise(&image, &[]).unwrap();
    assert!(client.params(&image).unwrap() == normalised);

    client.forget().unwrap();
    assert!(client.params(&image).unwrap() == factory);
    drop(client);
    let (mut client, _thread) = device::connect_learner(thread.join().unwrap(), ARENA);
    assert!(client.params(&image).unwrap() == factory, "for good");
}

#[test]
fn measuring_changes_no_output() {
    let packed = models::adapting(OptimizerRecord::sgd(0.1), "last:2");
    let image = packed.image().unwrap();
    let mut arena = arena_for(&image);
    let mut session = Session::new(&image, &mut arena, Scalar).unwrap();
    let (x, _) = &models::int8_steps(6, 1)[0];
    let bytes = image.inputs()[0].sample_bytes();
    let infer = |session: &mut Session<'_, Scalar>| {
        session.input_mut(PlanKind::Infer, 0).copy_from_slice(&x[..bytes]);
        session.infer(1).unwrap();
        session.output(0).to_vec()
    };
    let before = infer(&mut session);
    session.input_mut(PlanKind::Infer, 0).copy_from_slice(&x[bytes..2 * bytes]);
    session.measure(1).unwrap();
    assert_eq!(infer(&mut session), before);
    assert_eq!(session.measure(2), Err(SessionError::Samples { found: 2, most: 1 }));
    session.normalise().unwrap();
    let tables = session.params().windows(256).filter(|bytes| *bytes == Table::IDENTITY.as_bytes()).count();
    assert_eq!(tables, 0, "there is another one now");
    // Of nothing.
    session.normalise().unwrap();
    assert_eq!(infer(&mut session), before);
}

#[test]
fn what_does_not_normalise_says_so() {
    let packed = models::int8(OptimizerRecord::sgd(0.1), "all", models::BATCH, &[]);
    let image = packed.image().unwrap();
    let mut arena = arena_for(&image);
    let mut session = Session::new(&image, &mut arena, Scalar).unwrap();
    assert_eq!(session.measure(1), Err(SessionError::NotNormalised));
    assert_eq!(session.normalise(), Err(SessionError::NotNormalised));
    let (mut client, _thread) = learner(&image);
    let seen = inputs(&models::int8_steps(1, 1));
    let fault = client.normalise(&image, &seen).unwrap_err();
    let expected = Fault::Session(SessionError::NotNormalised);
    assert!(matches!(fault, LinkError::Refused { fault, .. } if fault == expected), "{fault}");
}

/// A graph without training, whose inputs are reals.
fn reals() -> Graph {
    let mut graph = models::int8_graph();
    let input = graph.inputs[0];
    let shape = graph.tensor(input).shape.clone();
    let real = graph.add_tensor(Tensor::activation("real", shape, DType::F32));
    graph.add_node("quantize", Quantize {}, &[real], &[input]);
    graph.inputs = vec![real];
    let reference = graph.meta.reference.clone().unwrap();
    graph.normalise_inputs(reference).unwrap();
    graph
}

#[test]
fn a_model_that_does_not_train_normalises_real_inputs() {
    let graph = reals();
    let packed = pack(&graph, &PackOptions { samples: 3, ..PackOptions::default() }, None).unwrap();
    let image = packed.image().unwrap();
    assert!(!image.is_trainable());
    // Half of what it was calibrated with, in seven samples: in runs of three.
    let calibrated: Vec<f32> = (0..36 * 7).map(|n| ((n * 29) % 97) as f32 / 48.5 - 1.0).collect();
    let x: Vec<f32> = calibrated.iter().map(|x| x / 2.0 + 0.4).collect();
    let work = |engine: &mut dyn engine::Engine| -> Result<_, EngineError> {
        let good = engine.infer(calibrated.as_bytes(), &mut |_| {})?;
        let bad = engine.infer(x.as_bytes(), &mut |_| {})?;
        engine.normalise(x.as_bytes())?;
        Ok([good, bad, engine.infer(x.as_bytes(), &mut |_| {})?, engine.params()?])
    };
    let [good, bad, after, params] = engine::with(&Place::Host, &image, &mut |_| {}, work).unwrap();
    let distance =
        |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| u32::from((*a as i8).abs_diff(*b as i8))).sum::<u32>();
    assert!(distance(&good, &after) * 3 < distance(&good, &bad), "{good:?} {bad:?} {after:?}");

    let (mut client, _thread) = learner(&image);
    client.normalise(&image, x.as_bytes()).unwrap();
    assert_eq!(client.params(&image).unwrap(), params);
    assert_eq!(client.infer(&image, &[x.as_bytes()], false).unwrap().outputs, [after]);
}

#[test]
fn tables_go_into_images_and_graphs() {
    let graph = reals();
    let mut plain = models::int8_graph();
    let packed = pack(&graph, &PackOptions::default(), None).unwrap();
    let image = packed.image().unwrap();
    let x: Vec<f32> = (0..36 * 4).map(|n| (n % 31) as f32 / 100.0).collect();
    let normalise = |engine: &mut dyn engine::Engine| -> Result<_, EngineError> {
        engine.normalise(x.as_bytes())?;
        engine.params()
    };
    let params = engine::with(&Place::Host, &image, &mut |_| {}, normalise).unwrap();
    let learned = with_params(&image, &params).unwrap();
    let source = packed.file_bytes(&graph);
    let file = AlignedBytes::copy_of(&[&learned[..], source_bytes(&source)].concat());
    let found = read_source(&file).unwrap();
    let (id, _) = found.normalisation().unwrap();
    let tables = found.tensor(found.node(id).parameters()[0]).data.as_ref().unwrap().to_le_bytes();
    assert!(tables != Table::IDENTITY.as_bytes() && params.starts_with(&tables));
    // A graph that did not normalise does then, and packed again it starts with these tables.
    apply_params(&mut plain, &image, &params).unwrap();
    let train = TrainOptions { layers: Some(Selection::Last(1)), ..TrainOptions::default() };
    let again = pack(&plain, &PackOptions { train: Some(train), ..PackOptions::default() }, None).unwrap();
    let again = again.image().unwrap();
    let mut arena = arena_for(&again);
    let session = Session::new(&again, &mut arena, Scalar).unwrap();
    assert!(session.params().windows(256).any(|bytes| bytes == tables));
}
