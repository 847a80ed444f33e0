//! Emulated boards bring inputs back with the host's bits, and keep their tables over a reset.
#![cfg(unix)]

use embernet::engine::{self, Engine, EngineError, Place};
use embernet::link::{Board, FirmwareOptions, LinkError};
use embernet_core::image::ImageError;
use embernet_core::optim::OptimizerRecord;
use embernet_core::plan::{PlanError, kind};
use embernet_core::wire::Fault;
use embernet_tests::machine::Sockets;
use embernet_tests::{firmware, models};

fn keeps_the_hosts_tables(name: &str) {
    let packed = models::adapting(OptimizerRecord::sgd(0.1), "last:2");
    let image = packed.image().unwrap();
    let program = FirmwareOptions::whole_for(&image);
    let sockets = Sockets::new();
    let Some(mut client) = firmware::start_program_in(name, &program, &sockets.options()) else { return };
    let mut button = sockets.button();
    client.load(&image, |_, _| {}).unwrap();
    let factory = client.params(&image).unwrap();

    let steps = models::dark(models::int8_steps(4, 4));
    let seen: Vec<u8> = models::dark(models::int8_steps(5, 1)).into_iter().flat_map(|(inputs, _)| inputs).collect();
    let (tables, learned) = engine::with(&Place::Host, &image, &mut |_| {}, |engine: &mut dyn Engine| {
        engine.normalise(&seen)?;
        let tables = engine.params()?;
        for (inputs, labels) in &steps {
            engine.train_step(inputs, labels)?;
        }
        Ok::<_, EngineError>((tables, engine.params()?))
    })
    .unwrap();

    let board = Board::named(name).unwrap();
    let ticks = client.normalise(&image, &seen).unwrap();
    let values = seen.len() as u64;
    eprintln!("{name}: {} instructions for {values} values and a table", board.instructions(ticks).unwrap());
    let profile = client.profile(&image, &[&seen[..36]]).unwrap();
    let look_up = board.instructions(u64::from(profile[0])).unwrap();
    eprintln!("{name}: {look_up} instructions to look up 36 values");
    assert!(client.params(&image).unwrap() == tables, "{name}: tables");
    for (number, (inputs, labels)) in steps.iter().enumerate() {
        if number == 2 {
            client.checkpoint().unwrap();
            button.press();
            client.hello().unwrap();
        }
        client.train_step(&image, &[inputs], labels).unwrap();
    }
    assert!(client.params(&image).unwrap() == learned, "{name}: what was learned");
    client.forget().unwrap();
    button.press();
    client.hello().unwrap();
    assert!(client.params(&image).unwrap() == factory, "{name}: the factory's");
}

#[test]
fn m4_keeps_the_hosts_tables() {
    keeps_the_hosts_tables("m4");
}

#[test]
fn m0_keeps_the_hosts_tables() {
    keeps_the_hosts_tables("m0");
}

/// Whoever does not need it does not pay for it.
#[test]
fn other_programs_refuse_it_and_say_why() {
    let Some(mut client) = firmware::start("m4", None) else { return };
    let packed = models::adapting(OptimizerRecord::sgd(0.1), "last:2");
    let error = client.load(&packed.image().unwrap(), |_, _| {}).unwrap_err();
    let unknown = PlanError::UnknownKind { step: 0, kind: kind::NormaliseI8 };
    let expected = Fault::Image(ImageError::Infer(unknown));
    assert!(matches!(error, LinkError::Refused { fault, .. } if fault == expected), "{error}");
}
