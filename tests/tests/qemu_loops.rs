//! The loops of every core that has its own: random layers on emulated boards, byte for byte.

use embernet::image::{PackOptions, pack};
use embernet::link::Board;
use embernet_core::arch::IsaId;
use embernet_core::rng::Rng;
use embernet_tests::cases::random;
use embernet_tests::runtime::Device;
use embernet_tests::{firmware, models};

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

/// Layers of groups, which become convolutions where a core has no loop for them as they are.
fn groups(name: &str) {
    let Some(mut client) = firmware::start(name, None) else { return };
    let graph = models::grouped();
    let isa = Board::named(name).unwrap().isa;
    let [plain, own] =
        [IsaId::Scalar, isa].map(|isa| pack(&graph, &PackOptions { isa, ..PackOptions::default() }, None).unwrap());
    let (plain, own) = (plain.image().unwrap(), own.image().unwrap());
    let input = models::values(&mut Rng::new(6), plain.inputs()[0].sample_bytes() / 4);
    client.load(&own, |_, _| {}).unwrap();
    let found = client.infer(&own, &[&input], false).unwrap().outputs;
    assert_eq!(found, [models::infer(&plain, &input)], "{name}");
}

#[test]
fn layers_of_groups() {
    ["m4", "m55", "m3", "m0-mps2", "rv32"].into_iter().for_each(groups);
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
