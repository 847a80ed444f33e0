//! The loops of every core that has its own: random layers on emulated boards, byte for byte.

use embernet_tests::cases::random;
use embernet_tests::firmware;
use embernet_tests::runtime::Device;

/// Layers on each board.
const LAYERS: usize = 100;

fn run(board: &str) {
    let Some(client) = firmware::start(board, None) else { return };
    let mut device = Device(client);
    let failures: Vec<String> = random::int8_layers(5, LAYERS)
        .iter()
        .filter_map(|case| case.run(&mut device).err().map(|error| format!("{}: {error}", case.name)))
        .collect();
    assert!(failures.is_empty(), "{} of {LAYERS} layers fail on {board}:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn m4() {
    run("m4");
}

#[test]
fn m33() {
    run("m33");
}

#[test]
fn m55() {
    run("m55");
}

#[test]
fn m3() {
    run("m3");
}

#[test]
fn m0_mps2() {
    run("m0-mps2");
}

#[test]
fn rv32() {
    run("rv32");
}
