//! The slots of a device: what lies in them, and an older model that is made active again.

use embernet::image::Packed;
use embernet::link::{Client, LinkError};
use embernet_core::checksum::crc32;
use embernet_core::optim::OptimizerRecord;
use embernet_core::wire::{Fault, ModelState};
use embernet_tests::device;
use embernet_tests::models;
use embernet_tests::nor::{Nor, PAGE};

const SLOT: usize = 16 * PAGE;
const ARENA: usize = 12_000;

fn two_models() -> [Packed; 2] {
    [models::iris(OptimizerRecord::sgd(0.1)), models::iris(OptimizerRecord::adam(0.1))]
}

/// Slot, generation and checksum of the model at work.
fn at_work(client: &mut Client) -> (u8, u32, u32) {
    let ModelState::Ready(model) = client.info().unwrap().model else { panic!("a model") };
    (model.slot, model.generation, model.crc)
}

fn load_all<'m>(client: &mut Client, models: impl IntoIterator<Item = &'m Packed>) {
    for packed in models {
        client.load(&packed.image().unwrap(), |_, _| {}).unwrap();
    }
}

#[test]
fn a_device_tells_what_lies_in_its_slots() {
    let [old, new] = two_models();
    let (mut client, _) = device::connect(Nor::slots(SLOT).0, ARENA);
    let slots = client.slots().unwrap();
    assert_eq!((slots.records, slots.active), ([None, None], None), "junk is no model");
    assert_eq!((slots.spare(), slots.next_generation()), (0, 1));
    load_all(&mut client, [&old, &new]);
    let slots = client.slots().unwrap();
    let [Some(first), Some(second)] = slots.records else { panic!("two models") };
    assert_eq!((first.generation, first.crc), (1, crc32(&old.bytes)));
    assert_eq!((second.generation, second.crc, second.verified), (2, crc32(&new.bytes), true));
    assert_eq!((slots.active, slots.spare(), slots.next_generation()), (Some(1), 0, 3));
}

#[test]
fn the_older_model_is_made_active_again_and_stays_so() {
    let [old, new] = two_models();
    let (mut client, thread) = device::connect(Nor::slots(SLOT).0, ARENA);
    load_all(&mut client, [&old, &new]);
    assert_eq!(client.activate(1).unwrap().generation, 2, "it is active: nothing to do");
    let back = client.activate(0).unwrap();
    assert_eq!((back.slot, back.generation), (0, 3));
    assert_eq!(at_work(&mut client), (0, 3, crc32(&old.bytes)));
    drop(client);
    let (mut client, _) = device::connect(thread.join().unwrap(), ARENA);
    assert_eq!(at_work(&mut client), (0, 3, crc32(&old.bytes)), "after a restart");
    assert_eq!(client.activate(1).unwrap().generation, 4);
    assert_eq!(at_work(&mut client), (1, 4, crc32(&new.bytes)));
}

#[test]
fn only_a_whole_image_is_made_active() {
    let refused = |client: &mut Client, slot| {
        let LinkError::Refused { fault, .. } = client.activate(slot).unwrap_err() else { panic!("a refusal") };
        fault
    };
    let [old, new] = two_models();
    let (mut client, thread) = device::connect(Nor::slots(SLOT).0, ARENA);
    load_all(&mut client, [&old]);
    for slot in [1, 2, 255] {
        assert_eq!(refused(&mut client, slot), Fault::EmptySlot { slot });
    }
    load_all(&mut client, [&new]);
    drop(client);
    let mut slots = thread.join().unwrap();
    slots[0].tip(PAGE + old.bytes.len() - 1);
    let (mut client, _) = device::connect(slots, ARENA);
    assert!(matches!(refused(&mut client, 0), Fault::Crc { .. }));
    assert_eq!(at_work(&mut client), (1, 2, crc32(&new.bytes)));
}

/// More changes than an erase unit holds records, with the power cut somewhere in each.
#[test]
fn a_cut_while_models_change_leaves_one_of_them() {
    let models = two_models();
    let crcs = models.each_ref().map(|packed| crc32(&packed.bytes));
    let (slots, power) = Nor::slots(SLOT);
    let (mut client, mut thread) = device::connect(slots, ARENA);
    load_all(&mut client, &models);
    let records = PAGE / embernet_core::slot::RECORD_BYTES;
    for change in 0..2 * records + 4 {
        let (active, generation, _) = at_work(&mut client);
        let other = 1 - active;
        power.cut_after(change % 9);
        let changed = client.activate(other).is_ok();
        drop(client);
        power.restore();
        (client, thread) = device::connect(thread.join().unwrap(), ARENA);
        let (slot, now, crc) = at_work(&mut client);
        assert_eq!(crc, crcs[usize::from(slot)], "change {change}");
        assert!(if slot == other { now > generation } else { now == generation && !changed }, "change {change}");
        if client.slots().unwrap().records[usize::from(1 - slot)].is_none() {
            // Its only record went with the erase that was cut.
            load_all(&mut client, [&models[usize::from(1 - slot)]]);
        } else {
            client.activate(other).unwrap();
        }
    }
}
