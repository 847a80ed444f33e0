//! What a checkpoint of other people's float models is good for: `quantize`, whose int8 form decides as the float one
//! does, and training.

use embernet::data::{Dataset, Labels, Storage};
use embernet::graph::{DType, Data, Graph, Selection};
use embernet::image::Loss;
use embernet::import::checkpoint::Checkpoint;
use embernet::import::{onnx, tflite};
use embernet::passes;
use embernet::quant::{Scheme, quantize};
use embernet::train::metrics::{accuracy, mse};
use embernet::train::{FitOptions, evaluate, fit, predict};
use embernet_core::optim::OptimizerRecord;
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

/// The same network with its integers as the reals that they stand for.
fn as_floats(int8: &Graph) -> Graph {
    let mut graph = int8.clone();
    for node in &int8.nodes {
        let &[kernel, bias] = node.parameters() else { continue };
        let scale = |id| int8.tensor(id).quant.clone().expect("scales");
        let (weights, input) = (scale(kernel), scale(node.inputs[0]).scale(0));
        let shape = &int8.tensor(kernel).shape;
        let axis = weights.axis.unwrap_or(0);
        let (channels, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
        let integers = |id| int8.tensor(id).data.as_ref().expect("a constant");
        let q = integers(kernel).as_i8().expect("int8 weights").iter().enumerate();
        let w = q.map(|(at, q)| f32::from(*q) * weights.scale(at / inner % channels)).collect();
        let q = integers(bias).as_i32().expect("a bias of 32 bits").iter().enumerate();
        let b = q.map(|(channel, q)| *q as f32 * (input * weights.scale(channel))).collect();
        graph.tensors[kernel.index()].data = Some(Data::F32(w));
        graph.tensors[bias.index()].data = Some(Data::F32(b));
    }
    graph.tensors.iter_mut().for_each(|tensor| (tensor.dtype, tensor.quant) = (DType::F32, None));
    graph
}

/// The float model is not here. What the int8 one says in reals stands for it: 200 words calibrate, 800 others decide.
#[test]
fn keyword_spotting_loses_at_most_one_point() {
    const CALIBRATION: usize = 200;
    let Some((original, folder)) = model("mlperf_kws_dscnn_int8") else { return };
    let graph = as_floats(&original);
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

/// There are no recordings here, only noise: how well it is reconstructed must not change.
#[test]
fn the_autoencoder_reconstructs_as_well() {
    let Some((graph, folder)) = model("mlperf_ad_autoencoder_f32") else { return };
    let x = shared::npy(&folder.join("input_random.npy")).values().to_f32();
    let int8 = quantize(&graph, &x, Scheme::Int8).expect("an int8 form").graph;
    let outputs = [predict(&graph, &x, false).expect("outputs"), predict(&int8, &x, false).expect("outputs")];
    let [float, found] = outputs.map(|y| mse(&x, &y));
    println!("mean squared error: float {float}, int8 {found}");
    assert!((found - float).abs() <= 0.01 * float, "float {float}, int8 {found}");
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
