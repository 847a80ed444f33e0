//! Every case of ONNX's backend tests whose operators we claim: what passes, and why the others do not
//! run. Without `../shared` the test says so and passes.

use embernet_tests::onnx::Case;
use embernet_tests::shared;
use std::fmt::Write as _;

/// The operators that the importer is for.
const OPERATORS: &[&str] = &[
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Constant",
    "Conv",
    "ConvTranspose",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "Elu",
    "Flatten",
    "GRU",
    "Gather",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LSTM",
    "LayerNormalization",
    "LeakyRelu",
    "LogSoftmax",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "PRelu",
    "Pad",
    "QLinearConv",
    "QLinearMatMul",
    "QuantizeLinear",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Resize",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Split",
    "Squeeze",
    "Sub",
    "Tanh",
    "Transpose",
    "Unsqueeze",
];

#[test]
fn node_cases_pass() {
    let Some(folder) = shared::dir("onnx_nodes", "ops/onnx_node") else { return };
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    let mut lines: Vec<String> = Vec::new();
    let (mut passed, mut wrong) = (0, Vec::new());
    for test in manifest["tests"].as_array().expect("a list of tests") {
        let operators = test["ops"].as_array().expect("a list of operators");
        if !operators.iter().all(|o| o.as_str().is_some_and(|o| OPERATORS.contains(&o))) {
            continue;
        }
        let name = test["test"].as_str().expect("a name");
        let line = match Case::open(&folder.join(name)).and_then(|case| case.run()) {
            Ok(way) => {
                passed += 1;
                way.name().to_owned()
            }
            Err(why) => {
                if why.starts_with("WRONG") {
                    wrong.push(format!("{name}: {why}"));
                }
                format!("not run: {why}")
            }
        };
        lines.push(format!("{name}: {line}"));
    }
    lines.sort();
    let mut table = format!("{passed} of {} pass\n", lines.len());
    for line in &lines {
        let _ = writeln!(table, "{line}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    insta::assert_snapshot!("onnx_nodes", table);
}
