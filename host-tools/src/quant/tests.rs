use super::*;
use crate::graph::ops::{
    Activation, AveragePool2d, Conv2d, Dense, DepthwiseConv2d, Flatten, GlobalAveragePool2d, MaxPool2d, PRelu, Padding,
};
use crate::graph::{DType, Data, Sequential};
use embernet_core::rng::Rng;

fn samples(values: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..values).map(|_| rng.uniform_f32(-1.0, 1.0)).collect()
}

fn network() -> Graph {
    Sequential::new([8, 8, 2])
        .add(Conv2d::new(6, [3, 3]).padding(Padding::Same).activation(Activation::Relu))
        .add(MaxPool2d::new([2, 2]))
        .add(DepthwiseConv2d::new([3, 3]).padding(Padding::Same).activation(Activation::Relu6))
        .add(AveragePool2d::new([2, 2]))
        .add(Flatten {})
        .add(Dense::new(8).activation(Activation::Tanh))
        .add(Dense::new(4).activation(Activation::Softmax))
        .build(3)
        .unwrap()
}

#[test]
fn every_layer_stays_close_to_its_float_twin() {
    let graph = network();
    let quantized = quantize(&graph, &samples(128 * 40, 1), Scheme::Int8).unwrap();
    assert_eq!(quantized.errors.len(), 8);
    for row in &quantized.errors {
        // Eight bits carry about 48 dB at full range; a few roundings and clipped tails cost the rest.
        assert!(row.snr_db > 22.0, "{row:?}");
    }
    let output = quantized.graph.tensor(quantized.graph.outputs[0]);
    assert_eq!(output.quant.as_ref().unwrap().single(), Some((1.0 / 256.0, -128)));
}

#[test]
fn slopes_are_quantised_with_their_layer() {
    let mut graph = Sequential::new([3, 3, 4]).add(Conv2d::new(4, [1, 1])).add(PRelu {}).build(5).unwrap();
    let slope = graph.nodes[1].parameters()[0];
    graph.tensor_mut(slope).data = Some(Data::F32(vec![0.25, -0.5, 0.0, 1.5]));
    let quantized = quantize(&graph, &samples(36 * 40, 6), Scheme::Int8).unwrap();
    assert_eq!(quantized.graph.tensor(slope).dtype, DType::I8);
    assert!(quantized.errors[1].snr_db > 35.0, "{:?}", quantized.errors);
}

#[test]
fn pools_keep_their_input_s_grid() {
    let graph = Sequential::new([4, 4, 3]).add(GlobalAveragePool2d {}).build(1).unwrap();
    let quantized = quantize(&graph, &samples(48 * 8, 2), Scheme::Int8).unwrap().graph;
    assert_eq!(quantized.tensor(quantized.inputs[0]).quant, quantized.tensor(quantized.outputs[0]).quant);
}

#[test]
fn zero_is_always_on_the_grid_and_silent_tensors_do_no_harm() {
    let mut graph = Sequential::new([3]).add(Dense::new(2)).build(1).unwrap();
    let kernel = graph.nodes[0].parameters()[0];
    let bias = graph.nodes[0].parameters()[1];
    // A channel without weights, a bias far beyond the weights, and inputs that are all positive.
    graph.tensor_mut(kernel).data = Some(Data::F32(vec![0.0, 0.0, 0.0, 1e-9, 0.0, 0.0]));
    graph.tensor_mut(bias).data = Some(Data::F32(vec![0.5, 100.0]));
    let x: Vec<f32> = samples(30, 3).iter().map(|v| v.abs()).collect();
    let quantized = quantize(&graph, &x, Scheme::Int8).unwrap();
    let input = quantized.graph.tensor(quantized.graph.inputs[0]).quant.as_ref().unwrap().single().unwrap();
    assert_eq!(input.1, -128);
    assert!(quantized.errors[0].max_error < 0.5, "{:?}", quantized.errors);
    let silent = quantize(&graph, &[0.0; 30], Scheme::Int8).unwrap();
    assert!(silent.errors[0].max_error < 0.5, "{:?}", silent.errors);
}

#[test]
fn bad_calibration_is_refused() {
    let graph = network();
    assert!(matches!(quantize(&graph, &[], Scheme::Int8), Err(QuantError::NoData)));
    assert!(matches!(
        quantize(&graph, &[0.0; 100], Scheme::Int8),
        Err(QuantError::Values { found: 100, expected: 128 })
    ));
    let mut x = samples(128 * 2, 1);
    x[7] = f32::NAN;
    assert!(matches!(quantize(&graph, &x, Scheme::Int8), Err(QuantError::NotFinite { .. })));
    assert!(matches!("int4".parse::<Scheme>(), Err(QuantError::Scheme { .. })));
}
