//! Layers with weights in other forms, several outputs, and layers with a memory, through the whole path.

use super::*;
use crate::graph::ops::*;
use crate::graph::{Activation, DType, Quant};
use crate::image;
use embernet_core::exec::PlanKind;
use embernet_core::memory::view;
use embernet_core::rng::Rng;
use zerocopy::IntoBytes;

fn random(rng: &mut Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| rng.uniform_f32(-1.0, 1.0)).collect()
}

fn bytes(rng: &mut Rng, count: usize) -> Vec<i8> {
    (0..count).map(|_| rng.next_u32() as i8).collect()
}

/// All outputs of runs over inputs, one after another in one session; one sample each unless there are more.
fn runs(graph: &Graph, samples: usize, inputs: &[&[u8]]) -> Vec<Vec<Vec<u8>>> {
    let packed = image::pack(graph, &Options { samples, ..Options::default() }, None).unwrap();
    let parsed = packed.image().unwrap();
    let mut arena = image::arena_for(&parsed);
    let mut session = image::open(&parsed, &mut arena, IsaId::Scalar).unwrap();
    let run = |x: &&[u8]| {
        session.input_mut(PlanKind::Infer, 0).copy_from_slice(x);
        session.infer(samples).unwrap();
        (0..graph.outputs.len()).map(|output| session.output(output).to_vec()).collect()
    };
    inputs.iter().map(run).collect()
}

/// One node on one input.
fn one(op: impl Into<Op>, input: Tensor, parameters: Vec<Tensor>, outputs: Vec<Tensor>) -> Graph {
    let mut g = Graph::new("one");
    let x = g.add_tensor(input);
    let parameters: Vec<TensorId> = parameters.into_iter().map(|t| g.add_tensor(t)).collect();
    let outputs: Vec<TensorId> = outputs.into_iter().map(|t| g.add_tensor(t)).collect();
    g.add_node("node", op, &[&[x], parameters.as_slice()].concat(), &outputs);
    g.inputs.push(x);
    g.outputs = outputs;
    g.infer_shapes().unwrap();
    g
}

fn floats(name: &str, shape: impl Into<Vec<usize>>) -> Tensor {
    Tensor::activation(name, shape, DType::F32)
}

fn integers(name: &str, shape: impl Into<Vec<usize>>, quant: (f32, i32)) -> Tensor {
    Tensor::activation(name, shape, DType::I8).with_quant(Quant::per_tensor(quant.0, quant.1))
}

#[test]
fn a_dense_layer_over_rows_is_one_on_each_row() {
    let rng = &mut Rng::new(1);
    let (w, b) = (random(rng, 12), random(rng, 3));
    let parameters =
        || vec![Tensor::constant("w", [3, 4], Data::F32(w.clone())), Tensor::constant("b", [3], Data::F32(b.clone()))];
    let x = random(rng, 2 * 5 * 4);
    let rows = one(Dense::new(3), floats("x", [2, 5, 4]), parameters(), vec![floats("y", [])]);
    let row = one(Dense::new(3), floats("x", [4]), parameters(), vec![floats("y", [])]);
    let all = runs(&rows, 1, &[x.as_bytes()]).remove(0).remove(0);
    let each: Vec<&[u8]> = x.chunks(4).map(IntoBytes::as_bytes).collect();
    assert_eq!(all, runs(&row, 1, &each).into_iter().flatten().flatten().collect::<Vec<u8>>());
}

#[test]
fn int4_weights_give_the_bytes_of_the_same_int8_weights() {
    let rng = &mut Rng::new(2);
    let cases: [(Op, Vec<usize>, Vec<usize>, usize); 4] = [
        (Dense::new(5).into(), vec![7], vec![5, 7], 0),
        (Dense::new(5).into(), vec![3, 7], vec![5, 7], 0),
        (Conv2d::new(5, [3, 3]).padding(Padding::Same).into(), vec![6, 6, 3], vec![5, 3, 3, 3], 0),
        (DepthwiseConv2d::new([3, 3]).padding(Padding::Same).into(), vec![6, 6, 5], vec![3, 3, 5], 2),
    ];
    for (op, input, kernel, axis) in cases {
        let values: Vec<i8> = bytes(rng, kernel.iter().product()).iter().map(|w| w >> 4).collect();
        let bias: Vec<i32> = (0..5).map(|i| 100 * i - 200).collect();
        let scales = (0..5).map(|i| 0.01 + 0.002 * i as f32).collect();
        let graph = |data| {
            let w = Tensor::constant("w", kernel.clone(), data).with_quant(Quant::per_axis(Vec::clone(&scales), axis));
            let b = Tensor::constant("b", [5], Data::I32(bias.clone())).with_quant(Quant::per_tensor(1.0, 0));
            one(op.clone(), integers("x", input.clone(), (0.05, 7)), vec![w, b], vec![integers("y", [], (0.1, -4))])
        };
        let x = bytes(rng, input.iter().product());
        let [four, eight] = [Data::I4(values.clone()), Data::I8(values)].map(|d| runs(&graph(d), 1, &[x.as_bytes()]));
        assert_eq!(four, eight, "{}", op.kind());
    }
}

#[test]
fn gaps_of_integer_transposed_convolutions_hold_taps_of_zero() {
    let rng = &mut Rng::new(8);
    let (kernel, dilation, filters, channels) = ([2, 3], [3, 2], 4, 3);
    let weights = bytes(rng, channels * kernel[0] * kernel[1] * filters);
    let mut filled = vec![0; channels * 4 * 5 * filters];
    for (at, w) in weights.iter().enumerate() {
        let (input, tap, output) = (at / filters / 6, at / filters % 6, at % filters);
        filled[((input * 4 + tap / 3 * 3) * 5 + tap % 3 * 2) * filters + output] = *w;
    }
    let x = bytes(rng, 4 * 5 * channels);
    let graph = |kernel: [usize; 2], dilation, weights| {
        let op = TransposeConv2d { strides: [2, 1], dilation, ..TransposeConv2d::new(filters, kernel) };
        let w = Tensor::constant("w", [channels, kernel[0], kernel[1], filters], Data::I8(weights));
        let w = w.with_quant(Quant::per_tensor(0.01, 0));
        let b = Tensor::constant("b", [filters], Data::I32(vec![100, -50, 7, 0]));
        one(op, integers("x", [4, 5, channels], (0.05, 7)), vec![w, b], vec![integers("y", [], (0.1, -4))])
    };
    let found = runs(&graph(kernel, dilation, weights.clone()), 1, &[x.as_bytes()]);
    assert_eq!(found, runs(&graph([4, 5], [1, 1], filled), 1, &[x.as_bytes()]));
    let far = lower(&graph(kernel, [1, 1 << 20], weights), &Options::default()).unwrap_err().to_string();
    assert!(far.contains("a dilation of so many taps"), "{far}");
}

#[test]
fn int8_weights_of_float_layers_are_near_the_float_ones() {
    let rng = &mut Rng::new(3);
    let cases: [(Op, Vec<usize>, Vec<usize>, usize); 3] = [
        (Dense::new(6).into(), vec![9], vec![6, 9], 0),
        (Conv2d::new(6, [3, 2]).groups(2).into(), vec![5, 5, 4], vec![6, 3, 2, 2], 0),
        (DepthwiseConv2d::new([3, 3]).depth_multiplier(2).into(), vec![5, 5, 3], vec![3, 3, 6], 2),
    ];
    for (op, input, kernel, axis) in cases {
        let weights = bytes(rng, kernel.iter().product());
        let scales: Vec<f32> = (0..6).map(|i| 0.01 + 0.002 * i as f32).collect();
        let inner: usize = kernel[axis + 1..].iter().product();
        let real = |(i, w): (usize, &i8)| f32::from(*w) * scales[i / inner % 6];
        let reals = weights.iter().enumerate().map(real).collect();
        let bias = random(rng, 6);
        let graph = |w: Tensor| {
            let b = Tensor::constant("b", [6], Data::F32(bias.clone()));
            one(op.clone(), floats("x", input.clone()), vec![w, b], vec![floats("y", [])])
        };
        let quantised = Tensor::constant("w", kernel.clone(), Data::I8(weights.clone()))
            .with_quant(Quant::per_axis(scales.clone(), axis));
        let x = random(rng, 2 * input.iter().product::<usize>());
        let [found, expected] = [quantised, Tensor::constant("w", kernel.clone(), Data::F32(reals))].map(|w| {
            let y = runs(&graph(w), 2, &[x.as_bytes()]).remove(0).remove(0);
            view::<f32>(&y).to_vec()
        });
        // Twelve products of at most 3 each, summed in two ways.
        let error = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(error < 1e-5, "{}: {error}", op.kind());
        // The weights stay bytes.
        let packed = image::pack(
            &graph(
                Tensor::constant("w", kernel.clone(), Data::I8(weights.clone()))
                    .with_quant(Quant::per_axis(scales.clone(), axis)),
            ),
            &Options::default(),
            None,
        )
        .unwrap();
        assert!(packed.program.data_bytes < weights.len() + 64);
    }
}

#[test]
fn a_transposed_convolution_turns_a_convolution_around() {
    // <conv(a), b> = <a, transposed conv(b)> for the same weights, whatever they are.
    let rng = &mut Rng::new(4);
    let w = random(rng, 6 * 3 * 2 * 2);
    let conv = Conv2d { groups: 2, use_bias: false, ..Conv2d::new(6, [3, 2]).strides([2, 1]) };
    let turned = TransposeConv2d { strides: [2, 1], use_bias: false, ..TransposeConv2d::new(4, [3, 2]).groups(2) };
    let kernel = || vec![Tensor::constant("w", [6, 3, 2, 2], Data::F32(w.clone()))];
    let forth = one(conv, floats("x", [7, 5, 4]), kernel(), vec![floats("y", [])]);
    let back = one(turned, floats("x", [3, 4, 6]), kernel(), vec![floats("y", [])]);
    assert_eq!(back.tensor(back.outputs[0]).shape, [7, 5, 4]);
    let (a, b) = (random(rng, 7 * 5 * 4), random(rng, 3 * 4 * 6));
    let product = |graph: &Graph, x: &[f32], with: &[f32]| {
        let y = runs(graph, 1, &[x.as_bytes()]).remove(0).remove(0);
        view::<f32>(&y).iter().zip(with).map(|(y, with)| f64::from(y * with)).sum::<f64>()
    };
    let (left, right) = (product(&forth, &a, &b), product(&back, &b, &a));
    assert!((left - right).abs() < 1e-4, "{left} {right}");
}

/// An LSTM or GRU over 4 steps of 3 features, with 2 units.
fn recurrent(op: impl Into<Op>, gates: usize, outputs: usize, biases: usize, rng: &mut Rng) -> Graph {
    let rows = 2 * gates;
    let mut parameters = vec![
        Tensor::constant("w", [rows, 3], Data::F32(random(rng, 3 * rows))),
        Tensor::constant("r", [rows, 2], Data::F32(random(rng, 2 * rows))),
    ];
    for i in 0..biases {
        parameters.push(Tensor::constant(format!("b{i}"), [rows], Data::F32(random(rng, rows))));
    }
    let outputs = (0..outputs).map(|i| floats(&format!("y{i}"), [])).collect();
    one(op, floats("x", [4, 3]), parameters, outputs)
}

#[test]
fn recurrent_layers_have_several_outputs() {
    let lstm = Lstm { units: 2, reverse: false, use_bias: true, peepholes: false, cell_clip: 0.0 };
    let gru = Gru { units: 2, reverse: false, reset_after: true, use_bias: true };
    let x = random(&mut Rng::new(5), 2 * 4 * 3);
    for reverse in [false, true] {
        let rng = &mut Rng::new(6);
        let graphs =
            [recurrent(Lstm { reverse, ..lstm }, 4, 3, 1, rng), recurrent(Gru { reverse, ..gru }, 3, 2, 2, rng)];
        for graph in graphs {
            let y = runs(&graph, 2, &[x.as_bytes()]).remove(0);
            let (steps, last): (&[f32], &[f32]) = (view(&y[0]), view(&y[1]));
            assert_eq!((steps.len(), last.len()), (2 * 4 * 2, 2 * 2));
            for (steps, last) in steps.chunks(8).zip(last.chunks(2)) {
                assert_eq!(if reverse { &steps[..2] } else { &steps[6..] }, last);
            }
        }
    }
}

#[test]
fn a_sequence_goes_on_from_the_state_that_is_given() {
    let rng = &mut Rng::new(7);
    let op = Lstm { units: 2, reverse: false, use_bias: false, peepholes: false, cell_clip: 0.0 };
    let (w, r) = (random(rng, 24), random(rng, 16));
    let x = random(rng, 12);
    let lstm = |time: usize, states: Option<(Vec<f32>, Vec<f32>)>| {
        let mut g = Graph::new("lstm");
        let mut add = |tensor| g.add_tensor(tensor);
        let input = add(floats("x", [time, 3]));
        let mut inputs = vec![input];
        for (name, state) in states.into_iter().flat_map(|(h, c)| [("h0", h), ("c0", c)]) {
            inputs.push(add(Tensor::constant(name, [2], Data::F32(state))));
        }
        inputs.push(add(Tensor::constant("w", [8, 3], Data::F32(w.clone()))));
        inputs.push(add(Tensor::constant("r", [8, 2], Data::F32(r.clone()))));
        let outputs = ["y", "h", "c"].map(|name| add(floats(name, [])));
        g.add_node("lstm", op, &inputs, &outputs);
        g.inputs.push(input);
        g.outputs = outputs.to_vec();
        g.infer_shapes().unwrap();
        g
    };
    let whole = runs(&lstm(4, None), 1, &[x.as_bytes()]).remove(0);
    let first = runs(&lstm(3, None), 1, &[x[..9].as_bytes()]).remove(0);
    let state = (view::<f32>(&first[1]).to_vec(), view::<f32>(&first[2]).to_vec());
    let last = runs(&lstm(1, Some(state)), 1, &[x[9..].as_bytes()]).remove(0);
    assert_eq!(last[1..], whole[1..]);
}

#[test]
fn a_filter_remembers_from_run_to_run_and_sample_by_sample() {
    let op = Svdf { units: 1, rank: 1, memory: 3, use_bias: false, activation: Activation::Linear };
    let parameters = vec![
        Tensor::constant("w", [1, 1], Data::F32(vec![2.0])),
        Tensor::constant("v", [1, 3], Data::F32(vec![1.0, 10.0, 100.0])),
        Tensor::constant("s", [1, 3], Data::F32(vec![0.0, 0.0, 0.5])),
    ];
    let graph = one(op, floats("x", [1]), parameters, vec![floats("y", [])]);
    let inputs = [[1f32, 2.0], [3.0, 4.0]];
    let inputs: Vec<&[u8]> = inputs.iter().map(IntoBytes::as_bytes).collect();
    let y: Vec<Vec<f32>> = runs(&graph, 2, &inputs).iter().map(|y| view::<f32>(&y[0]).to_vec()).collect();
    assert_eq!(y, [[5.0 + 200.0, 5.0 + 400.0], [0.5 + 20.0 + 600.0, 0.5 + 40.0 + 800.0]]);
}

#[test]
fn a_product_of_activations_repeats_constants_for_every_sample() {
    let mut g = Graph::new("product");
    let a = g.add_tensor(floats("a", [2, 2]));
    let b = g.add_tensor(Tensor::constant("b", [2, 1], Data::F32(vec![1.0, 10.0])));
    let y = g.add_tensor(floats("y", []));
    g.add_node("product", MatMul::default(), &[a, b], &[y]);
    (g.inputs, g.outputs) = (vec![a], vec![y]);
    g.infer_shapes().unwrap();
    let x = [1f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    let y = runs(&g, 2, &[x.as_bytes()]).remove(0).remove(0);
    assert_eq!(view::<f32>(&y), [21.0, 43.0, 65.0, 87.0]);
}

/// A transposed convolution between two layers of other kinds learns: every gradient is that of finite differences.
#[test]
fn transposed_convolutions_train() {
    let rng = &mut Rng::new(8);
    let mut g = Graph::new("decoder");
    let mut parameter = |g: &mut Graph, name: &str, shape: &[usize]| {
        let values = random(rng, shape.iter().product());
        g.add_tensor(Tensor::parameter(name, shape, Data::F32(values)))
    };
    let x = g.add_tensor(floats("x", [2, 3, 2]));
    let [first, second] = ["first", "second"].map(|name| g.add_tensor(floats(name, [])));
    let weights = [("a", [2, 2, 2, 4].as_slice()), ("b", &[4]), ("c", &[4, 3, 3, 1]), ("d", &[2])];
    let [a, b, c, d] = weights.map(|(name, shape)| parameter(&mut g, name, shape));
    let layer = TransposeConv2d { strides: [2, 1], ..TransposeConv2d::new(4, [2, 2]) };
    g.add_node("one", layer, &[x, a, b], &[first]);
    let layer = TransposeConv2d { padding: Padding::Same, strides: [1, 2], ..TransposeConv2d::new(2, [3, 3]) };
    g.add_node("two", layer.groups(2), &[first, c, d], &[second]);
    (g.inputs, g.outputs) = (vec![x], vec![second]);
    g.infer_shapes().unwrap();

    let optimizer = OptimizerRecord::sgd(1.0);
    let train = TrainOptions { optimizer, loss: Loss::MeanSquaredError, batch: 2, ..TrainOptions::default() };
    let options = Options { train: Some(train), ..Options::default() };
    let values = g.tensor(second).elements();
    let (x, target) = (random(rng, 24), random(rng, 2 * values));
    let step = |g: &Graph| {
        let packed = image::pack(g, &options, None).unwrap();
        let parsed = packed.image().unwrap();
        let mut arena = image::arena_for(&parsed);
        let mut session = image::open(&parsed, &mut arena, IsaId::Scalar).unwrap();
        session.input_mut(PlanKind::Train, 0).copy_from_slice(x.as_bytes());
        session.target_mut().copy_from_slice(target.as_bytes());
        let before = view::<f32>(session.params()).to_vec();
        let loss = session.train_step(2).unwrap();
        let gradients = before.iter().zip(view::<f32>(session.params())).map(|(b, a)| b - a);
        (gradients.collect::<Vec<f32>>(), f64::from(loss))
    };
    let (found, _) = step(&g);
    let mut index = 0;
    for id in g.parameter_tensors() {
        for element in 0..g.tensor(id).elements() {
            let moved = |by: f32| {
                let mut moved = g.clone();
                let Some(Data::F32(values)) = &mut moved.tensor_mut(id).data else { panic!() };
                values[element] += by;
                step(&moved).1
            };
            // The loss is a square, so that central differences have no error but the roundings of a loss of about
            // one: 1e-7 over 2e-2.
            let expected = (moved(0.01) - moved(-0.01)) / 0.02;
            assert!((f64::from(found[index]) - expected).abs() < 2e-4, "{id:?} {element}: {} {expected}", found[index]);
            index += 1;
        }
    }
    assert_eq!(index, found.len());
}
