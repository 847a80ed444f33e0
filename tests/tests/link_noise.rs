//! The link on a line that damages one byte in a hundred, and a peer that means harm.

use std::time::Duration;

use embernet::link::{Client, Patience, Transport};
use embernet_core::optim::OptimizerRecord;
use embernet_core::rng::Rng;
use embernet_core::wire::{Kind, MAX_FRAME, ModelState, encode};
use embernet_tests::nor::{Nor, PAGE};
use embernet_tests::{device, lossy, models};

const SLOT: usize = 16 * PAGE;
const ARENA: usize = 12_000;

const IMPATIENT: Patience = Patience {
    resend: Duration::from_millis(1),
    give_up: Duration::from_secs(300),
    give_up_work: Duration::from_secs(300),
};

/// Everything that is asked happens once, whatever the line does.
fn every_message_arrives_once(messages: u32) {
    let packed = models::iris(OptimizerRecord::sgd(0.01));
    let image = packed.image().unwrap();
    let (slots, _) = Nor::slots(SLOT);
    let (mut client, thread) = device::connect(slots, ARENA);
    client.load(&image, |_, _| {}).unwrap();
    drop(client);
    let (host, _) = device::start(thread.join().unwrap(), ARENA);
    let mut client = Client::connect_with(Box::new(lossy::Noisy::new(host, 5)), IMPATIENT).unwrap();
    let mut rng = Rng::new(1);
    for number in 0..messages / 2 {
        let steps = client.stats().unwrap().steps;
        assert_eq!(steps, number);
        // Three requests, two of them with data.
        let label = rng.below(3).to_le_bytes();
        client.train_step(&image, &[&models::values(&mut rng, 4)], &label).unwrap();
    }
    let stats = client.stats().unwrap();
    assert_eq!(stats.steps, messages / 2);
    assert!(stats.bad_frames > messages / 10, "{stats:?}");
}

#[test]
fn messages_arrive_once_on_a_noisy_line() {
    every_message_arrives_once(2_000);
}

#[test]
#[ignore = "minutes"]
fn a_hundred_thousand_messages_arrive_once_on_a_noisy_line() {
    // Each round is four messages.
    every_message_arrives_once(50_000);
}

/// A device with a model, at the other end of the raw link.
fn with_model() -> (impl Transport, impl FnOnce() -> [Nor; 2]) {
    let packed = models::iris(OptimizerRecord::sgd(0.01));
    let (mut client, thread) = device::connect(Nor::slots(SLOT).0, ARENA);
    client.load(&packed.image().unwrap(), |_, _| {}).unwrap();
    drop(client);
    let (host, thread) = device::start(thread.join().unwrap(), ARENA);
    (host, || thread.join().expect("the device has not panicked"))
}

/// Reads what has come, so that the device is never kept waiting.
fn drain(host: &mut impl Transport) {
    let mut bytes = [0; 4096];
    while host.read(&mut bytes, Duration::ZERO).unwrap() > 0 {}
}

#[test]
fn ten_megabytes_of_junk_change_nothing() {
    let (mut host, _) = with_model();
    let mut rng = Rng::new(9);
    for _ in 0..10_000_000 / 1000 {
        let junk: Vec<u8> = (0..250).flat_map(|_| rng.next_u32().to_le_bytes()).collect();
        host.write(&junk).unwrap();
        drain(&mut host);
    }
    let mut client = Client::connect(host).unwrap();
    assert!(matches!(client.info().unwrap().model, ModelState::Ready(_)));
    assert!(client.stats().unwrap().bad_frames > 1000);
}

/// Bytes that are their own encoding.
struct Raw<'a>(&'a [u8]);

impl serde::Serialize for Raw<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        self.0.iter().try_for_each(|byte| serde::ser::SerializeTuple::serialize_element(&mut tuple, byte))?;
        serde::ser::SerializeTuple::end(tuple)
    }
}

/// Whole frames with right checksums around requests that nobody would send.
#[test]
fn hostile_requests_never_stop_the_device() {
    let (mut host, slots) = with_model();
    let mut rng = Rng::new(10);
    // It greets first, so that requests are looked at.
    let hello = [0u8, 1];
    for number in 0..200_000u32 {
        let mut payload: Vec<u8> = (0..rng.below(24)).map(|_| rng.next_u32() as u8).collect();
        match rng.below(4) {
            // A request's number, and fields that are small or huge.
            0..3 if !payload.is_empty() => payload[0] %= 21,
            _ => {}
        }
        let payload = if number == 0 { &hello[..] } else { &payload };
        let mut out = [0; MAX_FRAME + 1];
        let frame = encode(Kind::Request, number as u16, &Raw(payload), &mut out).unwrap();
        host.write(frame).unwrap();
        if number % 16 == 0 {
            drain(&mut host);
        }
    }
    drain(&mut host);
    let mut client = Client::connect(host).unwrap();
    assert!(client.stats().is_ok());
    drop(client);
    slots();
}
