//! What importers of TFLite get wrong, and what must be refused.
//!
//! | trap | test |
//! |---|---|
//! | biases with one axis name axis 3 for their scales | [`a_bias_may_name_an_axis_that_it_does_not_have`] |
//! | old files fill only the old operator code | [`old_files_fill_only_the_one_byte_operator_code`] |
//! | per channel is a matter of the number of scales; weights have zero point 0 | [`one_scale_is_per_tensor_and_several_need_the_channel_axis`] |
//! | zero points other than -128; SAME pads the zero point, and more at the end | `arithmetic::same_padding_pads_the_zero_point_and_more_at_the_end` |
//! | a fused RELU ends at the output's zero point; kernels are not square | the same |
//! | a depth multiplier of 8 | `arithmetic::a_depth_multiplier_gives_each_channel_a_run_of_outputs` |
//! | AVERAGE_POOL_2D rounds halves away from zero and keeps its scale | `arithmetic::average_pools_round_halves_away_from_zero` |
//! | MEAN has its axes as an input, and rescales | `arithmetic::means_rescale` |
//! | SOFTMAX has a scale and zero point of its own | [`what_cannot_be_done_exactly_is_refused_by_name`] |
//! | ADD of two scales | `arithmetic::added_tensors_may_have_different_scales` |
//! | an input scale of 1 | `arithmetic::a_scale_of_one_is_a_scale` |
//! | RESHAPE takes its shape from an option or an input | [`reshape_takes_its_shape_from_an_input_an_option_or_the_output`] |
//! | int16 activations have biases of 64 bits | [`sixteen_bit_activations_have_wide_biases`] |
//!
//! The arithmetic of means, softmax and int16 layers with scales that round: `tests/tests/models.rs` (the reference's
//! bytes), `tests/tests/tflite_operators.rs`.

use super::*;
use crate::graph::Quant;

#[test]
fn old_files_fill_only_the_one_byte_operator_code() {
    // The code field is absent in such files; the reader takes the larger of both.
    let bytes = small_cnn().to_bytes();
    let file =
        crate::import::tflite::model::Model::parse(&bytes, &mut crate::import::budget::Budget::for_file(bytes.len()));
    assert_eq!(file.unwrap().codes[0].to_string(), "AVERAGE_POOL_2D");
    let mut old = bytes.clone();
    // Each operator code table holds its code twice; zero the wide one (the second of its words).
    let code = 3i32.to_le_bytes();
    let version = 1i32.to_le_bytes();
    let pair = [version, code].concat();
    let at = old.windows(8).position(|w| w == pair).unwrap();
    old[at + 4..at + 8].fill(0);
    assert_eq!(from_bytes(&old).unwrap().graph, from_bytes(&bytes).unwrap().graph);
}

#[test]
fn a_bias_may_name_an_axis_that_it_does_not_have() {
    let mut file = small_cnn();
    file.tensors[2].scales = vec![0.05, 0.1];
    file.tensors[2].zero_points = vec![0, 0];
    file.tensors[2].axis = 3;
    let graph = import(&file).graph;
    assert_eq!(graph.tensor(graph.find_tensor("conv/b").unwrap()).quant, None);
}

#[test]
fn one_scale_is_per_tensor_and_several_need_the_channel_axis() {
    let mut file = small_cnn();
    file.tensors[1].scales = vec![0.3];
    file.tensors[1].zero_points = vec![0];
    let graph = import(&file).graph;
    assert_eq!(graph.tensor(graph.find_tensor("conv/w").unwrap()).quant, Some(Quant::per_tensor(0.3, 0)));
    file.tensors[1].scales = vec![0.3; 3];
    file.tensors[1].zero_points = vec![0; 3];
    assert_eq!(
        refusal(&file),
        "operator 0 (CONV_2D): kernel has 3 scales, expected 1 or 2 (one for each output channel)"
    );
    let mut file = small_cnn();
    file.tensors[1].axis = 2;
    assert!(refusal(&file).contains("scales along axis 2, expected 0"));
    let mut file = small_cnn();
    file.tensors[4].zero_points[2] = 1;
    assert_eq!(refusal(&file), "operator 1 (DEPTHWISE_CONV_2D): kernel has zero point 1, expected 0");
}

#[test]
fn reshape_takes_its_shape_from_an_input_an_option_or_the_output() {
    let by_input = import(&small_cnn()).graph;
    let shape = |dims: &[i32]| Some((17, Table::new().with(0, Value::I32s(dims.into()))));
    let mut file = small_cnn();
    file.operators[3].inputs = vec![7];
    for options in [shape(&[1, 16]), shape(&[-1, 16]), shape(&[1, -1]), None, shape(&[])] {
        file.operators[3].options = options;
        assert_eq!(import(&file).graph, by_input);
    }
    file.operators[3].options = shape(&[1, 15]);
    assert_eq!(
        refusal(&file),
        "operator 3 (RESHAPE): the new shape [1, 15] does not fit an input of shape 1x2x2x4 (16 values)"
    );
    file.operators[3].options = shape(&[-1, -1]);
    assert!(refusal(&file).contains("new shape [-1, -1]"));
}

#[test]
fn the_batch_may_be_open() {
    let mut file = small_cnn();
    file.tensors[0].shape[0] = -1;
    for i in [3, 6, 7, 9, 12, 13] {
        file.tensors[i].shape[0] = -1;
    }
    assert_eq!(import(&file).graph, import(&small_cnn()).graph);
    file.tensors[0].shape[1] = -1;
    assert_eq!(refusal(&file), "tensor 0 (`image`): its shape is not known before the run");
    file.tensors[0].shape = vec![4, 6, 6, 1];
    assert_eq!(refusal(&file), "operator 0 (CONV_2D): input has shape 4x6x6x1, expected 1 x height x width x channels");
}

#[test]
fn kernels_may_be_stored_narrow() {
    let mut file = small_cnn();
    // 18 values in nibbles.
    file.tensors[1].ty = I4;
    file.tensors[1].data = Some(vec![0xf1; 9]);
    let graph = import(&file).graph;
    let kernel = graph.tensor(graph.find_tensor("conv/w").unwrap());
    assert_eq!(kernel.data.as_ref().unwrap().as_i8().unwrap()[..4], [1, -1, 1, -1]);
    file.tensors[1].data = Some(vec![0; 18]);
    assert_eq!(
        refusal(&file),
        "operator 0 (CONV_2D): tensor 1 (`conv/w`): its buffer has 18 bytes; shape 2x3x3x1 of i4 needs 9"
    );
}

#[test]
fn sixteen_bit_activations_have_wide_biases() {
    let mut file = small_cnn();
    for tensor in file.tensors.iter_mut().filter(|t| t.data.is_none()) {
        *tensor = activation(&tensor.name, &tensor.shape, I16);
    }
    (file.tensors[13].scales, file.tensors[13].zero_points) = (vec![1.0 / 32768.0], vec![0]);
    import(&file);
    let wide = [5i64, -5].iter().flat_map(|v| v.to_le_bytes()).collect();
    file.tensors[2] = constant("conv/b", &[2], I64, wide);
    let graph = import(&file).graph;
    assert_eq!(graph.tensor(graph.find_tensor("conv/b").unwrap()).data, Some(crate::graph::Data::I64(vec![5, -5])));
    file.tensors[3].zero_points = vec![4];
    assert_eq!(refusal(&file), "operator 0 (CONV_2D): tensor 3 (`conv`): i16 activations have zero point 0, not 4");
}

#[test]
fn what_cannot_be_done_exactly_is_refused_by_name() {
    type Change = fn(&mut File);
    let cases: &[(Change, &str)] = &[
        (|f| f.operators[2].code = 56, "operator 2 (ARG_MAX): this operator is not supported"),
        (|f| f.operators[2].code = 160, "operator 2 (BITWISE_XOR): this operator is not supported"),
        (|f| f.operators[2].code = 4000, "operator 2 (builtin operator 4000): this operator is not supported"),
        (|f| f.operators[2].code = 32, "operator 2 (custom operator ``): this operator is not supported"),
        (
            |f| f.operators[0].options = Some((1, conv_options(0, 1, 4))),
            "operator 0 (CONV_2D): fused activation is 4, expected 0 (none), 1 (relu), 2 (relu n1 to 1) or 3 (relu6)",
        ),
        (|f| f.operators[0].options = Some((1, conv_options(0, 0, 0))), "operator 0 (CONV_2D): stride_h is 0"),
        (|f| f.operators[0].options = Some((1, conv_options(9, 1, 0))), "operator 0 (CONV_2D): padding is 9"),
        (|f| f.operators[0].options = None, "operator 0 (CONV_2D): the options table is missing"),
        (|f| f.tensors[13].zero_points = vec![0], "operator 5 (SOFTMAX): the output's scale and zero point are"),
        (
            |f| f.tensors[7].scales = vec![0.25],
            "operator 2 (AVERAGE_POOL_2D): input and output must have the same scale and zero point",
        ),
        (|f| f.tensors[3].scales.clear(), "operator 0 (CONV_2D): tensor 3 (`conv`): is i8 without a scale"),
        (|f| f.tensors[3].scales = vec![1.0, 2.0], "tensor 3 (`conv`): has 2 scales; an activation has one"),
        (|f| f.tensors[3].ty = I64, "tensor 3 (`conv`): is i64, which is not supported as an activation"),
        (|f| f.tensors[3].shape = vec![1, 6, 6, 3], "gives the output shape 1x6x6x3, the inputs make 1x6x6x2"),
        (|f| f.operators[1].outputs = vec![3], "operator 1 (DEPTHWISE_CONV_2D): tensor 3 is written twice"),
        (|f| f.operators[1].outputs = vec![1], "tensor 1 is written twice, or written although it is constant"),
        (|f| f.operators[0].inputs = vec![6, 1, 2], "input (tensor 6) is needed before any operator has made it"),
        (|f| f.operators[0].inputs = vec![0, 1, 99], "operator 0 (CONV_2D): bias is tensor 99; there are 14"),
        (|f| f.operators[0].inputs = vec![0, 0, 2], "operator 0 (CONV_2D): kernel is not a constant"),
        (|f| f.operators[0].inputs = vec![1, 1, 2], "operator 0 (CONV_2D): input is a constant"),
        (|f| f.operators[0].inputs = vec![0], "operator 0 (CONV_2D): has 1 inputs, expected 2 to 3"),
        (|f| f.outputs = vec![99], "the model's outputs name tensor 99; there are 14"),
        (|f| f.outputs = vec![1], "tensor 1 (`conv/w`): is an output of the model, but no operator makes it"),
        (|f| f.inputs = vec![0, 0], "tensor 0 is written twice"),
        (|f| f.tensors[2].ty = F32, "operator 0 (CONV_2D): bias is f32, expected i32"),
        (
            |f| f.tensors[1] = floats("w", &[2, 3, 3, 1], &[0.0; 18]),
            "i8 activations with f32 weights are not supported",
        ),
        (
            |f| {
                f.tensors[0].shape[3] = 4;
                f.tensors[1] = kernel("w", &[2, 3, 3, 3], &[0.5], 0);
            },
            "operator 0 (CONV_2D): kernel has shape 2x3x3x3, expected 2x3x3x4 for an input of 4 channels",
        ),
        (|f| f.tensors[1].scales = vec![0.0, 1.0], "scale number 0 is 0; scales are positive and finite"),
        (|f| f.tensors[0].zero_points = vec![300], "zero point number 0 is 300, outside of i8"),
    ];
    for (change, expected) in cases {
        let mut file = small_cnn();
        change(&mut file);
        let text = refusal(&file);
        assert!(text.contains(expected), "{text}\n  does not say\n{expected}");
    }
}

#[test]
fn lstms_with_more_than_gates_are_refused_by_name() {
    // Where which tensors stand among the 24 inputs: TFLite's `lstm_shared.h`.
    let cases = [
        (9, 1, "an LSTM with peepholes is not supported"),
        (16, 1, "an LSTM with a projection is not supported"),
        (17, 1, "an LSTM with a projection is not supported"),
        (20, 1, "an LSTM with layer normalisation is not supported"),
        (1, -1, "an LSTM whose input and forget gates are coupled is not supported"),
    ];
    for (input, tensor, expected) in cases {
        let mut inputs = [-1; 24];
        inputs[0] = 0;
        inputs[1..9].fill(1);
        inputs[12..16].fill(2);
        (inputs[18], inputs[19]) = (3, 4);
        inputs[input] = tensor;
        let file = File {
            name: "lstm".into(),
            tensors: vec![
                activation("sequence", &[1, 5, 2], F32),
                floats("w", &[2, 2], &[0.5; 4]),
                floats("b", &[2], &[0.0; 2]),
                activation("hidden", &[1, 2], F32),
                activation("cell", &[1, 2], F32),
                activation("y", &[1, 5, 2], F32),
            ],
            operators: vec![operator(
                op::UNIDIRECTIONAL_SEQUENCE_LSTM,
                &inputs,
                5,
                Some(Table::new().with(0, Value::U8(4))),
            )],
            inputs: vec![0],
            outputs: vec![5],
        };
        let text = refusal(&file);
        assert!(text.contains("operator 0 (UNIDIRECTIONAL_SEQUENCE_LSTM)") && text.contains(expected), "{text}");
    }
}

#[test]
fn foreign_files_are_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("thing.tflite");
    for (bytes, expected) in [
        (&b""[..], "bytes 4 to 8 are , expected TFL3"),
        (b"PK\x03\x04abcd", "bytes 4 to 8 are abcd, expected TFL3"),
        (b"\xff\xff\xff\x7fTFL3", "the file is damaged: root table at byte 0 reaches beyond the file's 8 bytes"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let text = chain(&crate::import::tflite::load(&path).unwrap_err());
        assert!(text.contains("thing.tflite") && text.contains(expected), "{text}");
    }
    let missing = crate::import::tflite::load(&folder.path().join("none")).unwrap_err();
    assert!(missing.to_string().starts_with("cannot read"));
}
