//! One of every operation, small.

use embernet::graph::ops::*;
use embernet::graph::{Activation, Op};
use std::collections::BTreeSet;

/// An operation and the shapes of its data inputs, all equal.
pub struct Example {
    pub op: Op,
    pub shape: Vec<usize>,
}

impl Example {
    /// How many data inputs it gets: two where several are joined.
    pub fn inputs(&self) -> usize {
        if matches!(self.op, Op::Concat(_)) { 2 } else { self.op.arity().0 }
    }
}

/// Every operation, and every function of one value.
pub fn all() -> Vec<Example> {
    let image = |op: Op| Example { op, shape: vec![4, 4, 2] };
    let sequence = |op: Op| Example { op, shape: vec![3, 4] };
    let vector = |op: Op| Example { op, shape: vec![6] };
    let mut all = vec![
        vector(Dense::new(3).into()),
        image(Conv2d::new(3, [3, 3]).into()),
        image(DepthwiseConv2d::new([3, 3]).into()),
        image(TransposeConv2d::new(3, [2, 2]).into()),
        Example { op: MatMul::default().into(), shape: vec![2, 3, 3] },
        sequence(Lstm { units: 3, reverse: false, use_bias: true, peepholes: false, cell_clip: 0.0 }.into()),
        sequence(Gru { units: 3, reverse: false, reset_after: true, use_bias: true }.into()),
        vector(Svdf { units: 2, rank: 1, memory: 4, use_bias: true, activation: Activation::Linear }.into()),
        image(MaxPool2d::new([2, 2]).into()),
        image(AveragePool2d::new([2, 2]).into()),
        image(GlobalAveragePool2d {}.into()),
        image(GlobalMaxPool2d {}.into()),
        image(BatchNorm::default().into()),
        image(Normalise { means: vec![0.0; 2], deviations: vec![1.0; 2] }.into()),
        vector(LayerNorm::new(1e-5).into()),
        image(Flatten {}.into()),
        image(Reshape::new([8, 4]).into()),
        vector(Softmax::default().into()),
        vector(LogSoftmax {}.into()),
        vector(PRelu {}.into()),
        image(Add::default().into()),
        image(Sub::default().into()),
        image(Mul::default().into()),
        image(Div::default().into()),
        image(Minimum::default().into()),
        image(Maximum::default().into()),
        image(Quantize {}.into()),
        image(Dequantize {}.into()),
        image(Pad { before: vec![1, 0, 0], after: vec![0, 1, 0], value: 0.0 }.into()),
        image(Concat { axis: 2 }.into()),
        image(Slice { begin: vec![0, 3, 0], size: vec![2, 2, 2], stride: vec![2, -1, 1] }.into()),
        image(Transpose { perm: vec![2, 0, 1] }.into()),
        image(ResizeNearest { rows: vec![0, 0, 1], cols: vec![1, 3] }.into()),
    ];
    let reductions = [Reduction::Mean, Reduction::Sum, Reduction::Max];
    all.extend(reductions.map(|reduction| image(Reduce { reduction, axes: vec![0, 1], keepdims: false }.into())));
    let functions = [
        Activation::Relu,
        Activation::Relu6,
        Activation::ReluN1To1,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::LeakyRelu { alpha: 0.25 },
        Activation::Elu { alpha: 1.0 },
        Activation::HardSigmoid { alpha: 0.25, beta: 0.5 },
        Activation::HardSwish,
        Activation::Gelu { approximate: false },
        Activation::Exp,
        Activation::Log,
        Activation::Sqrt,
        Activation::Abs,
        Activation::Neg,
        Activation::Reciprocal,
    ];
    all.extend(functions.map(|function| vector(function.into())));
    all
}

/// Operations and functions that the graph has and `all` lacks, by their names in files.
pub fn missing() -> Vec<String> {
    let tag = |value: serde_json::Value| match value {
        serde_json::Value::String(name) => name,
        other => other.as_object().and_then(|o| o.keys().next().cloned()).unwrap_or_default(),
    };
    let json = |value: serde_json::Result<serde_json::Value>| value.expect("operations have a JSON form");
    let mut seen = BTreeSet::from(["linear".to_owned(), "softmax".to_owned()]);
    for example in all() {
        let op = json(serde_json::to_value(&example.op));
        seen.insert(op["type"].as_str().unwrap_or_default().to_owned());
        if let Op::Activation(layer) = example.op {
            seen.insert(tag(json(serde_json::to_value(layer.function))));
        }
    }
    // Serde lists what there is when it meets what there is not.
    let ops = serde_json::from_str::<Op>(r#"{"type": ""}"#).err().map(|e| e.to_string());
    let functions = serde_json::from_str::<Activation>(r#""""#).err().map(|e| e.to_string());
    let listed = [ops, functions].into_iter().flatten();
    let names: Vec<String> = listed.flat_map(|text| quoted(&text)).collect();
    assert!(names.len() > 20, "serde does not list the operations any more: {names:?}");
    // Some are second names of others.
    let canonical = |name: String| {
        let op = serde_json::from_value::<Op>(serde_json::json!({ "type": name })).ok();
        let op = op.and_then(|op| Some(serde_json::to_value(op).ok()?["type"].as_str()?.to_owned()));
        let function = serde_json::from_value::<Activation>(serde_json::json!(name)).ok();
        op.or_else(|| function.and_then(|f| serde_json::to_value(f).ok()).map(tag)).unwrap_or(name)
    };
    names.into_iter().filter(|name| !name.is_empty()).map(canonical).filter(|name| !seen.contains(name)).collect()
}

/// The names between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
