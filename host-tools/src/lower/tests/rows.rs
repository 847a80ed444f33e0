//! Gradients through products of activations, parametric relu and layer normalisation.

use super::*;

struct Builder {
    rng: Rng,
    graph: Graph,
}

impl Builder {
    fn parameter(&mut self, name: &str, shape: &[usize]) -> TensorId {
        let values = random(&mut self.rng, shape.iter().product());
        self.graph.add_tensor(Tensor::parameter(name, shape.to_vec(), Data::F32(values)))
    }

    fn node(&mut self, name: &str, op: impl Into<Op>, inputs: &[TensorId], shape: &[usize]) -> TensorId {
        let y = activation(&mut self.graph, &format!("{name}/output"), shape.to_vec());
        self.graph.add_node(name, op, inputs, &[y]);
        y
    }

    fn dense(&mut self, name: &str, input: TensorId, units: usize) -> TensorId {
        let inputs = self.graph.tensor(input).elements();
        let w = self.parameter(&format!("{name}/kernel"), &[units, inputs]);
        let b = self.parameter(&format!("{name}/bias"), &[units]);
        self.node(name, Dense::new(units), &[input, w, b], &[units])
    }
}

fn network() -> Graph {
    let mut b = Builder { rng: Rng::new(3), graph: Graph::new("rows") };
    let x = activation(&mut b.graph, "x", [4]);
    b.graph.inputs.push(x);
    let a = b.dense("a", x, 6);
    let a = b.node("tanh", Activation::Tanh, &[a], &[6]);
    let grid = b.node("grid", Reshape::new([2, 3]), &[a], &[2, 3]);
    // With itself, turned; with a turned left side; one matrix for a batch of three.
    let gram = b.node("gram", MatMul { transpose_b: true, ..MatMul::default() }, &[grid, grid], &[2, 2]);
    let turned = b.node("turned", MatMul { transpose_a: true, ..MatMul::default() }, &[gram, grid], &[2, 3]);
    let batch = b.node("batch", Reshape::new([3, 1, 2]), &[a], &[3, 1, 2]);
    let batch = b.node("repeated", MatMul::default(), &[batch, gram], &[3, 1, 2]);
    let batch = b.node("unbatched", Reshape::new([2, 3]), &[batch], &[2, 3]);
    let sum = b.node("sum", Add::default(), &[turned, batch], &[2, 3]);
    let slopes = b.parameter("slopes", &[3]);
    let bent = b.node("bent", PRelu {}, &[sum, slopes], &[2, 3]);
    let (gamma, beta) = (b.parameter("gamma", &[3]), b.parameter("beta", &[3]));
    let normal = b.node("normal", LayerNorm::new(0.5), &[bent, gamma, beta], &[2, 3]);
    let flat = b.node("flat", Flatten {}, &[normal], &[6]);
    let z = b.dense("z", flat, 3);
    b.graph.outputs.push(z);
    b.graph.validate().unwrap();
    b.graph
}

#[test]
fn gradients_agree_with_finite_differences() {
    // Short steps: products bend, and slopes have a kink.
    check_gradients(&network(), 1e-3, 2e-3);
}

#[test]
fn slopes_and_factors_learn_alone() {
    let mut graph = network();
    let frozen = |name: &str| !["slopes", "gamma", "beta"].contains(&name);
    graph.tensors.iter_mut().filter(|t| t.trainable && frozen(&t.name)).for_each(|t| t.trainable = false);
    check_gradients(&graph, 1e-3, 2e-3);
}
