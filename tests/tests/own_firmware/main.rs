//! What `embernet new` writes compiles for every board that it is offered for, and its sensors and features give the
//! right numbers.
#![allow(clippy::duplicate_mod)] // The features are compiled beside each sensor, as in a project.

mod accelerometer;
mod adc;
mod microphone;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use embernet::link::{Board, workspace};
use embernet::project::{Project, Sensor, Source};
use embernet_tests::firmware::has_target;

/// One of three HALs, and every sensor, the first as a whole program: the rest takes minutes.
#[test]
fn some_projects_compile() {
    compiles("nucleo-f446", Sensor::Accelerometer, "build");
    compiles("pico", Sensor::Microphone, "check");
    compiles("nrf52840-dk", Sensor::Adc, "check");
}

#[test]
#[ignore = "builds programs for every board and sensor"]
fn all_projects_link() {
    for board in Project::boards() {
        for sensor in Sensor::ALL {
            compiles(&board.name, sensor, "build");
        }
    }
}

#[test]
fn a_project_reads_well() {
    let files = project("wand", "pico", Sensor::Accelerometer).files().unwrap();
    let text = |name: &str| files.iter().find(|(path, _)| *path == name).unwrap().1.clone();
    for name in ["src/main.rs", "src/board.rs", "memory.x"] {
        insta::assert_snapshot!(name.replace(['/', '.'], "_"), String::from_utf8(text(name)).unwrap());
    }
}

fn project<'a>(name: &'a str, board: &str, sensor: Sensor) -> Project<'a> {
    let board = Board::named(board).unwrap();
    Project { name, board, sensor, source: Source::Checkout(workspace()), model: None }
}

/// Lets cargo check or build a project, which must work without a warning. All share one target folder, so that each
/// HAL compiles once.
fn compiles(board: &str, sensor: Sensor, verb: &str) {
    let name = format!("{board}-{}", sensor.name());
    let project = project(&name, board, sensor);
    if !has_target(&project.board.target) {
        return eprintln!("skipped: {name}: rustc has no target {}; `cargo xtask setup` adds it", project.board.target);
    }
    let folder = write(&project);
    let fetched = cargo(&folder, &["fetch", "--quiet"]);
    if !fetched.status.success() {
        let why = String::from_utf8_lossy(&fetched.stderr).into_owned();
        let no_network = ["download", "network", "resolve host", "--offline", "connect", "timed out"];
        assert!(no_network.iter().any(|sign| why.contains(sign)), "{name}: {why}");
        return eprintln!("skipped: {name}: its crates cannot be fetched: {}", why.trim());
    }
    let output = cargo(&folder, &[verb, "--release", "--quiet"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{name}: {said}");
    eprintln!("{name}: {verb} passed");
}

/// The project's folder; a file that is there already with the same bytes stays as it is, so that cargo does nothing.
fn write(project: &Project<'_>) -> PathBuf {
    let folder = workspace().join("target/own/projects").join(project.name);
    for (name, bytes) in project.files().unwrap() {
        let path = folder.join(name);
        // Cargo has taken out what the project does not use; what is left is ours.
        if fs::read(&path).is_ok_and(|there| there == bytes) || (name == "Cargo.lock" && path.exists()) {
            continue;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

fn cargo(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(folder).env("CARGO_TARGET_DIR", workspace().join("target/own/target"));
    // What the outer cargo says of this package is not for the inner one.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command.output().unwrap()
}
