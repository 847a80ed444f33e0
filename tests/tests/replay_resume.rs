//! Training with a replay buffer, in firmware of one's own, whose power is cut while it writes checkpoints: the buffer
//! goes on with the same examples and the same random numbers.

use embernet::image::arena_for;
use embernet_app::{Store, checkpoint};
use embernet_core::adapt::replay::{Replay, STANDING_BYTES};
use embernet_core::arch::Scalar;
use embernet_core::checksum::crc32;
use embernet_core::exec::{PlanKind, Session};
use embernet_core::image::Image;
use embernet_core::optim::OptimizerRecord;
use embernet_core::rng::Rng;
use embernet_tests::models;
use embernet_tests::nor::{Cut, Nor, PAGE, Power};

/// Values of an example, examples that are kept, classes.
const SAMPLE: usize = 36;
const KEPT: usize = 12;
const CLASSES: usize = 3;

const UPDATES: u32 = 90;
const CHECKPOINT_EVERY: u32 = 3;

/// Everything that a restart has to bring back: parameters, state, updates, and the buffer.
type Learned = (Vec<u8>, Vec<u8>, u32, Vec<u8>);

/// From a start of the device until it has done all updates, or its power fails.
fn live(image: &Image<'_>, examples: &[models::Step], store: &mut Store<Nor>) -> Option<Learned> {
    let image_crc = crc32(image.bytes());
    let mut arena = arena_for(image);
    let mut session = Session::new(image, &mut arena, Scalar).unwrap();
    let (mut samples, mut labels, mut seen) = ([0; SAMPLE * KEPT], [0; KEPT], [0; CLASSES]);
    let mut replay = Replay::new(&mut samples, &mut labels, &mut seen, Rng::new(1));
    let mut standing = [0; STANDING_BYTES];
    let [samples, labels, seen] = replay.parts_mut();
    if checkpoint::restore(store, &mut session, image_crc, &mut [&mut standing, samples, labels, seen]) {
        replay.go_on(standing);
    }
    while session.updates() < UPDATES {
        // A new example, and one that was kept.
        let (new, label) = &examples[session.updates() as usize];
        let (new, label) = (&new[..SAMPLE], u16::from(label[0]));
        replay.keep(new.iter().map(|value| *value as i8), label);
        let (old, old_label) = replay.draw().unwrap();
        let x: Vec<u8> = new.iter().copied().chain(old.iter().map(|value| *value as u8)).collect();
        session.input_mut(PlanKind::Train, 0).copy_from_slice(&x);
        let labels = [label, old_label].map(u32::from);
        session.target_mut().copy_from_slice(&labels.map(u32::to_le_bytes).concat());
        session.train_step(2).unwrap();
        if session.updates().is_multiple_of(CHECKPOINT_EVERY) {
            let [samples, labels, seen] = replay.parts();
            checkpoint::save(store, &session, image_crc, &[&replay.standing(), samples, labels, seen]).ok()?;
        }
    }
    let buffer = [&replay.standing()[..], &replay.parts().concat()].concat();
    Some((session.params().to_vec(), session.optimizer_state().to_vec(), session.updates(), buffer))
}

fn store() -> (Store<Nor>, Power) {
    let (slots, power) = Nor::slots(8 * PAGE);
    (Store::open(slots), power)
}

#[test]
fn training_with_replay_goes_on_to_the_same_bits() {
    let packed = models::int8(OptimizerRecord::adam(0.01), "all", 2, &[]);
    let image = packed.image().unwrap();
    let examples = models::int8_steps(9, UPDATES as usize);
    let (mut uncut, power) = store();
    let expected = live(&image, &examples, &mut uncut).unwrap();
    let operations = power.operations();

    let mut rng = Rng::new(5);
    let (mut store, power) = store();
    let mut cuts = 0;
    let learned = loop {
        // Some starts do not even come to their first checkpoint, some to several.
        power.cut(rng.below(operations as u32 / 10) as usize, Cut::Within(rng.next_u32().into()));
        let learned = live(&image, &examples, &mut store);
        let was_cut = power.restore().is_some();
        store = Store::open(store.into_slots());
        match learned {
            Some(learned) => break learned,
            None => cuts += u32::from(was_cut),
        }
    };
    println!("{cuts} cuts in {UPDATES} updates");
    assert!(cuts >= 10, "{cuts}");
    assert!(learned == expected);
}

#[test]
fn a_buffer_of_another_size_is_left_alone() {
    let packed = models::int8(OptimizerRecord::sgd(0.01), "all", 2, &[]);
    let image = packed.image().unwrap();
    let (mut store, _) = store();
    live(&image, &models::int8_steps(9, UPDATES as usize), &mut store).unwrap();
    let mut arena = arena_for(&image);
    let mut session = Session::new(&image, &mut arena, Scalar).unwrap();
    let fresh = session.params().to_vec();
    let mut other = [7; 100];
    assert!(!checkpoint::restore(&mut store, &mut session, crc32(image.bytes()), &mut [&mut other]));
    assert_eq!((session.params(), session.updates(), other), (&fresh[..], 0, [7; 100]));
}
