//! Concatenations and slices without copies, and that memory shared that way changes no bit.

use super::*;
use crate::graph::Op;

/// A graph of rows of values, node by node.
struct Rows {
    graph: Graph,
    /// Values in a row.
    width: usize,
}

impl Rows {
    fn new(width: usize) -> Self {
        Self { graph: Graph::new("rows"), width }
    }

    fn input(&mut self, rows: usize) -> TensorId {
        let name = format!("in{}", self.graph.inputs.len());
        let id = activation(&mut self.graph, &name, [rows, self.width]);
        self.graph.inputs.push(id);
        id
    }

    fn rows(&self, id: TensorId) -> usize {
        self.graph.tensor(id).shape[0]
    }

    fn node(&mut self, op: impl Into<Op>, inputs: &[TensorId], rows: usize) -> TensorId {
        let name = format!("node{}", self.graph.nodes.len());
        let id = activation(&mut self.graph, &format!("{name}/y"), [rows, self.width]);
        self.graph.add_node(&name, op, inputs, &[id]);
        id
    }

    fn concat(&mut self, parts: &[TensorId]) -> TensorId {
        let rows = parts.iter().map(|part| self.rows(*part)).sum();
        self.node(Concat { axis: 0 }, parts, rows)
    }

    fn slice(&mut self, from: TensorId, begin: usize, rows: usize) -> TensorId {
        let slice = Slice { begin: vec![begin, 0], size: vec![rows, self.width], stride: vec![1, 1] };
        self.node(slice, &[from], rows)
    }

    /// Every pair of rows becomes one; nothing can be done in place.
    fn pooled(&mut self, from: TensorId) -> TensorId {
        let rows = self.rows(from);
        let image = |r: &mut Self, op: Op, input, shape: [usize; 3]| {
            let name = format!("node{}", r.graph.nodes.len());
            let id = activation(&mut r.graph, &format!("{name}/y"), shape);
            r.graph.add_node(&name, op, &[input], &[id]);
            id
        };
        let width = self.width;
        let raised = image(self, Reshape { shape: vec![rows, width, 1] }.into(), from, [rows, width, 1]);
        let pooled = image(self, MaxPool2d::new([2, 1]).into(), raised, [rows / 2, width, 1]);
        self.node(Reshape { shape: vec![rows / 2, width] }, &[pooled], rows / 2)
    }

    fn build(mut self, outputs: &[TensorId]) -> Graph {
        self.graph.outputs = outputs.to_vec();
        self.graph.validate().unwrap();
        self.graph
    }
}

/// Outputs for random inputs.
fn outputs(graph: &Graph, options: &Options, seed: u64) -> Vec<Vec<u8>> {
    session(graph, options, |_, s| {
        let mut rng = Rng::new(seed);
        for input in 0..graph.inputs.len() {
            let len = s.input_mut(PlanKind::Infer, input).len() / 4;
            s.input_mut(PlanKind::Infer, input).copy_from_slice(random(&mut rng, len).as_bytes());
        }
        s.infer(options.samples).unwrap();
        (0..graph.outputs.len()).map(|i| s.output(i).to_vec()).collect()
    })
}

/// The plan of a graph, which gives the same bytes as one that shares nothing: kinds of its steps, arena, bound.
fn plan(graph: &Graph) -> (Vec<&'static str>, usize, usize) {
    let options = Options::default();
    let apart = Options { reuse: false, ..options.clone() };
    assert_eq!(outputs(graph, &options, 1), outputs(graph, &apart, 1));
    let infer = lower(graph, &options).unwrap().infer;
    (infer.records.iter().map(|r| r.name).collect(), infer.layout.arena_bytes, infer.layout.lower_bound)
}

#[test]
fn parts_are_computed_where_the_whole_lies() {
    let mut r = Rows::new(8);
    let x = r.input(4);
    let (a, b) = (r.pooled(x), r.node(Activation::Tanh, &[x], 4));
    let whole = r.concat(&[a, b]);
    // The input, and the whole of 6 rows of 8 floats, in which the second part is not the input's place.
    assert_eq!(plan(&r.build(&[whole])), (vec!["MaxPoolF32", "ActivationF32"], 192, 192));
}

#[test]
fn slices_are_read_where_they_lie() {
    let mut r = Rows::new(8);
    let x = r.input(8);
    let (a, b) = (r.slice(x, 0, 4), r.slice(x, 4, 4));
    let (a, b) = (r.pooled(a), r.pooled(b));
    let sum = r.node(Add::default(), &[a, b], 2);
    // The input, both pooled halves.
    assert_eq!(plan(&r.build(&[sum])), (vec!["MaxPoolF32", "MaxPoolF32", "AddF32"], 256 + 128, 256 + 128));
}

#[test]
fn what_is_needed_twice_is_copied() {
    let mut r = Rows::new(4);
    let x = r.input(2);
    let a = r.node(Activation::Tanh, &[x], 2);
    let twice = r.concat(&[a, a]);
    assert_eq!(plan(&r.build(&[twice])).0, ["ActivationF32", "StridedCopy", "StridedCopy"]);
}

#[test]
fn a_part_that_changes_later_is_copied() {
    let mut r = Rows::new(4);
    let x = r.input(4);
    let (a, b) = (r.pooled(x), r.node(Activation::Tanh, &[x], 4));
    let whole = r.concat(&[a, b]);
    let changed = r.node(Activation::Tanh, &[a], 2);
    // The first part ends in place, so its copy stays; the second one lies in the whole.
    let (kinds, ..) = plan(&r.build(&[whole, changed]));
    assert_eq!(kinds.iter().filter(|kind| **kind == "StridedCopy").count(), 1, "{kinds:?}");
}

#[test]
fn a_copy_stays_where_it_saves_memory() {
    let mut r = Rows::new(4);
    let (x, large) = (r.input(4), r.input(64));
    // Small and early; then large things that go away again.
    let a = r.pooled(x);
    let big = r.node(Activation::Tanh, &[large], 64);
    let mut b = r.slice(big, 0, 32);
    for _ in 0..4 {
        b = r.pooled(b);
    }
    let whole = r.concat(&[a, b]);
    let (_, arena, bound) = plan(&r.build(&[whole]));
    assert_eq!(arena, bound);
}

/// Steps of rows at random: in place, cut, put together, read again later.
fn network(seed: u64) -> Graph {
    let mut rng = Rng::new(seed);
    let mut r = Rows::new(1 + rng.below(3) as usize);
    let mut known = vec![r.input(4), r.input(2)];
    for _ in 0..3 + rng.below(9) {
        let mut pick = |known: &[TensorId]| known[rng.below(known.len() as u32) as usize];
        let (a, b) = (pick(&known), pick(&known));
        let rows = r.rows(a);
        let made = match rng.below(6) {
            0 => r.node(Activation::Tanh, &[a], rows),
            1 if r.rows(b) == rows => r.node(Add::default(), &[a, b], rows),
            2 if rows > 1 => {
                let begin = rng.below(rows as u32) as usize;
                r.slice(a, begin, 1 + rng.below((rows - begin) as u32) as usize)
            }
            3 if rows > 1 => r.pooled(a),
            _ if rows + r.rows(b) < 40 => r.concat(&[a, b]),
            _ => r.node(Activation::Relu, &[a], rows),
        };
        known.push(made);
    }
    let last = *known.last().unwrap();
    let other = known[2 + rng.below(known.len() as u32 - 2) as usize];
    let mut outputs = vec![other, last];
    outputs.dedup();
    r.build(&outputs)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn sharing_parts_changes_no_bit(seed in any::<u64>()) {
        let graph = network(seed);
        for samples in [1, 2] {
            let options = Options { samples, ..Options::default() };
            let apart = Options { reuse: false, ..options.clone() };
            prop_assert_eq!(outputs(&graph, &options, seed), outputs(&graph, &apart, seed));
        }
    }
}
