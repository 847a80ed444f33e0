//! Every emulated board infers and learns with the host's bits.

use std::time::Duration;

use embernet::flash::slot;
use embernet::image::Precision;
use embernet::link::{Board, Client, FirmwareOptions, LinkError, Patience, Qemu, QemuOptions, Transport};
use embernet_core::adapt::watch::Watch;
use embernet_core::image::Image;
use embernet_core::optim::OptimizerRecord;
use embernet_core::optim::state::StateFormat;
use embernet_core::rng::Rng;
use embernet_core::wire::ModelState;
use embernet_tests::{firmware, models};

/// Inference, then 100 training steps, byte for byte and bit for bit, watched all the while; gives the ticks of both.
fn has_the_hosts_bits(name: &str, client: &mut Client, image: &Image<'_>) -> (u64, u64) {
    let input = models::values(&mut Rng::new(11), 4 * 20);
    client.watch(10).unwrap();
    let run = client.infer(image, &[&input], true).unwrap();
    assert_eq!(run.outputs, [models::infer(image, &input)], "{name}: outputs");

    let mut watch = Watch::new(10);
    watch.observe_inputs(&image.inputs()[0], &input);
    watch.observe_outputs(&image.outputs()[0], &run.outputs[0]);

    let steps = models::steps(12, 100);
    let (losses, learned) = models::replay(image, &steps);
    let mut ticks = 0;
    for ((inputs, labels), loss) in steps.iter().zip(&losses) {
        let step = client.train_step(image, &[inputs], labels).unwrap();
        assert_eq!(step.loss.to_bits(), loss.to_bits(), "{name}: loss");
        watch.observe_loss(*loss);
        ticks += step.ticks;
    }
    // Of twenty batches together: a single one is noisy.
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    assert!(mean(&losses[80..]) < mean(&losses[..20]), "it learns: {losses:?}");
    assert_eq!(client.params(image).unwrap(), learned, "{name}: weights after 100 steps");
    models::evaluates_like_the_host(client, image, &models::steps(13, 3));
    assert_eq!(client.statistics().unwrap(), watch, "{name}: statistics");
    (run.ticks.unwrap(), ticks)
}

/// [`has_the_hosts_bits`], at a cost that makes sense.
fn works_like_the_host(name: &str, client: &mut Client, image: &Image<'_>) {
    let (infer_ticks, ticks) = has_the_hosts_bits(name, client, image);
    let board = Board::named(name).unwrap();
    let instructions = |ticks| board.instructions(ticks).unwrap();
    let stats = client.stats().unwrap();
    let (one, step) = (instructions(infer_ticks) / 20, instructions(ticks) / 100);
    eprintln!(
        "{name}: {one} instructions an inference, {step} a training step of {} samples; stack {} of {}, arena {} of {}",
        models::BATCH,
        stats.stack_used,
        stats.stack_bytes,
        stats.arena_used,
        stats.arena_bytes
    );
    // Not ten times as many: what a run costs by itself is paid once for the whole batch.
    assert!(one > 100 && step > 2 * one, "{one} and {step} instructions");
    assert_eq!((stats.steps, stats.bad_frames), (100, 0));
    assert!(stats.stack_used < stats.stack_bytes, "{stats:?}");
}

fn learns(name: &str) {
    let board = Board::named(name).unwrap();
    let sgd = models::iris(OptimizerRecord::sgd(0.1));
    let flashed = slot(&sgd.bytes, board.emulated_slots(), 1).unwrap();
    let Some(mut client) = firmware::start(name, Some(flashed)) else { return };
    let image = sgd.image().unwrap();
    // The model was flashed: nothing is sent.
    assert_eq!(client.load(&image, |_, _| {}).unwrap().sent, 0);
    works_like_the_host(name, &mut client, &image);

    let adam = models::iris(OptimizerRecord::adam(0.01));
    let image = adam.image().unwrap();
    let upload = client.load(&image, |_, _| {}).unwrap();
    assert_eq!((upload.sent, upload.slot, upload.generation), (adam.bytes.len(), 1, 2));
    works_like_the_host(name, &mut client, &image);
    // And back over the first slot.
    let upload = client.load(&sgd.image().unwrap(), |_, _| {}).unwrap();
    assert_eq!((upload.slot, upload.generation), (0, 3));

    let normalised = models::normalised(OptimizerRecord::adam(0.01));
    let image = normalised.image().unwrap();
    client.load(&image, |_, _| {}).unwrap();
    has_the_hosts_bits(name, &mut client, &image);
}

/// In a small network what a step costs beside its arithmetic counts.
#[test]
fn m4_learns_from_one_sample_in_few_instructions() {
    let board = Board::named("m4").unwrap();
    let Some(mut client) = firmware::start("m4", None) else { return };
    for (optimizer, most) in [(OptimizerRecord::sgd(0.1), 6_000), (OptimizerRecord::adam(0.01), 14_000)] {
        let packed = models::precise(Precision::F32, &[10, 10], optimizer, 1);
        let image = packed.image().unwrap();
        client.load(&image, |_, _| {}).unwrap();
        let steps = models::steps(12, 10);
        let (losses, learned) = models::replay(&image, &steps);
        let mut ticks = 0;
        for ((inputs, labels), loss) in models::passes(&image, &steps).zip(&losses) {
            let step = client.train_step(&image, &[inputs], labels).unwrap();
            assert_eq!(step.loss.to_bits(), loss.to_bits());
            ticks += step.ticks;
        }
        assert_eq!(client.params(&image).unwrap(), learned);
        let each = board.instructions(ticks).unwrap() / losses.len() as u64;
        eprintln!("m4: {each} instructions a training step of one sample, 4-10-10-3, {:?}", optimizer.rule());
        assert!(each <= most, "{each} instructions, {most} at most");
    }
}

/// Int8 networks that learn in place give the host's bits.
fn learns_in_int8(name: &str) {
    let Some(mut client) = firmware::start(name, None) else { return };
    let images = [
        models::int8(OptimizerRecord::sgd(0.05), "all", models::BATCH, &[]),
        models::int8(OptimizerRecord::adam(0.01), "last:3:bias,depthwise_conv2d", 2, &["conv2d"]),
        models::int8(OptimizerRecord::momentum(0.02, 0.9, true), "conv2d_1:channels=1-3,dense", models::BATCH, &[]),
    ];
    let steps = models::int8_steps(31, 4);
    for (number, packed) in images.iter().enumerate() {
        let image = packed.image().unwrap();
        client.load(&image, |_, _| {}).unwrap();
        let (losses, learned) = models::replay(&image, &steps);
        for ((inputs, labels), loss) in models::passes(&image, &steps).zip(&losses) {
            let step = client.train_step(&image, &[inputs], labels).unwrap();
            assert_eq!(step.loss.to_bits(), loss.to_bits(), "{name}, image {number}: loss");
        }
        assert_eq!(client.params(&image).unwrap(), learned, "{name}, image {number}: integers");
        models::evaluates_like_the_host(&mut client, &image, &steps[..1]);
        // What infers has learned.
        let (input, _) = &steps[0];
        let run = client.infer(&image, &[input], false).unwrap();
        let untrained = models::infer(&image, input);
        assert_ne!(run.outputs, [untrained], "{name}, image {number}: outputs");
    }
}

#[test]
fn m0_learns_in_int8() {
    // The micro:bit has too little RAM for these networks: the same core in a larger machine.
    learns_in_int8("m0-mps2");
}

#[test]
fn m3_learns_in_int8() {
    learns_in_int8("m3");
}

#[test]
fn m4_learns_in_int8() {
    learns_in_int8("m4");
}

#[test]
fn rv32_learns_in_int8() {
    learns_in_int8("rv32");
}

/// Every way to learn less, or in less memory, gives the host's bits too.
fn learns_in_little_memory(name: &str) {
    let Some(mut client) = firmware::start_with(name, &FirmwareOptions::with_states(), None) else { return };
    let (sgd, adam) = (OptimizerRecord::sgd(0.1), OptimizerRecord::adam(0.01));
    let momentum = OptimizerRecord::momentum(0.05, 0.9, true);
    let narrow = [StateFormat::Bf16, StateFormat::Block8];
    let mut images = vec![
        models::sparse(sgd, "last:2:bias", models::BATCH, &[]),
        models::sparse(adam, "dense_1:channels=2-4+9,dense_2", models::BATCH, &["dense"]),
        models::sparse(adam, "dense_1:lora=2,dense_2", models::BATCH, &[]),
        models::sparse(sgd.with_passes(5), "all", 2, &["dense", "dense_1"]),
        models::sparse(adam.with_state(StateFormat::Block8).with_passes(10), "all", 1, &[]),
        models::compressed(sgd, 2),
    ];
    images.extend(narrow.map(|format| models::sparse(adam.with_state(format), "all", models::BATCH, &[])));
    images.extend(narrow.map(|format| models::sparse(momentum.with_state(format), "last:2", models::BATCH, &[])));
    let steps = models::steps(21, 12);
    for (number, packed) in images.iter().enumerate() {
        let image = packed.image().unwrap();
        client.load(&image, |_, _| {}).unwrap();
        let (losses, learned) = models::replay(&image, &steps);
        for ((inputs, labels), loss) in models::passes(&image, &steps).zip(&losses) {
            let step = client.train_step(&image, &[inputs], labels).unwrap();
            assert_eq!(step.loss.to_bits(), loss.to_bits(), "{name}, image {number}: loss");
        }
        assert_eq!(client.params(&image).unwrap(), learned, "{name}, image {number}: weights");
    }
    // The program of every other test says what it cannot do.
    let Some(mut client) = firmware::start(name, None) else { return };
    let image = images.last().unwrap().image().unwrap();
    let error = client.load(&image, |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("keeps optimiser state as f32 only"), "{error}");
}

#[test]
fn m0_learns_in_little_memory() {
    learns_in_little_memory("m0");
}

#[test]
fn m3_learns_in_little_memory() {
    learns_in_little_memory("m3");
}

#[test]
fn m4_learns_in_little_memory() {
    learns_in_little_memory("m4");
}

#[test]
fn rv32_learns_in_little_memory() {
    learns_in_little_memory("rv32");
}

#[test]
fn m0_learns() {
    learns("m0");
}

#[test]
fn m0_mps2_learns() {
    learns("m0-mps2");
}

#[test]
fn m3_learns() {
    learns("m3");
}

#[test]
fn m4_learns() {
    learns("m4");
}

#[test]
fn m7_learns() {
    learns("m7");
}

#[test]
fn m33_learns() {
    learns("m33");
}

#[test]
fn m55_learns() {
    learns("m55");
}

#[test]
fn rv32_learns() {
    learns("rv32");
}

#[test]
fn netduinoplus2_learns() {
    learns("netduinoplus2");
}

#[test]
fn a_killed_qemu_is_gone_and_says_so() {
    let board = Board::named("m4").unwrap();
    if let Some(obstacle) = firmware::obstacle(board) {
        eprintln!("skipped: {obstacle}");
        return;
    }
    let elf = firmware::build(board, &FirmwareOptions::default());
    let mut qemu = Qemu::start(board, &elf, &QemuOptions::default()).unwrap();
    qemu.kill();
    let error = Client::connect(qemu).unwrap_err();
    assert!(matches!(error, LinkError::Gone { .. }), "{error}");
    assert!(error.to_string().starts_with("QEMU (m4) is gone: signal"), "{error}");

    // An argument that QEMU does not know: it says so and ends.
    let options = QemuOptions { arguments: vec!["-no-such-option".into()], ..QemuOptions::default() };
    let qemu = Qemu::start(board, &elf, &options).unwrap();
    let error = Client::connect(qemu).unwrap_err().to_string();
    assert!(error.contains("exit status") && error.contains("-no-such-option"), "{error}");
}

#[test]
fn the_log_of_the_device_is_decoded() {
    let board = Board::named("m4").unwrap();
    if let Some(obstacle) = firmware::obstacle(board) {
        eprintln!("skipped: {obstacle}");
        return;
    }
    use embernet::link::LogDecoder;
    use std::sync::{Arc, Mutex};
    let elf = firmware::build(board, &FirmwareOptions::default());
    let qemu = Qemu::start(board, &elf, &QemuOptions::default()).unwrap();
    let patience = Patience { resend: Duration::from_secs(5), ..qemu.patience() };
    let mut client = Client::connect_with(Box::new(qemu), patience).unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    client.log_to(LogDecoder::new(&std::fs::read(&elf).unwrap()).unwrap(), move |line| {
        sink.lock().unwrap().push(line.clone())
    });
    let packed = models::iris(OptimizerRecord::sgd(0.1));
    client.load(&packed.image().unwrap(), |_, _| {}).unwrap();
    let ModelState::Ready(_) = client.info().unwrap().model else { panic!("a model") };
    let lines = lines.lock().unwrap();
    let line = lines
        .iter()
        .find(|line| line.text.starts_with("model runs"))
        .unwrap_or_else(|| panic!("a line about the model in {lines:?}"));
    assert_eq!(line.level, "info");
    assert!(line.text.contains(&format!("bytes: {}", packed.bytes.len())), "{line}");
}
