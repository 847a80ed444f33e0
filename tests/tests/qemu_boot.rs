//! Every board starts in QEMU and answers.

use embernet::flash::{Program, slot};
use embernet::image::{Format, Piece, Target};
use embernet::link::{Board, Client, FirmwareOptions, Qemu, QemuOptions, build_firmware, panics};
use embernet_core::optim::OptimizerRecord;
use embernet_core::wire::ModelState;
use embernet_tests::{firmware, models};

fn boots(name: &str) {
    let board = Board::named(name).unwrap();
    let Some(mut client) = firmware::start(name, None) else { return };
    let info = client.info().unwrap();
    assert_eq!(info.board, name);
    assert_eq!(info.model, ModelState::Empty);
    assert_eq!(info.slot_bytes, board.emulated_slots().image_bytes());
    assert_eq!(info.tick_hz, board.emulated_tick_hz());
    if let Some(arena) = board.arena {
        assert_eq!(info.arena_bytes, arena.bytes);
    } else {
        assert!(info.arena_bytes > board.ram.bytes / 2, "{} bytes of arena", info.arena_bytes);
    }
    let stats = client.stats().unwrap();
    eprintln!("{info:?}\n{stats:?}");
    assert_eq!(stats.bad_frames, 0);
    assert_eq!(stats.stack_bytes, board.stack_bytes);
    assert!(stats.stack_used > 500 && stats.stack_used < stats.stack_bytes, "{stats:?}");
}

#[test]
fn m0_boots() {
    boots("m0");
}

#[test]
fn m0_mps2_boots() {
    boots("m0-mps2");
}

#[test]
fn m3_boots() {
    boots("m3");
}

#[test]
fn m4_boots() {
    boots("m4");
}

#[test]
fn m7_boots() {
    boots("m7");
}

#[test]
fn m33_boots() {
    boots("m33");
}

#[test]
fn m55_boots() {
    boots("m55");
}

#[test]
fn rv32_boots() {
    boots("rv32");
}

#[test]
fn netduinoplus2_boots() {
    boots("netduinoplus2");
}

/// A file that a build script watches and that does not exist would have cargo build everything above it each time.
#[test]
fn what_is_built_is_not_built_again() {
    let board = Board::named("netduinoplus2").unwrap();
    if let Some(obstacle) = firmware::obstacle(board) {
        eprintln!("skipped: {obstacle}");
        return;
    }
    let built = || {
        let program = build_firmware(board, &FirmwareOptions::default()).unwrap();
        std::fs::metadata(program).unwrap().modified().unwrap()
    };
    assert_eq!(built(), built());
}

/// No panic of the standard library is in the programs: nothing in them can reach one.
#[test]
fn m0_and_m4_cannot_panic() {
    for name in ["m0", "m4"] {
        let board = Board::named(name).unwrap();
        if let Some(obstacle) = firmware::obstacle(board) {
            eprintln!("skipped: board {name}: {obstacle}");
            continue;
        }
        let program = firmware::build(board, &FirmwareOptions::default());
        assert_eq!(panics(&program).unwrap(), [""; 0], "{name}");
    }
}

/// Program and model in one file, as `embernet pack --firmware` writes it.
#[test]
fn m4_boots_with_a_model_from_one_file() {
    let board = Board::named("m4").unwrap();
    if let Some(obstacle) = firmware::obstacle(board) {
        eprintln!("skipped: {obstacle}");
        return;
    }
    let packed = models::iris(OptimizerRecord::sgd(0.1));
    let elf = std::fs::read(firmware::build(board, &FirmwareOptions::default())).unwrap();
    let Program { machine, entry, mut pieces } = Program::parse(&elf).unwrap();
    pieces.push(Piece { address: board.slots.origins[0], bytes: slot(&packed.bytes, &board.slots, 5).unwrap() });
    let file = Format::Elf.wrap(pieces, &Target { machine, entry, family: None }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.elf");
    std::fs::write(&path, file).unwrap();
    let mut client = Client::connect(Qemu::start(board, &path, &QemuOptions::default()).unwrap()).unwrap();
    let ModelState::Ready(model) = client.info().unwrap().model else { panic!("no model") };
    assert_eq!((model.slot, model.generation, model.bytes as usize), (0, 5, packed.bytes.len()));
}
