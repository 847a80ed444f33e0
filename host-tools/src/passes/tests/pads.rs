//! Borders that become padding, and those that may not.

use super::*;

/// A border of `value` on this side of an image, then a layer, in f32 or in int8 with zero point 3.
fn bordered(layer: impl Into<Op>, value: f32, int8: bool) -> Graph {
    let layer = layer.into();
    let pad = Pad { before: vec![1, 0, 0], after: vec![0, 1, 0], value };
    let mut g = Graph::new("bordered");
    let tensor = |name: &str, shape: &[usize]| {
        let dtype = if int8 { DType::I8 } else { DType::F32 };
        let quant = int8.then(|| Quant::per_tensor(0.5, 3));
        Tensor { quant, ..Tensor::activation(name, shape, dtype) }
    };
    let inner = layer.output(&[Port { name: "padded", shape: &[6, 5, 2] }]).unwrap();
    let [x, padded] = [("x", [5, 4, 2]), ("padded", [6, 5, 2])].map(|(name, shape)| g.add_tensor(tensor(name, &shape)));
    let y = g.add_tensor(tensor("y", &inner));
    let mut operands = vec![padded];
    for p in layer.parameters(&[6, 5, 2]) {
        let count: usize = p.shape.iter().product();
        let mut rng = Rng::new(count as u64);
        let values: Vec<f32> = (0..count).map(|_| rng.uniform_f32(-1.0, 1.0)).collect();
        let bytes = || values.iter().map(|v| (v * 100.0) as i32);
        let data = match (int8, p.role) {
            (false, _) => Data::F32(values),
            (true, "bias") => Data::I32(bytes().collect()),
            (true, _) => Data::I8(bytes().map(|v| v as i8).collect()),
        };
        let quant = int8.then(|| Quant::per_tensor(0.01, 0));
        operands.push(g.add_tensor(Tensor { quant, ..Tensor::constant(p.role, p.shape, data) }));
    }
    g.add_node("pad", pad, &[x], &[padded]);
    g.add_node("layer", layer, &operands, &[y]);
    (g.inputs, g.outputs) = (vec![x], vec![y]);
    g.validate().unwrap();
    g
}

#[test]
fn borders_become_padding_where_that_is_the_same() {
    let conv = |padding| Op::from(Conv2d::new(3, [3, 2]).padding(padding).strides([2, 1]));
    let depthwise =
        Op::from(DepthwiseConv2d::new([2, 3]).padding(Padding::Explicit { top: 1, bottom: 1, left: 1, right: 0 }));
    let max = Op::from(MaxPool2d::new([2, 3]));
    let mean = Op::from(AveragePool2d::new([2, 3]));
    let lowest = f32::NEG_INFINITY;
    for (layer, value, int8, fuses) in [
        (conv(Padding::Valid), 0.0, false, true),
        // The last window would see no pixel at all.
        (conv(Padding::Same), 0.0, false, false),
        (conv(Padding::Valid), 0.5, false, false),
        (conv(Padding::Valid), 0.0, true, true),
        // A quarter of a step is still the zero point; a whole one is not.
        (conv(Padding::Valid), 0.125, true, true),
        (conv(Padding::Valid), 0.5, true, false),
        (depthwise.clone(), 0.0, false, true),
        (depthwise, 0.0, true, true),
        (max.clone(), lowest, false, true),
        (max.clone(), 0.0, false, false),
        (max.clone(), -100.0, true, true),
        (max, 0.0, true, false),
        // A mean counts the border.
        (mean.clone(), 0.0, false, false),
        (mean, 0.0, true, false),
    ] {
        let what = format!("{} {value} {int8}", layer.kind());
        let g = bordered(layer, value, int8);
        let mut small = g.clone();
        let report = simplify(&mut small).unwrap();
        assert_eq!(report.count("pads"), usize::from(fuses), "{what}");
        small.validate().unwrap();
        assert_eq!(small.nodes.len(), 2 - usize::from(fuses), "{what}");
        if fuses {
            same_as_with_a_border(&g, &small, value);
        }
    }
}

/// Puts the border around random images by hand, and gives them to the layer alone.
fn same_as_with_a_border(g: &Graph, small: &Graph, value: f32) {
    let mut layer = g.clone();
    layer.nodes.remove(0);
    layer.inputs = layer.nodes[0].inputs[..1].to_vec();
    let (inside, padded) = (g.tensor(g.inputs[0]), g.tensor(layer.inputs[0]));
    let border = match padded.dtype {
        DType::F32 => value.to_le_bytes().to_vec(),
        _ => vec![embernet_core::quant::quantize_i8(value, 0.5, 3) as u8],
    };
    let mut rng = Rng::new(8);
    let samples = 3;
    let (mut x, mut around) = (Vec::new(), Vec::new());
    for at in 0..samples * padded.elements() {
        let (row, column) = (at / 10 % 6, at / 2 % 5);
        if row == 0 || column >= 4 {
            around.extend_from_slice(&border);
            continue;
        }
        let value = match padded.dtype {
            DType::F32 => rng.uniform_f32(-1.0, 1.0).to_le_bytes().to_vec(),
            _ => vec![rng.below(256) as u8],
        };
        x.extend_from_slice(&value);
        around.extend(value);
    }
    assert_eq!(x.len(), samples * inside.bytes());
    for isa in [IsaId::Scalar, host_isa(false)] {
        assert_eq!(outputs(&layer, &[around.clone()], isa, false), outputs(small, &[x.clone()], isa, true));
    }
}

#[test]
fn a_border_with_another_reader_stays() {
    let mut g = bordered(Conv2d::new(3, [3, 2]), 0.0, false);
    let (padded, z) = (g.find_tensor("padded").unwrap(), add(&mut g, "z", &[6, 5, 2]));
    g.add_node("other", Activation::Tanh, &[padded], &[z]);
    g.outputs.push(z);
    assert!(simplify(&mut g).unwrap().is_empty());
}
