//! `quantize` on other people's float models: the int8 form decides as the float one does.

use embernet::graph::Graph;
use embernet::import::tflite;
use embernet::quant::{Scheme, quantize};
use embernet::train::metrics::{accuracy, mse};
use embernet::train::predict;
use embernet_tests::shared;
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
