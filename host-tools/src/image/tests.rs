use super::*;
use crate::data::Preprocessing;
use crate::graph::ops::{Conv2d, Dense, Flatten};
use crate::graph::{Activation, Graph, Sequential};
use crate::import::checkpoint::Checkpoint;
use embernet_core::exec::PlanKind;
use embernet_core::image::Image;
use embernet_core::memory::view;
use embernet_core::optim::OptimizerRecord;
use zerocopy::IntoBytes;

fn graph() -> Graph {
    let mut graph = Sequential::new([4, 4, 1])
        .named("tiny")
        .add(Conv2d::new(3, [3, 3]).activation(Activation::Relu))
        .add(Flatten {})
        .add_named("head", Dense::new(2).activation(Activation::Softmax))
        .build(4)
        .unwrap();
    graph.meta.class_names = vec!["no".into(), "yes".into()];
    graph.meta.preprocessing = Preprocessing { scale: 0.5, ..Preprocessing::default() };
    graph
}

fn trainable() -> PackOptions {
    let optimizer = OptimizerRecord::momentum(0.1, 0.9, false);
    let layers = Some("last:1".parse().unwrap());
    let train = TrainOptions { optimizer, loss: Loss::SparseCrossEntropy, batch: 2, layers, ..TrainOptions::default() };
    PackOptions { train: Some(train), ..PackOptions::default() }
}

#[test]
fn an_image_tells_what_it_is() {
    let graph = graph();
    let parent = Checkpoint::new(graph.clone()).id().unwrap();
    let packed = pack(&graph, &trainable(), Some(parent)).unwrap();
    let image = packed.image().unwrap();
    let metadata = Metadata::from_bytes(image.metadata()).unwrap();
    assert_eq!(metadata, packed.metadata);
    assert_eq!((metadata.name.as_str(), metadata.parent), ("tiny", Some(parent)));
    assert_eq!(metadata.class_names, ["no", "yes"]);
    assert_eq!(metadata.preprocessing.scale, 0.5);
    assert_eq!(metadata.params, ["head/kernel", "head/bias"]);
    let layers: Vec<_> = (0..3).map(|step| metadata.infer_layer(step).unwrap().name.as_str()).collect();
    assert_eq!(layers, ["conv2d", "head", "softmax"]);
    assert_eq!(metadata.train_layer(2).unwrap().name, "softmax");
    assert_eq!(metadata.infer_layer(0).unwrap().shape, [2, 2, 3]);
    assert_eq!(metadata.loss, "sparse_cross_entropy");
    assert_eq!(image.inputs()[0].shape(), [4, 4, 1]);
    assert_eq!(image.target().unwrap().zero_point, 2);
    assert_eq!(image.header().param_bytes, 4 * (12 * 2 + 2));
    assert_eq!(image.header().persistent_bytes, 2 * 4 * (12 * 2 + 2));
}

#[test]
fn inspection_shows_steps_arena_and_totals() {
    let packed = pack(&graph(), &trainable(), None).unwrap();
    let inspection = inspect(&packed.image().unwrap());
    let text = inspection.to_string();
    for part in
        ["tiny: input 4x4x1 f32", "Conv2dF32", "DenseBackwardWeightsF32", "classes: no, yes", "no plan takes less"]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert_eq!(inspection.infer.steps.len(), 3);
    assert_eq!(inspection.flash_bytes as usize, packed.bytes.len());
    assert!(serde_json::to_string(&inspection).unwrap().contains("\"transient_bound\""));
}

#[test]
fn what_was_learned_goes_back_into_image_and_graph() {
    let mut graph = graph();
    let packed = pack(&graph, &trainable(), None).unwrap();
    let image = packed.image().unwrap();
    let mut arena = arena_for(&image);
    let mut session = open(&image, &mut arena, host_isa(true)).unwrap();
    let x: Vec<f32> = (0..16).map(|i| i as f32 / 16.0).collect();
    session.input_mut(PlanKind::Train, 0)[..64].copy_from_slice(x.as_bytes());
    session.target_mut()[..4].copy_from_slice(&1u32.to_le_bytes());
    session.train_step(1).unwrap();
    let learned = session.params().to_vec();
    session.input_mut(PlanKind::Infer, 0).copy_from_slice(x.as_bytes());
    session.infer(1).unwrap();
    let expected = session.output(0).to_vec();

    let run = |image: &Image<'_>| {
        let mut arena = arena_for(image);
        let mut session = open(image, &mut arena, host_isa(true)).unwrap();
        session.input_mut(PlanKind::Infer, 0).copy_from_slice(x.as_bytes());
        session.infer(1).unwrap();
        session.output(0).to_vec()
    };
    assert_ne!(run(&image), expected);
    let bytes = with_params(&image, &learned).unwrap();
    assert_eq!(run(&Image::parse(&bytes).unwrap()), expected);
    apply_params(&mut graph, &image, &learned).unwrap();
    let again = pack(&graph, &PackOptions::default(), None).unwrap();
    assert_eq!(run(&again.image().unwrap()), expected);
    let values: &[f32] = view(&learned);
    assert_eq!(
        graph.tensor(graph.find_tensor("head/kernel").unwrap()).data.as_ref().unwrap().as_f32(),
        Some(&values[..24])
    );

    assert!(matches!(with_params(&image, &learned[4..]), Err(ParamsError::Length { .. })));
    let mut other = Sequential::new([4, 4, 1]).add(Flatten {}).add(Dense::new(2)).build(0).unwrap();
    let error = apply_params(&mut other, &image, &learned).unwrap_err().to_string();
    assert_eq!(error, "the image trains `head/kernel`, which the graph does not have as a constant of 96 bytes");
}

#[test]
fn the_same_graph_gives_the_same_bytes() {
    let bytes = || pack(&graph(), &trainable(), None).unwrap().bytes;
    assert_eq!(bytes(), bytes());
}
