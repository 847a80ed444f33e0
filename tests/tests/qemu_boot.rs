//! Every board starts in QEMU and answers.

use embernet::link::Board;
use embernet_core::wire::ModelState;
use embernet_tests::firmware;

fn boots(name: &str) {
    let board = Board::named(name).unwrap();
    let Some(mut client) = firmware::start(name, None) else { return };
    let info = client.info().unwrap();
    assert_eq!(info.board, name);
    assert_eq!(info.model, ModelState::Empty);
    assert_eq!(info.slot_bytes, board.slots.image_bytes());
    assert_eq!(info.tick_hz, board.tick_hz);
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
