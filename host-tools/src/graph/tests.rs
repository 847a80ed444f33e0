use super::ops::*;
use super::*;
use proptest::prelude::*;

/// conv - pool - flatten - dense - softmax, the usual small network.
fn small_cnn() -> Graph {
    Sequential::new([8, 8, 1])
        .named("digits")
        .add(Conv2d::new(8, [3, 3]).padding(Padding::Same).activation(Activation::Relu))
        .add(MaxPool2d::new([2, 2]))
        .add(DepthwiseConv2d::new([3, 3]).depth_multiplier(2).activation(Activation::Relu6))
        .add(Flatten {})
        .add_named("head", Dense::new(10).activation(Activation::Softmax))
        .build(1)
        .unwrap()
}

/// Two branches that meet again.
fn residual() -> Graph {
    let mut g = Graph::new("residual");
    let x = g.add_tensor(Tensor::activation("x", [4], DType::F32));
    let w = g.add_tensor(Tensor::parameter("w", [4, 4], Data::F32(vec![0.5; 16])));
    let h = g.add_tensor(Tensor::activation("h", [4], DType::F32));
    let y = g.add_tensor(Tensor::activation("y", [4], DType::F32));
    // The list is out of order on purpose.
    g.add_node("sum", Add::default(), &[x, h], &[y]);
    g.add_node("fc", Dense::new(4).use_bias(false), &[x, w], &[h]);
    g.inputs.push(x);
    g.outputs.push(y);
    g
}

#[test]
fn sequential_infers_shapes_names_and_counts() {
    let g = small_cnn();
    let rows = layer_rows(&g);
    let shapes: Vec<_> = rows.iter().map(|r| (r.name.as_str(), r.op, shape_text(&r.shape))).collect();
    assert_eq!(
        shapes,
        [
            ("conv2d", "conv2d", "8x8x8".to_owned()),
            ("max_pool2d", "max_pool2d", "4x4x8".into()),
            ("depthwise_conv2d", "depthwise_conv2d", "2x2x16".into()),
            ("flatten", "flatten", "64".into()),
            ("head", "dense", "10".into()),
            ("softmax", "softmax", "10".into()),
        ]
    );
    assert_eq!(g.parameter_count(), (9 * 8 + 8) + (9 * 16 + 16) + (64 * 10 + 10));
    assert_eq!(g.macs(), 8 * 8 * 8 * 9 + 2 * 2 * 16 * 9 + 640);
    assert_eq!(rows[0].activation, Some("relu"));
    assert_eq!(rows[4].activation, None);
}

#[test]
fn table_names_layers_and_totals() {
    let text = layer_table(&small_cnn());
    for part in ["digits: input 8x8x1 f32", "conv2d + relu", "depthwise_conv2d + relu6", "head", "890 parameters"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert_eq!(grouped(0), "0");
    assert_eq!(grouped(999), "999");
    assert_eq!(grouped(1_234_567), "1,234,567");
}

#[test]
fn repeated_kinds_get_numbers() {
    let g = Sequential::new([3]).add(Dense::new(2)).add(Dense::new(2)).add(Dense::new(2)).build(0).unwrap();
    let names: Vec<_> = g.nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["dense", "dense_1", "dense_2"]);
    assert!(g.find_tensor("dense_2/kernel").is_some());
}

#[test]
fn initial_kernels_are_glorot_uniform_and_seeded() {
    let build = |seed| Sequential::new([40]).add(Dense::new(60)).build(seed).unwrap();
    let kernel = |g: &Graph| {
        let id = g.find_tensor("dense/kernel").unwrap();
        g.tensor(id).data.clone().unwrap().as_f32().unwrap().to_vec()
    };
    let (a, b, c) = (build(7), build(7), build(8));
    assert_eq!(kernel(&a), kernel(&b));
    assert_ne!(kernel(&a), kernel(&c));
    let limit = (6.0f32 / 100.0).sqrt();
    let values = kernel(&a);
    assert!(values.iter().all(|v| v.abs() <= limit));
    // A uniform variable has variance limit^2 / 3; 2400 samples estimate it within a few percent
    // (standard error of the mean square: 0.894 * limit^2 / 3 / sqrt(2400) = 1.8 %).
    let mean_square = values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32;
    assert!((mean_square / (limit * limit / 3.0) - 1.0).abs() < 0.08);
    let bias = a.tensor(a.find_tensor("dense/bias").unwrap());
    assert_eq!(bias.data, Some(Data::F32(vec![0.0; 60])));
}

#[test]
fn same_padding_puts_the_odd_row_last() {
    let window = |kernel, stride, dilation| Window {
        kernel: [kernel; 2],
        strides: [stride; 2],
        dilation: [dilation; 2],
        padding: Padding::Same,
    };
    let span = |w: Window, n| w.spans([n, n]).unwrap()[0];
    assert_eq!(span(window(3, 1, 1), 8), Span { output: 8, before: 1, after: 1 });
    assert_eq!(span(window(2, 1, 1), 5), Span { output: 5, before: 0, after: 1 });
    assert_eq!(span(window(4, 2, 1), 49), Span { output: 25, before: 1, after: 2 });
    assert_eq!(span(window(3, 1, 2), 5), Span { output: 5, before: 2, after: 2 });
    assert_eq!(span(window(1, 2, 1), 4), Span { output: 2, before: 0, after: 0 });
}

#[test]
fn order_follows_the_data() {
    let g = residual();
    g.validate().unwrap();
    let names: Vec<_> = g.order().unwrap().iter().map(|n| g.node(*n).name.as_str()).collect();
    assert_eq!(names, ["fc", "sum"]);
}

#[test]
fn broken_graphs_name_the_culprit() {
    let broken = |change: fn(&mut Graph)| {
        let mut g = residual();
        change(&mut g);
        g.validate().unwrap_err().to_string()
    };
    type Change = fn(&mut Graph);
    let cases: [(Change, &str); 14] = [
        (|g| g.nodes[0].inputs[1] = TensorId(3), "node `sum` needs its own output"),
        (|g| g.nodes[0].inputs[1] = TensorId(9), "node `sum`: no tensor with number 9; the graph has 4"),
        (|g| g.nodes[1].name = "sum".into(), "two nodes are called `sum`"),
        (|g| g.tensors[1].name = "x".into(), "two tensors are called `x`"),
        (|g| g.tensors[2].shape = vec![5], "node `fc` (dense): output `h` has shape 5, its inputs make 4"),
        (|g| g.tensors[1].shape = vec![2, 8], "node `fc` (dense): kernel `w` has shape 2x8, expected 4x4"),
        (
            |g| g.tensors[1].data = Some(Data::F32(vec![0.0; 3])),
            "tensor `w`: the constant holds 3 values, its shape 4x4 needs 16",
        ),
        (
            |g| g.tensors[1].data = Some(Data::I8(vec![0; 16])),
            "tensor `w`: the constant's values are i8, the tensor is f32",
        ),
        (|g| g.nodes[1].outputs = vec![TensorId(3)], "node `fc`: output `y` already comes from node `sum`"),
        (|g| g.inputs = vec![TensorId(2)], "node `fc`: output `h` already comes from the graph's inputs"),
        (|g| g.outputs.clear(), "the graph has no outputs"),
        (|g| g.nodes[1].inputs.truncate(1), "node `fc` (dense): has 1 inputs, expected 1 and 1 parameters"),
        (
            |g| g.tensors[0].shape = vec![usize::MAX, 2],
            "tensor `x`: shape 18446744073709551615x2 has too many elements",
        ),
        (|g| drop(g.nodes.remove(1)), "node `sum`: input `h` has no source"),
    ];
    for (number, (change, message)) in cases.into_iter().enumerate() {
        let found = broken(change);
        assert!(found.contains(message), "case {number}: `{found}` lacks `{message}`");
    }
}

#[test]
fn bad_layers_are_refused_with_their_name() {
    let error = |s: Sequential| s.build(0).unwrap_err().to_string();
    let image = || Sequential::new([4, 4, 2]);
    assert_eq!(
        error(image().add(TransposeConv2d::new(4, [2, 2]).groups(3))),
        "node `transpose_conv2d` (transpose_conv2d): groups is 3 for 4 filters, must be a divisor of the filters"
    );
    assert_eq!(
        error(image().add(Conv2d::new(3, [5, 3]))),
        "node `conv2d` (conv2d): the 5 kernel (dilated) is larger than the padded 4 input along the height"
    );
    assert_eq!(error(image().add(Conv2d::new(0, [3, 3]))), "node `conv2d` (conv2d): filters is 0, must be at least 1");
    assert_eq!(
        error(image().add(MaxPool2d::new([2, 2]).strides([0, 1]))),
        "node `max_pool2d` (max_pool2d): strides is 0, must be at least 1"
    );
    assert_eq!(
        error(image().add(Reshape::new([5, 5]))),
        "node `reshape` (reshape): input `input` has shape 4x4x2, expected 25 elements (to become 5x5)"
    );
    assert!(error(image().add(Add::default())).contains("expected 2 (name them with `inputs`)"));
    assert!(error(Sequential::new([3]).add(Dense::new(usize::MAX))).contains("sizes overflow"));
}

#[test]
fn dense_layers_work_on_the_last_axis() {
    let graph = Sequential::new([4, 5, 2]).add(Dense::new(3)).build(0).unwrap();
    assert_eq!(graph.tensor(graph.outputs[0]).shape, [4, 5, 3]);
    assert_eq!((graph.parameter_count(), graph.macs()), (3 * 2 + 3, 4 * 5 * 3 * 2));
}

#[test]
fn products_of_activations_broadcast() {
    let sizes = |a: &[usize], b: &[usize]| MatMul::default().sizes(a, b).map(|s| (s.batch, s.a_batch, s.b_batch));
    assert_eq!(sizes(&[3, 4], &[4, 5]), Some(([1, 1], [1, 1], [1, 1])));
    assert_eq!(sizes(&[2, 6, 3, 4], &[4, 5]), Some(([12, 1], [12, 1], [1, 1])));
    assert_eq!(sizes(&[2, 1, 3, 4], &[6, 4, 5]), Some(([2, 6], [2, 1], [1, 6])));
    assert_eq!(sizes(&[2, 1, 2, 3, 4], &[1, 6, 1, 4, 5]), None, "three groups of axes");
    assert_eq!(sizes(&[3, 4], &[5, 4]), None);
    assert_eq!(sizes(&[2, 3, 4], &[3, 4, 5]), None);
    let port = |shape| ops::Port { name: "p", shape };
    let y = MatMul::default().output(&[port(&[2, 1, 3, 4]), port(&[6, 4, 5])]).unwrap();
    assert_eq!(y, [2, 6, 3, 5]);
}

#[test]
fn transposed_convolutions_have_the_sizes_that_frameworks_give() {
    let conv = |padding, output_padding| TransposeConv2d {
        strides: [2, 3],
        padding,
        output_padding,
        ..TransposeConv2d::new(1, [3, 2])
    };
    let size = |op: TransposeConv2d| op.spans([4, 5]).map(|[h, w]| (h, w));
    // TFLite: SAME multiplies by the stride, VALID adds what the kernel is longer.
    assert_eq!(size(conv(Padding::Same, [0, 0])).unwrap(), ((8, 0), (15, 0)));
    assert_eq!(size(conv(Padding::Valid, [0, 0])).unwrap(), ((9, 0), (14, 0)));
    // PyTorch: (in - 1) * stride - 2 * padding + kernel + output_padding.
    let explicit = Padding::Explicit { top: 1, bottom: 1, left: 0, right: 0 };
    assert_eq!(size(conv(explicit, [1, 2])).unwrap(), ((8, 1), (16, 0)));
    let cut = Padding::Explicit { top: 0, bottom: 3, left: 0, right: 0 };
    assert!(size(conv(cut, [0, 0])).is_err(), "the last input would add nothing");
}

#[test]
fn quantisation_is_checked() {
    let mut g = residual();
    g.tensors[1] = Tensor::constant("w", [4, 4], Data::I8(vec![0; 16]))
        .with_quant(Quant::per_axis(vec![0.1, 0.2, 0.3, f32::NAN], 0));
    assert!(g.validate().unwrap_err().to_string().contains("scale number 3 is NaN"));
    g.tensors[1].quant = Some(Quant::per_axis(vec![0.1; 3], 0));
    assert!(g.validate().unwrap_err().to_string().contains("3 scales and 3 zero points, expected 4"));
    g.tensors[1].quant = Some(Quant::per_tensor(0.1, 128));
    assert!(g.validate().unwrap_err().to_string().contains("zero point number 0 is 128, outside of i8"));
    g.tensors[1].quant = Some(Quant::per_axis(vec![0.1; 4], 2));
    assert!(g.validate().unwrap_err().to_string().contains("runs along axis 2"));
    g.tensors[1].quant = Some(Quant::per_axis(vec![0.1; 4], 0));
    g.validate().unwrap();
}

#[test]
fn infer_shapes_fills_what_an_importer_left_out() {
    let mut g = residual();
    g.tensors[2].shape.clear();
    g.tensors[3].shape.clear();
    g.infer_shapes().unwrap();
    assert_eq!(g, residual());
}

#[test]
fn selections_parse_and_print() {
    for text in ["all", "none", "last:2", "conv,head"] {
        assert_eq!(text.parse::<Selection>().unwrap().to_string(), text);
    }
    for text in ["", "last:", "last:0", "last:x", "a,,b"] {
        assert!(text.parse::<Selection>().is_err(), "{text}");
    }
}

#[test]
fn selected_layers_train() {
    let mut g = small_cnn();
    let trainable = |g: &Graph| {
        let names = g.parameter_tensors();
        names.iter().filter(|t| g.tensor(**t).trainable).map(|t| g.tensor(*t).name.clone()).collect::<Vec<_>>()
    };
    g.set_trainable(&Selection::Last(1)).unwrap();
    assert_eq!(trainable(&g), ["head/kernel", "head/bias"]);
    g.set_trainable(&Selection::Names(vec!["conv2d".into()])).unwrap();
    assert_eq!(trainable(&g), ["conv2d/kernel", "conv2d/bias"]);
    g.set_trainable(&Selection::All).unwrap();
    assert_eq!(trainable(&g).len(), 6);
    g.set_trainable(&Selection::None).unwrap();
    assert!(trainable(&g).is_empty());
    let error = g.set_trainable(&Selection::Names(vec!["flatten".into()])).unwrap_err().to_string();
    assert_eq!(error, "no tensor or layer is called `flatten`; there are: conv2d, depthwise_conv2d, head");
}

#[test]
fn layers_read_from_an_experiment_file() {
    #[derive(serde::Deserialize)]
    struct File {
        layers: Vec<LayerSpec>,
    }
    let text = r#"
        [[layers]]
        type = "conv2d"
        filters = 4
        kernel = [3, 3]
        padding = "same"
        activation = "relu"
        [[layers]]
        type = "max_pool2d"
        size = [2, 2]
        [[layers]]
        type = "flatten"
        [[layers]]
        name = "head"
        type = "dense"
        units = 3
        activation = "softmax"
        [[layers]]
        type = "activation"
        function = "tanh"
    "#;
    let file: File = toml::from_str(text).unwrap();
    let g = Sequential::from_layers([4, 4, 1], file.layers).build(0).unwrap();
    let names: Vec<_> = g.nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["conv2d", "max_pool2d", "flatten", "head", "softmax", "tanh"]);
    for wrong in
        ["type = \"dense\"", "type = \"dense\"\nunits = -1", "type = \"magic\"", "type=\"dense\"\nunits=2\nbias=1"]
    {
        let text = format!("[[layers]]\n{wrong}\n");
        assert!(toml::from_str::<File>(&text).is_err(), "{wrong}");
    }
}

#[test]
fn json_round_trips_everything_but_the_values() {
    let mut g = small_cnn();
    g.tensors[0].quant = None;
    g.meta.class_names = vec!["a".into(), "b".into()];
    let text = serde_json::to_string(&g).unwrap();
    let mut back: Graph = serde_json::from_str(&text).unwrap();
    for (to, from) in back.tensors.iter_mut().zip(&g.tensors) {
        to.data.clone_from(&from.data);
    }
    assert_eq!(back, g);
}

proptest! {
    #[test]
    fn scales_survive_json_exactly(bits in proptest::collection::vec(1u32..0x7f80_0000, 1..20)) {
        let scales: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        let quant = Quant::per_axis(scales, 0);
        let back: Quant = serde_json::from_str(&serde_json::to_string(&quant).unwrap()).unwrap();
        prop_assert_eq!(back, quant);
    }

    #[test]
    fn data_survives_bytes(values in proptest::collection::vec(any::<i16>(), 0..40)) {
        let data = Data::I16(values);
        let bytes = data.to_le_bytes();
        prop_assert_eq!(Data::from_le_bytes(DType::I16, &bytes), Some(data));
        if !bytes.is_empty() {
            prop_assert_eq!(Data::from_le_bytes(DType::I16, &bytes[1..]), None);
        }
    }

    #[test]
    fn windows_never_overflow(
        kernel in any::<[usize; 2]>(), strides in any::<[usize; 2]>(), dilation in any::<[usize; 2]>(),
        input in any::<[usize; 2]>(), edges in any::<[usize; 4]>(), same in any::<bool>(),
    ) {
        let [top, bottom, left, right] = edges;
        let padding = if same { Padding::Same } else { Padding::Explicit { top, bottom, left, right } };
        let window = Window { kernel, strides, dilation, padding };
        if window.check().is_ok() {
            let _ = window.spans(input);
        }
    }
}
