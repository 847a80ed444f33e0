//! What a device has learned, in flash: training goes on after a loss of power as if there had been none.

use std::thread::JoinHandle;

use embernet::image::Packed;
use embernet::link::{Client, LinkError};
use embernet_core::image::Image;
use embernet_core::optim::OptimizerRecord;
use embernet_core::optim::state::StateFormat;
use embernet_core::rng::Rng;
use embernet_core::wire::Fault;
use embernet_tests::nor::{Cut, Nor, Operation, PAGE, Power};
use embernet_tests::{device, models};

const SLOT: usize = 16 * PAGE;
const CHECKPOINT: usize = 4 * PAGE;
const ARENA: usize = 16_000;

/// How often the power is cut.
const CUTS: usize = 2_000;

/// A device with model `packed`, that has learned nothing, and the power of its checkpoints.
fn learner(packed: &Packed) -> (Client, JoinHandle<[[Nor; 2]; 2]>, Power) {
    let (checkpoints, power) = Nor::slots(CHECKPOINT);
    let (mut client, thread) = device::connect_learner([Nor::slots(SLOT).0, checkpoints], ARENA);
    client.load(&packed.image().unwrap(), |_, _| {}).unwrap();
    (client, thread, power)
}

/// Pulls the plug and starts the device again.
fn restart(client: Client, thread: JoinHandle<[[Nor; 2]; 2]>) -> (Client, JoinHandle<[[Nor; 2]; 2]>) {
    drop(client);
    device::connect_learner(thread.join().unwrap(), ARENA)
}

/// Update `number` of a training: its samples depend on nothing else.
fn step(client: &mut Client, image: &Image<'_>, number: u32) {
    let mut rng = Rng::new(u64::from(number));
    let x = models::values(&mut rng, 4 * 2);
    let labels: Vec<u8> = [number % 3, (number + 1) % 3].iter().flat_map(|label| label.to_le_bytes()).collect();
    client.train_step(image, &[&x], &labels).unwrap();
}

/// Parameters, optimiser state and updates.
fn learned(client: &mut Client, image: &Image<'_>) -> (Vec<u8>, Vec<u8>, u32) {
    (client.params(image).unwrap(), client.state(image).unwrap(), client.stats().unwrap().steps)
}

#[test]
fn training_goes_on_where_the_checkpoint_was() {
    let sgd = OptimizerRecord::sgd(0.1);
    for optimizer in [sgd, sgd.with_passes(3), OptimizerRecord::adam(0.01)] {
        let packed = models::iris(optimizer);
        let image = packed.image().unwrap();
        let (mut whole, _thread, _) = learner(&packed);
        (0..20).for_each(|number| step(&mut whole, &image, number));
        let (mut client, thread, _) = learner(&packed);
        (0..7).for_each(|number| step(&mut client, &image, number));
        assert_eq!(client.checkpoint().unwrap(), 1);
        // Learned, not kept.
        (7..10).for_each(|number| step(&mut client, &image, number));
        let (mut client, _thread) = restart(client, thread);
        // Of an update that was not done the passes are done again.
        let from = client.stats().unwrap().steps * optimizer.passes;
        assert_eq!(from, 7 - 7 % optimizer.passes);
        (from..20).for_each(|number| step(&mut client, &image, number));
        assert!(learned(&mut client, &image) == learned(&mut whole, &image), "{optimizer:?}");
    }
}

/// Roundings at random go on with the numbers that they would have drawn.
#[test]
fn int8_training_goes_on_to_the_same_bits() {
    let velocity = OptimizerRecord::momentum(0.05, 0.9, false);
    let rules = [OptimizerRecord::sgd(0.1), velocity, OptimizerRecord::adam(0.01).with_state(StateFormat::Block8)];
    let steps = models::int8_steps(3, 20);
    for optimizer in rules {
        let packed = models::int8(optimizer, "all", models::BATCH, &[]);
        let image = packed.image().unwrap();
        let train = |client: &mut Client, steps: &[models::Step]| {
            for (inputs, labels) in steps {
                client.train_step(&image, &[inputs], labels).unwrap();
            }
        };
        let (mut whole, _thread, _) = learner(&packed);
        let untrained = learned(&mut whole, &image);
        train(&mut whole, &steps);
        let (mut client, thread, _) = learner(&packed);
        train(&mut client, &steps[..7]);
        client.checkpoint().unwrap();
        train(&mut client, &steps[7..10]);
        let (mut client, _thread) = restart(client, thread);
        assert_eq!(client.stats().unwrap().steps, 7);
        train(&mut client, &steps[7..]);
        let found = learned(&mut client, &image);
        assert!(found == learned(&mut whole, &image), "{optimizer:?}");
        assert!(found.0 != untrained.0, "{optimizer:?}: it learns");
    }
}

#[test]
fn the_learning_rate_is_kept_too() {
    let packed = models::iris(OptimizerRecord::sgd(0.1));
    let image = packed.image().unwrap();
    let run = |cut: bool| {
        let (mut client, mut thread, _) = learner(&packed);
        client.set_lr(0.03).unwrap();
        step(&mut client, &image, 0);
        client.checkpoint().unwrap();
        if cut {
            (client, thread) = restart(client, thread);
        }
        step(&mut client, &image, 1);
        let learned = learned(&mut client, &image);
        drop(client);
        drop(thread.join());
        learned
    };
    assert!(run(true) == run(false));
}

#[test]
fn the_factory_image_comes_back_when_it_is_asked_for() {
    let packed = models::iris(OptimizerRecord::adam(0.01));
    let image = packed.image().unwrap();
    let (mut client, thread, _) = learner(&packed);
    let factory = learned(&mut client, &image);
    (0..3).for_each(|number| step(&mut client, &image, number));
    client.checkpoint().unwrap();
    client.reset().unwrap();
    assert!(learned(&mut client, &image) == factory, "for now");
    let (mut client, thread) = restart(client, thread);
    assert_eq!(client.stats().unwrap().steps, 3, "a reset is not for good");
    client.forget().unwrap();
    assert!(learned(&mut client, &image) == factory);
    let (mut client, _thread) = restart(client, thread);
    assert!(learned(&mut client, &image) == factory, "for good");
}

#[test]
fn another_model_does_not_get_what_this_one_learned() {
    let (old, new) = (models::iris(OptimizerRecord::sgd(0.1)), models::iris(OptimizerRecord::adam(0.1)));
    let image = old.image().unwrap();
    let (mut client, thread, _) = learner(&old);
    step(&mut client, &image, 0);
    client.checkpoint().unwrap();
    let before = learned(&mut client, &image);
    client.load(&new.image().unwrap(), |_, _| {}).unwrap();
    let (mut client, _thread) = restart(client, thread);
    assert_eq!(client.stats().unwrap().steps, 0);
    client.activate(0).unwrap();
    assert!(learned(&mut client, &image) == before, "back with its model");
}

#[test]
fn what_cannot_be_kept_is_said() {
    let packed = models::iris(OptimizerRecord::sgd(0.1));
    let fault = |result: Result<u32, LinkError>| {
        let Err(LinkError::Refused { fault, .. }) = result else { panic!("a refusal") };
        fault
    };
    let (mut client, _) = device::connect(Nor::slots(SLOT).0, ARENA);
    assert_eq!(fault(client.checkpoint()), Fault::NoModel);
    client.load(&packed.image().unwrap(), |_, _| {}).unwrap();
    assert_eq!(fault(client.checkpoint()), Fault::NoCheckpoints);
    let slots = [Nor::slots(SLOT).0, Nor::slots(PAGE).0];
    let (mut client, _thread) = device::connect_learner(slots, ARENA);
    client.load(&packed.image().unwrap(), |_, _| {}).unwrap();
    assert!(matches!(fault(client.checkpoint()), Fault::SlotTooSmall { have: 0, .. }));
}

/// Power cuts before and behind every operation of a checkpoint and within each, then at random moments, one after
/// another on the same device: what is found is the state of one checkpoint, whole, and training on leads to the bits of
/// a training without cuts.
#[test]
fn a_cut_at_any_moment_leaves_a_whole_checkpoint() {
    let packed = models::iris(OptimizerRecord::adam(0.01));
    let image = packed.image().unwrap();
    let (mut whole, _thread, _) = learner(&packed);
    let (mut client, mut thread, power) = learner(&packed);
    let operations = {
        let before = power.operations();
        client.checkpoint().unwrap();
        power.operations() - before
    };
    let mut rng = Rng::new(7);
    // Behind one operation is before the next.
    let boundaries = (0..operations).map(|at| (at, Cut::Before)).chain([(operations - 1, Cut::Behind)]);
    let within = (0..operations).map(|at| (at, Cut::Within(at as u64)));
    let every: Vec<(usize, Cut)> = boundaries.chain(within).collect();
    let random = std::iter::repeat_with(|| {
        // Erases come first, and are few.
        let most = if rng.below(4) == 0 { 8 } else { operations as u32 };
        let at = rng.below(most) as usize;
        (at, [Cut::Before, Cut::Within(rng.next_u32().into()), Cut::Behind][rng.below(3) as usize])
    });
    let cuts: Vec<(usize, Cut)> = every.into_iter().chain(random).take(CUTS.max(2 * operations + 1)).collect();

    // What an uncut training has after each update.
    let mut states = vec![learned(&mut whole, &image)];
    let mut train = |client: &mut Client, updates: u32| {
        for number in client.stats().unwrap().steps..updates {
            if states.len() == number as usize + 1 {
                step(&mut whole, &image, number);
                states.push(learned(&mut whole, &image));
            }
            step(client, &image, number);
        }
        states[updates as usize].clone()
    };
    let (mut kept, mut erases, mut programs) = (0, 0, 0);
    for (number, (at, cut)) in cuts.iter().enumerate() {
        if number % 2 == 1 {
            kept += 1;
            train(&mut client, kept);
            client.checkpoint().unwrap();
        }
        let before = train(&mut client, kept);
        let now = kept + number as u32 % 3;
        let after = train(&mut client, now);
        power.cut(*at, *cut);
        assert!(client.checkpoint().is_err(), "{cut:?} operation {at}");
        match power.restore().expect("a cut") {
            Operation::Erase => erases += 1,
            Operation::Program => programs += 1,
        }
        (client, thread) = restart(client, thread);
        let found = learned(&mut client, &image);
        // The last word of the record makes it count.
        let is_saved = *at + 1 == operations && found == after;
        assert!(found == before || is_saved, "{cut:?} operation {at}: {} updates, {kept} kept, {now} done", found.2);
        kept = found.2;
    }
    println!("{erases} cuts at pages being erased, {programs} at words being programmed; {kept} updates are kept");
    assert!(erases + programs >= CUTS && erases >= 80 && programs >= 1_000, "{erases} and {programs}");
    let end = train(&mut client, kept + 3);
    assert!(learned(&mut client, &image) == end, "training goes on");
    drop(client);
    let [_, checkpoints] = thread.join().unwrap();
    assert_evenly_worn(&checkpoints);
}

/// Checkpoints take turns, so that no page wears out before the others.
#[test]
fn erases_are_spread() {
    let packed = models::iris(OptimizerRecord::adam(0.01));
    let (mut client, thread, _) = learner(&packed);
    for generation in 1..=501 {
        assert_eq!(client.checkpoint().unwrap(), generation);
    }
    drop(client);
    let [_, checkpoints] = thread.join().unwrap();
    assert_evenly_worn(&checkpoints);
}

/// Of the pages in use none has been erased more than a tenth more often than another.
fn assert_evenly_worn(slots: &[Nor; 2]) {
    let wear: Vec<u32> = slots.iter().flat_map(|slot| slot.wear()).copied().filter(|count| *count > 0).collect();
    let (least, most) = (wear.iter().min().unwrap(), wear.iter().max().unwrap());
    assert!(most * 10 <= least * 11, "{wear:?}");
}
