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

#[test]
fn all_kernels_of_inference_on_m4() {
    let board = Board::named("m4").unwrap();
    let Some(client) = firmware::start_with("m4", &inference(), None) else { return };
    let bytes = flash_bytes(&firmware::build(board, &inference())).unwrap();
    eprintln!("{bytes} bytes of program");
    assert!(bytes <= u64::from(board.size_budget_bytes.unwrap()), "{bytes} bytes of program");

    let mut device = Compact(Device(client));
    let failures: Vec<String> = cases::all()
        .into_iter()
        .filter_map(|case| case.run(&mut device).err().map(|error| format!("{}: {error}", case.name)))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));

    let Compact(Device(mut client)) = device;
    assert_eq!(client.info().unwrap().isa, "scalar");
    for numbers in [DType::I8, DType::I16, DType::F32] {
        for model in models(numbers) {
            equals_host(&mut client, &model);
        }
    }
}

/// A program for one model, and what it says to weights in the order of the core's own loops.
#[test]
fn the_order_of_fast_loops_is_refused() {
    let board = Board::named("m4").unwrap();
    let Some(model) = models(DType::I8).into_iter().find(|model| model.name == "mlperf_kws_dscnn_int8") else { return };
    let (for_size, for_speed) = (packed(&model, Optimize::Size), packed(&model, Optimize::Speed));
    let options = FirmwareOptions { compact: true, ..FirmwareOptions::for_image(&for_size.image().unwrap()) };
    let start =
        |packed: &Packed| firmware::start_with("m4", &options, Some(slot(&packed.bytes, &board.slots, 1).unwrap()));
    let Some(mut client) = start(&for_size) else { return };
    eprintln!("{} bytes of program", flash_bytes(&firmware::build(board, &options)).unwrap());
    equals_host(&mut client, &model);
    let ModelState::Refused(fault) = start(&for_speed).unwrap().info().unwrap().model else { panic!("another order") };
    assert!(fault.to_string().contains("packed with `--optimise size`"), "{fault}");
}
