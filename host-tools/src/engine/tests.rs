use embernet_core::image::{DType, TensorRecord};
use embernet_core::plan::Ref;

use super::*;
use crate::data::{Labels, Values};

fn port(dtype: DType, elements: u32, scale: f32, zero_point: i32) -> TensorRecord {
    TensorRecord {
        at: Ref::NONE,
        dtype: dtype as u32,
        elements,
        rank: 1,
        dims: [elements, 0, 0, 0, 0, 0],
        scale,
        zero_point,
    }
}

#[test]
fn numbers_in_the_ports_own_type_pass_as_they_are() {
    let i8_port = port(DType::I8, 2, 0.5, -3);
    assert_eq!(encode(&Values::I8(vec![-1, 7]), &i8_port).unwrap(), [255, 7]);
    assert_eq!(decode(&[255, 7], &i8_port), Values::I8(vec![-1, 7]));
    let f32_port = port(DType::F32, 1, 1.0, 0);
    assert_eq!(encode(&Values::U8(vec![3]), &f32_port).unwrap(), 3f32.to_le_bytes());
}

#[test]
fn floats_are_quantised_at_the_edges() {
    let i8_port = port(DType::I8, 4, 0.5, -3);
    let bytes = encode(&Values::F32(vec![0.0, 1.0, 1000.0, -1000.0]), &i8_port).unwrap();
    assert_eq!(decode(&bytes, &i8_port), Values::I8(vec![-3, -1, 127, -128]));
    assert_eq!(decode_f32(&bytes, &i8_port), [0.0, 1.0, 65.0, -62.5]);
    let i16_port = port(DType::I16, 2, 0.25, 0);
    let bytes = encode_f32(&[1.0, 1e9], &i16_port);
    assert_eq!(decode(&bytes, &i16_port), Values::I16(vec![4, i16::MAX]));
}

#[test]
fn other_types_are_refused() {
    let error = encode(&Values::U8(vec![1]), &port(DType::I8, 1, 1.0, 0)).unwrap_err();
    assert_eq!(error.to_string(), "the model takes int8 or float32; the file holds uint8");
}

#[test]
fn labels_become_indices_or_rows() {
    let labels = Labels::Class { ids: vec![1, 2], names: vec![String::new(); 3] };
    let sparse = port(DType::U32, 1, 1.0, 3);
    assert_eq!(encode_labels(&labels, &sparse).unwrap(), [1, 0, 0, 0, 2, 0, 0, 0]);
    let few = port(DType::U32, 1, 1.0, 2);
    assert_eq!(
        encode_labels(&labels, &few).unwrap_err().to_string(),
        "row 2: label 2 is out of range; the model has 2 classes"
    );
    let dense = port(DType::F32, 3, 1.0, 0);
    let rows = decode_f32(&encode_labels(&labels, &dense).unwrap(), &dense);
    assert_eq!(rows, [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    assert!(encode_labels(&labels, &port(DType::F32, 2, 1.0, 0)).is_err());
    let values = Labels::Values { values: vec![0.5], width: 1 };
    assert!(encode_labels(&values, &sparse).is_err());
    assert!(encode_labels(&values, &dense).is_err());
}
