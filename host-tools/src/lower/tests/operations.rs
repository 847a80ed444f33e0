//! Movements, functions of two inputs and reductions, from the graph to results: against plain loops over indices.

use super::*;
use crate::graph::{Op, Quant};

const SAMPLES: usize = 2;

/// All indices of a shape, in order.
fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for dim in shape {
        all = all.iter().flat_map(|i| (0..*dim).map(|d| [&i[..], &[d]].concat())).collect();
    }
    all
}

/// The element of a row-major tensor, with axes of one value repeated and axes in front left out.
fn at<T: Copy>(values: &[T], shape: &[usize], index: &[usize]) -> T {
    let index = &index[index.len() - shape.len()..];
    let flat = shape.iter().zip(index).fold(0, |flat, (dim, i)| flat * dim + if *dim == 1 { 0 } else { *i });
    values[flat]
}

/// A graph of one node whose inputs are these tensors; constants come with data.
fn one_node(op: impl Into<Op>, inputs: Vec<Tensor>, dtype: DType, quant: Option<Quant>) -> Graph {
    let mut g = Graph::new("one");
    let ids: Vec<TensorId> = inputs.into_iter().map(|t| g.add_tensor(t)).collect();
    g.inputs = ids.iter().copied().filter(|t| g.tensor(*t).data.is_none()).collect();
    let mut y = Tensor::activation("y", Vec::new(), dtype);
    y.quant = quant;
    let y = g.add_tensor(y);
    g.add_node("node", op, &ids, &[y]);
    g.outputs = vec![y];
    g.infer_shapes().unwrap();
    g
}

/// Runs it over samples of each input; the input's values for sample `s` are `x[s]`.
fn infer(g: &Graph, inputs: &[Vec<u8>]) -> Vec<u8> {
    session(g, &Options { samples: SAMPLES, ..Options::default() }, |_, s| {
        for (i, x) in inputs.iter().enumerate() {
            s.input_mut(PlanKind::Infer, i).copy_from_slice(x);
        }
        s.infer(SAMPLES).unwrap();
        s.output(0).to_vec()
    })
}

/// What an operation makes of one sample.
type Definition<'d> = &'d dyn Fn(&[Vec<f32>], &[usize]) -> f32;

/// Checks an f32 operation: `shapes` of its inputs, of which those in `constants` are constants, and its value at an
/// output index.
fn check(op: impl Into<Op>, shapes: &[&[usize]], constants: &[usize], definition: Definition<'_>) {
    let op = op.into();
    let mut rng = Rng::new(7);
    let count = |shape: &[usize]| shape.iter().product::<usize>();
    let (mut tensors, mut values, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for (i, shape) in shapes.iter().enumerate() {
        let mut tensor = Tensor::activation(format!("x{i}"), shape.to_vec(), DType::F32);
        let constant = constants.contains(&i);
        let data = random(&mut rng, count(shape) * if constant { 1 } else { SAMPLES });
        if constant {
            tensor.data = Some(Data::F32(data.clone()));
        } else {
            bytes.push(data.as_bytes().to_vec());
        }
        tensors.push(tensor);
        values.push((data, constant));
    }
    let g = one_node(op.clone(), tensors, DType::F32, None);
    let found = infer(&g, &bytes);
    let found: &[f32] = view(&found);
    let out = indices(&g.tensor(g.outputs[0]).shape);
    for sample in 0..SAMPLES {
        let of_sample = |(data, constant): &(Vec<f32>, bool)| {
            let len = data.len() / if *constant { 1 } else { SAMPLES };
            let start = if *constant { 0 } else { sample * len };
            data[start..start + len].to_vec()
        };
        let inputs: Vec<Vec<f32>> = values.iter().map(of_sample).collect();
        for (i, index) in out.iter().enumerate() {
            let (found, expected) = (found[sample * out.len() + i], definition(&inputs, index));
            assert_eq!(found.to_bits(), expected.to_bits(), "{op:?} {sample} {index:?}: {found} {expected}");
        }
    }
}

#[test]
fn movements_move() {
    let shape = &[2, 3, 4][..];
    check(Transpose { perm: vec![2, 0, 1] }, &[shape], &[], &|x, i| at(&x[0], shape, &[i[1], i[2], i[0]]));
    check(Transpose { perm: vec![1, 0, 2] }, &[shape], &[], &|x, i| at(&x[0], shape, &[i[1], i[0], i[2]]));
    let slice = Slice { begin: vec![0, 2, 3], size: vec![2, 2, 2], stride: vec![1, -2, -1] };
    check(slice, &[shape], &[], &|x, i| at(&x[0], shape, &[i[0], 2 - 2 * i[1], 3 - i[2]]));
    let pad = Pad { before: vec![1, 0, 2], after: vec![0, 1, 1], value: -3.5 };
    check(pad, &[shape], &[], &|x, i| match (i[0].checked_sub(1), i[1] < 3, i[2].checked_sub(2).filter(|c| *c < 4)) {
        (Some(a), true, Some(c)) => at(&x[0], shape, &[a, i[1], c]),
        _ => -3.5,
    });
    let shapes: [&[usize]; 3] = [&[2, 3, 4], &[2, 1, 4], &[2, 2, 4]];
    check(Concat { axis: 1 }, &shapes, &[1], &|x, i| match i[1] {
        0..3 => at(&x[0], shapes[0], i),
        3 => at(&x[1], shapes[1], &[i[0], 0, i[2]]),
        _ => at(&x[2], shapes[2], &[i[0], i[1] - 4, i[2]]),
    });
    let resize = ResizeNearest { rows: vec![1, 0, 0], cols: vec![0, 2, 2, 1] };
    check(resize, &[shape], &[], &|x, i| at(&x[0], shape, &[[1, 0, 0][i[0]], [0, 2, 2, 1][i[1]], i[2]]));
}

#[test]
fn what_moves_nothing_takes_no_step() {
    let steps = |op: Op, shape: &[usize]| {
        let mut g = Graph::new("g");
        let [x, t, y] = [("x", shape), ("t", shape), ("y", &[])].map(|(n, s)| activation(&mut g, n, s));
        g.add_node("negate", Activation::Neg, &[x], &[t]);
        g.add_node("move", op, &[t], &[y]);
        (g.inputs, g.outputs) = (vec![x], vec![y]);
        g.infer_shapes().unwrap();
        lower(&g, &Options::default()).unwrap().infer.records.len()
    };
    assert_eq!(steps(Transpose { perm: vec![1, 0, 2] }.into(), &[1, 3, 4]), 1);
    assert_eq!(steps(Transpose { perm: vec![0, 2, 1] }.into(), &[3, 4, 1]), 1);
    assert_eq!(steps(Transpose { perm: vec![1, 0] }.into(), &[3, 4]), 2);
    let nothing = || vec![0, 0];
    assert_eq!(steps(Pad { before: nothing(), after: nothing(), value: 1.0 }.into(), &[3, 4]), 1);
    assert_eq!(steps(Slice { begin: nothing(), size: vec![3, 4], stride: vec![1, 1] }.into(), &[3, 4]), 1);
    assert_eq!(steps(Slice { begin: nothing(), size: vec![2, 4], stride: vec![1, 1] }.into(), &[3, 4]), 1);
    assert_eq!(steps(Slice { begin: nothing(), size: vec![3, 2], stride: vec![1, 1] }.into(), &[3, 4]), 2);
    assert_eq!(steps(Slice { begin: vec![1, 0], size: vec![2, 4], stride: vec![-1, 1] }.into(), &[3, 4]), 2);
    assert_eq!(steps(Concat { axis: 0 }.into(), &[3, 4]), 1);
}

#[test]
fn two_inputs_broadcast() {
    let shapes: [&[&[usize]; 2]; 7] = [
        &[&[2, 3, 4], &[2, 3, 4]],
        &[&[2, 3, 4], &[4]],
        &[&[2, 3, 1], &[2, 1, 4]],
        &[&[3], &[2, 1]],
        &[&[], &[2, 3]],
        &[&[1, 3, 1, 2], &[2, 1, 4, 1]],
        &[&[2, 1, 1], &[2, 3, 4]],
    ];
    type Function = fn(f32, f32) -> f32;
    let functions: [(Op, Function); 6] = [
        (Add::default().into(), |a, b| a + b),
        (Sub::default().into(), |a, b| a - b),
        (Mul { activation: Activation::Relu }.into(), |a, b| if a * b > 0.0 { a * b } else { 0.0 }),
        (Div::default().into(), |a, b| a / b),
        (Minimum::default().into(), |a, b| if b < a { b } else { a }),
        (Maximum::default().into(), |a, b| if b > a { b } else { a }),
    ];
    for shapes in shapes {
        for (op, f) in &functions {
            for constants in [&[][..], &[0], &[1]] {
                check(op.clone(), &shapes[..], constants, &|x, i| {
                    // A clamp leaves the sign of a zero; adding one takes it away on both sides.
                    f(at(&x[0], shapes[0], i), at(&x[1], shapes[1], i)) + 0.0
                });
            }
        }
    }
    let slope = Tensor::parameter("slope", vec![2], Data::F32(vec![0.25, -2.0]));
    let g = one_node(PRelu {}, vec![Tensor::activation("x", vec![2, 2], DType::F32), slope], DType::F32, None);
    let x = [1.0f32, -1.0, -4.0, 3.0, 0.0, 0.0, -8.0, -1.0];
    let found = infer(&g, &[x.as_bytes().to_vec()]);
    assert_eq!(view::<f32>(&found), [1.0, 2.0, -1.0, 3.0, 0.0, 0.0, -2.0, 2.0]);
}

#[test]
fn reductions_reduce() {
    let shape = &[2, 3, 4][..];
    for axes in [&[0][..], &[1], &[2], &[0, 2], &[1, 2], &[0, 1, 2]] {
        for keepdims in [false, true] {
            for reduction in [Reduction::Sum, Reduction::Mean, Reduction::Max] {
                check(Reduce { reduction, axes: axes.into(), keepdims }, &[shape], &[], &|x, i| {
                    let mut kept = i.iter();
                    let fixed: Vec<Option<usize>> = (0..3)
                        .map(|axis| match (axes.contains(&axis), keepdims) {
                            (true, false) => None,
                            (true, true) => kept.next().and(None),
                            (false, _) => kept.next().copied(),
                        })
                        .collect();
                    let of = |index: &&Vec<usize>| index.iter().zip(&fixed).all(|(i, f)| f.is_none_or(|f| f == *i));
                    let all = indices(shape);
                    let values: Vec<f32> = all.iter().filter(of).map(|index| at(&x[0], shape, index)).collect();
                    match reduction {
                        Reduction::Sum => values.iter().fold(0.0, |sum, x| sum + x),
                        Reduction::Mean => values.iter().fold(0.0, |sum, x| sum + x) / values.len() as f32,
                        Reduction::Max => values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
                    }
                });
            }
        }
    }
}

#[test]
fn integers_move_in_their_own_numbers() {
    let quant = Quant::per_tensor(0.5, 3);
    let input = |dtype, quant: &Quant| {
        let mut x = Tensor::activation("x", vec![2, 2], dtype);
        x.quant = Some(quant.clone());
        x
    };
    let pad = Pad { before: vec![0, 1], after: vec![0, 0], value: -1.0 };
    let g = one_node(pad.clone(), vec![input(DType::I8, &quant)], DType::I8, Some(quant.clone()));
    let found = infer(&g, &[(1..9).collect()]);
    assert_eq!(found, [1, 1, 2, 1, 3, 4, 1, 5, 6, 1, 7, 8], "-1 is two steps below the zero point");
    let quant = Quant::per_tensor(0.25, 0);
    let g = one_node(pad, vec![input(DType::I16, &quant)], DType::I16, Some(quant.clone()));
    let found = infer(&g, &[[300i16, 2, 3, 4, 5, 6, 7, -8].as_bytes().to_vec()]);
    assert_eq!(view::<i16>(&found), [-4, 300, 2, -4, 3, 4, -4, 5, 6, -4, 7, -8]);
    let other = Some(Quant::per_tensor(0.5, 0));
    let g = one_node(Transpose { perm: vec![1, 0] }, vec![input(DType::I8, &quant)], DType::I8, other);
    let message = lower(&g, &Options::default()).unwrap_err().to_string();
    assert!(message.contains("expected scale 0.25"), "{message}");
}

/// A network of everything that passes gradients on, smooth where its values lie.
fn mixed() -> Graph {
    let mut rng = Rng::new(5);
    let mut g = Graph::new("mixed");
    let x = activation(&mut g, "x", [4]);
    g.inputs.push(x);
    let dense = |g: &mut Graph, rng: &mut Rng, name: &str, input: TensorId, units: usize| {
        let inputs = g.tensor(input).elements();
        let w = random(rng, units * inputs);
        let w = g.add_tensor(Tensor::parameter(format!("{name}/kernel"), [units, inputs], Data::F32(w)));
        let b = g.add_tensor(Tensor::parameter(format!("{name}/bias"), [units], Data::F32(random(rng, units))));
        let y = activation(g, &format!("{name}/output"), [units]);
        g.add_node(name, Dense::new(units), &[input, w, b], &[y]);
        y
    };
    let node = |g: &mut Graph, name: &str, op: Op, inputs: &[TensorId]| {
        let y = activation(g, &format!("{name}/output"), []);
        g.add_node(name, op, inputs, &[y]);
        g.infer_shapes_so_far();
        y
    };
    let constant = |g: &mut Graph, name: &str, shape: &[usize], values: Vec<f32>| {
        let mut tensor = Tensor::activation(name, shape.to_vec(), DType::F32);
        tensor.data = Some(Data::F32(values));
        g.add_tensor(tensor)
    };
    let a = dense(&mut g, &mut rng, "a", x, 6);
    let a = node(&mut g, "grid", Reshape::new([2, 3]).into(), &[a]);
    let turned = node(&mut g, "turned", Transpose { perm: vec![1, 0] }.into(), &[a]);
    let part = Slice { begin: vec![2, 0], size: vec![2, 2], stride: vec![-2, 1] };
    let part = node(&mut g, "part", part.into(), &[turned]);
    let framed = Pad { before: vec![0, 1], after: vec![0, 0], value: 0.5 };
    let framed = node(&mut g, "framed", framed.into(), &[part]);
    let joined = node(&mut g, "joined", Concat { axis: 0 }.into(), &[framed, a]);
    let scale = constant(&mut g, "scale", &[3], vec![0.5, -1.5, 0.75]);
    let scaled = node(&mut g, "scaled", Mul::default().into(), &[joined, scale]);
    let soft = node(&mut g, "soft", Activation::Gelu { approximate: true }.into(), &[scaled]);
    let swish = node(&mut g, "swish", Activation::HardSwish.into(), &[scaled]);
    let product = node(&mut g, "product", Mul::default().into(), &[soft, swish]);
    let mean = Reduce { reduction: Reduction::Mean, axes: vec![0], keepdims: true };
    let mean = node(&mut g, "mean", mean.into(), &[product]);
    let centred = node(&mut g, "centred", Sub::default().into(), &[scaled, mean]);
    let divisor = constant(&mut g, "divisor", &[4, 1], vec![1.5, -2.0, 3.0, 0.8]);
    let divided = node(&mut g, "divided", Div::default().into(), &[centred, divisor]);
    let smooth = node(&mut g, "smooth", Activation::Elu { alpha: 1.0 }.into(), &[divided]);
    let total = Reduce { reduction: Reduction::Sum, axes: vec![1], keepdims: false };
    let total = node(&mut g, "total", total.into(), &[smooth]);
    let z = dense(&mut g, &mut rng, "z", total, 3);
    g.outputs.push(z);
    g.infer_shapes().unwrap();
    g
}

impl Graph {
    /// Shapes of all nodes so far.
    fn infer_shapes_so_far(&mut self) {
        let outputs = std::mem::replace(&mut self.outputs, self.nodes.last().unwrap().outputs.clone());
        self.infer_shapes().unwrap();
        self.outputs = outputs;
    }
}

#[test]
fn gradients_through_movements_agree_with_finite_differences() {
    let mut graph = mixed();
    graph.set_trainable(&crate::graph::Selection::All).unwrap();
    // As in the test of the residual network; hard swish has kinks of its slope only.
    check_gradients(&graph, 1e-2, 1e-3);
}
