//! Keras's own training runs, reproduced: initial weights and batches in, weights after every snapshot out.
//!
//! The traces were made by TensorFlow/Keras in f32; a re-computation in f64 stays within 5e-6 of the iris weights
//! (the data's README), so 1e-4 after the last step leaves room for another order of sums, and for no mistake.

use embernet::graph::ops::{Activation, Conv2d, Dense, DepthwiseConv2d, Flatten, MaxPool2d, Padding};
use embernet::graph::{Data, Graph, Sequential};
use embernet::image::{HostSession, Loss, PackOptions, TrainOptions, arena_for, open, pack};
use embernet_core::arch::IsaId;
use embernet_core::exec::PlanKind;
use embernet_core::memory::view;
use embernet_core::optim::OptimizerRecord;
use embernet_tests::shared;
use std::path::{Path, PathBuf};
use zerocopy::IntoBytes;

const BOUND: f32 = 1e-4;

struct Trace {
    dir: PathBuf,
    info: serde_json::Value,
    graph: Graph,
}

/// How a Keras array becomes ours.
fn to_ours(shape: &[usize], values: &[f32]) -> Vec<f32> {
    match shape {
        // Dense [in][out] -> [out][in].
        [_, _] => transpose(values, shape[0], shape[1]),
        // Depthwise [kh][kw][in][1] lies as we have it; conv [kh][kw][in][out] -> [out][kh][kw][in].
        [_, _, _, 1] => values.to_vec(),
        [h, w, i, o] => transpose(values, h * w * i, *o),
        _ => values.to_vec(),
    }
}

fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect()
}

impl Trace {
    fn open(test: &str, name: &str, graph: Graph) -> Option<Self> {
        let dir = shared::dir(test, &format!("training/{name}"))?;
        let info = std::fs::read(dir.join("info.json")).expect("info.json is there");
        Some(Self { info: serde_json::from_slice(&info).expect("info.json is JSON"), dir, graph })
    }

    fn names(&self) -> Vec<&str> {
        self.info["weights"].as_array().expect("weights").iter().map(|n| n.as_str().expect("a name")).collect()
    }

    /// Keras arrays `PREFIX_NAME`, in our layout, one for each of our parameters in order.
    fn arrays(&self, prefix: &str) -> Vec<Vec<f32>> {
        let read = |name: &&str| {
            let array = shared::npy(&self.dir.join(format!("{prefix}_{name}.npy")));
            to_ours(array.shape(), &array.values().to_f32())
        };
        self.names().iter().map(read).collect()
    }

    /// Replays the run on `isa` and compares at every snapshot; gives the largest difference of the last one.
    fn replay(mut self, isa: IsaId, optimizer: OptimizerRecord) -> f32 {
        for (id, values) in self.graph.parameter_tensors().into_iter().zip(self.arrays("w_step000")) {
            assert_eq!(self.graph.tensor(id).elements(), values.len(), "{}", self.graph.tensor(id).name);
            self.graph.tensor_mut(id).data = Some(Data::F32(values));
        }
        let x = shared::npy(&self.dir.join("x.npy"));
        let y = shared::npy(&self.dir.join("y.npy")).values().to_ids().expect("class indices");
        let order = shared::npy(&self.dir.join("batch_index.npy"));
        let losses = shared::npy(&self.dir.join("loss.npy")).values().to_f32();
        let (batch, rows) = (order.shape()[1], order.values().to_ids().expect("row numbers"));
        let len = x.values().len() / y.len();
        let x = x.values().to_f32();

        let options = PackOptions {
            isa,
            train: Some(TrainOptions { optimizer, loss: Loss::SparseCrossEntropy, batch, ..TrainOptions::default() }),
            ..PackOptions::default()
        };
        let packed = pack(&self.graph, &options, None).expect("the network packs");
        let image = packed.image().expect("it parses");
        let mut arena = arena_for(&image);
        let mut session = open(&image, &mut arena, isa).expect("it opens");
        let snapshots: Vec<u64> =
            self.info["snapshots"].as_array().expect("snapshots").iter().map(|s| s.as_u64().expect("a step")).collect();
        let mut last = 0.0;
        for (step, rows) in rows.chunks_exact(batch).enumerate() {
            let samples: Vec<f32> = rows.iter().flat_map(|&r| &x[r as usize * len..][..len]).copied().collect();
            let labels: Vec<u32> = rows.iter().map(|&r| y[r as usize]).collect();
            session.input_mut(PlanKind::Train, 0)[..samples.len() * 4].copy_from_slice(samples.as_bytes());
            session.target_mut()[..labels.len() * 4].copy_from_slice(labels.as_bytes());
            let loss = session.train_step(batch).expect("a step");
            assert!((loss - losses[step]).abs() < BOUND, "loss of step {step}: {loss}, Keras {}", losses[step]);
            if snapshots.contains(&(step as u64 + 1)) {
                last = self.difference(session.as_ref(), step + 1);
                assert!(last < BOUND, "weights after step {}: {last}", step + 1);
            }
        }
        last
    }

    fn difference(&self, session: &dyn HostSession, step: usize) -> f32 {
        let expected = self.arrays(&format!("w_step{step:03}")).concat();
        let found: &[f32] = view(session.params());
        // Parameters lie in graph order, each at an aligned place.
        let mut at = 0;
        let mut worst = 0f32;
        for id in self.graph.parameter_tensors() {
            let len = self.graph.tensor(id).elements();
            let start = expected_start(&self.graph, id);
            for (e, f) in expected[at..at + len].iter().zip(&found[start..start + len]) {
                worst = worst.max((e - f).abs());
            }
            at += len;
        }
        worst
    }
}

/// Where a parameter begins among the session's, in floats: each begins at a multiple of 16 bytes.
fn expected_start(graph: &Graph, id: embernet::graph::TensorId) -> usize {
    let before = graph.parameter_tensors().into_iter().take_while(|t| *t != id);
    before.map(|t| graph.tensor(t).elements().next_multiple_of(4)).sum()
}

fn iris() -> Graph {
    let layers = Sequential::new([4]).add(Dense::new(16).activation(Activation::Relu)).add(Dense::new(3));
    layers.build(0).expect("iris")
}

fn mnist() -> Graph {
    let relu = Activation::Relu;
    Sequential::new([28, 28, 1])
        .add(Conv2d::new(4, [3, 3]).strides([2, 2]).padding(Padding::Same).activation(relu))
        .add(DepthwiseConv2d::new([3, 3]).padding(Padding::Same).activation(relu))
        .add(Conv2d::new(8, [1, 1]).activation(relu))
        .add(MaxPool2d::new([2, 2]))
        .add(Flatten {})
        .add(Dense::new(10))
        .build(0)
        .expect("mnist")
}

fn check(name: &str, graph: Graph, optimizer: OptimizerRecord) {
    for isa in [IsaId::Scalar, embernet_core::arch::best()] {
        let Some(trace) = Trace::open("training_traces", name, graph.clone()) else { return };
        let worst = trace.replay(isa, optimizer);
        println!("{name} on {}: largest difference {worst:.2e}", isa.name());
    }
}

#[test]
fn iris_sgd() {
    check("iris_mlp_sgd", iris(), OptimizerRecord::sgd(0.1));
}

#[test]
fn iris_adam() {
    check("iris_mlp_adam", iris(), OptimizerRecord::adam(0.01));
}

#[test]
fn mnist_cnn_sgd() {
    check("mnist_cnn_sgd", mnist(), OptimizerRecord::sgd(0.05));
}

/// The first batch's logits of the untouched network.
#[test]
fn first_logits() {
    for (name, graph) in [("iris_mlp_sgd", iris()), ("mnist_cnn_sgd", mnist())] {
        let Some(mut trace) = Trace::open("first_logits", name, graph) else { return };
        for (id, values) in trace.graph.parameter_tensors().into_iter().zip(trace.arrays("w_step000")) {
            trace.graph.tensor_mut(id).data = Some(Data::F32(values));
        }
        let read = |file: &str| shared::npy(Path::new(&trace.dir).join(file).as_path());
        let (x, order) = (read("x.npy"), read("batch_index.npy"));
        let rows = order.values().to_ids().expect("row numbers");
        let len = trace.graph.tensor(trace.graph.inputs[0]).elements();
        let x = x.values().to_f32();
        let first: Vec<f32> =
            rows[..order.shape()[1]].iter().flat_map(|&r| &x[r as usize * len..][..len]).copied().collect();
        let found = embernet::train::predict(&trace.graph, &first, true).expect("it runs");
        for (found, expected) in found.iter().zip(read("logits_step000.npy").values().to_f32()) {
            assert!((found - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{name}: {found}, Keras {expected}");
        }
    }
}
