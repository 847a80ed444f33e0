//! Good files, from which mutations start.

use crate::shared;
use embernet::data::{Values, npy};
use embernet::graph::ops::{
    Activation, Add, AveragePool2d, Conv2d, Dense, DepthwiseConv2d, Flatten, MaxPool2d, Padding,
};
use embernet::graph::{DType, Graph, Sequential, Tensor};
use embernet::image::{Loss, PackOptions, Precision, TrainOptions, pack};
use embernet::import::checkpoint::Checkpoint;
use embernet::quant::{Scheme, quantize};
use embernet_core::optim::OptimizerRecord;
use std::path::Path;

/// Larger files are nearly all weights, where a mutation changes nothing.
const MOST_BYTES: usize = 60_000;

/// A network with a branch.
pub fn network() -> Graph {
    let mut graph = Sequential::new([6, 6, 2])
        .add(Conv2d::new(3, [3, 3]).padding(Padding::Same).activation(Activation::Relu))
        .add(DepthwiseConv2d::new([3, 3]).activation(Activation::Relu6))
        .add(MaxPool2d::new([2, 2]))
        .add(AveragePool2d::new([2, 1]))
        .add(Flatten {})
        .add(Dense::new(5).activation(Activation::Tanh))
        .build(1)
        .expect("a chain");
    // A branch that comes together again, and softmax at the end.
    let last = graph.outputs[0];
    let sum = graph.add_tensor(Tensor::activation("sum", [5], DType::F32));
    graph.add_node("add", Add::default(), &[last, last], &[sum]);
    let y = graph.add_tensor(Tensor::activation("y", [5], DType::F32));
    graph.add_node("softmax", Activation::Softmax, &[sum], &[y]);
    graph.outputs = vec![y];
    graph.validate().expect("sound");
    graph
}

/// Images of it: trainable in two ways, int8, and that with normalised inputs. Images of another one that learn in 16-bit fixed point.
pub fn trained_images() -> Vec<Vec<u8>> {
    let graph = network();
    let train = |optimizer, loss| {
        let train = Some(TrainOptions { optimizer, loss, batch: 2, ..TrainOptions::default() });
        pack(&graph, &PackOptions { train, ..PackOptions::default() }, None).expect("packs").bytes.to_vec()
    };
    // In 16-bit fixed point, with all that it has.
    let dense = Sequential::new([6])
        .add(Dense::new(70).activation(Activation::Relu6))
        .add(Dense::new(4).activation(Activation::LeakyRelu { alpha: 0.1 }))
        .add(Dense::new(3))
        .build(2)
        .expect("a chain");
    let fixed = |mut optimizer: OptimizerRecord, loss| {
        optimizer.weight_decay = 0.01;
        let train = Some(TrainOptions { optimizer, loss, batch: 2, ..TrainOptions::default() });
        let options = PackOptions { train, precision: Precision::Fixed16, ..PackOptions::default() };
        pack(&dense, &options, None).expect("packs").bytes.to_vec()
    };
    let int8 = quantize(&graph, &[0.5; 72 * 4], Scheme::Int8).expect("quantises").graph;
    let mut normalised = int8.clone();
    let reference = normalised.meta.reference.clone().expect("measured");
    normalised.normalise_inputs(reference).expect("an int8 network");
    vec![
        train(OptimizerRecord::adam(0.01), Loss::SparseCrossEntropy),
        train(OptimizerRecord::sgd(0.01), Loss::CrossEntropy),
        pack(&int8, &PackOptions::default(), None).expect("packs").bytes.to_vec(),
        pack(&normalised, &PackOptions::default(), None).expect("packs").bytes.to_vec(),
        fixed(OptimizerRecord::adam(0.01), Loss::SparseCrossEntropy),
        fixed(OptimizerRecord::momentum(0.01, 0.9, true), Loss::CrossEntropy),
        fixed(OptimizerRecord::sgd(0.01), Loss::MeanSquaredError),
    ]
}

/// The files under a folder whose names end so, sorted.
fn files(folder: &Path, ending: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.extend(std::fs::read(path).ok().filter(|bytes| bytes.len() < MOST_BYTES));
            }
        }
    }
    found.sort();
    found
}

/// One small TFLite model for each operator.
fn operators() -> Vec<Vec<u8>> {
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tflite"), ".tflite")
}

/// Good files for a fuzz target; some of them lie in `../shared`.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let more = |folder: &str, ending: &str| {
        shared::dir("seeds for fuzzing", folder).map_or_else(Vec::new, |folder| files(&folder, ending))
    };
    let graphs = || operators().into_iter().filter_map(|bytes| super::tflite(&bytes));
    match target {
        "tflite" => [operators(), more("models", ".tflite")].concat(),
        "onnx" => [more("ops/onnx_node", "model.onnx"), more("models", ".onnx")].concat(),
        "safetensors" => {
            let graphs = graphs().chain([network()]);
            graphs.filter_map(|graph| Checkpoint::new(graph).to_bytes().ok()).collect()
        }
        "image" => {
            let packed = graphs().filter_map(|graph| pack(&graph, &PackOptions::default(), None).ok());
            trained_images().into_iter().chain(packed.map(|packed| packed.bytes.to_vec())).collect()
        }
        "data" => vec![
            npy::emit(&[2, 3], &Values::F32(vec![1.5; 6])),
            npy::emit(&[4], &Values::I8(vec![-1; 4])),
            vec![0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6],
            b"a,b,label\n1,2.5,x\n3,?,y\n".to_vec(),
        ]
        .into_iter()
        .chain(files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tflite"), "relu_i8.npz"))
        .collect(),
        _ => Vec::new(),
    }
}
