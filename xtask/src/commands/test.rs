//! `cargo xtask test`: what CI runs.

use crate::boards::{self, Board};
use crate::commands::firmware;
use crate::setup::Machine;
use crate::setup::targets::HOST_ARM;
use crate::steps::Steps;
use crate::{paths, tools};
use anyhow::Result;
use std::process::{Command, ExitCode};

/// Targets for which `core` alone must build without std: one per kind of instruction set that it knows.
const CORE_TARGETS: [&str; 5] = [
    "thumbv6m-none-eabi",
    "thumbv7m-none-eabi",
    "thumbv7em-none-eabihf",
    "thumbv8m.main-none-eabihf",
    "riscv32imc-unknown-none-elf",
];

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only firmware and tests: no formatting, lints, documentation or builds of core for other targets
    #[arg(long, conflicts_with = "long")]
    quick: bool,
    /// Also the tests marked as ignored because they take minutes
    #[arg(long)]
    long: bool,
}

/// Runs every check, then every test; the test runner has the last word.
///
/// One failure does not hide the next: all steps run, and the exit status tells whether one failed. What is for devices
/// is built in a folder of its own and mostly by one thread, so that the host's steps run beside it.
pub fn run(args: &Args) -> Result<ExitCode> {
    let machine = Machine::prepare();
    let clippy = has_component("clippy");
    let mut steps = Steps::default();
    if !clippy && !args.quick {
        steps.skip("lints: cargo clippy is not here; to get it: rustup component add clippy");
    }
    steps.both(
        |steps| {
            let boards = firmware_step(&machine, steps);
            if !args.quick {
                device_checks(&machine, &boards, clippy, steps);
            }
        },
        |steps| {
            if !args.quick {
                host_checks(&machine, clippy, steps);
            }
            steps.run("building the tests", test_runner(&machine).arg("--no-run"));
        },
    );
    say_what_is_left_out(&machine, &mut steps);
    if !steps.failed().is_empty() {
        eprintln!("failed so far: {}; the tests follow", steps.failed().join(", "));
    }
    let tests_pass = run_tests(&machine, args.long);
    if steps.failed().is_empty() {
        return Ok(if tests_pass { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    eprintln!("xtask: failed before the tests: {}", steps.failed().join(", "));
    Ok(ExitCode::FAILURE)
}

/// Builds every board's firmware; returns the boards that have one now.
fn firmware_step(machine: &Machine, steps: &mut Steps) -> Vec<Board> {
    match boards::all() {
        Ok(boards) => firmware::build(&boards, machine, steps),
        Err(error) => {
            steps.check("firmware", || Err(error));
            Vec::new()
        }
    }
}

/// What is not a test and runs here: formatting, lints, builds of core for other targets, documentation and its examples.
fn host_checks(machine: &Machine, clippy: bool, steps: &mut Steps) {
    if has_component("fmt") {
        steps.run("format", tools::cargo().args(["fmt", "--all", "--check"]));
    } else {
        steps.skip("format: cargo fmt is not here; to get it: rustup component add rustfmt");
    }
    if clippy {
        steps.run("lints", tools::cargo().args(["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"]));
    }
    for target in CORE_TARGETS {
        if !machine.builds(target) {
            steps.skip(format!("core for {target}: rustc has no such target; see `cargo xtask setup`"));
            continue;
        }
        let what = ["--package", "embernet-core", "--package", "embernet-app", "--target", target];
        steps.run(&format!("core and app for {target}"), &mut library(clippy, &what));
    }
    if machine.builds(HOST_ARM) {
        let what = ["--package", "embernet-core", "--features", "std", "--target", HOST_ARM];
        steps.run(&format!("core with its inner loops for {HOST_ARM}"), &mut library(clippy, &what));
    } else {
        steps.skip(format!("inner loops for {HOST_ARM}: rustc has no such target; see `cargo xtask setup`"));
    }
    let mut fast_math = tools::cargo();
    fast_math.args(["test", "--quiet", "--package", "embernet-core", "--features", "fast-math", "--lib", "math"]);
    steps.run("core with fast-math", &mut fast_math);
    let mut docs = tools::cargo();
    docs.args(["doc", "--quiet", "--no-deps", "--lib"]).env("RUSTDOCFLAGS", "-D warnings");
    steps.run("documentation", &mut docs);
    steps.run("examples in the documentation", tools::cargo().args(["test", "--quiet", "--doc"]));
}

/// A check of libraries, warnings being errors. Clippy builds too, and sees the code that only their target compiles.
fn library(clippy: bool, what: &[&str]) -> Command {
    let mut command = tools::cargo();
    command.args([if clippy { "clippy" } else { "check" }, "--quiet", "--lib"]).args(what);
    if clippy {
        command.args(["--", "-D", "warnings"]);
    }
    command
}

/// Lints of what is for devices, and the examples.
fn device_checks(machine: &Machine, boards: &[Board], clippy: bool, steps: &mut Steps) {
    for group in boards::groups(boards).iter().filter(|_| clippy) {
        // Lints what the boards are made of too, board support and app included.
        let mut command = firmware::cargo("clippy", group);
        steps.run(&format!("lints of {}", firmware::names(group)), command.args(["--", "-D", "warnings"]));
    }
    examples(machine, clippy, steps);
}

/// The examples for firmware of one's own, whole programs; those with a simulated sensor are for two chips.
fn examples(machine: &Machine, clippy: bool, steps: &mut Steps) {
    const M4: &str = "thumbv7em-none-eabihf";
    const M0: &str = "thumbv6m-none-eabi";
    let mut runs = vec![("build", M4, vec!["--features", "device"])];
    if clippy {
        let lints = ["--", "-D", "warnings"];
        let simulated = ["--features", "device,simulated"];
        runs.push(("clippy", M4, [&simulated[..], &lints].concat()));
        runs.push(("clippy", M0, [&simulated[..], &["--bin", "gesture", "--bin", "anomaly"], &lints].concat()));
    }
    for (verb, target, arguments) in runs {
        let what = format!("{verb} examples for firmware ({target})");
        if machine.builds(target) {
            steps.run(&what, firmware::cargo_for(verb, "embernet-examples", target).args(arguments));
        } else {
            steps.skip(format!("{what}: rustc has no such target; see `cargo xtask setup`"));
        }
    }
}

fn has_component(name: &str) -> bool {
    tools::output(tools::cargo().args([name, "--version"])).is_ok()
}

/// Test runners hide what a passing test prints, so what the tests leave out is said here.
fn say_what_is_left_out(machine: &Machine, steps: &mut Steps) {
    for line in &machine.missing {
        steps.skip(line.as_str());
    }
    if machine.qemu.is_none() {
        steps.skip("tests on emulated boards: they need QEMU");
    }
    if !paths::shared_data().is_dir() {
        steps.skip("tests against published vectors, models and traces: they need the folder ../shared/data");
    }
}

/// All tests; whatever the runner prints last stays last.
fn run_tests(machine: &Machine, long: bool) -> bool {
    let nextest = has_nextest();
    eprintln!("==> tests ({})", if nextest { "cargo nextest" } else { "cargo test" });
    let mut command = test_runner(machine);
    command.arg("--no-fail-fast");
    match (nextest, long) {
        (_, false) => &mut command,
        (true, true) => command.args(["--run-ignored", "all"]),
        (false, true) => command.args(["--", "--include-ignored"]),
    };
    passed(&mut command)
}

fn has_nextest() -> bool {
    tools::find("cargo-nextest").is_some()
}

fn test_runner(machine: &Machine) -> Command {
    let mut command = tools::cargo();
    machine.equip(&mut command);
    if has_nextest() {
        command.args(["nextest", "run"]);
    } else {
        // Not --all-targets: that would run the benchmarks.
        command.args(["test", "--lib", "--bins", "--tests"]);
    }
    command
}

fn passed(command: &mut Command) -> bool {
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("xtask: cannot start `{}`: {error}", tools::shown(command));
            false
        }
    }
}
