//! What an image is packed for changes its sizes and no output.

use embernet::graph::ops::{Conv2d, Dense, DepthwiseConv2d, Flatten};
use embernet::graph::{Activation, DType, Graph, Sequential};
use embernet::image::{self, Optimize, PackOptions, Packed, pack};
use embernet::quant::{Scheme, quantize};
use embernet_core::arch::IsaId;
use embernet_core::exec::PlanKind;
use embernet_core::rng::Rng;
use embernet_tests::imported::models;
use embernet_tests::models::grouped;

/// A small int8 network whose scratch is larger than its activations.
fn small() -> Graph {
    let graph = Sequential::new([6, 6, 4])
        .add(Conv2d::new(5, [3, 3]).activation(Activation::Relu))
        .add(DepthwiseConv2d::new([3, 3]))
        .add(Flatten {})
        .add(Dense::new(7))
        .build(3)
        .expect("a sound graph");
    let mut rng = Rng::new(1);
    let samples: Vec<f32> = (0..20 * 6 * 6 * 4).map(|_| rng.unit_f32()).collect();
    quantize(&graph, &samples, Scheme::Int8).expect("an int8 form").graph
}

/// What the host's twin of the order makes of one random sample.
fn infer(packed: &Packed) -> Vec<u8> {
    let image = packed.image().unwrap();
    let mut arena = image::arena_for(&image);
    let mut session = image::open(&image, &mut arena, IsaId::Scalar).unwrap();
    let mut rng = Rng::new(2);
    session.input_mut(PlanKind::Infer, 0).iter_mut().for_each(|byte| *byte = rng.below(256) as u8);
    session.infer(1).unwrap();
    session.output(0).to_vec()
}

/// Bytes that a core's own loops take in the program for one model, at least: a quarter of what they take for keyword
/// spotting on m4 (`docs/performance.md`).
const LOOPS: usize = 900;

/// The boards' orders of weights, and the plain one.
const ORDERS: [IsaId; 6] = [IsaId::Scalar, IsaId::Dsp, IsaId::Mve, IsaId::Thumb2, IsaId::Thumb1, IsaId::Rv32];

fn every_aim_reaches_it(name: &str, graph: &Graph) {
    reaches_it(name, graph, &ORDERS);
}

fn reaches_it(name: &str, graph: &Graph, orders: &[IsaId]) {
    for &isa in orders {
        let packed = [Optimize::Speed, Optimize::Size, Optimize::Ram]
            .map(|optimize| pack(graph, &PackOptions { isa, optimize, ..PackOptions::default() }, None).unwrap());
        let flash = packed.each_ref().map(|packed| packed.bytes.len());
        let ram = packed.each_ref().map(|packed| packed.image().unwrap().arena_bytes());
        eprintln!("{name} for {}: flash {flash:?}, RAM {ram:?}", isa.name());
        // A record in the plain order names more tables, but a program for it has no loops of the core's own.
        let loops = if isa.has_layout() { LOOPS } else { 0 };
        assert!(flash[1] <= flash[0] + loops && flash[1] <= flash[2] + loops, "{name} {isa:?}: flash {flash:?}");
        assert!(ram[2] <= ram[0], "{name} {isa:?}: RAM {ram:?}");
        // By the cost model no aim is slower than the plain loops, which `size` takes.
        let estimates = packed.each_ref().map(|packed| {
            let plan = image::inspect(&packed.image().unwrap()).infer;
            plan.steps.iter().filter_map(|step| step.estimate).sum::<u64>()
        });
        assert!(estimates[0] <= estimates[1], "{name} {isa:?}: estimates {estimates:?}");
        let outputs = packed.each_ref().map(infer);
        assert!(outputs.iter().all(|output| *output == outputs[0]), "{name} {isa:?}: outputs differ");
    }
}

#[test]
fn of_a_small_network() {
    let graph = small();
    every_aim_reaches_it("small", &graph);
    let ram = |optimize| {
        let options = PackOptions { isa: IsaId::Dsp, optimize, ..PackOptions::default() };
        pack(&graph, &options, None).unwrap().image().unwrap().arena_bytes()
    };
    assert!(ram(Optimize::Ram) < ram(Optimize::Speed), "there is something to choose");
}

/// A dense layer of two outputs is faster in the plain loop on rv32, but not by enough to carry both.
#[test]
fn loops_are_mixed_only_where_it_pays() {
    let dense = |network: Sequential| {
        let graph = network.build(3).expect("a sound graph");
        let count = 20 * graph.tensor(graph.inputs[0]).elements();
        let mut rng = Rng::new(1);
        let samples: Vec<f32> = (0..count).map(|_| rng.unit_f32()).collect();
        let graph = quantize(&graph, &samples, Scheme::Int8).expect("an int8 form").graph;
        let options = PackOptions { isa: IsaId::Rv32, ..PackOptions::default() };
        let packed = pack(&graph, &options, None).unwrap();
        let plan = image::inspect(&packed.image().unwrap()).infer;
        plan.steps.iter().map(|step| step.runs_in).collect::<Vec<_>>()
    };
    assert_eq!(dense(Sequential::new([256]).add(Dense::new(2))), ["plain"]);
    assert_eq!(dense(Sequential::new([1024]).add(Dense::new(256)).add(Dense::new(2))), ["own", "own"]);
}

/// What cores have no loop for as it is may become a convolution over all channels.
#[test]
fn of_layers_of_groups() {
    let graph = grouped();
    every_aim_reaches_it("grouped", &graph);
    for isa in ORDERS.into_iter().filter(|isa| isa.has_layout()) {
        let depthwise = |optimize| {
            let packed = pack(&graph, &PackOptions { isa, optimize, ..PackOptions::default() }, None).unwrap();
            let image = packed.image().unwrap();
            image.infer_plan().steps().filter(|step| step.name().starts_with("DepthwiseConv2d")).count()
        };
        let [speed, size] = [Optimize::Speed, Optimize::Size].map(depthwise);
        assert!(speed < size && size == 4, "{isa:?}: {speed}, {size}");
    }
}

#[test]
fn of_other_peoples_models() {
    for model in models(DType::I8).iter().filter(|model| model.imported.graph.inputs.len() == 1) {
        every_aim_reaches_it(&model.name, &model.imported.graph);
    }
}

#[test]
fn of_other_peoples_models_in_other_types() {
    for dtype in [DType::I16, DType::F32] {
        for model in models(dtype).iter().filter(|model| model.imported.graph.inputs.len() == 1) {
            reaches_it(&model.name, &model.imported.graph, &[IsaId::Scalar]);
        }
    }
}

/// What the larger of the shared models may take, in the order of the core's own loops.
#[test]
fn rows_keep_arenas_small() {
    let most = [
        ("tflm_person_detect_int8", 30_720),
        ("mlperf_ic_resnet8_int8", 24_576),
        ("mlperf_kws_dscnn_int8", 12_288),
        ("tflm_micro_speech_int8", 6_144),
    ];
    for model in models(DType::I8) {
        let Some((name, most)) = most.iter().find(|(name, _)| *name == model.name) else { continue };
        for isa in ORDERS {
            let options = PackOptions { isa, optimize: Optimize::Ram, ..PackOptions::default() };
            let arena = pack(&model.imported.graph, &options, None).unwrap().image().unwrap().arena_bytes();
            assert!(arena <= *most, "{name} {isa:?}: {arena}");
        }
    }
}
