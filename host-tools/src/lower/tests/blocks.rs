//! Steps that hosts alone have.

use super::*;

/// Two convolutions with pools, then one without.
fn pooled() -> Sequential {
    Sequential::new([11, 12, 2])
        .add(Conv2d::new(5, [3, 3]).activation(Activation::Relu))
        .add(MaxPool2d::new([2, 2]))
        .add(Conv2d::new(4, [2, 2]).padding(Padding::Same))
        .add_named("pool", MaxPool2d::new([2, 2]).activation(Activation::Relu))
        .add(Conv2d::new(3, [2, 2]).activation(Activation::Relu))
        .add(Flatten {})
        .add(Dense::new(3).activation(Activation::Softmax))
}

fn for_host(isa: IsaId) -> Options {
    Options { isa, ..train_options(OptimizerRecord::sgd(0.05), Loss::SparseCrossEntropy, 5) }
}

/// Kinds of the steps of both plans that belong to convolutions and pools.
fn steps(graph: &Graph, options: &Options) -> [Vec<&'static str>; 2] {
    let program = lower(graph, options).unwrap();
    let of = |sequence: &Sequence| {
        let names = sequence.records.iter().map(|record| record.name);
        names.filter(|name| name.contains("Conv") || name.contains("Pool")).collect()
    };
    [of(&program.infer), of(program.train.as_ref().unwrap())]
}

#[test]
fn hosts_take_a_convolution_and_its_pool_as_one() {
    let graph = pooled().build(1).unwrap();
    let [infer, train] = steps(&graph, &for_host(IsaId::Avx512));
    assert_eq!(infer, ["ConvBlockF32", "ConvBlockF32", "Conv2dF32"]);
    let backward = ["ConvBlockBackwardF32"; 3];
    assert_eq!(train, [&infer[..], &backward].concat());
    let [infer, train] = steps(&graph, &for_host(IsaId::Scalar));
    assert_eq!(infer, ["Conv2dF32", "MaxPoolF32", "Conv2dF32", "MaxPoolF32", "Conv2dF32"]);
    assert!(train.iter().all(|name| !name.contains("Block")), "{train:?}");
}

#[test]
fn what_somebody_sees_stays_apart() {
    let separate = |[infer, _]: [Vec<&str>; 2]| infer.iter().filter(|name| **name == "MaxPoolF32").count();
    let host = for_host(IsaId::Avx512);
    let mut graph = pooled().build(1).unwrap();
    assert_eq!(separate(steps(&graph, &Options { reuse: false, ..host.clone() })), 2);
    // Both the pool and an output of the graph read the first convolution.
    let first = graph.nodes[0].outputs[0];
    graph.outputs.push(first);
    let inference = Options { train: None, ..host.clone() };
    let program = lower(&graph, &inference).unwrap();
    assert_eq!(program.infer.records.iter().filter(|record| record.name == "MaxPoolF32").count(), 1);
    // A frozen convolution has no block in a training plan.
    let frozen = pooled().build(1).unwrap();
    let mut options = host;
    options.train.as_mut().unwrap().layers = Some(Selection::Last(1));
    let [_, train] = steps(&frozen, &options);
    assert!(train.iter().all(|name| !name.contains("Block")), "{train:?}");
}

/// Hosts sum in another order, and no more: parameters are near 1, and no sum has more than a few hundred terms.
#[test]
fn blocks_learn_what_separate_steps_do() {
    let graph = pooled().build(3).unwrap();
    let (device, device_outputs) = learn(&graph, &for_host(IsaId::Scalar), 7);
    for isa in [IsaId::Avx2, IsaId::Avx512] {
        let (host, outputs) = learn(&graph, &for_host(isa), 7);
        let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-5);
        assert!(near(view(&host), view(&device)), "{}", isa.name());
        assert!(near(&outputs, &device_outputs), "{}", isa.name());
    }
    assert_ne!(device, learn(&graph, &for_host(IsaId::Scalar), 8).0);
}

#[test]
fn constant_weights_lie_as_hosts_read_them() {
    let graph = pooled().build(1).unwrap();
    let inference = |isa| Options { isa, ..Options::default() };
    let names = |program: &Program| program.infer.records.iter().map(|record| record.name).collect::<Vec<_>>();
    let host = lower(&graph, &inference(IsaId::Avx512)).unwrap();
    assert_eq!(names(&host), ["ConvBlockF32", "ConvBlockF32", "ConvBlockF32", "DenseAcrossF32", "SoftmaxF32"]);
    let device = lower(&graph, &inference(IsaId::Scalar)).unwrap();
    assert_eq!(host.data_bytes, device.data_bytes, "in another order, and once");
    // A program that learns keeps the order in which weights are saved.
    let learning = lower(&graph, &for_host(IsaId::Avx512)).unwrap();
    assert!(!names(&learning).contains(&"DenseAcrossF32"));
}

/// In whatever order its weights lie, and however many samples there are, an inference has the same bits.
#[test]
fn constant_weights_give_the_same_bits() {
    let graph = pooled().build(3).unwrap();
    for samples in [1, 5] {
        let x = random(&mut Rng::new(4), samples * 11 * 12 * 2);
        let outputs = |options: &Options| {
            session(&graph, options, |_, s| {
                s.input_mut(PlanKind::Infer, 0).copy_from_slice(x.as_bytes());
                s.infer(samples).unwrap();
                s.output(0).to_vec()
            })
        };
        let inference = Options { samples, isa: IsaId::Avx512, ..Options::default() };
        assert_eq!(outputs(&inference), outputs(&Options { samples, ..for_host(IsaId::Avx512) }));
    }
}

/// A depthwise convolution of one channel is a convolution where nobody trains it, with the same bits.
#[test]
fn depthwise_layers_of_one_channel_are_convolutions() {
    for (kernel, stride, multiplier) in [([4, 3], [1, 1], 8), ([2, 5], [2, 1], 3), ([3, 3], [2, 2], 1)] {
        let depthwise =
            DepthwiseConv2d::new(kernel).strides(stride).padding(Padding::Same).depth_multiplier(multiplier);
        let net = Sequential::new([13, 6, 1]).add(depthwise.activation(Activation::Relu)).add(Flatten {});
        let graph = net.add(Dense::new(3).activation(Activation::Softmax)).build(7).unwrap();
        let x = random(&mut Rng::new(8), 13 * 6);
        let run = |options: &Options| {
            let first = lower(&graph, options).unwrap().infer.records[0].name;
            let output = session(&graph, options, |_, s| {
                s.input_mut(PlanKind::Infer, 0).copy_from_slice(x.as_bytes());
                s.infer(1).unwrap();
                s.output(0).to_vec()
            });
            (first, output)
        };
        let ((conv, ours), (depthwise, expected)) = (run(&Options::default()), run(&for_host(IsaId::Scalar)));
        assert_eq!((conv, depthwise), ("Conv2dF32", "DepthwiseConv2dF32"));
        assert_eq!(ours, expected);
    }
}
