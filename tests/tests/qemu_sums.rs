//! Sums of int8 on emulated boards: random scales, zero points and lengths, against the definition.

use embernet::quant::fixed_point::Affine;
use embernet_core::rng::Rng;
use embernet_tests::cases::{Case, add, bytes};
use embernet_tests::firmware;
use embernet_tests::runtime::Device;

/// One whose scales are equal, near each other or far apart.
fn case(rng: &mut Rng, number: usize) -> Option<Case> {
    let scale = 0.01 + rng.unit_f32();
    let other = scale * [1.0, 0.3 + 0.7 * rng.unit_f32(), 0.001 + 0.2 * rng.unit_f32()][number % 3];
    let (a, b) = if rng.below(2) == 0 { (scale, other) } else { (other, scale) };
    let mut is = |scale: f32| {
        let zero = [-128, 127, rng.below(256) as i32 - 128][rng.below(3) as usize];
        Affine::new(scale, zero).expect("sound numbers")
    };
    let (a, b, y) = (is(a), is(b), is(scale * 1.5));
    let len = 1 + rng.below(300) as usize;
    let (x, z) = (bytes(rng, len), bytes(rng, len));
    add::i8(format!("sum {number}"), 1, (x, a), (z, b), y, None).ok()
}

fn run(board: &str) {
    let Some(client) = firmware::start(board, None) else { return };
    let mut device = Device(client);
    let mut rng = Rng::new(3);
    for case in (0..30).filter_map(|number| case(&mut rng, number)) {
        case.run(&mut device).unwrap_or_else(|error| panic!("{board}: {}: {error}", case.name));
    }
}

#[test]
fn m4() {
    run("m4");
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
