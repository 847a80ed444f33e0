//! A board that loses its power at any write of an upload to its flash: on its own flash as QEMU plays it, through its
//! own UART, the old model or the new one is there when power is back, whole.
//!
//! A debugger stops the machine at the write and completes it, and its reset button is pressed there and then.
#![cfg(unix)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use embernet::link::{Client, LinkError, Patience};
use embernet_core::checksum::crc32;
use embernet_core::image::Image;
use embernet_core::rng::Rng;
use embernet_core::wire::ModelState;
use embernet_tests::machine::{Button, Debugger, Sockets};
use embernet_tests::{firmware, models};

/// What is written whenever flash changes.
#[derive(Clone, Copy)]
struct Watched {
    address: u32,
    bytes: u32,
}

/// A machine whose writes are counted.
struct Bench {
    client: Client,
    debugger: Debugger,
    button: Button,
    watched: Watched,
}

impl Bench {
    /// Sends `image` as the next model and resets the machine behind the write with the number `cut`. Gives the number of
    /// writes until then, or of all if there are fewer, and what the host was told.
    fn send(&mut self, image: &Image<'_>, cut: usize) -> (usize, Result<(), LinkError>) {
        let Watched { address, bytes } = self.watched;
        let (debugger, button) = (&mut self.debugger, &mut self.button);
        let is_over = AtomicBool::new(false);
        let (ready, wait) = channel();
        thread::scope(|scope| {
            let cutter = scope.spawn(|| {
                debugger.stop();
                debugger.watch(address, bytes);
                debugger.go();
                ready.send(()).expect("the host waits");
                let mut writes = 0;
                loop {
                    if !debugger.stops(|| is_over.load(Ordering::Relaxed)) {
                        debugger.stop();
                        break;
                    }
                    debugger.complete(address, bytes);
                    writes += 1;
                    if writes > cut {
                        button.press();
                        break;
                    }
                    debugger.go();
                }
                debugger.forget(address, bytes);
                debugger.go();
                writes
            });
            wait.recv().expect("the debugger is ready");
            let result = self.client.load(image, |_, _| {}).map(drop);
            is_over.store(true, Ordering::Relaxed);
            (cutter.join().expect("the debugger works"), result)
        })
    }

    /// The checksum of the model at work, which must infer as the host does.
    fn model(&mut self, models: &[Image<'_>; 2]) -> u32 {
        let ModelState::Ready(model) = self.client.info().unwrap().model else { panic!("neither model is there") };
        let image = models.iter().find(|image| crc32(image.bytes()) == model.crc).expect("one of both");
        let input = models::values(&mut Rng::new(5), 2);
        let outputs = self.client.infer(image, &[&input], false).unwrap().outputs;
        assert_eq!(outputs, [models::infer(image, &input)]);
        model.crc
    }
}

/// Cuts at every `stride`th write and at all of the last `last`, among which are those of the record.
fn survives_cuts(name: &str, watched: impl Fn(u32) -> Watched, stride: usize, last: usize) {
    let sockets = Sockets::new();
    // An erase is more than a thousand writes, each of which is a talk with the debugger.
    let long = Duration::from_secs(180);
    let patience = Patience { resend: Duration::from_millis(60), give_up: long, give_up_work: long };
    let Some(client) = firmware::start_patiently(name, &sockets.options(), patience) else { return };
    let (old, new) = (models::tiny(1), models::tiny(2));
    let images = [old.image().unwrap(), new.image().unwrap()];
    let [old, new] = &images;
    let crcs = images.each_ref().map(|image| crc32(image.bytes()));
    let (mut debugger, button) = (sockets.debugger(), sockets.button());
    debugger.go();
    let mut bench = Bench { client, debugger, button, watched: watched(new.bytes().len() as u32) };
    // The old model goes to slot 0, so that the new one goes to slot 1.
    bench.client.load(old, |_, _| {}).unwrap();
    let (all, result) = bench.send(new, usize::MAX);
    result.unwrap();
    assert_eq!(bench.model(&images), crcs[1]);
    bench.client.activate(0).unwrap();
    assert!(all > last, "{name}: {all} writes");

    let mut first_new = None;
    for cut in (0..all).filter(|cut| cut % stride == 0 || cut + last >= all) {
        let (writes, result) = bench.send(new, cut);
        assert_eq!(writes, cut + 1, "{name}");
        assert!(result.is_err_and(|error| error.is_restart()), "{name}: cut behind write {cut} of {all}");
        bench.client.hello().unwrap();
        let found = bench.model(&images);
        if found == crcs[1] {
            first_new.get_or_insert(cut);
            bench.client.activate(0).unwrap();
        } else {
            assert_eq!(first_new, None, "{name}: the old model behind write {cut} of {all}, but not before");
        }
    }
    let first_new = first_new.expect("the last write makes the new model count");
    assert!(first_new + 4 > all, "{name}: the new model counts from write {first_new} of {all} on");
    println!("{name}: {all} writes");
}

/// The micro:bit's flash controller: its mode is written before and behind every word and every page.
fn microbit(stride: usize) {
    survives_cuts("m0", |_| Watched { address: 0x4001_E504, bytes: 4 }, stride, 18);
}

/// The memory that plays this board's second slot.
fn netduinoplus2(stride: usize) {
    let slots = embernet::link::Board::named("netduinoplus2").unwrap().emulated_slots();
    let watched = |image| Watched { address: slots.origins[1], bytes: slots.head_bytes() + image };
    survives_cuts("netduinoplus2", watched, stride, 36);
}

#[test]
fn microbit_survives_cuts() {
    microbit(61);
}

#[test]
fn netduinoplus2_survives_cuts() {
    netduinoplus2(211);
}

#[test]
#[ignore = "minutes: at every single write"]
fn microbit_survives_every_cut() {
    microbit(1);
}

#[test]
#[ignore = "many minutes: at every single write"]
fn netduinoplus2_survives_every_cut() {
    netduinoplus2(1);
}
