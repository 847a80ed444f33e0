//! Depthwise layers that become convolutions.

use super::*;

/// A depthwise layer with scales for each channel over an image of `channels`; weights, biases and scales differ.
fn layer(channels: usize, op: DepthwiseConv2d) -> Graph {
    let outputs = channels * op.depth_multiplier;
    let mut g = Graph::new("layer");
    let image = |name: &str, shape: &[usize], zero| {
        Tensor::activation(name, shape, DType::I8).with_quant(Quant::per_tensor(0.5, zero))
    };
    let shape = [7, 6, channels];
    let inner = op.output(&[Port { name: "x", shape: &shape }]).unwrap();
    let (x, y) = (g.add_tensor(image("x", &shape, -3)), g.add_tensor(image("y", &inner, 5)));
    let mut rng = Rng::new(outputs as u64);
    let [kh, kw] = op.kernel;
    let weights = (0..kh * kw * outputs).map(|_| rng.uniform_f32(-127.0, 127.0) as i8).collect();
    let bias = (0..outputs as i32).map(|b| 300 - 77 * b).collect();
    let scales: Vec<f32> = (0..outputs).map(|c| 0.01 + 0.003 * c as f32).collect();
    let quant = Quant { zero_points: vec![0; outputs], scales, axis: Some(2) };
    let kernel = Tensor::constant("kernel", vec![kh, kw, outputs], Data::I8(weights)).with_quant(quant);
    let operands = [x, g.add_tensor(kernel), g.add_tensor(Tensor::constant("bias", vec![outputs], Data::I32(bias)))];
    g.add_node("layer", op, &operands, &[y]);
    (g.inputs, g.outputs) = (vec![x], vec![y]);
    g.validate().unwrap();
    g
}

#[test]
fn a_layer_with_one_input_channel_becomes_a_convolution() {
    for (channels, multiplier, becomes) in [(1, 1, true), (1, 5, true), (2, 1, false), (2, 3, false)] {
        let op = DepthwiseConv2d::new([3, 2]).depth_multiplier(multiplier).padding(Padding::Same).strides([2, 1]);
        let g = layer(channels, op);
        let mut turned = g.clone();
        let report = simplify(&mut turned).unwrap();
        assert_eq!(report.count("depthwise"), usize::from(becomes), "{channels} x {multiplier}");
        assert_eq!(kinds(&turned), [if becomes { "conv2d" } else { "depthwise_conv2d" }]);
        let input = (0..2 * 7 * 6 * channels).map(|i| (i * 37 % 256) as u8).collect();
        let inputs = [input];
        let (expected, found) =
            (outputs(&g, &inputs, IsaId::Scalar, false), outputs(&turned, &inputs, IsaId::Scalar, false));
        assert_eq!(found, expected, "{channels} x {multiplier}");
    }
}
