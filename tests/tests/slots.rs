//! The model store on flash with its real rules, with power cut at every operation.

use embernet::flash::slot;
use embernet::link::Slots;
use embernet_app::{Store, Trust};
use embernet_core::slot::RECORD_BYTES;
use embernet_core::wire::Fault;
use embernet_tests::nor::{Nor, PAGE};

const SLOT: usize = 8 * PAGE;
const SLOTS: Slots = Slots::new([0, SLOT as u32], SLOT as u32, PAGE as u32);

fn image(seed: u8, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|place| (place as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

/// What the app does with the store for one transfer.
fn transfer<const HEAD: usize>(store: &mut Store<Nor<HEAD>>, image: &[u8]) -> Result<u32, Fault> {
    let crc = embernet_core::checksum::crc32(image);
    let bytes = image.len() as u32;
    let (_, mut spare) = store.split();
    spare.erase(bytes)?;
    for (index, chunk) in image.chunks(256).enumerate() {
        spare.program(index as u32 * 256, chunk)?;
    }
    spare.image(bytes, crc)?;
    let active = spare.commit(bytes, crc)?;
    Ok(active.record.generation)
}

fn active<const HEAD: usize>(store: &mut Store<Nor<HEAD>>) -> Option<(u32, Vec<u8>)> {
    let (active, _) = store.split();
    active.map(|(active, bytes)| (active.record.generation, bytes.to_vec()))
}

#[test]
fn images_alternate_between_the_slots() {
    let (slots, _) = Nor::slots(SLOT);
    let mut store = Store::open(slots);
    assert_eq!(active(&mut store), None, "junk is no image");
    for round in 1..6u8 {
        // Odd lengths too: the last program unit is filled up.
        let image = image(round, 1000 + usize::from(round));
        assert_eq!(transfer(&mut store, &image), Ok(round.into()));
        store.reopen(Trust::Records);
        assert_eq!(active(&mut store), Some((round.into(), image)));
        let (now, _) = store.split();
        assert_eq!(now.unwrap().0.slot, (round + 1) % 2);
        // As after a restart.
        let mut again = Store::open(store.into_slots());
        assert_eq!(active(&mut again).unwrap().0, u32::from(round));
        store = again;
    }
}

#[test]
fn a_slot_flashed_by_the_host_is_active() {
    let (mut slots, _) = Nor::slots(SLOT);
    slots[1].flash(&slot(&image(1, 500), &SLOTS, 1).unwrap());
    let mut store = Store::open(slots);
    assert_eq!(active(&mut store), Some((1, image(1, 500))));
}

#[test]
fn a_flashed_image_is_read_once_and_then_has_a_record_that_says_so() {
    let (mut slots, power) = Nor::slots(SLOT);
    slots[0].flash(&slot(&image(1, 500), &SLOTS, 1).unwrap());
    let mut store = Store::open(slots);
    let (found, _) = store.split();
    assert!(!found.unwrap().0.record.verified, "this start has read it");
    let written = power.operations();
    assert!(written > 0);
    let mut store = Store::open(store.into_slots());
    let (found, _) = store.split();
    assert!(found.unwrap().0.record.verified, "the next one need not");
    assert_eq!(power.operations(), written);
}

#[test]
fn a_flashed_image_that_is_cut_is_no_image() {
    // A programmer writes from the first address on: the record is there before its image.
    let whole = slot(&image(1, 500), &SLOTS, 1).unwrap();
    for bytes in [PAGE, PAGE + 200, PAGE + 499] {
        let (mut slots, _) = Nor::slots(SLOT);
        slots[0].flash(&whole[..bytes]);
        assert_eq!(active(&mut Store::open(slots)), None, "{bytes} bytes");
    }
}

#[test]
fn a_cut_while_a_start_writes_its_record_costs_nothing() {
    let old = image(1, 500);
    for cut in 0..9 {
        let (mut slots, power) = Nor::slots(SLOT);
        slots[0].flash(&slot(&old, &SLOTS, 7).unwrap());
        power.cut_after(cut);
        let store = Store::open(slots);
        power.restore();
        let mut store = Store::open(store.into_slots());
        assert_eq!(active(&mut store), Some((7, old.clone())), "cut at operation {cut}");
    }
}

#[test]
fn too_large_is_refused_with_need_and_have_and_touches_nothing() {
    let (slots, power) = Nor::slots(SLOT);
    let mut store = Store::open(slots);
    let have = (SLOT - PAGE) as u32;
    assert_eq!(transfer(&mut store, &image(1, have as usize)), Ok(1));
    store.reopen(Trust::Records);
    let before = power.operations();
    let refused = transfer(&mut store, &image(2, have as usize + 1));
    assert_eq!(refused, Err(Fault::SlotTooSmall { need: have + 1, have }));
    assert_eq!(power.operations(), before);
}

#[test]
fn a_cut_at_any_operation_leaves_the_old_image() {
    every_cut_leaves_the_old_image::<PAGE>();
}

#[test]
fn so_does_one_where_records_and_image_share_a_page() {
    every_cut_leaves_the_old_image::<{ 2 * RECORD_BYTES }>();
}

fn every_cut_leaves_the_old_image<const HEAD: usize>() {
    let (old, new) = (image(1, 2100), image(2, 2100));
    for with_older in [false, true] {
        let mut cut = 0;
        loop {
            let (slots, power) = Nor::<HEAD>::pair(SLOT);
            let mut store = Store::open(slots);
            if with_older {
                // The other slot holds a valid, older image instead of junk.
                transfer(&mut store, &image(9, 3000)).unwrap();
                store.reopen(Trust::Records);
            }
            transfer(&mut store, &old).unwrap();
            store.reopen(Trust::Records);
            let generation = active(&mut store).unwrap().0;

            power.cut_after(cut);
            let outcome = transfer(&mut store, &new);
            power.restore();
            let mut store = Store::open(store.into_slots());
            if outcome.is_ok() {
                assert_eq!(active(&mut store), Some((generation + 1, new.clone())), "after operation {cut}");
                break;
            }
            assert_eq!(active(&mut store), Some((generation, old.clone())), "cut at operation {cut}");
            // And the next attempt works.
            assert_eq!(transfer(&mut store, &new), Ok(generation + 1));
            store.reopen(Trust::Records);
            assert_eq!(active(&mut store), Some((generation + 1, new.clone())));
            cut += 1;
        }
        assert!(cut > 525, "every one of {cut} operations was cut");
    }
}
