//! What a board still has after a reset: the model that came over its UART, and what it learned.
#![cfg(unix)]

use embernet::flash;
use embernet::link::Board;
use embernet_core::checksum::crc32;
use embernet_core::optim::OptimizerRecord;
use embernet_core::rng::Rng;
use embernet_core::wire::ModelState;
use embernet_tests::machine::Sockets;
use embernet_tests::{firmware, models};

fn keeps_all(name: &str) {
    let sockets = Sockets::new();
    let Some(mut client) = firmware::start_in(name, &sockets.options()) else { return };
    let mut button = sockets.button();
    let board = Board::named(name).unwrap();
    let (first, second) = (models::iris(OptimizerRecord::sgd(0.1)), models::iris(OptimizerRecord::adam(0.01)));
    let image = second.image().unwrap();
    for packed in [&first, &second] {
        flash::over_link(&mut client, board, &packed.image().unwrap(), |_, _| {}).unwrap();
    }
    let input = models::values(&mut Rng::new(3), 4);
    let at_first = models::infer(&image, &input);

    button.press();
    assert!(client.info().unwrap_err().is_restart());
    client.hello().unwrap();
    let ModelState::Ready(model) = client.info().unwrap().model else { panic!("{name}: no model") };
    assert_eq!((model.slot, model.generation, model.crc), (1, 2, crc32(&second.bytes)), "{name}");
    assert_eq!(client.infer(&image, &[&input], false).unwrap().outputs, [at_first], "{name}");
    if board.checkpoints.is_none() {
        return;
    }

    let steps = models::steps(12, 20);
    let (_, learned) = models::replay(&image, &steps);
    for (number, (inputs, labels)) in steps.iter().enumerate() {
        if number == 8 {
            client.checkpoint().unwrap();
            button.press();
            client.hello().unwrap();
            assert_eq!(client.stats().unwrap().steps, 8, "{name}: updates");
        }
        client.train_step(&image, &[inputs], labels).unwrap();
    }
    assert_eq!(client.params(&image).unwrap(), learned, "{name}: as without a reset");

    assert_eq!(client.activate(0).unwrap().generation, 3);
    button.press();
    client.hello().unwrap();
    let ModelState::Ready(model) = client.info().unwrap().model else { panic!("{name}: no model") };
    assert_eq!((model.slot, model.crc), (0, crc32(&first.bytes)), "{name}: rolled back");
}

#[test]
fn microbit_keeps_all() {
    keeps_all("m0");
}

#[test]
fn m4_keeps_all() {
    keeps_all("m4");
}

#[test]
fn netduinoplus2_keeps_all() {
    keeps_all("netduinoplus2");
}
