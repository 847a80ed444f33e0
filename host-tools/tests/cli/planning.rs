//! From a checkpoint to a plan, and from the plan to an image that learns.

use super::*;

#[test]
fn a_plan_becomes_an_image_of_exactly_its_bytes() {
    let desk = Desk::with_iris(5);
    let experiment = repository("experiments/iris.toml");
    let common = ["plan", "model.safetensors", "--board", "m4", "--optimizer", "adam", "--data", &experiment];
    let whole = desk.json(&common)[0].clone();
    let (needs, gain) = (whole["best"]["ram_bytes"].as_u64().unwrap(), whole["best"]["gain"].as_f64().unwrap());
    assert!(whole["best"]["fits"] == true && gain == 1.0, "{whole}");

    // A byte less than everything needs: something else is the best.
    let ram = (needs - 1).to_string();
    let tight = [&common[..], &["--ram", &ram, "--batch", "8", "-o", "plan.toml", "--svg", "plan.svg"]].concat();
    let line = desk.json(&tight)[0].clone();
    let planned = line["best"]["ram_bytes"].as_u64().unwrap();
    assert!(planned < needs, "{line}");
    assert!(String::from_utf8(desk.read("plan.svg")).unwrap().starts_with("<svg "));
    let packed = desk.json(&["pack", "model.safetensors", "--plan", "plan.toml", "-o", "a.emb"]);
    assert_eq!(packed[0]["arena_bytes"].as_u64(), Some(planned));
    desk.succeed(&["learn", "a.emb", "--data", &experiment, "--part", "train", "--epochs", "2", "-o", "b.emb"]);

    // What does not fit says by how much, and fails.
    let output = desk.run(&["plan", "model.safetensors", "--board", "m0", "--ram", "60"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.starts_with("error: the smallest choice needs ") && error.contains(" more than there are"),
        "{error}"
    );
    assert!(String::from_utf8(output.stdout).unwrap().contains("instructions"));

    // The plan of another model.
    let other = Desk::with_iris(1);
    std::fs::copy(desk.path("plan.toml"), other.path("plan.toml")).unwrap();
    let text = std::fs::read_to_string(other.path("plan.toml")).unwrap();
    std::fs::write(other.path("plan.toml"), text.replace("ram_bytes = ", "ram_bytes = 1")).unwrap();
    let error = other.fail(&["pack", "model.safetensors", "--plan", "plan.toml", "-o", "a.emb"]);
    assert!(error.starts_with("plan.toml was made for another model: it plans 1"), "{error}");
}

#[test]
fn ways_to_learn_are_told_to_pack() {
    let desk = Desk::with_iris(2);
    let bytes = |more: &[&str]| {
        let args = [&["pack", "model.safetensors", "-o", "a.emb", "--optimizer", "adam", "--train"], more].concat();
        desk.json(&args)[0]["train_arena_bytes"].as_u64().unwrap()
    };
    let all = bytes(&["all"]);
    for fewer in [
        &["all:bias"][..],
        &["last:1:channels=0-1"],
        &["dense:lora=1,last:1:bias"],
        &["all", "--state", "bf16"],
        &["all", "--state", "8bit"],
        &["all", "--recompute", "dense"],
    ] {
        assert!(bytes(fewer) < all, "{fewer:?}");
    }
    assert!(bytes(&["all", "--accumulate", "4"]) > all);
    let fail = |args: &[&str]| desk.fail(&[&["pack", "model.safetensors", "-o", "b.emb"], args].concat());
    assert_eq!(fail(&["--optimizer", "adam"]), "--optimizer, --lr and --loss are for images that train: add --train");
    assert!(fail(&["--train", "all", "--optimizer", "adagrad", "--state", "8bit"]).contains("does not start from 0"));
    assert!(fail(&["--train", "dense:channels=99"]).contains("it has 10 channels"));
}

#[test]
fn normalised_inputs_are_a_choice_and_count() {
    let desk = Desk::with_iris(30);
    let experiment = repository("experiments/iris.toml");
    desk.succeed(&["quantize", "model.safetensors", "--calibration", &experiment, "-o", "i8.safetensors"]);
    let plan = ["plan", "i8.safetensors", "--board", "m0", "--data", &experiment];
    let text = desk.succeed(&plan);
    assert!(
        text.contains("normalise alone") && text.contains("272 B of state; over these samples the loss is"),
        "{text}"
    );
    let best = |lines: Vec<serde_json::Value>| lines[0]["best"]["ram_bytes"].as_u64().unwrap();
    let without = best(desk.json(&plan));
    let with = best(desk.json(&[&plan[..], &["--normalise", "-o", "plan.toml"]].concat()));
    // One table and what is measured.
    assert_eq!(with, without + 272);
    let line = &desk.json(&["pack", "i8.safetensors", "--plan", "plan.toml", "-o", "model.emb"])[0];
    assert_eq!(line["arena_bytes"].as_u64(), Some(with));
    assert!(desk.succeed(&["inspect", "model.emb"]).contains("NormaliseI8"));
}
