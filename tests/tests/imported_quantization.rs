//! What a checkpoint of other people's float models is good for: `quantize`, whose int8 form decides as the float one
//! does, and training.

use embernet::data::{Dataset, Labels, Storage};
use embernet::graph::{Graph, Selection};
use embernet::image::Loss;
use embernet::import::checkpoint::Checkpoint;
use embernet::import::{onnx, tflite};
use embernet::passes;
use embernet::quant::{Scheme, quantize, to_float};
use embernet::train::metrics::{accuracy, mse};
use embernet::train::{FitOptions, evaluate, fit, predict};
use embernet_core::optim::OptimizerRecord;
use embernet_core::rng::Rng;
use embernet_tests::shared;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// A float model and its folder, if the shared data are here.
fn model(name: &str) -> Option<(Graph, PathBuf)> {
    let folder = shared::dir("quantising imported models", &format!("models/{name}"))?;
    Some((tflite::load(&folder.join("model.tflite")).expect("a good model").graph, folder))
}

/// The float model's 50 labelled images calibrate; the int8 model's 100 others, as floats, decide.
#[test]
fn the_image_classifier_loses_at_most_one_point() {
    let Some((graph, folder)) = model("mlperf_ic_resnet8_f32") else { return };
    let Some((_, other)) = model("mlperf_ic_resnet8_int8") else { return };
    let calibration = shared::npy(&folder.join("input_real.npy")).values().to_f32();
    // Its scale is 1 and its zero point -128.
    let pixels = shared::npy(&other.join("input_real.npy")).values().to_f32();
    let x: Vec<f32> = pixels.iter().map(|q| q + 128.0).collect();
    let truth = shared::npy(&other.join("labels_real.npy")).values().to_ids().expect("classes");

    let int8 = quantize(&graph, &calibration, Scheme::Int8).expect("an int8 form").graph;
    let float = accuracy(&truth, &predict(&graph, &x, false).expect("outputs"), 10);
    let found = accuracy(&truth, &predict(&int8, &x, false).expect("outputs"), 10);
    println!("top-1 of 100 images: float {float}, int8 {found}");
    assert!(found >= float - 0.01, "float {float}, int8 {found}");
}

/// The float model is not here. What the int8 one says in reals stands for it: 200 words calibrate, 800 others decide.
#[test]
fn keyword_spotting_loses_at_most_one_point() {
    const CALIBRATION: usize = 200;
    let Some((original, folder)) = model("mlperf_kws_dscnn_int8") else { return };
    let graph = to_float(&original).expect("a float form");
    // Its scale and zero point.
    let words = shared::npy(&folder.join("input_real.npy")).values().to_f32();
    let x: Vec<f32> = words.iter().map(|q| (q - 83.0) * 0.584_703).collect();
    let truth = shared::npy(&folder.join("labels_real.npy")).values().to_ids().expect("classes");
    let (calibration, x) = x.split_at(CALIBRATION * x.len() / truth.len());

    let int8 = quantize(&graph, calibration, Scheme::Int8).expect("an int8 form").graph;
    let right = |graph| accuracy(&truth[CALIBRATION..], &predict(graph, x, false).expect("outputs"), 12);
    let (float, found, before) = (right(&graph), right(&int8), right(&original));
    println!("top-1 of 800 words: float {float}, int8 {found}, int8 as it came {before}");
    assert!(found >= float - 0.01, "float {float}, int8 {found}");
}

/// Views of the two labelled photographs as a camera might have them: moved, mirrored, brighter or darker, flatter, with
/// noise. Their labels.
fn photographs(rng: &mut Rng, count: usize) -> Option<(Vec<f32>, Vec<u32>)> {
    const SIDE: usize = 96;
    let folder = shared::dir("quantising imported models", "models/tflm_person_detect_int8")?;
    let photographs = shared::npy(&folder.join("input_real.npy")).values().to_f32();
    let truth = shared::npy(&folder.join("labels_real.npy")).values().to_ids().expect("classes");
    let (mut x, mut labels) = (Vec::new(), Vec::new());
    for number in 0..count {
        let (photograph, label) = (&photographs[number % 2 * SIDE * SIDE..][..SIDE * SIDE], truth[number % 2]);
        let [down, across] = [(); 2].map(|()| rng.below(13) as usize);
        let (mirrored, light, contrast) = (rng.below(2) == 1, rng.below(41) as f32 - 20.0, 0.8 + 0.3 * rng.unit_f32());
        for (row, column) in (0..SIDE).flat_map(|row| (0..SIDE).map(move |column| (row, column))) {
            let column = if mirrored { SIDE - 1 - column } else { column };
            // Rows and columns beside the photograph repeat its last ones.
            let [row, column] =
                [(row, down), (column, across)].map(|(at, by)| (at + by).saturating_sub(6).min(SIDE - 1));
            let grain = 8.0 * (rng.unit_f32() - 0.5);
            let pixel = (photograph[row * SIDE + column] * contrast + light + grain).clamp(-128.0, 127.0);
            // The model's scale and zero point.
            x.push((pixel.round() + 1.0) * 0.007_843_14);
        }
        labels.push(label);
    }
    Some((x, labels))
}

/// The float model is not here, nor its data set. What the int8 one says in reals stands for it; 40 views of two
/// photographs calibrate, 400 other views of them decide.
#[test]
fn person_detection_loses_at_most_one_point() {
    let Some((original, _)) = model("tflm_person_detect_int8") else { return };
    let graph = to_float(&original).expect("a float form");
    let mut rng = Rng::new(11);
    let Some((calibration, _)) = photographs(&mut rng, 40) else { return };
    let Some((x, truth)) = photographs(&mut rng, 400) else { return };
    let int8 = quantize(&graph, &calibration, Scheme::Int8).expect("an int8 form").graph;
    let right = |graph| accuracy(&truth, &predict(graph, &x, false).expect("outputs"), 2);
    let (float, found, before) = (right(&graph), right(&int8), right(&original));
    println!("top-1 of 400 views of two photographs: float {float}, int8 {found}, int8 as it came {before}");
    assert!(found >= float - 0.01, "float {float}, int8 {found}");
}

/// How often a score tells one of the first kind from one of the second: the area under the ROC curve.
fn auc(first: &[f32], second: &[f32]) -> f64 {
    let told = |low: f32, high: f32| f64::from(u8::from(low < high) + u8::from(low <= high)) / 2.0;
    let right: f64 = first.iter().flat_map(|low| second.iter().map(move |high| told(*low, *high))).sum();
    right / (first.len() * second.len()) as f64
}

/// Five frames of a machine's hum in 128 bands, in decibels; every second one with a rattle of its own strength.
fn hums(rng: &mut Rng, count: usize) -> Vec<f32> {
    let mut x = Vec::new();
    for number in 0..count {
        let [level, slope, peak] = [(); 3].map(|()| rng.unit_f32());
        let rattle = if number % 2 == 1 { 2.0 + 10.0 * rng.unit_f32() } else { 0.0 };
        for band in (0..5).flat_map(|_| 0..128) {
            let place = band as f32 / 128.0;
            let hum = 12.0 * (-(40.0 * (place - peak)).powi(2)).exp();
            let noise = (2.0 + rattle) * (rng.unit_f32() - 0.5);
            x.push((-25.0 + 15.0 * level - 30.0 * (0.5 + slope) * place + hum + noise).clamp(-84.0, 14.0));
        }
    }
    x
}

/// There are no recordings here: spectra are made up. What counts is the order in which their errors rank them: how well
/// those with a rattle are told from those without, and that other noise is reconstructed as well as before.
#[test]
fn the_autoencoder_ranks_as_well() {
    const INPUTS: usize = 640;
    let Some((graph, folder)) = model("mlperf_ad_autoencoder_f32") else { return };
    let mut rng = Rng::new(12);
    let (calibration, x) = (hums(&mut rng, 100), hums(&mut rng, 600));
    let noise = shared::npy(&folder.join("input_random.npy")).values().to_f32();
    let int8 = quantize(&graph, &[calibration, noise.clone()].concat(), Scheme::Int8).expect("an int8 form").graph;
    let told = |graph: &Graph| {
        let y = predict(graph, &x, false).expect("outputs");
        let errors = x.chunks(INPUTS).zip(y.chunks(INPUTS)).map(|(x, y)| mse(x, y) as f32).collect::<Vec<_>>();
        let [quiet, rattling] = [0, 1].map(|from| errors.iter().skip(from).step_by(2).copied().collect::<Vec<_>>());
        auc(&quiet, &rattling)
    };
    let [float, found] = [&graph, &int8].map(told);
    let [before, after] = [&graph, &int8].map(|graph| mse(&noise, &predict(graph, &noise, false).expect("outputs")));
    println!("AUC of 600 spectra: float {float}, int8 {found}; squared error of noise: {before}, {after}");
    assert!(float > 0.6 && float < 0.999, "spectra that tell something: {float}");
    assert!((found - float).abs() <= 0.01, "float {float}, int8 {found}");
    assert!((after - before).abs() <= 0.01 * before, "float {before}, int8 {after}");
}

/// An ONNX model of MNIST as `embernet import --checkpoint` writes it and others read it, and its 50 images.
fn digits() -> Option<(Graph, Dataset)> {
    let folder = shared::dir("an imported ONNX model as a checkpoint", "models/onnx_mnist8")?;
    let mut graph = onnx::load(&folder.join("model.onnx"), &onnx::Options::default()).expect("a good model").graph;
    graph.set_trainable(&Selection::All).expect("all layers");
    passes::simplify(&mut graph).expect("a sound graph");
    let bytes = Checkpoint::new(graph).to_bytes().expect("a checkpoint");
    let graph = Checkpoint::from_bytes(&bytes).expect("what was written").graph;
    let images = shared::npy(&folder.join("input_real.npy")).values().to_f32();
    let ids = shared::npy(&folder.join("labels_real.npy")).values().to_ids().expect("classes");
    let labels = Labels::Class { ids, names: (0..10).map(|class| class.to_string()).collect() };
    // One channel: channels first and last are the same.
    let data = Dataset::new(graph.tensor(graph.inputs[0]).shape.clone(), Storage::F32(images), labels);
    Some((graph, data.expect("50 labelled images")))
}

#[test]
fn an_onnx_model_loses_at_most_one_image() {
    let Some((graph, data)) = digits() else { return };
    let int8 = quantize(&graph, &data.x(), Scheme::Int8).expect("an int8 form").graph;
    let right = |graph| evaluate(graph, &data, Loss::SparseCrossEntropy, false).expect("outputs").accuracy;
    let [float, found] = [&graph, &int8].map(|graph| right(graph).expect("classes") * 50.0);
    println!("top-1 of 50 images: float {float}, int8 {found}");
    assert!(found >= float - 1.0, "float {float}, int8 {found}");
}

/// It knows these images already, so it learns another name for every digit. Its logits are in the thousands, and so
/// is the loss at first.
#[test]
fn an_onnx_model_goes_on_learning() {
    let Some((mut graph, mut data)) = digits() else { return };
    let Labels::Class { ids, names } = data.labels().clone() else { unreachable!("they have classes") };
    let labels = Labels::Class { ids: ids.iter().map(|id| (id + 1) % 10).collect(), names };
    data = Dataset::new(data.shape().to_vec(), data.samples().clone(), labels).expect("as many labels");
    let loss = |graph: &Graph| evaluate(graph, &data, Loss::SparseCrossEntropy, false).expect("outputs").loss;
    let before = loss(&graph);
    let weights = graph.clone();
    let options = FitOptions { epochs: 8, batch: 10, optimizer: OptimizerRecord::adam(0.001), ..FitOptions::default() };
    fit(&mut graph, &data, None, &options, &mut |_| ControlFlow::Continue(())).expect("finite numbers");
    let after = loss(&graph);
    println!("loss of 50 images: {before} before, {after} after 40 steps");
    assert!(after < 0.5 * before, "{before}, then {after}");
    for id in weights.parameter_tensors() {
        assert!(graph.tensor(id).data != weights.tensor(id).data, "{} has not learned", weights.tensor(id).name);
    }
}
