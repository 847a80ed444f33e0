//! Training that is interrupted, goes wrong, or cannot be written; and data sets to be fetched.

use super::*;

/// A model file without what may differ between runs: nothing.
fn model(desk: &Desk, folder: &str) -> Vec<u8> {
    desk.read(&format!("{folder}/model.safetensors"))
}

/// The history without its clock.
fn history(desk: &Desk, folder: &str) -> Vec<String> {
    let text = String::from_utf8(desk.read(&format!("{folder}/history.csv"))).unwrap();
    let without_clock = |line: &str| {
        let mut cells: Vec<&str> = line.split(',').collect();
        cells.remove(1);
        cells.join(",")
    };
    text.lines().map(without_clock).collect()
}

#[cfg(unix)]
#[test]
fn control_c_saves_and_the_rest_gives_the_same_bits() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;

    let desk = Desk::new();
    let experiment = repository("experiments/digits.toml");
    let epochs = ["--epochs", "25"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_embernet"))
        .args(["train", &experiment, "--out", "cut"])
        .args(epochs)
        .current_dir(desk.folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The first epoch is done when its line comes.
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success(), "{rest}");
    assert!(rest.contains("; go on with: embernet train --resume cut"), "{rest}");
    let stopped = history(&desk, "cut").len();
    assert!((2..26).contains(&stopped), "{stopped}");

    let lines = desk.json(&["train", "--resume", "cut"]);
    assert_eq!(lines.last().unwrap()["stopped"], false);
    assert!(!desk.path("cut/state.safetensors").exists(), "what is finished needs no state");
    desk.succeed(&[&["train", &experiment, "--out", "whole"][..], &epochs].concat());
    assert_eq!(history(&desk, "cut"), history(&desk, "whole"));
    assert!(model(&desk, "cut") == model(&desk, "whole"));

    let error = desk.fail(&["train", "--resume", "cut"]);
    assert_eq!(error, "cut has no interrupted training: there is no cut/state.safetensors");
    desk.write("cut/state.safetensors", b"no state");
    assert!(desk.fail(&["train", "--resume", "cut"]).starts_with("cut/state.safetensors: not the state of a training"));
}

/// Mean squared error with so large a rate that every step makes it larger.
fn runaway(lr: f64, batch: usize) -> String {
    let experiment = std::fs::read_to_string(repository("experiments/iris.toml")).unwrap();
    let experiment = experiment.replace("../datasets/iris.csv", &repository("datasets/iris.csv"));
    let (data, _) = experiment.split_once("[model]").unwrap();
    format!(
        "{data}[model]\nlayers = [{{ type = \"dense\", units = 3 }}]\n[train]\nloss = \"mse\"\nepochs = 1000\n\
         batch = {batch}\noptimizer = {{ type = \"sgd\", lr = {lr:?} }}\n"
    )
}

#[test]
fn numbers_that_run_away_keep_the_last_good_model() {
    let desk = Desk::new();
    desk.write("e.toml", runaway(10.0, 120));
    let output = desk.run(&["train", "e.toml", "--out", "o", "--json"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(
        error.contains("training diverged in epoch ") && error.contains(" of layer `dense` gave the first"),
        "{error}"
    );
    let epochs = String::from_utf8(output.stdout).unwrap().lines().count();
    assert!(epochs > 1, "{epochs}");
    assert!(error.contains(&format!("o/model.safetensors is as it was after epoch {epochs}")), "{error}");
    assert_eq!(history(&desk, "o").len(), 1 + epochs);
    desk.succeed(&["pack", "o/model.safetensors", "-o", "a.emb"]);

    // In the first epoch there is nothing good to keep.
    desk.write("e.toml", runaway(1e30, 30));
    std::fs::create_dir(desk.path("p")).unwrap();
    let error = desk.fail(&["train", "e.toml", "--out", "p", "--epochs", "1"]);
    assert!(error.starts_with("training diverged in epoch 1, batch 2: step "), "{error}");
    assert!(std::fs::read_dir(desk.path("p")).unwrap().next().is_none());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_one_clear_line() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("o")).unwrap();
    std::os::unix::fs::symlink("/dev/full", desk.path("o/model.safetensors")).unwrap();
    let output = desk.run(&["train", &repository("experiments/iris.toml"), "--out", "o", "--epochs", "2"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(error, "error: cannot write /dev/full: No space left on device (os error 28)\n");
    let files: Vec<_> = std::fs::read_dir(desk.path("o")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["model.safetensors"], "nothing half-written beside it");
}

#[test]
fn threads_are_at_least_one() {
    let desk = Desk::new();
    let output = desk.run(&["train", &repository("experiments/iris.toml"), "--threads", "0"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.starts_with("error: invalid value '0' for '--threads <N>'"), "{error}");
}

#[test]
fn idx_files_whose_header_and_length_disagree() {
    let desk = Desk::new();
    let images =
        |count: u8, bytes: usize| [&[0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 2, 0, 0, 0, 2][..], &vec![7; bytes]].concat();
    let labels = [0, 0, 8, 1, 0, 0, 0, 4, 0, 1, 0, 1];
    desk.write(
        "e.toml",
        "[data]\nx = \"x\"\ny = \"y\"\nshape = [4]\nsplit = 0.5\n[model]\nlayers = [{ type = \"dense\", units = 2, \
         activation = \"softmax\" }]\n[train]\nepochs = 1\n",
    );
    let fail = |x: Vec<u8>, y: &[u8]| {
        desk.write("x", x);
        desk.write("y", y);
        desk.fail(&["train", "e.toml", "--out", "."])
    };
    assert_eq!(
        fail(images(4, 15), &labels),
        "x: the header says [4, 2, 2] of 1-byte numbers, which need 16 bytes; 15 follow"
    );
    assert_eq!(fail(images(4, 16), &labels[..6]), "y: the IDX header needs 8 bytes and the file has 6");
    assert_eq!(fail(images(3, 12), &labels), "y: 3 samples and 4 labels");
    let mut huge = images(4, 16);
    huge[4..16].fill(0xff);
    assert!(fail(huge, &labels).starts_with("x: shape [4294967295, 4294967295, 4294967295] is too large"));
    desk.write("x", images(4, 16));
    desk.succeed(&["train", "e.toml", "--out", "."]);
}

#[test]
fn data_sets_are_known_and_the_network_may_be_absent() {
    let desk = Desk::new();
    assert_eq!(desk.fail(&["data", "get", "mnost"]), "there is no data set `mnost`; known: mnist");
    // Nobody listens on port 1.
    let error = desk.fail(&["data", "get", "mnist", "--from", "http://127.0.0.1:1/mnist"]);
    assert!(error.starts_with("cannot fetch train-images-idx3-ubyte: http://127.0.0.1:1/mnist: "), "{error}");
    assert!(error.ends_with("without a network, copy the files of the set into data/mnist from elsewhere"), "{error}");
}
