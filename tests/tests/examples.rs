//! The models in the examples for one's own firmware are ones of today; `EMBERNET_SAVE=1` writes them anew.

use std::ops::ControlFlow;
use std::{env, fs};

use embernet::data::{Dataset, Labels, Storage, Values};
use embernet::graph::ops::Dense;
use embernet::graph::{Activation, Graph, Sequential};
use embernet::image::{Format, Loss, PackOptions, Packed, Piece, Target, TrainOptions, pack};
use embernet::link::workspace;
use embernet::quant::{Scheme, quantize};
use embernet::train::{FitOptions, evaluate, fit};
use embernet_core::arch::Scalar;
use embernet_core::exec::{PlanKind, Session};
use embernet_core::image::Image;
use embernet_core::optim::OptimizerRecord;
use embernet_core::signal::window::Window;
use embernet_examples::{MODEL, ModelArena, anomaly, best, gesture, measure, put};
use embernet_tests::{models, shared};

/// Writes a model of an example where the examples have it.
fn save(file: &str, model: &Packed) {
    let pieces = vec![Piece { address: 0, bytes: model.bytes.to_vec() }];
    let text = Format::Rust.wrap(pieces, &Target::default()).unwrap();
    fs::write(workspace().join("firmware/examples/src").join(file), text).unwrap();
}

fn saves() -> bool {
    env::var_os("EMBERNET_SAVE").is_some()
}

/// An example's model.
fn parse(bytes: &[u8]) -> Image<'_> {
    Image::parse(bytes).unwrap_or_else(|error| {
        panic!("{error}: EMBERNET_SAVE=1 cargo test -p embernet-tests --test examples writes the models anew")
    })
}

#[test]
fn the_model_of_the_examples_runs() {
    let today = models::iris(OptimizerRecord::sgd(0.1));
    if saves() {
        save("model.rs", &today);
    }
    let image = parse(&MODEL.0);
    let mut arena = ModelArena::new();
    let mut session = Session::new(&image, arena.bytes(), Scalar).unwrap();
    put(&measure(), session.input_mut(PlanKind::Infer, 0));
    session.infer(1).unwrap();

    let mut input = [0; 16];
    put(&measure(), &mut input);
    let expected = models::infer(&today.image().unwrap(), &input);
    assert_eq!(session.output(0), expected);
    assert!(best(&expected) < 3);
}

/// The autoencoder of `anomaly` is not trained: it learns on the device.
#[test]
fn the_model_of_anomaly_is_todays() {
    let graph = Sequential::new([anomaly::FEATURES])
        .add(Dense::new(4).activation(Activation::Tanh))
        .add(Dense::new(anomaly::FEATURES))
        .build(1)
        .unwrap();
    let train = TrainOptions {
        optimizer: OptimizerRecord::sgd(0.1),
        loss: Loss::MeanSquaredError,
        batch: 1,
        ..TrainOptions::default()
    };
    let today = pack(&graph, &PackOptions { train: Some(train), ..PackOptions::default() }, None).unwrap();
    if saves() {
        return save("anomaly_model.rs", &today);
    }
    parse(&anomaly::MODEL.0);
    assert!(anomaly::MODEL.0 == today.bytes[..], "the model is another one today");
}

/// Features of all windows of a set of recordings, as the example computes them, and their classes.
fn windows(recordings: &[i16], samples: usize, classes: &[u32]) -> (Vec<f32>, Vec<u32>) {
    let (mut features, mut labels) = (Vec::new(), Vec::new());
    for (recording, class) in recordings.chunks(3 * samples).zip(classes) {
        let mut window = Window::<3, { gesture::WINDOW }>::new(gesture::HOP);
        for value in recording.as_chunks().0 {
            if window.push(*value) {
                features.extend(gesture::features(&window).map(f32::from));
                labels.push(*class);
            }
        }
    }
    (features, labels)
}

/// The network of `gesture` is trained to tell exercises apart, without its last layer, and quantised.
#[test]
fn the_network_of_gesture_knows_exercises() {
    if !saves() {
        assert_eq!(parse(&gesture::MODEL.0).outputs()[0].elements as usize, gesture::EMBEDDING);
        return;
    }
    let Some(dir) = shared::dir("the network of gesture", "sets/har_exercises_emlearn") else { return };
    let recordings = shared::npy(&dir.join("x_int16.npy"));
    let classes = shared::npy(&dir.join("y_uint8.npy"));
    let Values::I16(values) = recordings.values() else { panic!("int16") };
    let (features, labels) = windows(values, 1000, &classes.values().to_ids().unwrap());
    let data = Dataset::new(
        vec![gesture::FEATURES],
        Storage::F32(features.clone()),
        Labels::Class { ids: labels, names: vec![String::new(); 4] },
    )
    .unwrap();
    let layers = |classes: bool| {
        let net = Sequential::new([gesture::FEATURES])
            .add(Dense::new(24).activation(Activation::Relu))
            .add(Dense::new(gesture::EMBEDDING).activation(Activation::Relu));
        let net = if classes { net.add(Dense::new(4).activation(Activation::Softmax)) } else { net };
        net.build(1).unwrap()
    };
    let mut whole: Graph = layers(true);
    let options = FitOptions { epochs: 60, optimizer: OptimizerRecord::adam(0.002), ..FitOptions::default() };
    fit(&mut whole, &data, None, &options, &mut |_| ControlFlow::Continue(())).unwrap();
    let known = evaluate(&whole, &data, Loss::SparseCrossEntropy, false).unwrap();
    eprintln!("exercises that it was trained on: {:?}", known.accuracy);
    let mut front = layers(false);
    for tensor in front.parameter_tensors() {
        let trained = whole.find_tensor(&front.tensor(tensor).name).unwrap();
        front.tensor_mut(tensor).data = whole.tensor(trained).data.clone();
    }
    let quantized = quantize(&front, &features, Scheme::Int8).unwrap();
    save("gesture_model.rs", &pack(&quantized.graph, &PackOptions::default(), None).unwrap());
}

/// `cargo xtask test` compiles that program.
#[test]
fn the_ten_lines_of_the_readme_are_those_of_an_example() {
    let read = |name: &str| fs::read_to_string(workspace().join(name)).unwrap();
    let (readme, program) = (read("README.md"), read("firmware/examples/src/bin/bare.rs"));
    let lines = |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
    let snippet = readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let (snippet, program) = (lines(snippet), lines(&program));
    assert!(snippet.len() > 8 && program.windows(snippet.len()).any(|window| window == snippet), "{snippet:#?}");
}
