//! Every optimiser makes the host's bits on every emulated board, in floats and in integers, update after update: a
//! thousand of them when asked (`EMBERNET_UPDATES=1000`). Fixed point is in `qemu_fixed.rs`.

use embernet::image::Packed;
use embernet::link::Client;
use embernet_core::optim::OptimizerRecord;
use embernet_tests::{firmware, models};

const RULES: [(&str, OptimizerRecord); 5] = [
    ("sgd", OptimizerRecord::sgd(0.05)),
    ("momentum", OptimizerRecord::momentum(0.02, 0.9, false)),
    ("nesterov", OptimizerRecord::momentum(0.02, 0.9, true)),
    ("adam", OptimizerRecord::adam(0.005)),
    ("adagrad", OptimizerRecord::adagrad(0.05)),
];

fn updates() -> usize {
    std::env::var("EMBERNET_UPDATES").ok().and_then(|n| n.parse().ok()).unwrap_or(10)
}

/// Every loss, then the parameters.
fn replays(client: &mut Client, packed: &Packed, steps: models::Steps, what: &str) {
    let image = packed.image().unwrap();
    client.load(&image, |_, _| {}).unwrap();
    let steps = steps(17, (updates() * image.header().train.samples as usize).div_ceil(models::BATCH));
    let (losses, learned) = models::replay(&image, &steps);
    for (number, ((inputs, labels), loss)) in models::passes(&image, &steps).zip(&losses).enumerate() {
        let step = client.train_step(&image, &[inputs], labels).unwrap();
        assert_eq!(step.loss.to_bits(), loss.to_bits(), "{what}: loss of update {number}");
    }
    assert_eq!(client.params(&image).unwrap(), learned, "{what}: parameters after {} updates", losses.len());
    eprintln!("{what}: {} updates with the host's bits", losses.len());
}

/// Two samples at a time; in int8 on a larger machine where the board is too small.
fn learns(float: &str, integer: &str) {
    let Some(mut client) = firmware::start(float, None) else { return };
    for (rule, optimizer) in RULES {
        replays(
            &mut client,
            &models::sparse(optimizer, "all", 2, &[]),
            models::steps,
            &format!("{float}, f32, {rule}"),
        );
    }
    let rare = models::rare(OptimizerRecord::adam(0.005));
    replays(&mut client, &rare, models::steps, &format!("{float}, f32, layers that are rarely trained"));
    let remembering = models::remembering(OptimizerRecord::momentum(0.02, 0.9, true));
    replays(&mut client, &remembering, models::steps, &format!("{float}, f32, a layer with a memory"));
    if integer != float {
        let Some(larger) = firmware::start(integer, None) else { return };
        client = larger;
    }
    for (rule, optimizer) in RULES {
        let packed = models::int8(optimizer, "all", 2, &[]);
        replays(&mut client, &packed, models::int8_steps, &format!("{integer}, int8, {rule}"));
    }
}

#[test]
fn m0_has_the_hosts_bits() {
    learns("m0", "m0-mps2");
}

#[test]
fn m3_has_the_hosts_bits() {
    learns("m3", "m3");
}

#[test]
fn m4_has_the_hosts_bits() {
    learns("m4", "m4");
}

#[test]
fn rv32_has_the_hosts_bits() {
    learns("rv32", "rv32");
}
