//! From the experiment to a model that has learned, command by command.

use super::*;

#[test]
fn iris_from_csv_to_int8() {
    let desk = Desk::with_iris(100);
    assert_eq!(desk.files(), ["history.csv", "model.safetensors", "report.html"]);
    let history = String::from_utf8(desk.read("history.csv")).unwrap();
    assert_eq!(history.lines().next(), Some("epoch,seconds,loss,accuracy,val_loss,val_accuracy"));
    assert_eq!(history.lines().count(), 101);

    let experiment = repository("experiments/iris.toml");
    desk.succeed(&["pack", "model.safetensors", "-o", "f32.emb"]);
    desk.succeed(&["quantize", "model.safetensors", "--scheme", "int8", "--calibration", &experiment, "-o", "i8.emb"]);
    for model in ["model.safetensors", "f32.emb", "i8.emb"] {
        let accuracy = desk.json(&["eval", model, "--data", &experiment])[0]["accuracy"].as_f64().unwrap();
        assert!(accuracy >= 0.93, "{model}: {accuracy}");
        assert!(desk.succeed(&["inspect", model]).contains("dense_1"));
    }
    // The same samples as a plain table: all of them, with the classes that the model knows.
    let table = repository("datasets/iris.csv");
    let lines = desk.json(&["eval", "i8.emb", "--data", &table]);
    assert_eq!((&lines[0]["samples"], &lines[0]["classes"][2]["name"]), (&150.into(), &"virginica".into()));
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let models = [Desk::with_iris(5), Desk::with_iris(5)].map(|desk| desk.read("model.safetensors"));
    assert!(models[0] == models[1]);
}

#[test]
fn samples_in_the_models_own_type_give_outputs_in_it() {
    let desk = Desk::with_iris(30);
    let experiment = repository("experiments/iris.toml");
    desk.succeed(&["quantize", "model.safetensors", "--calibration", &experiment, "-o", "i8.emb"]);
    desk.write("x.npy", npy(&[2, 4], &[5.1, 3.5, 1.4, 0.2, 6.3, 3.3, 6.0, 2.5]));
    desk.succeed(&["run", "i8.emb", "--input", "x.npy", "--output", "y.npy", "--prepare"]);
    let y = embernet::data::read_array(&desk.path("y.npy")).unwrap();
    let embernet::data::Values::F32(y_values) = y.values() else { panic!("{y:?}") };
    assert_eq!(y.shape(), [2, 3]);
    assert!(y_values[0] > 0.8 && y_values[5] > 0.8, "setosa, then virginica: {y_values:?}");

    let raw = embernet::data::Values::I8(vec![0; 8]);
    desk.write("raw.npy", embernet::data::npy::emit(&[2, 4], &raw));
    desk.succeed(&["run", "i8.emb", "--input", "raw.npy", "--output", "out.npy"]);
    let out = embernet::data::read_array(&desk.path("out.npy")).unwrap();
    assert_eq!((out.shape(), out.values().type_name()), (&[2, 3][..], "int8"));
}

#[test]
fn learning_goes_on_from_what_was_learned() {
    let desk = Desk::with_iris(3);
    let experiment = repository("experiments/iris.toml");
    desk.succeed(&[
        "pack",
        "model.safetensors",
        "-o",
        "a.emb",
        "--train",
        "all",
        "--optimizer",
        "adam",
        "--batch",
        "10",
    ]);
    let learn = |from: &str, to: &str| {
        let args = ["learn", from, "--data", &experiment, "--part", "train", "--epochs", "5", "--lr", "0.01", "-o", to];
        let lines = desk.json(&args);
        assert_eq!(lines.len(), 6);
        (lines[0]["loss"].as_f64().unwrap(), lines[5].clone())
    };
    let (first, end) = learn("a.emb", "b.emb");
    let (again, same) = learn("a.emb", "b2.emb");
    assert_eq!((first, &end["weights_crc32"]), (again, &same["weights_crc32"]));
    assert!(desk.read("b.emb") == desk.read("b2.emb"));
    assert_eq!(end["steps"], 60);
    let (second, _) = learn("b.emb", "c.emb");
    assert!(second < first, "{second} < {first}");

    // The same into a checkpoint, which names its parent and packs to the same weights.
    let args = ["learn", "a.emb", "--data", &experiment, "--part", "train", "--epochs", "5", "--lr", "0.01"];
    desk.succeed(&[&args[..], &["--base", "model.safetensors", "-o", "b.safetensors"]].concat());
    let facts = desk.json(&["inspect", "b.safetensors"]);
    assert_eq!(facts[0]["parent"].as_str().unwrap().len(), 16);
    let accuracy = |model: &str| desk.json(&["eval", model, "--data", &experiment])[0]["accuracy"].clone();
    assert_eq!(accuracy("b.safetensors"), accuracy("b.emb"));
}

#[test]
fn samples_and_labels_as_npy_with_only_the_last_layer_learning() {
    let desk = Desk::with_iris(3);
    desk.succeed(&["pack", "model.safetensors", "-o", "a.emb", "--train", "last:1"]);
    desk.write("x.npy", npy(&[3, 4], &[5.1, 3.5, 1.4, 0.2, 6.0, 2.9, 4.5, 1.5, 6.3, 3.3, 6.0, 2.5]));
    desk.write("y.npy", npy_labels(&[0, 1, 2]));
    let args = ["learn", "a.emb", "--data", "x.npy", "--labels", "y.npy", "--seed", "7", "-o", "b.emb"];
    assert_eq!(desk.json(&args).last().unwrap()["steps"], 3);
    let trainable = |image: &str| desk.json(&["inspect", image])[0]["param_bytes"].clone();
    assert_eq!(trainable("b.emb"), 4 * 33);
}

#[test]
fn a_result_is_as_readable_as_any_new_file() {
    let desk = Desk::with_iris(1);
    desk.write("plain", "");
    let mode = |name: &str| desk.path(name).metadata().unwrap().permissions();
    assert_eq!(mode("model.safetensors"), mode("plain"));
}

#[test]
fn images_in_the_formats_of_flashing_tools() {
    let desk = Desk::with_iris(1);
    let pack = |format: &str, to: &str| {
        desk.succeed(&["pack", "model.safetensors", "-o", to, "--format", format, "--for", "m4", "--strip"]);
        desk.read(to)
    };
    let image = pack("bin", "a.emb");
    assert!(pack("hex", "a.hex").starts_with(b":02000004"));
    assert!(pack("c", "a.c").starts_with(b"/*"));
    assert_eq!(pack("uf2", "a.uf2").len() % 512, 0);
    // The ELF holds the whole slot: the record, then the image at the next erase unit.
    let elf = pack("elf", "a.elf");
    let at = elf.windows(image.len()).position(|window| window == image).unwrap();
    assert!(at > 4096 && elf.starts_with(b"\x7fELF"));
    assert!(pack("rust", "a.rs").starts_with(b"//"));
    let error = desk.fail(&["pack", "model.safetensors", "-o", "b.hex", "--format", "hex"]);
    assert!(error.contains("--address"), "{error}");
    // Any program for the board may come with it: here one that is the slot's own ELF, which takes its place.
    let with = |firmware: &str, board: &str, format: &str| {
        let arguments = ["pack", "model.safetensors", "-o", "b.out", "--for", board, "--format", format];
        desk.fail(&[&arguments[..], &["--firmware", firmware]].concat())
    };
    assert!(with("a.elf", "m4", "hex").contains("reach into"), "they overlap");
    assert!(with("a.elf", "rv32", "hex").contains("another processor"));
    assert!(with("a.hex", "m4", "hex").contains("ELF"));
    assert!(!desk.path("b.out").exists());
}

#[test]
fn a_model_is_drawn() {
    let desk = Desk::with_iris(1);
    desk.succeed(&["pack", "model.safetensors", "-o", "a.emb"]);
    for model in ["model.safetensors", "a.emb"] {
        desk.succeed(&["inspect", model, "--svg", "a.svg"]);
        let svg = String::from_utf8(desk.read("a.svg")).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
        assert!(["dense_1", "input", "output"].iter().all(|text| svg.contains(text)), "{svg}");
    }
    let text = desk.succeed(&["inspect", "model.safetensors"]);
    assert!(text.contains("as an image: flash") && text.contains("no plan takes less"), "{text}");
}

#[test]
fn a_foreign_model_runs_as_its_own_runtime_says() {
    let Some(folder) = testing::shared("models/tflm_hello_world_int8") else { return };
    let file = |name: &str| folder.join(name).display().to_string();
    let desk = Desk::new();
    assert!(desk.succeed(&["inspect", &file("model.tflite")]).contains("as an image"));
    desk.succeed(&["import", &file("model.tflite"), "-o", "a.emb"]);
    desk.succeed(&["run", "a.emb", "--input", &file("input_real.npy"), "--output", "y.npy"]);
    let [found, expected] = [desk.path("y.npy"), folder.join("output_real_ref.npy")]
        .map(|path| embernet::data::read_array(&path).unwrap().values().clone());
    assert_eq!(found, expected);
}

#[test]
fn integers_become_floats_again() {
    let Some(folder) = testing::shared("models/tflm_hello_world_int8") else { return };
    let file = |name: &str| folder.join(name).display().to_string();
    let desk = Desk::new();
    let array = |path: PathBuf| embernet::data::read_array(&path).unwrap().values().to_f32();
    // Scales and zero points of the model's input and output.
    let x: Vec<f32> = array(folder.join("input_real.npy")).iter().map(|q| (q + 128.0) * 0.024_480_1).collect();
    let y: Vec<f32> = array(folder.join("output_real_ref.npy")).iter().map(|q| (q - 5.0) * 0.008_290_96).collect();
    desk.write("x.npy", npy(&[256, 1], &x));
    desk.succeed(&["import", &file("model.tflite"), "--checkpoint", "--float", "-o", "f32.safetensors"]);
    desk.succeed(&["pack", "f32.safetensors", "-o", "f32.emb", "--train", "all"]);
    desk.succeed(&["quantize", "f32.safetensors", "--calibration", "x.npy", "-o", "i8.emb"]);
    for image in ["f32.emb", "i8.emb"] {
        desk.succeed(&["run", image, "--input", "x.npy", "--output", "y.npy"]);
        let found = array(desk.path("y.npy"));
        let most = found.iter().zip(&y).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(found.len() == y.len() && most < 0.05, "{image}: {most}");
    }
}

#[test]
fn nobody_is_locked_in() {
    let desk = Desk::with_iris(30);
    let experiment = repository("experiments/iris.toml");
    desk.succeed(&["quantize", "model.safetensors", "--calibration", &experiment, "-o", "i8.emb"]);
    desk.succeed(&["pack", "model.safetensors", "-o", "f32.emb", "--train", "all", "--batch", "10"]);
    desk.succeed(&["learn", "f32.emb", "--data", &experiment, "--part", "train", "-o", "learned.emb"]);
    desk.write("x.npy", npy(&[2, 4], &[0.1, -1.5, 1.4, 0.2, 1.3, 0.3, -0.6, 0.5]));
    for model in ["i8.emb", "f32.emb", "learned.emb", "model.safetensors"] {
        let text = desk.succeed(&["export", model, "-o", "out.tflite"]);
        assert!(text.contains("the class names, the preprocessing"), "{text}");
        desk.succeed(&["import", "out.tflite", "-o", "again.emb"]);
        if model.ends_with(".emb") {
            desk.succeed(&["run", model, "--input", "x.npy", "--output", "y.npy"]);
            desk.succeed(&["run", "again.emb", "--input", "x.npy", "--output", "z.npy"]);
            assert!(desk.read("y.npy") == desk.read("z.npy"), "{model}");
        }
    }
    let error = desk.fail(&["export", "i8.emb", "-o", "out.onnx"]);
    assert_eq!(error, "out.onnx: the one format to export is TFLite; end the name in .tflite");
}

#[test]
fn a_state_dict_fills_a_described_network() {
    let desk = Desk::with_iris(30);
    // The model's own weights under names that PyTorch would use.
    let bytes = desk.read("model.safetensors");
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let named = |name: &str| {
        let renames = [("dense/", "net.0."), ("dense_1/", "net.2."), ("dense_2/", "net.10."), ("kernel", "weight")];
        renames.iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
    };
    let views: Vec<_> = file.tensors().into_iter().map(|(name, view)| (named(&name), view)).collect();
    desk.write("weights.safetensors", safetensors::serialize(views, None).unwrap());

    let experiment = repository("experiments/iris.toml");
    let args = ["import", "weights.safetensors", "--graph", &experiment, "--checkpoint", "-o", "b.safetensors"];
    let text = desk.succeed(&args);
    assert!(text.contains("net.0") && text.contains("net.10"), "{text}");
    assert!(desk.read("b.safetensors") == bytes, "the same model in the same bytes");
    let error = desk.fail(&["import", "weights.safetensors", "-o", "c.emb"]);
    assert!(error.contains("without a graph") && error.contains("--graph"), "{error}");
    let error = desk.fail(&[&args[..4], &["--map", "dense=net.2", "-o", "c.emb"]].concat());
    assert!(error.starts_with("weights.safetensors: module `net.2` has bias"), "{error}");
}

/// Samples twice as large as in training, and moved: what a model expects comes back without a label.
#[test]
fn inputs_are_brought_back() {
    let desk = Desk::with_iris(60);
    let experiment = repository("experiments/iris.toml");
    desk.succeed(&["quantize", "model.safetensors", "--calibration", &experiment, "-o", "i8.safetensors"]);
    desk.succeed(&["pack", "i8.safetensors", "--normalise", "--train", "last:1", "-o", "i8.emb"]);
    assert!(desk.succeed(&["inspect", "i8.emb"]).contains("NormaliseI8"));
    let usual: Vec<f32> = (0..400).map(|n| ((n * 37) % 101) as f32 / 25.0 - 2.0).collect();
    let moved: Vec<f32> = usual.iter().map(|x| x / 2.0 - 0.5).collect();
    desk.write("usual.npy", npy(&[100, 4], &usual));
    desk.write("moved.npy", npy(&[100, 4], &moved));
    let learn = ["learn", "i8.emb", "--normalise", "--epochs", "0", "--prepared", "--data"];
    for (data, image) in [("usual.npy", "usual.emb"), ("moved.npy", "moved.emb")] {
        let lines = desk.json(&[&learn[..], &[data, "-o", image]].concat());
        assert_eq!((&lines[0]["done"], &lines[0]["normalised"]), (&true.into(), &100.into()));
    }
    let answers = |image: &str, data: &str| -> Vec<f32> {
        desk.succeed(&["run", image, "--input", data, "--output", "y.npy"]);
        embernet::data::read_array(&desk.path("y.npy")).unwrap().values().to_f32()
    };
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>();
    let expected = answers("usual.emb", "usual.npy");
    let (as_it_is, back) = (answers("i8.emb", "moved.npy"), answers("moved.emb", "moved.npy"));
    assert!(5.0 * distance(&back, &expected) < distance(&as_it_is, &expected));

    // The same tables in a checkpoint, and in an image made of that.
    desk.succeed(&[&learn[..], &["moved.npy", "--base", "i8.safetensors", "-o", "moved.safetensors"]].concat());
    desk.succeed(&["pack", "moved.safetensors", "-o", "again.emb"]);
    assert_eq!(answers("again.emb", "moved.npy"), back);
    assert!(desk.fail(&["export", "moved.emb", "-o", "x.tflite"]).contains("layer `normalise`"));

    let fail = |args: &[&str]| desk.fail(args);
    assert_eq!(
        fail(&["pack", "model.safetensors", "--normalise", "-o", "x.emb"]),
        "inputs cannot be normalised: its first layer takes f32; this is for models that begin in int8"
    );
    desk.succeed(&["export", "i8.safetensors", "-o", "i8.tflite"]);
    desk.succeed(&["import", "i8.tflite", "-o", "foreign.safetensors"]);
    assert!(fail(&["pack", "foreign.safetensors", "--normalise", "-o", "x.emb"]).contains("--normalise=DATA"));
    desk.succeed(&["pack", "foreign.safetensors", "--normalise=usual.npy", "-o", "foreign.emb"]);
    desk.succeed(&["pack", "i8.safetensors", "--train", "last:1", "-o", "plain.emb"]);
    assert_eq!(
        fail(&["learn", "plain.emb", "--normalise", "--data", "moved.npy", "--epochs", "0", "-o", "x.emb"]),
        "plain.emb does not normalise its inputs; pack it with --normalise"
    );
    assert!(
        fail(&["learn", "i8.emb", "--data", "moved.npy", "--epochs", "0", "-o", "x.emb"]).contains("--epochs is 0")
    );
}
