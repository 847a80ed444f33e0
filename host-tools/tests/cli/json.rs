//! `--json`: JSON lines and nothing else.

use super::*;

fn keys(line: &serde_json::Value) -> Vec<&str> {
    line.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn training_tells_every_epoch_and_the_end() {
    let desk = Desk::new();
    let lines = desk.json(&["train", &repository("experiments/iris.toml"), "--out", "o", "--epochs", "2"]);
    assert_eq!(lines.len(), 3);
    for (index, line) in lines[..2].iter().enumerate() {
        assert_eq!(line["epoch"], index + 1);
        assert_eq!(keys(line), ["accuracy", "epoch", "loss", "seconds", "val_accuracy", "val_loss"]);
        assert!(line.as_object().unwrap().values().all(serde_json::Value::is_number));
    }
    let end = &lines[2];
    assert_eq!(end["done"], true);
    assert!(end["test_accuracy"].is_f64() && end["samples_per_s"].is_f64(), "{end}");
    assert!(desk.path(end["model"].as_str().unwrap()).is_file());
}

#[test]
fn a_run_tells_what_it_cost() {
    let desk = Desk::with_iris(1);
    desk.succeed(&["pack", "model.safetensors", "-o", "a.emb"]);
    desk.write("x.npy", npy(&[2, 4], &[0.0; 8]));
    let lines = desk.json(&["run", "a.emb", "--input", "x.npy", "--output", "y.npy", "--profile"]);
    let [line] = &lines[..] else { panic!("{lines:?}") };
    for key in ["target", "instructions", "arena_bytes", "stack_bytes", "flash_bytes", "per_layer"] {
        assert!(line.get(key).is_some(), "{key}");
    }
    assert_eq!((&line["target"], &line["samples"]), (&"host".into(), &2.into()));
    let layers = line["per_layer"].as_array().unwrap();
    assert_eq!(layers.len(), 4);
    assert!(layers.iter().all(|layer| layer["nanoseconds"].is_u64()));
    // People get the same as a table with a last row.
    let text = desk.succeed(&["run", "a.emb", "--input", "x.npy", "--output", "y.npy", "--profile"]);
    let total = text.lines().rev().find(|line| line.trim_start().starts_with("total")).unwrap();
    let sum: u64 = layers.iter().map(|layer| layer["macs"].as_u64().unwrap()).sum();
    let mut cells = total.split_whitespace().skip(1);
    assert_eq!(cells.next(), Some(sum.to_string().as_str()), "{text}");
    assert_eq!(cells.next(), Some(line["arena_bytes"].to_string().as_str()), "{text}");
    assert!(cells.next().is_some(), "{text}");
}

#[test]
fn a_profile_tells_how_far_each_layer_is_from_the_float_model() {
    let desk = Desk::with_iris(1);
    let experiment = repository("experiments/iris.toml");
    desk.succeed(&["quantize", "model.safetensors", "--calibration", &experiment, "-o", "i8.emb"]);
    desk.write("x.npy", npy(&[2, 4], &[5.1, 3.5, 1.4, 0.2, 6.2, 2.9, 4.3, 1.3]));
    let run = ["run", "i8.emb", "--input", "x.npy", "--output", "y.npy", "--prepare", "--profile", "--against"];
    let lines = desk.json(&[&run[..], &["model.safetensors"]].concat());
    let layers = lines[0]["per_layer"].as_array().unwrap();
    let told: Vec<f64> = layers.iter().filter_map(|layer| layer["snr_db"].as_f64()).collect();
    assert!(told.len() >= 3 && told.iter().all(|db| *db > 10.0), "{layers:?}");
}

#[test]
fn every_command_has_it() {
    let desk = Desk::with_iris(1);
    let experiment = repository("experiments/iris.toml");
    for args in [
        &["pack", "model.safetensors", "-o", "a.emb", "--train", "all"][..],
        &["quantize", "model.safetensors", "--calibration", &experiment, "-o", "i8.emb"],
        &["inspect", "a.emb"],
        &["inspect", "model.safetensors"],
        &["eval", "a.emb", "--data", &experiment],
        &["learn", "a.emb", "--data", &experiment, "-o", "b.emb"],
    ] {
        assert!(!desk.json(args).is_empty(), "{args:?}");
    }
}
