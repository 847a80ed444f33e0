//! Programs that are built for size: the bytes of all others, from shorter and slower loops.

use embernet::flash::slot;
use embernet::graph::DType;
use embernet::image::{Optimize, PackOptions, Packed, pack};
use embernet::link::{Board, Client, FirmwareOptions, flash_bytes};
use embernet_core::arch::IsaId;
use embernet_core::image::Image;
use embernet_core::wire::ModelState;
use embernet_tests::cases;
use embernet_tests::firmware;
use embernet_tests::imported::{Golden, Model, models};
use embernet_tests::runtime::{Device, Runtime};

/// All kernels of inference, and models over the link.
fn inference() -> FirmwareOptions {
    FirmwareOptions { compact: true, ..FirmwareOptions::inference() }
}

/// A board with such a program, which reads the plain order only.
struct Compact(Device);

impl Runtime for Compact {
    fn name(&self) -> String {
        format!("{}, built for size", self.0.name())
    }

    fn isa(&self) -> IsaId {
        IsaId::Scalar
    }

    fn infer(&mut self, image: &Image<'_>, inputs: &[&[u8]]) -> Result<Vec<u8>, String> {
        self.0.infer(image, inputs)
    }
}

fn packed(model: &Model, optimize: Optimize) -> Packed {
    let isa = Board::named("m4").unwrap().isa;
    pack(&model.imported.graph, &PackOptions { isa, optimize, ..PackOptions::default() }, None).unwrap()
}

/// The first sample of the first stack gives the bytes of the scalar token on this machine.
fn equals_host(client: &mut Client, model: &Model) {
    let packed = packed(model, Optimize::Size);
    let image = packed.image().unwrap();
    client.load(&image, |_, _| {}).unwrap();
    let Golden { tag, inputs, output, samples } = model.goldens().swap_remove(0);
    let first = |all: Vec<u8>| all[..all.len() / samples].to_vec();
    let inputs = inputs.into_iter().map(first).collect();
    let golden = Golden { tag, inputs, output: first(output), samples: 1 };
    let inputs: Vec<&[u8]> = golden.inputs.iter().map(Vec::as_slice).collect();
    let run = client.infer(&image, &inputs, true).unwrap();
    let instructions = Board::named("m4").unwrap().instructions(run.ticks.unwrap()).unwrap();
    eprintln!("{}: {instructions} instructions", model.name);
    assert_eq!(run.outputs[0], model.run(&golden, IsaId::Scalar, 1), "{}", model.name);
}

/// Models whose inferences take a second or so in QEMU.
const SHORT: [&str; 4] =
    ["mlperf_kws_dscnn_int8", "tflm_hello_world_int8", "tflm_micro_speech_int8", "mlperf_ad_autoencoder_f32"];

/// A program for one model, and what it says to weights in the order of the core's own loops; then one with all kernels
/// of inference. One after the other: each build replaces the one before.
#[test]
fn programs_for_size_give_the_same_bytes() {
    let board = Board::named("m4").unwrap();
    let all: Vec<Model> = [DType::I8, DType::F32].into_iter().flat_map(models).collect();
    if let Some(model) = all.iter().find(|model| model.name == SHORT[0]) {
        let (for_size, for_speed) = (packed(model, Optimize::Size), packed(model, Optimize::Speed));
        let options = FirmwareOptions { compact: true, ..FirmwareOptions::for_image(&for_size.image().unwrap()) };
        let start =
            |packed: &Packed| firmware::start_with("m4", &options, Some(slot(&packed.bytes, &board.slots, 1).unwrap()));
        let Some(mut client) = start(&for_size) else { return };
        let bytes = flash_bytes(&firmware::build(board, &options)).unwrap();
        eprintln!("{}: {bytes} bytes of program", model.name);
        equals_host(&mut client, model);
        let ModelState::Refused(fault) = start(&for_speed).unwrap().info().unwrap().model else {
            panic!("weights in another order")
        };
        assert!(fault.to_string().contains("packed with `--optimise size`"), "{fault}");
    }

    let Some(client) = firmware::start_with("m4", &inference(), None) else { return };
    let bytes = flash_bytes(&firmware::build(board, &inference())).unwrap();
    eprintln!("all kernels of inference: {bytes} bytes of program");
    let mut device = Compact(Device(client));
    let failures: Vec<String> = cases::all()
        .into_iter()
        // One keeps a state between runs, as parameters do that learn: a program without training refuses it.
        .filter(|case| Image::parse(&case.image(IsaId::Scalar)).unwrap().header().persistent_bytes == 0)
        .filter_map(|case| case.run(&mut device).err().map(|error| format!("{}: {error}", case.name)))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let Compact(Device(mut client)) = device;
    assert_eq!(client.info().unwrap().isa, "scalar");
    all.iter().filter(|model| SHORT.contains(&model.name.as_str())).for_each(|model| equals_host(&mut client, model));
}
