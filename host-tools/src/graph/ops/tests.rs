use super::*;

fn shape(op: impl Into<Op>, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
    let op = op.into();
    op.check().map_err(|e| e.to_string())?;
    let ports: Vec<Port<'_>> = inputs.iter().map(|shape| Port { name: "x", shape }).collect();
    op.output(&ports).map_err(|e| e.to_string())
}

#[test]
fn shapes_of_movements() {
    let pad = |before: &[usize], after: &[usize]| Pad { before: before.into(), after: after.into(), value: 0.0 };
    assert_eq!(shape(pad(&[1, 0], &[0, 3]), &[&[2, 5]]), Ok(vec![3, 8]));
    assert!(shape(pad(&[1], &[0, 3]), &[&[2, 5]]).unwrap_err().contains("one for each axis"));
    assert!(shape(pad(&[usize::MAX], &[1]), &[&[2]]).is_err());

    assert_eq!(shape(Concat { axis: 1 }, &[&[2, 3], &[2, 4], &[2, 1]]), Ok(vec![2, 8]));
    assert!(shape(Concat { axis: 0 }, &[&[2, 3], &[2, 4]]).unwrap_err().contains("except along axis 0"));
    assert!(shape(Concat { axis: 2 }, &[&[2, 3]]).unwrap_err().contains("an axis of the input"));

    let slice =
        |begin: usize, size: usize, stride: isize| Slice { begin: vec![begin], size: vec![size], stride: vec![stride] };
    assert_eq!(shape(slice(4, 3, -2), &[&[5]]), Ok(vec![3]));
    assert_eq!(shape(slice(1, 2, 3), &[&[5]]), Ok(vec![2]));
    for (begin, size, stride) in [(5, 1, 1), (0, 0, 1), (4, 2, 1), (1, 3, -1), (0, 1, 0), (0, usize::MAX, isize::MAX)] {
        assert!(shape(slice(begin, size, stride), &[&[5]]).unwrap_err().contains("all inside"));
    }

    assert_eq!(shape(Transpose { perm: vec![2, 0, 1] }, &[&[2, 3, 4]]), Ok(vec![4, 2, 3]));
    assert!(shape(Transpose { perm: vec![0, 0, 1] }, &[&[2, 3, 4]]).unwrap_err().contains("every axis once"));

    let resize = ResizeNearest { rows: vec![0, 0, 1], cols: vec![2, 1] };
    assert_eq!(shape(resize.clone(), &[&[2, 3, 4]]), Ok(vec![3, 2, 4]));
    assert!(shape(resize, &[&[1, 3, 4]]).unwrap_err().contains("1 of 1"));
}

#[test]
fn shapes_that_broadcast() {
    assert_eq!(broadcast(&[2, 3], &[3]), Some(vec![2, 3]));
    assert_eq!(broadcast(&[], &[4]), Some(vec![4]));
    assert_eq!(broadcast(&[5, 1, 3], &[4, 1]), Some(vec![5, 4, 3]));
    assert_eq!(broadcast(&[2], &[3]), None);
    assert_eq!(shape(Mul::default(), &[&[2, 1], &[1, 3]]), Ok(vec![2, 3]));
    assert!(shape(Add::default(), &[&[2], &[3]]).unwrap_err().contains("what broadcasts to it"));
}

#[test]
fn shapes_of_reductions() {
    let mean = |axes: &[usize], keepdims| Reduce { reduction: Reduction::Mean, axes: axes.into(), keepdims };
    assert_eq!(shape(mean(&[0, 2], false), &[&[2, 3, 4]]), Ok(vec![3]));
    assert_eq!(shape(mean(&[0, 2], true), &[&[2, 3, 4]]), Ok(vec![1, 3, 1]));
    for axes in [&[][..], &[1, 1], &[3]] {
        assert!(shape(mean(axes, false), &[&[2, 3, 4]]).is_err());
    }
}

#[test]
fn numbers_of_functions_are_checked() {
    for function in
        [Activation::LeakyRelu { alpha: f32::NAN }, Activation::HardSigmoid { alpha: 0.2, beta: f32::INFINITY }]
    {
        assert!(shape(function, &[&[2]]).unwrap_err().contains("finite"));
    }
    assert!(shape(Softmax { beta: 0.0 }, &[&[2]]).unwrap_err().contains("positive"));
    let text = serde_json::to_string(&Op::from(Activation::LeakyRelu { alpha: 0.5 })).unwrap();
    assert_eq!(text, r#"{"type":"activation","function":{"leaky_relu":{"alpha":0.5}}}"#);
    let back: Op = serde_json::from_str(&text).unwrap();
    assert_eq!(back, Activation::LeakyRelu { alpha: 0.5 }.into());
    assert_eq!(serde_json::from_str::<Op>(r#"{"type":"softmax"}"#).unwrap(), Softmax::default().into());
}

#[test]
fn numbers_come_back_from_json() {
    let lstm = Lstm { units: 3, reverse: false, use_bias: true, peepholes: false, cell_clip: 0.1 };
    for op in [Op::from(BatchNorm::new()), LayerNorm::new(1e-5).into(), lstm.into()] {
        let text = serde_json::to_string(&op).unwrap();
        assert_eq!(serde_json::from_str::<Op>(&text).unwrap(), op, "{text}");
    }
}
