//! One clear line, exit status 1, nothing half-written.

use super::*;

#[test]
fn files_that_are_not_there_or_something_else() {
    let desk = Desk::with_iris(1);
    assert!(desk.fail(&["train", "none.toml"]).starts_with("cannot read none.toml: "));
    assert!(desk.fail(&["inspect", "none.emb"]).starts_with("cannot read none.emb: "));
    desk.write("foreign.emb", b"\x7fELF and more");
    assert!(desk.fail(&["inspect", "foreign.emb"]).starts_with("foreign.emb: not a safetensors file"));
    assert!(desk.fail(&["run", "foreign.emb", "--input", "x", "--output", "y"]).contains("not an embernet image"));
    let error = desk.fail(&["run", "model.safetensors", "--input", "x.npy", "--output", "y.npy"]);
    assert!(error.starts_with("model.safetensors: not an embernet image"), "{error}");
}

#[test]
fn foreign_models_are_told_apart_and_advice_given() {
    let desk = Desk::with_iris(1);
    for (bytes, advice) in [
        (&b"PK\x03\x04........archive/data.pkl"[..], "a PyTorch pickle (.pt, .pth), which can run any code"),
        (b"\x80\x02}q", "safetensors.torch.save_file"),
        (b"\x89HDF\r\n\x1a\n....", "it is HDF5, as Keras writes it (.h5): convert the model with tf.lite"),
        (b"PK\x03\x04....model.weights.h5", "it is a Keras model (.keras)"),
        (b"hello", "it is a text"),
    ] {
        desk.write("thing", bytes);
        let error = desk.fail(&["import", "thing", "-o", "a.emb"]);
        assert!(error.starts_with("thing: no model that can be imported: ") && error.contains(advice), "{error}");
        let error = desk.fail(&["pack", "thing", "-o", "a.emb"]);
        assert!(error.starts_with("thing: not a safetensors file: ") && error.contains(advice), "{error}");
    }
}

#[test]
fn truncated_files() {
    let desk = Desk::with_iris(1);
    desk.succeed(&["pack", "model.safetensors", "-o", "whole.emb", "--train", "all"]);
    let whole = desk.read("whole.emb");
    // The image ends before the file does: the graph lies behind it.
    let image = u32::from_le_bytes([whole[8], whole[9], whole[10], whole[11]]) as usize;
    desk.write("cut.emb", &whole[..image - 7]);
    let error = desk.fail(&["inspect", "cut.emb"]);
    assert!(error.starts_with("cut.emb: image is truncated: needs 2"), "{error}");
    let mut damaged = whole.clone();
    let inside = image - 100;
    damaged[inside] ^= 1;
    desk.write("damaged.emb", damaged);
    assert!(desk.fail(&["inspect", "damaged.emb"]).starts_with("damaged.emb: image is damaged: checksum of its data"));
    desk.write("tail.emb", &whole[..whole.len() - 7]);
    desk.succeed(&["inspect", "tail.emb"]);
    let error = desk.fail(&["export", "tail.emb", "-o", "a.tflite"]);
    assert_eq!(error, "tail.emb: the graph behind the image is damaged: it is cut short");
    desk.succeed(&["pack", "model.safetensors", "-o", "bare.emb", "--strip"]);
    let error = desk.fail(&["export", "bare.emb", "-o", "a.tflite"]);
    assert!(error.starts_with("bare.emb: the image carries no graph behind it"), "{error}");
    let model = desk.read("model.safetensors");
    desk.write("cut.safetensors", &model[..model.len() - 1]);
    assert!(desk.fail(&["pack", "cut.safetensors", "-o", "a.emb"]).starts_with("cut.safetensors: not a safetensors"));
}

#[test]
fn tables_with_bad_cells() {
    let desk = Desk::new();
    let experiment = std::fs::read_to_string(repository("experiments/iris.toml")).unwrap();
    desk.write("e.toml", experiment.replace("../datasets/iris.csv", "t.csv"));
    let table = |cell: &str| format!("a,b,c,d,kind\n1,2,3,4,x\n1,{cell},3,4,y\n5,6,7,8,z\n");
    for (cell, message) in [
        ("", "t.csv: row 2 (line 3), column \"b\": the cell is missing (\"\")"),
        ("zwei", "t.csv: row 2 (line 3), column \"b\": \"zwei\" is no number"),
    ] {
        desk.write("t.csv", table(cell));
        let error = desk.fail(&["train", "e.toml", "--out", "o"]);
        assert!(error.starts_with(message), "{error}");
        assert!(error.contains("\"drop\", \"mean\" or \"median\""), "{error}");
    }
}

#[test]
fn experiments_that_do_not_hold_together() {
    let desk = Desk::new();
    let good = std::fs::read_to_string(repository("experiments/iris.toml")).unwrap();
    let table = repository("datasets/iris.csv");
    let good = good.replace("../datasets/iris.csv", &table);
    for (from, to, message) in [
        ("epochs = 100", "epoch = 100", "e.toml:17:1: unknown field `epoch`"),
        ("units = 3", "units = 4", "e.toml:12: the last layer gives shape [4]; the data have 3 classes"),
        ("units = 3", "unit = 3", "e.toml:12:5: unknown field `unit`"),
        ("split = 0.8", "split = 8", "e.toml:6:9: 8 does not lie between 0 and 1"),
        ("standardise = true", "shape = [2, 3]", "e.toml:3: [data]: 4 values"),
    ] {
        assert!(good.contains(from));
        desk.write("e.toml", good.replace(from, to));
        let error = desk.fail(&["train", "e.toml", "--out", "o"]);
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn data_that_do_not_fit_the_model() {
    let desk = Desk::with_iris(1);
    desk.succeed(&["pack", "model.safetensors", "-o", "a.emb", "--train", "all"]);
    desk.write("x.npy", npy(&[2, 4], &[0.0; 8]));
    desk.write("wide.npy", npy(&[2, 5], &[0.0; 10]));
    desk.write("y.npy", npy_labels(&[0, 3]));
    desk.write("negative.npy", npy_labels(&[0, -1]));
    let learn = |x: &str, y: &str| desk.fail(&["learn", "a.emb", "--data", x, "--labels", y, "-o", "b.emb"]);
    assert_eq!(learn("x.npy", "y.npy"), "y.npy: row 2: label 3 is out of range; there are 3 classes (0 to 2)");
    assert!(learn("x.npy", "negative.npy").starts_with("negative.npy: row 2: label -1 is no class"));
    desk.write("ok.npy", npy_labels(&[0, 1]));
    assert!(learn("wide.npy", "ok.npy").starts_with("wide.npy: samples have shape [5], the model takes [4]"));
    let run = desk.fail(&["run", "a.emb", "--input", "wide.npy", "--output", "out.npy"]);
    assert_eq!(run, "wide.npy: shape [2, 5] is not [samples] of [4]");
    let mut cut = npy(&[2, 4], &[0.0; 8]);
    cut.truncate(cut.len() - 1);
    desk.write("cut.npy", cut);
    let run = desk.fail(&["run", "a.emb", "--input", "cut.npy", "--output", "out.npy"]);
    assert_eq!(run, "cut.npy: shape [2, 4] of <f4 needs 32 bytes of data and the file has 31");
}

#[test]
fn what_a_model_cannot_do() {
    let desk = Desk::with_iris(1);
    desk.succeed(&["pack", "model.safetensors", "-o", "a.emb"]);
    let experiment = repository("experiments/iris.toml");
    let error = desk.fail(&["learn", "a.emb", "--data", &experiment, "-o", "b.emb"]);
    assert_eq!(error, "a.emb has no training plan; pack it with --train");
    let error = desk.fail(&["pack", "model.safetensors", "-o", "b.emb", "--train", "dense_9"]);
    assert!(error.contains("no tensor or layer is called `dense_9`"), "{error}");
    let error = desk.fail(&["eval", "a.emb", "--data", &experiment, "--on", "qemu:z80"]);
    assert!(error.starts_with("there is no board `z80`; known: "), "{error}");
    assert!(
        desk.fail(&["quantize", "a.emb", "--calibration", &experiment, "-o", "b.emb"]).contains("needs a checkpoint")
    );
}

#[test]
fn an_image_larger_than_the_board() {
    let desk = Desk::new();
    let rows = (0..20).fold(String::from("a,b,kind\n"), |text, i| format!("{text}{i},1,{}\n", i % 2));
    desk.write("t.csv", rows);
    desk.write(
        "e.toml",
        "[data]\ncsv = \"t.csv\"\n[model]\nlayers = [{ type = \"dense\", units = 40000, activation = \"relu\" }, \
         { type = \"dense\", units = 2, activation = \"softmax\" }]\n[train]\nepochs = 1\n",
    );
    desk.succeed(&["train", "e.toml", "--out", "."]);
    let error = desk.fail(&["pack", "model.safetensors", "-o", "a.emb", "--for", "m0"]);
    assert!(error.starts_with("the image has ") && error.contains(" bytes, m0 takes 56320; "), "{error}");
    desk.succeed(&["pack", "model.safetensors", "-o", "large.emb"]);
    let flash = |image| desk.fail(&["flash", image, "--board", "m0", "--on", "serial:no-such-port"]);
    let error = flash("large.emb");
    assert!(error.starts_with("large.emb: the image has ") && error.contains(" bytes, m0 takes 56320; "), "{error}");
    assert!(
        error.contains("`embernet quantize` makes int8 of it") && error.contains("; it fits esp32-c3, "),
        "{error}"
    );
    let error = desk.fail(&["import", "model.safetensors", "--checkpoint", "-o", "a.safetensors", "--for", "m4"]);
    assert!(error.starts_with("--for m4 is for images"), "{error}");
}

#[test]
fn a_model_that_needs_more_memory_than_the_board_has() {
    let desk = Desk::new();
    desk.write("t.csv", (0..20).fold(String::from("a,kind\n"), |text, i| format!("{text}{i},{}\n", i % 2)));
    desk.write(
        "e.toml",
        "[data]\ncsv = \"t.csv\"\n[model]\nlayers = [{ type = \"dense\", units = 3000, activation = \"relu\" }, \
         { type = \"dense\", units = 2, activation = \"softmax\" }]\n[train]\nepochs = 1\n",
    );
    desk.succeed(&["train", "e.toml", "--out", "."]);
    desk.succeed(&["pack", "model.safetensors", "-o", "a.emb"]);
    let error = desk.fail(&["flash", "a.emb", "--board", "m0", "--on", "serial:no-such-port"]);
    assert!(
        error.starts_with("a.emb: the model needs ") && error.contains(" bytes of RAM, m0 has 10752 at most; "),
        "{error}"
    );
    assert!(error.contains("`--for BOARD --optimise ram` packs it for less; it fits "), "{error}");
}

#[test]
fn boards_that_cannot_be_flashed() {
    let desk = Desk::with_iris(1);
    desk.succeed(&["pack", "model.safetensors", "-o", "model.emb"]);
    let flash = |rest: &[&str]| desk.fail(&[&["flash", "model.emb", "--board", "m4"], rest].concat());
    assert!(flash(&[]).starts_with("how shall m4 be reached? --on serial:PORT ("));
    assert!(flash(&["--on", "host"]).starts_with("the host is no device; name one"));
    assert!(flash(&["--on", "serial:no-such-port"]).starts_with("there is no serial port no-such-port; "));
    assert!(flash(&["--drive", "."]).starts_with(". is no drive of a UF2 boot loader"));
    desk.write("INFO_UF2.TXT", "Board-ID: RPI-RP2\n");
    assert_eq!(flash(&["--drive", "."]), "board `m4` has no boot loader that shows up as a drive");
    let probe = flash(&["--probe"]);
    assert!(probe.contains("built without support for debug probes") || probe.contains("names no chip"), "{probe}");
    let error = desk.fail(&["flash", "model.safetensors", "--board", "m4"]);
    assert!(error.contains("model.safetensors"), "{error}");
    assert!(desk.fail(&["slots"]).starts_with("the host is no device"));
}

#[test]
fn devices_that_cannot_be_watched() {
    let desk = Desk::new();
    let monitor = |rest: &[&str]| desk.fail(&[&["monitor", "--on"], rest].concat());
    assert!(monitor(&["serial:no-such-port"]).starts_with("there is no serial port no-such-port; "));
    assert!(monitor(&["host"]).starts_with("the host is no device; name one"));
    assert!(monitor(&["moon"]).starts_with("\"moon\" is no place"));
    assert_eq!(monitor(&["probe"]), "name the board behind the probe with --board");
    assert!(monitor(&["serial:no-such-port", "--model", "none.emb"]).contains("none.emb"));
    assert!(desk.fail(&["start", "none.elf"]).starts_with("none.elf is not named after a board"));
}

#[test]
fn folders_that_cannot_be_written() {
    let desk = Desk::with_iris(1);
    let error = desk.fail(&["pack", "model.safetensors", "-o", "none/a.emb"]);
    assert!(error.starts_with("cannot write none/a.emb: "), "{error}");
    if cfg!(target_os = "linux") {
        let error = desk.fail(&["pack", "model.safetensors", "-o", "/dev/full"]);
        assert!(error.starts_with("cannot write /dev/full: No space left"), "{error}");
    }
}

#[test]
fn wrong_usage_has_its_own_status() {
    let desk = Desk::new();
    for args in [&["trian"][..], &["pack", "m.safetensors"], &["run", "a.emb", "--on", "moon"], &[]] {
        let output = desk.run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
    assert!(desk.run(&["--help"]).status.success());
}

#[test]
fn projects_that_cannot_be_written() {
    let desk = Desk::new();
    let error = desk.fail(&["new", "wand", "--board", "z80"]);
    assert!(error.contains("z80") && error.contains("pico"), "{error}");
    let error = desk.fail(&["new", "3d", "--board", "pico"]);
    assert_eq!(error, "no project 3d: \"3d\" is no name for a project: it begins with a letter");
    let error = desk.fail(&["new", "wand", "--board", "m4"]);
    assert!(
        error.contains("no template for m4, whose chip no HAL drives here; there are some for esp32-c3"),
        "{error}"
    );
    let error = desk.fail(&["new", "wand", "--board", "pico", "--checkout", "."]);
    assert!(error.contains(". holds no checkout of embernet, which is in no registry: "), "{error}");
    desk.write("wand", "something");
    let error = desk.fail(&["new", "wand", "--board", "pico"]);
    assert_eq!(error, "no project wand: wand is there already");
    desk.write("thing.emb", "no image");
    let error = desk.fail(&["new", "rod", "--board", "pico", "--model", "thing.emb"]);
    assert!(error.starts_with("thing.emb: not an embernet image"), "{error}");
}
