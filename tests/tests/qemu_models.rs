//! Other people's models on the emulated boards: golden outputs, byte for byte.
//!
//! The suite runs a few samples of each; `cargo xtask test --long` runs all of them on m4, and more on the others.
//! Where bytes differ, the message names the first layer whose values are not the host's.

use embernet::flash::slot;
use embernet::graph::DType;
use embernet::image::{self, Optimize, PackOptions, pack};
use embernet::link::{Board, Client, FirmwareOptions, LinkError, flash_bytes};
use embernet_core::arch::IsaId;
use embernet_core::exec::PlanKind;
use embernet_core::image::ImageError;
use embernet_core::plan::PlanError;
use embernet_core::slot::{RECORD_BYTES, Record};
use embernet_core::wire::{Fault, ModelState};
use embernet_tests::imported::{Golden, Model, models};
use embernet_tests::{firmware, shared};

/// The models that every board with room for them runs.
const EVERYWHERE: [&str; 4] =
    ["mlperf_kws_dscnn_int8", "mlperf_ic_resnet8_int8", "mlperf_ad_autoencoder_int8", "tflm_person_detect_int8"];

/// The boards whose slots take the small models only.
const SMALL: [&str; 2] = ["m0", "netduinoplus2"];

fn integer_models() -> impl Iterator<Item = Model> {
    [DType::I8, DType::I16].into_iter().flat_map(models)
}

/// Runs the first `samples` of every stack and compares; nothing where the board has no room.
fn equals_reference(name: &str, model: &Model, optimize: Optimize, samples: usize) {
    let board = Board::named(name).unwrap();
    let options = PackOptions { isa: board.isa, optimize, ..PackOptions::default() };
    let packed = pack(&model.imported.graph, &options, None).unwrap();
    let image = packed.image().unwrap();
    let Ok(flashed) = slot(&packed.bytes, board.emulated_slots(), 1) else {
        eprintln!("{name}: no slot for {}", model.name);
        return;
    };
    let Some(mut client) = firmware::start(name, Some(flashed)) else { return };
    let have = client.info().unwrap().arena_bytes as usize;
    if have < image.arena_bytes() {
        eprintln!("{name}: {} needs {} bytes of arena, there are {have}", model.name, image.arena_bytes());
        return;
    }
    assert_eq!(client.load(&image, |_, _| {}).unwrap().sent, 0, "the model was flashed");
    for golden in model.goldens() {
        let count = golden.samples.min(samples);
        let inputs: Vec<&[u8]> = golden.inputs.iter().map(|all| part(all, &golden, 0, count)).collect();
        let run = client.infer(&image, &inputs, true).unwrap();
        let each = board.instructions(run.ticks.unwrap()).unwrap() / count as u64;
        eprintln!("{name}: {} {}: {count} samples, {each} instructions each", model.name, golden.tag);
        let expected = part(&golden.output, &golden, 0, count);
        if run.outputs[0] == expected {
            continue;
        }
        let bytes = expected.len() / count;
        let wrong =
            run.outputs[0].chunks(bytes).zip(expected.chunks(bytes)).position(|(found, wanted)| found != wanted);
        let layer = first_difference(&mut client, model, &golden, wrong.unwrap_or(0));
        panic!("{name}: {} {}: sample {wrong:?} differs; {layer}", model.name, golden.tag);
    }
}

/// So many samples of a stack.
fn part<'a>(all: &'a [u8], golden: &Golden, first: usize, count: usize) -> &'a [u8] {
    let bytes = all.len() / golden.samples;
    &all[first * bytes..][..count * bytes]
}

/// The first layer whose values are not the host's, for one sample: all activations become outputs.
fn first_difference(client: &mut Client, model: &Model, golden: &Golden, sample: usize) -> String {
    let mut graph = model.imported.graph.clone();
    let nodes: Vec<_> = graph.order().unwrap().into_iter().map(|id| graph.node(id).clone()).collect();
    graph.outputs = nodes.iter().map(|node| node.outputs[0]).collect();
    let options = PackOptions { isa: IsaId::Scalar, ..PackOptions::default() };
    let packed = pack(&graph, &options, None).unwrap();
    let image = packed.image().unwrap();
    let mut arena = image::arena_for(&image);
    let mut session = image::open(&image, &mut arena, IsaId::Scalar).unwrap();
    let inputs: Vec<&[u8]> = golden.inputs.iter().map(|all| part(all, golden, sample, 1)).collect();
    for (index, input) in inputs.iter().enumerate() {
        session.input_mut(PlanKind::Infer, index).copy_from_slice(input);
    }
    session.infer(1).unwrap();
    if let Err(error) = client.load(&image, |_, _| {}) {
        return format!("the layer cannot be told: {error}");
    }
    let found = client.infer(&image, &inputs, false).unwrap().outputs;
    for (index, node) in nodes.iter().enumerate() {
        let wrong = found[index].iter().zip(session.output(index)).filter(|(found, host)| found != host).count();
        if wrong > 0 {
            return format!("first at `{}` ({}): {wrong} bytes are not the host's", node.name, node.op.kind());
        }
    }
    "every layer is the host's: its kernels differ from the reference too".into()
}

/// A board without much memory runs what it can; the others must run all of [`EVERYWHERE`].
fn runs(name: &str, samples: usize) {
    for model in integer_models().filter(|model| SMALL.contains(&name) || EVERYWHERE.contains(&model.name.as_str())) {
        equals_reference(name, &model, Optimize::Speed, samples);
    }
}

#[test]
fn every_integer_model_on_m4() {
    for model in integer_models() {
        equals_reference("m4", &model, Optimize::Speed, 2);
    }
}

/// Layers that compute some rows at a time: tiles and lines of all cores begin and end in the middle of an image.
#[test]
fn every_integer_model_by_rows_on_m4() {
    for model in integer_models() {
        equals_reference("m4", &model, Optimize::Ram, 1);
    }
}

#[test]
fn models_by_rows_on_other_cores() {
    let small = ["mlperf_kws_dscnn_int8", "tflm_person_detect_int8"];
    for model in integer_models().filter(|model| small.contains(&model.name.as_str())) {
        for name in ["m3", "m0-mps2", "m55", "rv32"] {
            equals_reference(name, &model, Optimize::Ram, 1);
        }
    }
}

#[test]
#[ignore = "minutes: every sample of every model"]
fn every_sample_of_every_integer_model_on_m4() {
    for model in integer_models() {
        for optimize in [Optimize::Speed, Optimize::Ram] {
            equals_reference("m4", &model, optimize, usize::MAX);
        }
    }
}

#[test]
#[ignore = "minutes"]
fn more_samples_on_every_board() {
    for name in ["m0", "m0-mps2", "m3", "m7", "m33", "m55", "rv32"] {
        runs(name, 20);
    }
}

#[test]
fn m0_runs_imported_models() {
    runs("m0", 1);
}

#[test]
fn m0_mps2_runs_imported_models() {
    runs("m0-mps2", 1);
}

#[test]
fn m3_runs_imported_models() {
    runs("m3", 1);
}

#[test]
fn m7_runs_imported_models() {
    runs("m7", 1);
}

#[test]
fn m33_runs_imported_models() {
    runs("m33", 1);
}

#[test]
fn m55_runs_imported_models() {
    runs("m55", 1);
}

#[test]
fn netduinoplus2_runs_imported_models() {
    runs("netduinoplus2", 1);
}

#[test]
fn rv32_runs_imported_models() {
    runs("rv32", 1);
}

/// Programs that carry one model's kernels: flash of the program alone, and the reference's bytes all the same.
#[test]
fn programs_for_one_model_are_small() {
    let board = Board::named("m4").unwrap();
    // For size, weights stay in the plain order; else they are in the core's own, whose loops take more room.
    let limits = [
        ("mlperf_kws_dscnn_int8", IsaId::Scalar, 20 * 1024),
        ("mlperf_kws_dscnn_int8", board.isa, 24 * 1024),
        ("mlperf_ad_autoencoder_int8", board.isa, 12 * 1024),
        ("tflm_hello_world_int8", board.isa, 12 * 1024),
    ];
    let models: Vec<Model> = integer_models().collect();
    for (name, isa, most) in limits {
        let Some(model) = models.iter().find(|model| model.name == name) else { return };
        if let Some(obstacle) = firmware::obstacle(board) {
            eprintln!("skipped: {obstacle}");
            return;
        }
        let packed = model.pack(1, isa, true);
        let image = packed.image().unwrap();
        let options = FirmwareOptions::for_image(&image);
        let bytes = flash_bytes(&firmware::build(board, &options)).unwrap();
        eprintln!("{name}: {bytes} bytes of program");
        assert!(bytes <= most, "{name}: {bytes} bytes, at most {most}");

        let flashed = slot(&packed.bytes, &board.slots, 1).unwrap();
        let mut client = firmware::start_with("m4", &options, Some(flashed)).unwrap();
        let golden = &model.goldens()[0];
        let input = part(&golden.inputs[0], golden, 0, 1);
        let run = client.infer(&image, &[input], true).unwrap();
        assert_eq!(run.outputs[0], part(&golden.output, golden, 0, 1), "{name}");

        let ticks = client.profile(&image, &[input]).unwrap();
        assert_eq!(ticks.len(), image.infer_plan().len());
        let (sum, whole) = (ticks.iter().map(|ticks| u64::from(*ticks)).sum::<u64>(), run.ticks.unwrap());
        // Readings of the counter round, and are not free.
        assert!(sum.abs_diff(whole) * 10 < whole, "{name}: steps take {sum} ticks, all {whole}");

        let refused = client.upload(&packed.bytes, 0, 0, &mut |_, _| {}).unwrap_err();
        assert!(matches!(refused, LinkError::Refused { fault: Fault::Unknown, .. }), "{refused}");
    }
    // A program that lacks a model's kernels says so.
    let packed = |name: &str| models.iter().find(|model| model.name == name).unwrap().pack(1, IsaId::Scalar, true);
    let (hello, kws) = (packed("tflm_hello_world_int8"), packed("mlperf_kws_dscnn_int8"));
    let options = FirmwareOptions::for_image(&hello.image().unwrap());
    let flashed = slot(&kws.bytes, &board.slots, 1).unwrap();
    let mut client = firmware::start_with("m4", &options, Some(flashed)).unwrap();
    let ModelState::Refused(fault) = client.info().unwrap().model else { panic!("it lacks the kernels") };
    assert!(matches!(fault, Fault::Image(ImageError::Infer(PlanError::UnknownKind { step: 0, .. }))), "{fault}");
}

/// An image whose weights lie in another core's order is refused, and one in the plain order runs anywhere.
#[test]
fn an_image_for_another_core_is_refused() {
    let Some(_) = shared::dir("an image for another core on m4", "models") else { return };
    let model = integer_models().find(|model| model.name == "mlperf_ad_autoencoder_int8").unwrap();
    let board = Board::named("m4").unwrap();
    let start = |isa| firmware::start("m4", Some(slot(&model.pack(1, isa, true).bytes, &board.slots, 1).unwrap()));
    let Some(mut client) = start(IsaId::Rv32) else { return };
    let ModelState::Refused(fault) = client.info().unwrap().model else { panic!("it has another order") };
    let message = fault.to_string();
    assert!(message.ends_with("image was packed for rv32, this runs dsp: pack it again for that"), "{message}");
    drop(client);
    assert!(matches!(start(IsaId::Scalar).unwrap().info().unwrap().model, ModelState::Ready(_)));
}

/// From the start of the counter, the first thing that a board's program does, to the first request that it could
/// serve. What comes before is the runtime's: it sets a few hundred bytes of variables.
#[test]
fn a_start_with_a_large_model_is_short() {
    const MOST: u64 = 100_000;
    let Some(_) = shared::dir("the start of m4 with KWS", "models") else { return };
    let model = integer_models().find(|model| model.name == "mlperf_kws_dscnn_int8").unwrap();
    let board = Board::named("m4").unwrap();
    let packed = model.pack(1, board.isa, true);
    let mut flashed = slot(&packed.bytes, &board.slots, 1).unwrap();
    // As the board leaves it: the image has been read once.
    let record = Record { verified: true, ..Record::of(&packed.bytes, 1) };
    flashed[..RECORD_BYTES].copy_from_slice(&record.emit());
    let Some(mut client) = firmware::start("m4", Some(flashed)) else { return };
    assert!(matches!(client.info().unwrap().model, ModelState::Ready(_)));
    let instructions = board.instructions(client.boot_ticks().unwrap()).unwrap();
    eprintln!(
        "m4 starts KWS in {instructions} instructions; the head has {} bytes",
        packed.image().unwrap().header().head_bytes
    );
    assert!(instructions <= MOST, "{instructions} instructions");
}
