//! Instructions and cycles counted in QEMU.

use embernet::counting::{self, CountError, Counted};
use embernet::link::{Board, FirmwareOptions};
use embernet_core::optim::OptimizerRecord;
use embernet_core::rng::Rng;
use embernet_tests::{firmware, models};

/// Counts one inference; `None`, and a line that says why, where this machine cannot.
fn count(name: &str) -> Option<Counted> {
    let board = Board::named(name).unwrap();
    if let Some(obstacle) = firmware::obstacle(board) {
        eprintln!("skipped: board {name}: {obstacle}");
        return None;
    }
    let program = firmware::build(board, &FirmwareOptions::default());
    let packed = models::iris(OptimizerRecord::sgd(0.1));
    let image = packed.image().unwrap();
    let input = models::values(&mut Rng::new(1), 4);
    let counted = match counting::count(board, &program, &image, &[&input]) {
        Err(error @ CountError::Compiler { .. }) => {
            eprintln!("skipped: {error}");
            return None;
        }
        counted => counted.unwrap_or_else(|error| panic!("{name}: {error}")),
    };
    assert_eq!(counted.outputs, [models::infer(&image, &input)]);
    assert_eq!(counted.steps.len(), image.infer_plan().len());
    // The plan's loop takes little beside its steps, and looking at every step a little more.
    let sum: u64 = counted.steps.iter().map(|step| step.instructions).sum();
    let whole = counted.whole.instructions;
    assert!(sum > whole / 2 && sum < whole + 100 * counted.steps.len() as u64, "{name}: {counted:?}");
    Some(counted)
}

#[test]
fn m4_counts_instructions_and_cycles() {
    let Some(counted) = count("m4") else { return };
    for step in [&counted.whole].into_iter().chain(&counted.steps) {
        let cycles = step.cycles.expect("an estimate");
        assert!(cycles > step.instructions && cycles < 4 * step.instructions, "{step:?}");
    }
    assert_eq!(count("m4"), Some(counted), "every run is the same");
}

#[test]
fn m0_counts_instructions() {
    let Some(counted) = count("m0") else { return };
    assert_eq!(counted.whole.cycles, None);
}

#[test]
fn rv32_counts_instructions() {
    let Some(counted) = count("rv32") else { return };
    assert_eq!(counted.whole.cycles, None);
}
