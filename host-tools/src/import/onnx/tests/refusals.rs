//! What cannot be imported, and what the messages say.

use super::*;

#[test]
fn all_unsupported_operators_are_named_at_once() {
    let file = File::new(16)
        .input("x", &["1", "4"])
        .node("GridSample", &["x", "x"], "a", &[])
        .node("Relu", &["a"], "b", &[])
        .node_in("ai.onnx.ml", "TreeEnsemble", &["x"], &["c"], &[])
        .output("b");
    let text = refusal(&file);
    assert_eq!(text, "not supported: GridSample (node 0 `a`), ai.onnx.ml.TreeEnsemble (node 2 `c`)");
}

#[test]
fn open_sizes_name_the_flag() {
    let file = File::new(13).input("x", &["batch", "3", "height", "32"]).output("x");
    let text = refusal(&file);
    assert!(text.contains("axis 2 `height` is not known"), "{text}");
    assert!(text.contains("--shape x=N,3,N,32"), "{text}");
    let fixed = |shape: &[usize]| {
        let options = Options { shapes: [("x".to_owned(), shape.to_vec())].into(), ..Options::default() };
        from_bytes(&file.to_bytes(), &options).map_err(|e| chain(&e))
    };
    assert!(fixed(&[1, 3, 8, 32]).is_ok());
    assert!(fixed(&[1, 4, 8, 32]).unwrap_err().contains("the file has batchx3xheightx32"));
    let options = Options { shapes: [("y".to_owned(), vec![1])].into(), ..Options::default() };
    assert!(
        chain(&from_bytes(&file.to_bytes(), &options).unwrap_err())
            .contains("`y` is not an input of the model; there are: x")
    );
}

#[test]
fn errors_name_node_and_operator() {
    let file = File::new(13)
        .input("x", &["1", "2", "5", "5"])
        .floats("w", &[1, 3, 2, 2], &[1.0; 12])
        .node("Conv", &["x", "w"], "y", &[])
        .output("y");
    assert_eq!(
        refusal(&file),
        "node 0 `y` (Conv): weights has shape 1x3x2x2, expected filters x 2 / 1 groups x window"
    );
}

#[test]
fn what_is_no_model_is_said() {
    let text = |bytes: &[u8]| chain(&from_bytes(bytes, &Options::default()).unwrap_err());
    assert_eq!(text(b""), "not an ONNX file: it holds no graph");
    assert!(text(b"TFL3 something else").starts_with("not an ONNX file"));
    let mut file = small_cnn();
    file.opset = 3;
    assert!(refusal(&file).contains("operator set 3 is not supported; this program knows 6 to 25"));
    assert!(refusal(&File::new(13).input("x", &["1", "2"]).output("y")).contains("output `y`: no node makes it"));
}

#[test]
fn values_outside_of_the_file_must_lie_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let external = |location: &str| {
        let entry = file::Message::default().text(1, "location").text(2, location);
        let tensor = file::Message::default().int(1, 2).int(2, 1).text(8, "w").bytes(13, &entry.0).int(14, 1);
        let mut file = File::new(13).input("x", &["1", "2"]).node("Add", &["x", "w"], "y", &[]).output("y");
        file.graph = file.graph.bytes(5, &tensor.0);
        file.to_bytes()
    };
    let path = folder.path().join("model.onnx");
    let load = |location: &str| {
        std::fs::write(&path, external(location)).unwrap();
        super::super::load(&path, &Options::default()).map_err(|e| chain(&e))
    };
    assert!(load("../w.bin").unwrap_err().contains("only a plain file name beside the model is accepted"));
    assert!(load("w.bin").unwrap_err().contains("w.bin"));
    std::fs::write(folder.path().join("w.bin"), [0u8; 4]).unwrap();
    assert!(load("w.bin").unwrap_err().contains("has 1 values; shape 2 needs 2"));
    std::fs::write(folder.path().join("w.bin"), [0u8; 8]).unwrap();
    assert!(load("w.bin").is_ok());
    let bytes = external("w.bin");
    assert!(chain(&from_bytes(&bytes, &Options::default()).unwrap_err()).contains("lie outside of the file"));
}
