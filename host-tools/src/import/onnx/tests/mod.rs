//! Models made here, so that the tests run without any file.

mod damage;
mod file;
mod layouts;
mod recurrent;
mod refusals;
mod traps;

use super::{Imported, Options, from_bytes};
use crate::image::{self, PackOptions};
use embernet_core::arch::IsaId;
use embernet_core::exec::PlanKind;
use embernet_core::memory::view;
use file::{File, float, int, ints, text};
use zerocopy::IntoBytes;

/// conv - batch norm - relu - max pool - flatten - gemm - softmax.
fn small_cnn() -> File {
    let ramp = |n: usize| (0..n).map(|i| (i % 17) as f32 / 16.0 - 0.5).collect::<Vec<_>>();
    File::new(13)
        .input("image", &["batch", "2", "6", "6"])
        .floats("conv.w", &[3, 2, 3, 3], &ramp(54))
        .floats("gamma", &[3], &[1.0, 2.0, 0.5])
        .floats("beta", &[3], &[0.1, 0.2, 0.3])
        .floats("mean", &[3], &[0.0, 1.0, -1.0])
        .floats("variance", &[3], &[1.0, 4.0, 0.25])
        .floats("fc.w", &[4, 27], &ramp(108))
        .floats("fc.b", &[4], &[1.0, 2.0, 3.0, 4.0])
        .node("Conv", &["image", "conv.w"], "conv", &[ints("pads", &[1, 1, 1, 1])])
        .node("BatchNormalization", &["conv", "gamma", "beta", "mean", "variance"], "norm", &[float("epsilon", 0.0)])
        .node("Relu", &["norm"], "relu", &[])
        .node("MaxPool", &["relu"], "pool", &[ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])])
        .node("Flatten", &["pool"], "flat", &[int("axis", 1)])
        .node("Gemm", &["flat", "fc.w", "fc.b"], "logits", &[int("transB", 1)])
        .node("Softmax", &["logits"], "probabilities", &[])
        .output("probabilities")
}

fn import(file: &File) -> Imported {
    from_bytes(&file.to_bytes(), &Options::default()).unwrap_or_else(|e| panic!("{}", chain(&e)))
}

/// The first output for one sample of the first input, as they lie in the graph.
fn run(imported: &Imported, x: &[f32]) -> Vec<f32> {
    let packed =
        image::pack(&imported.graph, &PackOptions::default(), None).unwrap_or_else(|e| panic!("{}", chain(&e)));
    let image = packed.image().unwrap();
    let mut arena = image::arena_for(&image);
    let mut session = image::open(&image, &mut arena, IsaId::Scalar).unwrap();
    session.input_mut(PlanKind::Infer, 0).copy_from_slice(x.as_bytes());
    session.infer(1).unwrap();
    view::<f32>(session.output(0)).to_vec()
}

fn kinds(imported: &Imported) -> Vec<&'static str> {
    imported.graph.nodes.iter().map(|n| n.op.kind()).collect()
}

/// The error's whole chain in one line.
fn refusal(file: &File) -> String {
    match from_bytes(&file.to_bytes(), &Options::default()) {
        Ok(_) => panic!("accepted"),
        Err(error) => chain(&error),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        if !text.ends_with(&error.to_string()) {
            text += &format!(": {error}");
        }
        source = error.source();
    }
    text
}
