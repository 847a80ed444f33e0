use std::io::Write;

use super::*;
use crate::testing::shared;

fn temporary(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn message(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

#[test]
fn mnist_stays_bytes() {
    let Some(images) = shared("sets/mnist/t10k-images-idx3-ubyte.gz") else {
        return;
    };
    let Some(labels) = shared("sets/mnist/t10k-labels-idx1-ubyte.gz") else {
        return;
    };
    let (x, y) = (read_array(&images).unwrap(), read_array(&labels).unwrap());
    assert_eq!(x.shape(), [10_000, 28, 28]);
    let data = from_arrays(x, y, LabelKind::Class(None), &images, &labels).unwrap();
    assert!(matches!(data.samples(), Storage::U8(_)));
    assert_eq!((data.len(), data.labels().outputs()), (10_000, 10));
    let Labels::Class { ids, .. } = data.labels() else { unreachable!() };
    assert_eq!(ids[..5], [7, 2, 1, 0, 4]);
}

#[test]
fn numpy_files_of_every_kind() {
    let Some(x) = shared("sets/gestures_emlearn/x_int16.npy") else {
        return;
    };
    let array = read_array(&x).unwrap();
    assert_eq!((array.shape(), array.values().type_name()), (&[19, 400, 3][..], "int16"));
}

#[test]
fn what_numpy_gets_is_what_it_gave() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    write_npy(&path, &[2, 2], &Values::I8(vec![1, -2, 3, -4])).unwrap();
    assert_eq!(read_array(&path).unwrap().values(), &Values::I8(vec![1, -2, 3, -4]));
}

#[test]
fn foreign_files_are_named() {
    let file = temporary(b"PK\x03\x04 and more");
    let error = read_array(file.path()).unwrap_err();
    assert_eq!(
        message(&error),
        format!("{} is neither an npy nor an IDX file: it begins with [50, 4b, 03, 04]", file.path().display())
    );
    let error = read_npz(temporary(b"hello").path(), ["x"]).unwrap_err();
    assert!(message(&error).contains("not a readable npz archive"), "{}", message(&error));
}

#[test]
fn labels_that_are_no_class_name_their_row() {
    let x = || Array::new(vec![2, 1], Values::F32(vec![0.0; 2])).unwrap();
    let (xp, yp) = (Path::new("x.npy"), Path::new("y.npy"));
    let negative = Array::new(vec![2], Values::I32(vec![0, -1])).unwrap();
    assert_eq!(
        message(&from_arrays(x(), negative, LabelKind::Class(None), xp, yp).unwrap_err()),
        "y.npy: row 2: label -1 is no class; classes are whole numbers from 0"
    );
    let large = Array::new(vec![2], Values::I32(vec![0, 5])).unwrap();
    let names = Some(vec!["no".into(), "yes".into()]);
    assert_eq!(
        message(&from_arrays(x(), large, LabelKind::Class(names), xp, yp).unwrap_err()),
        "y.npy: row 2: label 5 is out of range; there are 2 classes (0 to 1)"
    );
    let few = Array::new(vec![1], Values::U8(vec![0])).unwrap();
    assert_eq!(
        message(&from_arrays(x(), few, LabelKind::Class(None), xp, yp).unwrap_err()),
        "y.npy: 2 samples and 1 labels"
    );
}

#[test]
fn samples_must_be_finite() {
    let x = Array::new(vec![2, 2], Values::F64(vec![0.0, 1.0, f64::NAN, 3.0])).unwrap();
    let error = samples(x, Path::new("x.npy")).unwrap_err();
    assert_eq!(message(&error), "x.npy: sample 2: NaN is not a finite number");
}
