//! Gradients of every operation between two dense layers, against finite differences.

use super::*;
use crate::graph::ops::*;

/// A network from 4 values to 3 classes, built layer by layer.
pub(super) struct Net {
    pub graph: Graph,
    rng: Rng,
    pub last: TensorId,
}

impl Net {
    /// The input behind a dense layer, so that what follows has gradients to hand on.
    pub fn new(units: usize) -> Self {
        let mut graph = Graph::new("net");
        let x = activation(&mut graph, "x", [4]);
        graph.inputs.push(x);
        let mut net = Self { graph, rng: Rng::new(11), last: x };
        net.layer("first", Dense::new(units));
        net
    }

    fn parameter(&mut self, name: String, shape: &[usize]) -> TensorId {
        let values = random(&mut self.rng, shape.iter().product());
        self.graph.add_tensor(Tensor::parameter(name, shape.to_vec(), Data::F32(values)))
    }

    /// A node on several inputs; gives its outputs.
    pub fn node(&mut self, name: &str, op: impl Into<Op>, inputs: &[TensorId]) -> Vec<TensorId> {
        let op = op.into();
        let shape = self.graph.tensor(inputs[0]).shape.clone();
        let shapes: Vec<Vec<usize>> = op.parameters(&shape).into_iter().map(|parameter| parameter.shape).collect();
        let mut all = inputs.to_vec();
        for (i, shape) in shapes.iter().enumerate() {
            all.push(self.parameter(format!("{name}/{i}"), shape));
        }
        let outputs: Vec<TensorId> =
            (0..op.output_count()).map(|i| activation(&mut self.graph, &format!("{name}/output {i}"), [])).collect();
        self.graph.add_node(name, op, &all, &outputs);
        self.graph.outputs = outputs.clone();
        self.graph.infer_shapes().unwrap();
        outputs
    }

    /// A node behind the last one.
    pub fn layer(&mut self, name: &str, op: impl Into<Op>) -> &mut Self {
        self.last = self.node(name, op, &[self.last])[0];
        self
    }

    /// Three classes.
    pub fn finish(mut self) -> Graph {
        self.layer("flat", Flatten::default()).layer("head", Dense::new(3));
        self.graph.set_trainable(&crate::graph::Selection::All).unwrap();
        self.graph
    }
}

/// As in the test of the residual network.
fn check(graph: &Graph) {
    check_gradients(graph, 1e-2, 1e-3);
}

/// Of functions with kinks, by smaller steps, which are less likely to meet one.
fn check_closely(graph: &Graph) {
    check_gradients(graph, 1e-3, 1e-3);
}

/// `op` of two dense layers of equal and of different shapes, the second one kept away from zero.
fn of_two(op: impl Fn() -> Op) {
    for (rows, columns) in [(2, 3), (1, 3), (2, 1)] {
        let mut net = Net::new(6);
        let first = net.node("grid", Reshape::new([2, 3]), &[net.last])[0];
        let second = net.node("second", Dense::new(rows * columns), &[net.graph.inputs[0]])[0];
        let second = net.node("softplus", Activation::Exp, &[second])[0];
        let second = net.node("second grid", Reshape::new([rows, columns]), &[second])[0];
        net.last = net.node("two", op(), &[first, second])[0];
        check_closely(&net.finish());
        let mut net = Net::new(rows * columns);
        let second = net.node("grid", Reshape::new([rows, columns]), &[net.last])[0];
        let first = net.node("first of two", Dense::new(6), &[net.graph.inputs[0]])[0];
        let first = net.node("exp", Activation::Exp, &[first])[0];
        let first = net.node("first grid", Reshape::new([2, 3]), &[first])[0];
        if !matches!(op(), Op::Div(_)) {
            net.last = net.node("two", op(), &[second, first])[0];
            check_closely(&net.finish());
        }
    }
}

#[test]
fn divisors() {
    of_two(|| Div::default().into());
}

#[test]
fn the_smaller_and_the_greater_of_two() {
    of_two(|| Minimum::default().into());
    of_two(|| Maximum::default().into());
}

#[test]
fn maxima_over_axes() {
    for axes in [vec![0], vec![1], vec![0, 2]] {
        for keepdims in [false, true] {
            let mut net = Net::new(12);
            let op = Reduce { reduction: Reduction::Max, axes: axes.clone(), keepdims };
            net.layer("grid", Reshape::new([2, 3, 2])).layer("greatest", op);
            check_closely(&net.finish());
        }
    }
}

/// Equal elements share.
#[test]
fn equal_maxima_share_the_gradient() {
    let mut net = Net::new(6);
    let op = Reduce { reduction: Reduction::Max, axes: vec![0], keepdims: false };
    net.layer("zero", Activation::Relu).layer("greatest", op);
    let mut graph = net.finish();
    // The first layer gives 1, 1, 0 and less than 0.
    let [kernel, bias] = [0, 1].map(|i| graph.find_tensor(&format!("first/{i}")).unwrap());
    graph.tensor_mut(kernel).data = Some(Data::F32(vec![0.0; 24]));
    graph.tensor_mut(bias).data = Some(Data::F32(vec![1.0, 1.0, 0.5, -1.0, -1.0, 0.0]));
    let options = train_options(OptimizerRecord::sgd(1.0), Loss::SparseCrossEntropy, 1);
    let (found, _) = gradients(&graph, &options, &[0.5; 4], 1u32.as_bytes(), 1);
    let bias = &found[24..30];
    assert!(
        bias[0] != 0.0 && bias[0].to_bits() == bias[1].to_bits() && bias[2..].iter().all(|g| *g == 0.0),
        "{bias:?}"
    );
}

#[test]
fn logarithms_of_softmax() {
    let mut net = Net::new(6);
    net.layer("grid", Reshape::new([2, 3])).layer("log", LogSoftmax {});
    check(&net.finish());
}

#[test]
fn images_made_larger() {
    // By whole factors, by others, smaller, and in any order.
    for (rows, cols) in [
        (vec![0, 0, 0, 1, 1, 1], vec![0, 0, 1, 1]),
        (vec![0, 1, 1], vec![0, 1]),
        (vec![1], vec![0, 0, 0, 1]),
        (vec![1, 0, 1, 0], vec![1, 1]),
    ] {
        let mut net = Net::new(8);
        let op = ResizeNearest { rows, cols };
        net.layer("image", Reshape::new([2, 2, 2])).layer("larger", op);
        net.layer("curve", Activation::Tanh);
        check(&net.finish());
    }
}

#[test]
fn recurrent_layers() {
    for reverse in [false, true] {
        for last in [0, 1] {
            let use_bias = last == 0;
            let lstm = |peepholes| Lstm { units: 3, reverse, use_bias, peepholes, cell_clip: 0.0 };
            let gru = |reset_after| Gru { units: 3, reverse, reset_after, use_bias };
            for op in [Op::from(lstm(false)), lstm(true).into(), gru(true).into(), gru(false).into()] {
                let mut net = Net::new(8);
                let sequence = net.node("sequence", Reshape::new([4, 2]), &[net.last])[0];
                net.last = net.node("cell", op, &[sequence])[last];
                check(&net.finish());
            }
        }
    }
}

/// Every hidden state and the last states at once; states to start from that have a gradient, too.
#[test]
fn states_of_recurrent_layers() {
    for (kind, other) in [(4, false), (3, false), (4, true), (3, true)] {
        let mut net = Net::new(8);
        let sequence = net.node("sequence", Reshape::new([4, 2]), &[net.last])[0];
        let x = net.graph.inputs[0];
        let mut inputs = vec![sequence, net.node("start", Dense::new(3), &[x])[0]];
        let op: Op = if kind == 4 {
            inputs.push(net.node("cell to start from", Dense::new(3), &[x])[0]);
            Lstm { units: 3, reverse: false, use_bias: true, peepholes: other, cell_clip: 0.0 }.into()
        } else {
            Gru { units: 3, reverse: false, reset_after: !other, use_bias: true }.into()
        };
        let outputs = net.node("cell", op, &inputs);
        let mut parts = vec![net.node("all", Flatten::default(), &outputs[..1])[0]];
        parts.extend(&outputs[1..]);
        net.last = net.node("joined", Concat { axis: 0 }, &parts)[0];
        check(&net.finish());
    }
}

/// From a memory of any values: the gradient is that of the present run.
#[test]
fn filters_with_a_memory() {
    for (rank, use_bias, activation) in [(1, true, Activation::Linear), (2, false, Activation::Relu6)] {
        let mut net = Net::new(5);
        net.layer("filter", Svdf { units: 4, rank, memory: 3, use_bias, activation });
        check_gradients_of(&net.finish(), 1, 1e-2, 1e-3);
    }
    let mut net = Net::new(5);
    net.layer("filter", Svdf { units: 4, rank: 1, memory: 1, use_bias: true, activation: Activation::Linear });
    let graph = net.finish();
    check_gradients_of(&graph, 1, 1e-2, 1e-3);
    let options = train_options(OptimizerRecord::sgd(1.0), Loss::SparseCrossEntropy, 2);
    assert!(lower(&graph, &options).unwrap_err().to_string().contains("a layer with a memory in batches"));
    // Frozen, between layers that learn.
    let mut frozen = graph.clone();
    frozen.set_trainable(&"first,head".parse().unwrap()).unwrap();
    let options = train_options(OptimizerRecord::sgd(1.0), Loss::SparseCrossEntropy, 1);
    let [all, others] = [&graph, &frozen].map(|graph| gradients(graph, &options, &[0.3; 4], 1u32.as_bytes(), 1).0);
    let first = 5 * 4 + 5;
    assert!(all[..first] == others[..first] && all[..first].iter().any(|g| *g != 0.0));
    // Inference goes on with the memory of training.
    let options = train_options(OptimizerRecord::sgd(0.0), Loss::SparseCrossEntropy, 1);
    let mut net = Net::new(5);
    net.layer("filter", Svdf { units: 4, rank: 2, memory: 4, use_bias: true, activation: Activation::Linear });
    let graph = net.finish();
    let outputs = |trains: &[bool]| {
        session(&graph, &options, |_, session| {
            let mut rng = Rng::new(3);
            for trains in trains {
                let x = random(&mut rng, 4);
                let plan = if *trains { PlanKind::Train } else { PlanKind::Infer };
                session.input_mut(plan, 0).copy_from_slice(x.as_bytes());
                if *trains {
                    session.target_mut().copy_from_slice(1u32.as_bytes());
                    session.train_step(1).unwrap();
                } else {
                    session.infer(1).unwrap();
                }
            }
            view::<f32>(session.output(0)).to_vec()
        })
    };
    assert_eq!(outputs(&[true, false, true, true, false]), outputs(&[false; 5]));
}

/// Through layers with int8 weights between floats, whose biases may learn.
#[test]
fn weights_of_bytes() {
    let layers: [Op; 3] = [Conv2d::new(3, [2, 2]).into(), DepthwiseConv2d::new([2, 1]).into(), Dense::new(3).into()];
    for (op, learns) in layers.into_iter().flat_map(|op| [(op.clone(), true), (op, false)]) {
        let mut net = Net::new(12);
        let shape = if matches!(op, Op::Dense(_)) { vec![12] } else { vec![3, 2, 2] };
        net.layer("image", Reshape::new(shape)).layer("bytes", op);
        let mut graph = net.finish();
        let [kernel, bias] = [0, 1].map(|i| graph.find_tensor(&format!("bytes/{i}")).unwrap());
        let tensor = graph.tensor_mut(kernel);
        tensor.data = Some(Data::I8((0..tensor.elements()).map(|i| (i * 37 % 255) as u8 as i8).collect()));
        (tensor.dtype, tensor.quant) = (DType::I8, Some(crate::graph::Quant::per_tensor(0.01, 0)));
        tensor.trainable = false;
        graph.tensor_mut(bias).trainable = learns;
        check(&graph);
    }
}
