//! The networks, in Rust: what `experiments/*.toml` say in TOML.

use embernet::graph::Sequential;
use embernet::graph::ops::{
    Activation, Add, BatchNorm, Conv2d, Dense, DepthwiseConv2d, Flatten, GlobalAveragePool2d, MaxPool2d, Padding,
};

/// The names, and the experiments that train the same networks.
pub const PROGRAMS: [(&str, &str); 8] = [
    ("S0", "s0"),
    ("S1", "s1"),
    ("S2", "s2"),
    ("S3", "s3"),
    ("S4", "s4"),
    ("DSCNN", "dscnn"),
    ("RESNET8", "resnet8"),
    ("AE", "autoencoder"),
];

/// The network of a program.
pub fn network(program: &str) -> Option<Sequential> {
    Some(match program {
        "S0" => images(&[32, 64]),
        "S1" => vectors(4, &[10, 10], 3),
        "S2" => vectors(784, &[32], 10),
        "S3" => vectors(784, &[128], 10),
        "S4" => images(&[32, 64, 64]),
        "DSCNN" => ds_cnn(),
        "RESNET8" => resnet8(),
        "AE" => autoencoder(),
        _ => return None,
    })
}

fn softmax(classes: usize) -> Dense {
    Dense::new(classes).activation(Activation::Softmax)
}

fn vectors(inputs: usize, hidden: &[usize], classes: usize) -> Sequential {
    let add = |network: Sequential, units: &usize| network.add(Dense::new(*units).activation(Activation::Relu));
    hidden.iter().fold(Sequential::new([inputs]), add).add(softmax(classes))
}

/// Convolutions on MNIST, each of the first two with a pool.
fn images(filters: &[usize]) -> Sequential {
    let mut network = Sequential::new([28, 28, 1]);
    for (index, filters) in filters.iter().enumerate() {
        network = network.add(Conv2d::new(*filters, [3, 3]).activation(Activation::Relu));
        if index < 2 {
            network = network.add(MaxPool2d::new([2, 2]));
        }
    }
    network.add(Flatten {}).add(Dense::new(64).activation(Activation::Relu)).add(softmax(10))
}

fn conv(filters: usize, kernel: [usize; 2], stride: usize) -> Conv2d {
    Conv2d::new(filters, kernel).strides([stride; 2]).padding(Padding::Same).use_bias(false)
}

fn norm() -> BatchNorm {
    BatchNorm::new().activation(Activation::Relu)
}

/// Keyword spotting of MLPerf Tiny.
fn ds_cnn() -> Sequential {
    let mut network = Sequential::new([49, 10, 1]).add(conv(64, [10, 4], 2)).add(norm());
    for _ in 0..4 {
        let depthwise = DepthwiseConv2d::new([3, 3]).padding(Padding::Same).use_bias(false);
        network = network.add(depthwise).add(norm()).add(conv(64, [1, 1], 1)).add(norm());
    }
    network.add(GlobalAveragePool2d {}).add(softmax(12))
}

/// Image classification of MLPerf Tiny: three residual blocks.
fn resnet8() -> Sequential {
    let mut network = Sequential::new([32, 32, 3]).add(conv(16, [3, 3], 1)).add_named("stem", norm());
    let mut before = "stem".to_owned();
    for (number, (filters, stride)) in (1..).zip([(16, 1), (32, 2), (64, 2)]) {
        let [branch, shortcut, block] = ["branch", "shortcut", "block"].map(|part| format!("{part}{number}"));
        network = network.add(conv(filters, [3, 3], stride)).add(norm());
        network = network.add(conv(filters, [3, 3], 1)).add_named(branch.as_str(), BatchNorm::new());
        if stride != 1 {
            let narrow = conv(filters, [1, 1], stride).use_bias(true);
            network = network.add_reading(shortcut.as_str(), &[&before], narrow);
            before = shortcut;
        }
        let sum = Add { activation: Activation::Relu };
        network = network.add_reading(block.as_str(), &[&before, &branch], sum);
        before = block;
    }
    network.add(GlobalAveragePool2d {}).add(softmax(10))
}

/// Anomaly detection of MLPerf Tiny.
fn autoencoder() -> Sequential {
    let hidden = [128, 128, 128, 128, 8, 128, 128, 128, 128];
    let add = |network: Sequential, units| network.add(Dense::new(units)).add(norm());
    hidden.into_iter().fold(Sequential::new([640]), add).add(Dense::new(640))
}
