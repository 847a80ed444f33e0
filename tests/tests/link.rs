//! Host and device over a link in memory: the protocol, model transfer, and everything that can go wrong.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use embernet::graph::Sequential;
use embernet::graph::ops::Dense;
use embernet::image::{PackOptions, Precision, pack};
use embernet::link::{Client, LinkError, Patience, Transport, pipe};
use embernet_core::adapt::watch::Watch;
use embernet_core::checksum::crc32;
use embernet_core::exec::SessionError;
use embernet_core::image::ImageError;
use embernet_core::optim::OptimizerRecord;
use embernet_core::rng::Rng;
use embernet_core::wire::{
    Buffer, Decoder, Fault, Kind, MAX_FRAME, ModelState, PROFILE_STEPS, PanicReport, Request, Response, VERSION, encode,
};
use embernet_tests::nor::{Nor, PAGE};
use embernet_tests::{device, lossy, models};

const SLOT: usize = 16 * PAGE;
const ARENA: usize = 12_000;

const IMPATIENT: Patience = Patience {
    resend: Duration::from_millis(2),
    give_up: Duration::from_secs(30),
    give_up_work: Duration::from_secs(30),
};

fn silent(_: usize, _: usize) {}

#[test]
fn a_device_infers_learns_and_forgets_like_the_host() {
    let packed = models::iris(OptimizerRecord::adam(0.01));
    let image = packed.image().unwrap();
    let (mut client, _) = device::connect(Nor::slots(SLOT).0, ARENA);
    assert_eq!(client.info().unwrap().model, ModelState::Empty);

    let mut heard = Vec::new();
    let upload = client.load(&image, |done, all| heard.push((done, all))).unwrap();
    assert_eq!((upload.sent, upload.slot, upload.generation), (packed.bytes.len(), 0, 1));
    assert_eq!(heard.first(), Some(&(0, packed.bytes.len())));
    assert_eq!(heard.last(), Some(&(packed.bytes.len(), packed.bytes.len())));
    let ModelState::Ready(model) = client.info().unwrap().model else { panic!("a model") };
    assert_eq!((model.bytes as usize, model.params_bytes), (packed.bytes.len(), image.header().param_bytes));

    let mut rng = Rng::new(1);
    let input = models::values(&mut rng, 4 * 20);
    let run = client.infer(&image, &[&input], true).unwrap();
    assert_eq!(run.outputs, [models::infer(&image, &input)]);
    assert_eq!(run.ticks, Some(0), "a counter that counts its readings measures none");

    let steps = models::steps(2, 30);
    let fresh = client.params(&image).unwrap();
    let (losses, learned) = models::replay(&image, &steps);
    for ((inputs, labels), loss) in steps.iter().zip(&losses) {
        assert_eq!(client.train_step(&image, &[inputs], labels).unwrap().loss.to_bits(), loss.to_bits());
    }
    assert_eq!(client.params(&image).unwrap(), learned);
    let stats = client.stats().unwrap();
    assert_eq!((stats.steps, stats.inferences, stats.bad_frames), (30, 20, 0));
    assert_eq!(stats.arena_used as usize, image.arena_bytes());

    // Loading what is there sends nothing, and forgets.
    assert_eq!(client.load(&image, silent).unwrap().sent, 0);
    assert_eq!(client.params(&image).unwrap(), fresh);
    client.set_lr(0.0).unwrap();
    client.train_step(&image, &[&steps[0].0], &steps[0].1).unwrap();
    assert_eq!(client.params(&image).unwrap(), fresh, "no learning at rate 0");
}

/// Floats, integers and fixed point; statistics of batches; passes that add up; a target of values.
#[test]
fn a_device_evaluates_and_learns_nothing_from_it() {
    let accumulating = OptimizerRecord::adam(0.01).with_passes(3);
    let iris = [
        models::iris(OptimizerRecord::momentum(0.1, 0.9, false)),
        models::normalised(OptimizerRecord::adam(0.01)),
        models::sparse(accumulating, "all", 2, &[]),
        models::precise(Precision::Fixed16, &[10, 10], OptimizerRecord::adam(0.01), 4),
    ];
    let int8 = models::int8(OptimizerRecord::adam(0.01), "all", models::BATCH, &[]);
    let all = iris.iter().map(|packed| (packed, models::steps as models::Steps));
    for (packed, steps) in all.chain([(&int8, models::int8_steps as models::Steps)]) {
        let image = packed.image().unwrap();
        let (mut client, _) = device::connect(Nor::slots(4 * SLOT).0, 8 * ARENA);
        client.load(&image, silent).unwrap();
        let learned = steps(2, 9);
        let (losses, _) = models::replay(&image, &learned);
        let pairs = models::passes(&image, &learned).zip(&losses);
        for (number, ((inputs, labels), loss)) in pairs.enumerate() {
            // In the midst of an update's passes, too.
            if number.is_multiple_of(4) {
                models::evaluates_like_the_host(&mut client, &image, &steps(3, 4));
            }
            assert_eq!(client.train_step(&image, &[inputs], labels).unwrap().loss.to_bits(), loss.to_bits());
        }
        assert_eq!(client.statistics().unwrap().steps, losses.len() as u32, "only training is watched");
    }

    let packed = models::tiny(1);
    let image = packed.image().unwrap();
    let (mut client, _) = device::connect(Nor::slots(SLOT).0, ARENA);
    client.load(&image, silent).unwrap();
    let refused = client.evaluate(&image, &[], &[]).unwrap_err().to_string();
    assert!(refused.contains("no training plan"), "{refused}");
}

#[test]
fn a_device_watches_what_it_sees_and_answers() {
    let packed = models::iris(OptimizerRecord::sgd(0.1));
    let image = packed.image().unwrap();
    let (mut client, _) = device::connect(Nor::slots(SLOT).0, ARENA);
    assert!(matches!(client.statistics(), Err(LinkError::Refused { .. })), "there is no model");
    client.load(&image, silent).unwrap();

    let mut losses = Watch::default();
    for (inputs, labels) in models::steps(2, 3) {
        losses.observe_loss(client.train_step(&image, &[&inputs], &labels).unwrap().loss);
    }
    client.infer(&image, &[&[0; 16]], true).unwrap();
    assert_eq!(client.statistics().unwrap(), losses, "nobody asked for more");

    client.watch(200).unwrap();
    let mut expected = Watch::new(200);
    let mut rng = Rng::new(1);
    let mut drifts = Vec::new();
    for offset in [0.0, 0.0, 1.0] {
        let shifted: Vec<u8> = (0..4 * 200).flat_map(|_| (offset + rng.uniform_f32(-1.0, 1.0)).to_le_bytes()).collect();
        let outputs = client.infer(&image, &[&shifted], true).unwrap().outputs;
        // The session is told before it runs, but what it says does not depend on the order.
        expected.observe_inputs(&image.inputs()[0], &shifted);
        expected.observe_outputs(&image.outputs()[0], &outputs[0]);
        let statistics = client.statistics().unwrap();
        assert_eq!(statistics, expected);
        assert_eq!(statistics.classes.iter().sum::<u32>(), statistics.input.level.seen);
        drifts.push(statistics.input.level.has_drifted());
    }
    assert_eq!(drifts, [false, false, true]);
    client.watch(0).unwrap();
    assert_eq!(client.statistics().unwrap(), Watch::default());
}

#[test]
fn a_device_normalises_like_the_host() {
    let packed = models::normalised(OptimizerRecord::adam(0.01));
    let image = packed.image().unwrap();
    let (mut client, _) = device::connect(Nor::slots(SLOT).0, ARENA);
    client.load(&image, silent).unwrap();
    let steps = models::steps(2, 30);
    let (losses, learned) = models::replay(&image, &steps);
    for ((inputs, labels), loss) in steps.iter().zip(&losses) {
        assert_eq!(client.train_step(&image, &[inputs], labels).unwrap().loss.to_bits(), loss.to_bits());
    }
    assert!(losses[29] < losses[0]);
    assert_eq!(client.params(&image).unwrap(), learned, "kept statistics among them");
}

#[test]
fn data_larger_than_a_message_goes_in_pieces() {
    let packed = models::wide();
    let image = packed.image().unwrap();
    let (mut client, _) = device::connect(Nor::slots(4 * SLOT).0, 2 * ARENA);
    client.load(&image, silent).unwrap();
    let input = models::values(&mut Rng::new(5), 100 * 7);
    let run = client.infer(&image, &[&input], true).unwrap();
    assert_eq!(run.outputs, [models::infer(&image, &input)]);
    assert!(client.params(&image).unwrap().is_empty());
    let error = client.train_step(&image, &[&input], &[]).unwrap_err();
    assert!(matches!(error, LinkError::Length { .. }), "{error}");
    let error = client.infer(&image, &[&input[1..]], false).unwrap_err().to_string();
    assert_eq!(error, "input has 2799 bytes, expected 2400");
}

#[test]
fn a_profile_tells_of_every_step() {
    // More steps than one answer tells of.
    let mut net = Sequential::new([4]);
    for _ in 0..PROFILE_STEPS + 3 {
        net = net.add(Dense::new(4));
    }
    let packed = pack(&net.build(1).unwrap(), &PackOptions::default(), None).unwrap();
    let image = packed.image().unwrap();
    let (mut client, _) = device::connect(Nor::slots(SLOT).0, ARENA);
    client.load(&image, silent).unwrap();
    let input = models::values(&mut Rng::new(5), 4);
    let ticks = client.profile(&image, &[&input]).unwrap();
    assert_eq!(ticks, [0; PROFILE_STEPS + 3], "a counter that counts its readings measures none");
    let outputs = client.read(Buffer::Output(0), 16).unwrap();
    assert_eq!(outputs, models::infer(&image, &input), "a profile is an inference");
    assert!(client.boot_ticks().unwrap() > 0);
}

#[test]
fn a_device_that_is_asked_reads_its_image_again() {
    let packed = models::iris(OptimizerRecord::sgd(0.1));
    let image = packed.image().unwrap();
    let (mut client, thread) = device::connect(Nor::slots(SLOT).0, ARENA);
    client.load(&image, silent).unwrap();
    client.verify().unwrap();
    drop(client);
    // A bit of the weights tips over: the start does not notice, a device that is asked does.
    let mut slots = thread.join().unwrap();
    slots[0].tip(PAGE + packed.bytes.len() - 1);
    let (mut client, thread) = device::connect(slots, ARENA);
    assert!(matches!(client.info().unwrap().model, ModelState::Ready(_)));
    let LinkError::Refused { fault, .. } = client.verify().unwrap_err() else { panic!("a refusal") };
    assert!(matches!(fault, Fault::Crc { expected, .. } if expected == crc32(&packed.bytes)), "{fault}");
    drop(client);
    // A bit of the head: the start notices.
    let mut slots = thread.join().unwrap();
    slots[0].tip(PAGE + 100);
    let (mut client, _) = device::connect(slots, ARENA);
    assert_eq!(client.info().unwrap().model, ModelState::Empty);
}

#[test]
fn a_damaged_head_brings_the_older_model_back() {
    let (old, new) = (models::iris(OptimizerRecord::sgd(0.1)), models::iris(OptimizerRecord::adam(0.1)));
    let (mut client, thread) = device::connect(Nor::slots(SLOT).0, ARENA);
    for packed in [&old, &new] {
        client.load(&packed.image().unwrap(), silent).unwrap();
    }
    drop(client);
    let mut slots = thread.join().unwrap();
    slots[1].tip(PAGE + 200);
    let (mut client, _) = device::connect(slots, ARENA);
    let ModelState::Ready(model) = client.info().unwrap().model else { panic!("a model") };
    assert_eq!((model.slot, model.generation, model.crc), (0, 1, crc32(&old.bytes)));
}

#[test]
fn a_bad_cable_changes_nothing_but_time() {
    let packed = models::iris(OptimizerRecord::sgd(0.1));
    let image = packed.image().unwrap();
    let steps = models::steps(3, 40);
    let (_, learned) = models::replay(&image, &steps);
    for seed in 0..3 {
        let (host, _) = device::start(Nor::slots(SLOT).0, ARENA);
        let cable = lossy::Lossy::new(host, seed);
        let mut client = Client::connect_with(Box::new(cable), IMPATIENT).unwrap();
        client.load(&image, silent).unwrap();
        for (inputs, labels) in &steps {
            client.train_step(&image, &[inputs], labels).unwrap();
        }
        assert_eq!(client.params(&image).unwrap(), learned, "seed {seed}");
        let stats = client.stats().unwrap();
        assert_eq!(stats.steps, 40, "every step happened exactly once");
        assert!(stats.bad_frames > 10, "{stats:?}");
    }
}

#[test]
fn a_request_that_begins_before_the_device_listens_is_no_bad_frame() {
    let mut frame = [0; MAX_FRAME + 1];
    let bytes = encode(Kind::Request, 7, &Request::Hello { version: VERSION }, &mut frame).unwrap().len();
    for lost in 0..bytes {
        let (mut host, _) = device::start(Nor::slots(SLOT).0, ARENA);
        host.write(&frame[lost..bytes]).unwrap();
        assert_eq!(Client::connect(host).unwrap().stats().unwrap().bad_frames, 0, "{lost} bytes lost");
    }
    // Later ones are.
    let (mut host, _) = device::start(Nor::slots(SLOT).0, ARENA);
    host.write(&frame[..bytes]).unwrap();
    host.write(&frame[3..bytes]).unwrap();
    assert_eq!(Client::connect(host).unwrap().stats().unwrap().bad_frames, 1);
}

#[test]
fn what_does_not_fit_is_refused_with_need_and_have() {
    let packed = models::iris(OptimizerRecord::adam(0.01));
    let image = packed.image().unwrap();
    let need = packed.bytes.len() as u32;
    let (mut client, _) = device::connect(Nor::slots(2 * PAGE).0, ARENA);
    let error = client.load(&image, silent).unwrap_err();
    assert!(matches!(error, LinkError::ImageTooLarge { have: 1024, .. }), "{error}");
    assert_eq!(error.to_string(), format!("the image has {need} bytes, in-process takes 1024"));
    // The device refuses by itself too.
    let error = client.upload(&packed.bytes, 0, 0, &mut silent).unwrap_err();
    let LinkError::Refused { fault, .. } = error else { panic!("{error}") };
    assert_eq!(fault, Fault::SlotTooSmall { need, have: 1024 });

    let (slots, power) = Nor::slots(SLOT);
    let (mut client, _) = device::connect(slots, 512);
    let error = client.load(&image, silent).unwrap_err();
    assert!(matches!(error, LinkError::ArenaTooSmall { have: 512, .. }), "{error}");
    let arena_bytes = image.arena_bytes() as u32;
    let too_small = Fault::Session(SessionError::ArenaTooSmall { need: arena_bytes, have: 512 });
    let error = client.upload(&packed.bytes, 0, arena_bytes, &mut silent).unwrap_err();
    let LinkError::Refused { fault, .. } = error else { panic!("{error}") };
    assert_eq!(fault, too_small);
    assert_eq!(power.operations(), 0, "refused before flash was touched");
    // An announcement that lies is found out at the commit.
    let error = client.upload(&packed.bytes, crc32(&packed.bytes), 0, &mut silent).unwrap_err();
    let LinkError::Refused { fault, .. } = error else { panic!("{error}") };
    assert_eq!(fault, too_small);
    assert_eq!(client.info().unwrap().model, ModelState::Empty);
}

#[test]
fn a_foreign_image_is_refused_and_the_old_one_keeps_what_it_learned() {
    let packed = models::iris(OptimizerRecord::sgd(0.1));
    let image = packed.image().unwrap();
    let steps = models::steps(4, 5);
    let (_, learned) = models::replay(&image, &steps);
    let (mut client, _) = device::connect(Nor::slots(SLOT).0, ARENA);
    client.load(&image, silent).unwrap();
    for (inputs, labels) in &steps {
        client.train_step(&image, &[inputs], labels).unwrap();
    }
    let mut damaged = packed.bytes.to_vec();
    damaged[image.header().data.offset as usize] ^= 1;
    for (bytes, crc) in [(vec![7; 1000], None), (damaged, None), (packed.bytes.to_vec(), Some(1))] {
        let announced = crc.unwrap_or_else(|| crc32(&bytes));
        let error = client.upload(&bytes, announced, 0, &mut silent).unwrap_err();
        let LinkError::Refused { request: "commit", fault } = error else { panic!("{error}") };
        let expected = match (crc, bytes[0]) {
            (Some(expected), _) => Fault::Crc { found: crc32(&bytes), expected },
            (None, 7) => Fault::Image(ImageError::BadMagic { found: [7; 4] }),
            _ => fault,
        };
        assert_eq!(fault, expected);
        assert!(matches!(fault, Fault::Crc { .. } | Fault::Image(_)));
        assert_eq!(client.params(&image).unwrap(), learned);
    }
    let chunk = client.upload(&[], 0, 0, &mut silent).unwrap_err();
    assert!(matches!(chunk, LinkError::Refused { fault: Fault::Image(_), .. }), "{chunk}");
}

#[test]
fn requests_that_make_no_sense_are_faults() {
    let packed = models::iris(OptimizerRecord::sgd(0.1));
    let image = packed.image().unwrap();
    let (mut client, _) = device::connect(Nor::slots(SLOT).0, ARENA);
    let refused = |result: Result<(), LinkError>| match result {
        Err(LinkError::Refused { fault, .. }) => fault,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(client.reset()), Fault::NoModel);
    client.load(&image, silent).unwrap();
    assert_eq!(refused(client.write(Buffer::Input(0), &[0; 17])), Fault::OutOfRange { need: 17, have: 16 });
    assert_eq!(refused(client.write(Buffer::Output(0), &[0; 4])), Fault::ReadOnly);
    assert_eq!(refused(client.write(Buffer::Input(1), &[0; 4])), Fault::NoBuffer);
    assert_eq!(refused(client.read(Buffer::Output(9), 4).map(drop)), Fault::NoBuffer);
    let (inputs, mut labels) = models::steps(1, 1).remove(0);
    labels[12] = 3;
    let label = SessionError::Label { sample: 3, found: 3, classes: 3 };
    let before = client.params(&image).unwrap();
    assert_eq!(refused(client.train_step(&image, &[&inputs], &labels).map(drop)), Fault::Session(label));
    let (inputs, labels) = ([inputs.clone(), inputs].concat(), [labels.clone(), labels].concat());
    let range = refused(client.train_step(&image, &[&inputs], &labels).map(drop));
    assert_eq!(range, Fault::OutOfRange { need: 256, have: 160 });
    assert_eq!(client.params(&image).unwrap(), before);
}

#[test]
fn a_cable_pulled_in_a_transfer_leaves_the_old_model() {
    let old = models::iris(OptimizerRecord::sgd(0.1));
    let new = models::iris(OptimizerRecord::adam(0.1));
    let (old_image, new_image) = (old.image().unwrap(), new.image().unwrap());
    let chunks = new.bytes.len().div_ceil(256);
    let (mut client, mut thread) = device::connect(Nor::slots(SLOT).0, ARENA);
    client.load(&old_image, silent).unwrap();
    // Hello, info and begin come before the first chunk.
    for requests in [3, 4, 3 + chunks / 2, 3 + chunks] {
        drop(client);
        let (host, device) = device::start(thread.join().unwrap(), ARENA);
        let mut pulled = Client::connect(Pulled { host, requests }).unwrap();
        let error = pulled.load(&new_image, silent).unwrap_err();
        assert!(matches!(error, LinkError::Gone { .. }), "{error}");
        drop(pulled);
        (client, thread) = device::connect(device.join().unwrap(), ARENA);
        let ModelState::Ready(model) = client.info().unwrap().model else { panic!("the old model") };
        assert_eq!((model.crc, model.generation), (crc32(&old.bytes), 1));
        let input = models::values(&mut Rng::new(9), 4);
        let run = client.infer(&old_image, &[&input], false).unwrap();
        assert_eq!(run.outputs, [models::infer(&old_image, &input)]);
    }
    client.load(&new_image, silent).unwrap();
}

#[test]
fn a_power_cut_in_a_transfer_leaves_the_old_model() {
    let old = models::iris(OptimizerRecord::sgd(0.1));
    let new = models::iris(OptimizerRecord::adam(0.1));
    let (old_image, new_image) = (old.image().unwrap(), new.image().unwrap());
    let (slots, power) = Nor::slots(SLOT);
    let (mut client, mut thread) = device::connect(slots, ARENA);
    client.load(&old_image, silent).unwrap();
    let before = power.operations();
    let operations = 1 + new.bytes.len().div_ceil(PAGE) + new.bytes.len().div_ceil(4) + 8;
    // Every operation of the record, and some of all others.
    let cuts = (0..operations).filter(|cut| cut % 41 == 0 || cut + 9 > operations);
    for cut in cuts {
        power.cut_after(cut);
        let error = client.load(&new_image, silent).unwrap_err();
        assert!(matches!(error, LinkError::Refused { fault: Fault::Flash, .. }), "{cut}: {error}");
        drop(client);
        power.restore();
        (client, thread) = device::connect(thread.join().unwrap(), ARENA);
        let ModelState::Ready(model) = client.info().unwrap().model else { panic!("the old model") };
        assert_eq!((model.crc, model.generation), (crc32(&old.bytes), 1), "cut at operation {cut}");
    }
    let cut = power.operations() - before;
    assert!(cut > 20 * 10, "{cut}");
    power.cut_after(operations);
    assert_eq!(client.load(&new_image, silent).unwrap().generation, 2);
}

#[test]
fn a_restart_is_noticed() {
    let (host, thread) = device::start(Nor::slots(SLOT).0, ARENA);
    drop(host);
    let (host, _) = device::start(thread.join().unwrap(), ARENA);
    let mut raw = Raw(host);
    let answer = |raw: &mut Raw<_>, seq, request: Request<'_>| raw.ask(seq, &request);
    assert_eq!(answer(&mut raw, 1, Request::Stats), (1, "Fault(NoHello)".into()));
    assert_eq!(answer(&mut raw, 2, Request::Hello { version: 99 }), (2, format!("Hello {{ version: {VERSION} }}")));
    assert!(answer(&mut raw, 3, Request::Info).1.starts_with("Info"));
    // The same number again: the kept answer, whatever is asked.
    assert!(answer(&mut raw, 3, Request::Reset).1.starts_with("Info"));
    assert_eq!(answer(&mut raw, 4, Request::Reset), (4, "Fault(NoModel)".into()));
}

#[test]
fn an_unknown_request_is_said_to_be_unknown() {
    let (host, _) = device::start(Nor::slots(SLOT).0, ARENA);
    let mut raw = Raw(host);
    raw.ask(1, &Request::Hello { version: VERSION });
    // Variant 100, which a later version may have.
    assert_eq!(raw.send(2, &100u8), (2, "Fault(Unknown)".into()));
    assert_eq!(raw.send(3, &[9u8, 9]), (3, "Fault(Unknown)".into()), "a message that is cut");
}

/// A link that ends after so many requests.
struct Pulled<T> {
    host: T,
    requests: usize,
}

impl<T: Transport> Transport for Pulled<T> {
    fn read(&mut self, bytes: &mut [u8], timeout: Duration) -> Result<usize, LinkError> {
        self.host.read(bytes, timeout)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let gone = || LinkError::Gone { what: "the device".into(), status: String::new() };
        self.requests = self.requests.checked_sub(1).ok_or_else(gone)?;
        self.host.write(bytes)
    }

    fn name(&self) -> &str {
        self.host.name()
    }
}

/// Frames without a client.
struct Raw<T>(T);

impl<T: Transport> Raw<T> {
    fn ask(&mut self, seq: u16, request: &Request<'_>) -> (u16, String) {
        self.send(seq, request)
    }

    fn send<P: serde::Serialize>(&mut self, seq: u16, payload: &P) -> (u16, String) {
        // A zero byte first, as the protocol has it.
        let mut out = [0; MAX_FRAME + 2];
        let bytes = 1 + encode(Kind::Request, seq, payload, &mut out[1..]).unwrap().len();
        self.0.write(&out[..bytes]).unwrap();
        let mut decoder = Decoder::<MAX_FRAME>::new();
        loop {
            let mut byte = [0];
            assert_eq!(self.0.read(&mut byte, Duration::from_secs(10)).unwrap(), 1, "an answer");
            if let Some(frame) = decoder.push(byte[0]) {
                let frame = frame.unwrap();
                return (frame.seq, format!("{:?}", frame.response().unwrap()));
            }
        }
    }
}

/// A device that answers every request with the same bytes.
fn parrot(answer: impl Fn(u16) -> Vec<u8> + Send + 'static) -> impl Transport {
    let (host, mut device) = pipe();
    std::thread::spawn(move || {
        let mut decoder = Decoder::<MAX_FRAME>::new();
        let mut byte = [0];
        while device.read(&mut byte).unwrap() == 1 {
            if let Some(Ok(frame)) = decoder.push(byte[0]) {
                let bytes = answer(frame.seq);
                if device.write_all(&bytes).is_err() {
                    break;
                }
            }
        }
    });
    host
}

fn framed(kind: Kind, seq: u16, payload: &impl serde::Serialize) -> Vec<u8> {
    encode(kind, seq, payload, &mut [0; MAX_FRAME + 1]).unwrap().to_vec()
}

#[test]
fn another_protocol_version_is_named() {
    let device = parrot(|seq| framed(Kind::Response, seq, &Response::Hello { version: 2 }));
    let error = Client::connect(device).unwrap_err();
    assert!(matches!(error, LinkError::Version { found: 2, known: VERSION }), "{error}");
}

#[test]
fn a_panic_on_the_device_is_told() {
    let report = PanicReport { file: "src/somewhere.rs", line: 17 };
    let error = Client::connect(parrot(move |_| framed(Kind::Panic, 0, &report))).unwrap_err();
    assert_eq!(error.to_string(), "the firmware panicked at src/somewhere.rs:17");
    let report = PanicReport { file: "", line: 0x1234 };
    let error = Client::connect(parrot(move |_| framed(Kind::Panic, 0, &report))).unwrap_err();
    assert_eq!(error.to_string(), "the processor faulted at address 0x00001234");
}

#[test]
fn silence_and_absence_differ() {
    let patience = Patience { give_up: Duration::from_millis(30), ..IMPATIENT };
    let (host, device) = pipe();
    let error = Client::connect_with(Box::new(host), patience).unwrap_err();
    assert!(matches!(error, LinkError::Silent { request: "hello", .. }), "{error}");
    drop(device);
    let (host, device) = pipe();
    drop(device);
    let error = Client::connect(host).unwrap_err();
    assert!(matches!(error, LinkError::Gone { .. }), "{error}");
    // Noise that is no answer is silence too.
    let error = Client::connect_with(Box::new(parrot(|_| vec![1, 2, 3, 0, 0, 9])), patience).unwrap_err();
    assert!(matches!(error, LinkError::Silent { .. }), "{error}");
}

/// The far end of a port, until somebody unplugs it.
struct Plugged<P> {
    port: P,
    unplugged: Arc<AtomicBool>,
}

impl<P: Read> Read for Plugged<P> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.port.read(bytes) {
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                    if self.unplugged.load(Ordering::Relaxed) {
                        return Ok(0);
                    }
                }
                done => return done,
            }
        }
    }
}

impl<P: Write> Write for Plugged<P> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.port.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.port.flush()
    }
}

/// The serial transport over a pseudo-terminal, which is a serial port without a wire.
#[cfg(unix)]
#[test]
fn a_serial_port_carries_the_protocol_until_it_is_gone() {
    use embernet::link::Serial;
    use serialport::{SerialPort, TTYPort};
    let (mut far, near) = TTYPort::pair().expect("a pseudo-terminal");
    let name = near.name().unwrap();
    drop(near);
    far.set_timeout(Duration::from_millis(20)).unwrap();
    let port = Serial::open(&name, 115_200).unwrap();
    let unplugged = Arc::new(AtomicBool::new(false));
    let far = Plugged { port: far, unplugged: Arc::clone(&unplugged) };
    let device = device::start_on(far, Nor::slots(SLOT).0, ARENA);
    let mut client =
        Client::connect_with(Box::new(port), Patience { resend: Duration::from_millis(200), ..IMPATIENT }).unwrap();
    let packed = models::iris(OptimizerRecord::sgd(0.1));
    let image = packed.image().unwrap();
    client.load(&image, silent).unwrap();
    let input = models::values(&mut Rng::new(1), 4 * 3);
    assert_eq!(client.infer(&image, &[&input], false).unwrap().outputs, [models::infer(&image, &input)]);
    unplugged.store(true, Ordering::Relaxed);
    drop(device.join().unwrap());
    let error = client.info().unwrap_err();
    assert!(matches!(error, LinkError::Gone { .. }), "{error:?}");
    let error = Serial::open("no-such-port", 115_200).unwrap_err();
    assert!(matches!(error, LinkError::NoPort { .. }), "{error}");
}
