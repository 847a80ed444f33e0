use std::io::{Cursor, Write};

use proptest::prelude::*;

use super::*;

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([2, 0]);
    bytes.extend((header.len() as u32).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn any_values() -> impl Strategy<Value = Values> {
    fn some<T: Arbitrary + Clone + 'static>() -> impl Strategy<Value = Vec<T>> {
        prop::collection::vec(any::<T>(), 0..40)
    }
    prop_oneof![
        some().prop_map(Values::Bool),
        some().prop_map(Values::I8),
        some().prop_map(Values::U8),
        some().prop_map(Values::I16),
        some().prop_map(Values::U16),
        some().prop_map(Values::I32),
        some().prop_map(Values::U32),
        some().prop_map(Values::I64),
        some().prop_map(Values::U64),
        // any::<f32>() makes no NaN, so that equality below means equal.
        some().prop_map(Values::F32),
        some().prop_map(Values::F64),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(values in any_values()) {
        let shape = vec![values.len()];
        let array = parse(&emit(&shape, &values)).unwrap();
        prop_assert_eq!(array, Array::new(shape, values).unwrap());
    }

    #[test]
    fn damaged_files_never_panic(
        values in any_values(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut bytes = emit(&[values.len(), 1], &values);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(keep.index(bytes.len() + 1));
        let _ = parse(&bytes);
    }

    #[test]
    fn any_header_text_never_panics(text in "[{}(),:'a-z0-9L <é]{0,60}", kind in "[<>|é]?[fiub\\PC][0-9é]{0,3}") {
        let _ = parse(&file(&text, &[0; 8]));
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': (2,), }}");
        let _ = parse(&file(&header, &[0; 8]));
    }
}

#[test]
fn the_header_is_numpys() {
    let bytes = emit(&[2, 3], &Values::F32(vec![0.0; 6]));
    assert_eq!(bytes.len() % 64, 24);
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"));
    assert_eq!(bytes[127], b'\n');
}

#[test]
fn big_endian_and_fortran_order() {
    // NumPy: np.asfortranarray([[1, 2, 3], [4, 5, 6]], '>i2')
    let bytes = file("{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3)}", &[0, 1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6]);
    let array = parse(&bytes).unwrap();
    assert_eq!(array.shape(), [2, 3]);
    assert_eq!(array.values(), &Values::I16(vec![1, 2, 3, 4, 5, 6]));
}

#[test]
fn half_precision_is_exact() {
    for (half, value) in [
        (0x0000, 0.0),
        (0x0001, 5.960_464_5e-8),
        (0x03ff, 6.097_555e-5),
        (0x0400, 6.103_515_6e-5),
        (0x3c00, 1.0),
        (0x3555, 0.333_251_95),
        (0xc000, -2.0),
        (0x7bff, 65504.0),
        (0xfc00, f32::NEG_INFINITY),
    ] {
        assert_eq!(f32_from_half(half), value, "{half:#06x}");
    }
    assert!(f32_from_half(0x7e00).is_nan());
}

#[test]
fn hostile_headers_are_errors() {
    let huge = file("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 3), }", &[]);
    assert!(matches!(parse(&huge), Err(NpyError::TooLarge(_))));
    let tower = file(&"(".repeat(200_000), &[]);
    assert!(matches!(parse(&tower), Err(NpyError::Header(_))));
    let objects = file("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", &[]);
    assert!(matches!(parse(&objects), Err(NpyError::Type(_))));
}

#[test]
fn errors_say_found_and_expected() {
    let short = file("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", &[0; 20]);
    assert_eq!(
        parse(&short).unwrap_err().to_string(),
        "shape [2, 3] of <f4 needs 24 bytes of data and the file has 20"
    );
    assert_eq!(parse(b"PK\x03\x04").unwrap_err().to_string(), "not an npy file: it does not begin with \\x93NUMPY");
}

#[test]
fn archives_stored_and_deflated() {
    let x = Values::F32(vec![1.0, 2.0]);
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, method) in [("x.npy", zip::CompressionMethod::Stored), ("y.npy", zip::CompressionMethod::Deflated)] {
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        zip.start_file(name, options).unwrap();
        zip.write_all(&emit(&[2], &x)).unwrap();
    }
    let bytes = zip.finish().unwrap().into_inner();
    let mut npz = Npz::new(Cursor::new(&bytes)).unwrap();
    assert_eq!(npz.names(), ["x", "y"]);
    assert_eq!(npz.array("x").unwrap().values(), &x);
    assert_eq!(npz.array("y").unwrap().values(), &x);
    assert_eq!(npz.array("z").unwrap_err().to_string(), "no array \"z\" in the archive; it holds x, y");
    assert!(Npz::new(Cursor::new(&bytes[..50])).is_err());
}
