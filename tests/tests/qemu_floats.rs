//! Float loops in assembly have the host's bits, whatever the shapes: random networks infer and learn.

use embernet_core::rng::Rng;
use embernet_tests::{firmware, models};

fn has_the_hosts_bits(name: &str) {
    let Some(mut client) = firmware::start(name, None) else { return };
    for seed in 0..8 {
        let batch = 1 + seed as usize % 5;
        let (packed, elements, classes) = models::ragged(seed, batch);
        let image = packed.image().unwrap();
        client.load(&image, |_, _| {}).unwrap();
        let mut rng = Rng::new(100 + seed);
        let input = models::values(&mut rng, 2 * elements);
        let run = client.infer(&image, &[&input], false).unwrap();
        assert_eq!(run.outputs, [models::infer(&image, &input)], "{name}: outputs of network {seed}");
        let steps: Vec<models::Step> = (0..3)
            .map(|_| {
                let labels = (0..batch).flat_map(|_| rng.below(classes).to_le_bytes()).collect();
                (models::values(&mut rng, batch * elements), labels)
            })
            .collect();
        let (losses, learned) = models::replay(&image, &steps);
        for ((inputs, labels), loss) in steps.iter().zip(&losses) {
            let step = client.train_step(&image, &[inputs], labels).unwrap();
            assert_eq!(step.loss.to_bits(), loss.to_bits(), "{name}: loss of network {seed}");
        }
        assert_eq!(client.params(&image).unwrap(), learned, "{name}: weights of network {seed}");
    }
}

#[test]
fn m4_has_the_hosts_bits() {
    has_the_hosts_bits("m4");
}

#[test]
fn m33_has_the_hosts_bits() {
    has_the_hosts_bits("m33");
}

#[test]
fn m55_has_the_hosts_bits() {
    has_the_hosts_bits("m55");
}
