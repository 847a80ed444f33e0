//! Ways to train in less memory: several passes for one update, activations computed again, narrow state.

use super::*;
use embernet_core::arch::Processor;
use embernet_core::optim::state::StateFormat;

const BATCH: usize = 4;

/// Convolutions with and without groups, a depthwise one, pools, a branch, slopes and a norm that learn.
fn net() -> Graph {
    Sequential::new([6, 6, 2])
        .add(Conv2d::new(4, [3, 3]).padding(Padding::Same).activation(Activation::Relu))
        .add(DepthwiseConv2d::new([3, 3]).padding(Padding::Same))
        .add(Conv2d::new(6, [1, 1]).groups(2).activation(Activation::Relu6))
        .add(MaxPool2d::new([2, 2]))
        .add(Flatten {})
        .add(Dense::new(7).activation(Activation::Tanh))
        .add(Dense::new(3).activation(Activation::Softmax))
        .build(5)
        .unwrap()
}

/// Layers whose gradient is there as a whole before it is used.
fn rows() -> Graph {
    Sequential::new([6, 6, 2])
        .add(Flatten {})
        .add(Dense::new(8))
        .add(LayerNorm::new(1e-3))
        .add(PRelu {})
        .add(Dense::new(3).activation(Activation::Softmax))
        .build(5)
        .unwrap()
}

fn options(optimizer: OptimizerRecord, batch: usize) -> Options {
    train_options(optimizer, Loss::SparseCrossEntropy, batch)
}

/// Losses and parameters after some updates, each in passes of as many samples as the plan takes.
fn learn(graph: &Graph, options: &Options, isa: impl Into<Processor>) -> (Vec<f32>, Vec<u8>, usize) {
    let packed = image::pack(graph, options, None).unwrap();
    let parsed = packed.image().unwrap();
    let mut arena = image::arena_for(&parsed);
    let mut session = image::open(&parsed, &mut arena, isa).unwrap();
    let each = parsed.header().train.samples as usize;
    let mut losses = Vec::new();
    for step in 0..6 {
        let mut rng = Rng::new(step);
        let x = random(&mut rng, BATCH * 72);
        let labels: Vec<u32> = (0..BATCH).map(|_| rng.below(3)).collect();
        let mut loss = 0.0;
        for (x, labels) in x.chunks(72 * each).zip(labels.chunks(each)) {
            session.input_mut(PlanKind::Train, 0).copy_from_slice(x.as_bytes());
            session.target_mut().copy_from_slice(labels.as_bytes());
            loss += session.train_step(each).unwrap() * (each as f32 / BATCH as f32);
        }
        assert_eq!(session.updates(), step as u32 + 1);
        losses.push(loss);
    }
    (losses, session.params().to_vec(), parsed.arena_bytes())
}

fn optimizers() -> Vec<OptimizerRecord> {
    let rules = [OptimizerRecord::momentum(0.05, 0.9, false), OptimizerRecord::adam(0.01)];
    let formats = [StateFormat::F32, StateFormat::Bf16, StateFormat::Block8];
    let narrow = rules.into_iter().flat_map(|rule| formats.map(|format| rule.with_state(format)));
    narrow.chain([OptimizerRecord::sgd(0.1)]).collect()
}

#[test]
fn passes_give_the_bits_of_the_batch() {
    for optimizer in optimizers() {
        let (losses, batch, arena) = learn(&net(), &options(optimizer, BATCH), IsaId::Scalar);
        for samples in [1, 2] {
            let optimizer = optimizer.with_passes((BATCH / samples) as u32);
            let (found, passes, smaller) = learn(&net(), &options(optimizer, samples), IsaId::Scalar);
            assert!(passes == batch, "{optimizer:?}: {samples} samples at once");
            // Its mean is rounded in another order.
            found.iter().zip(&losses).for_each(|(a, b)| assert!((a - b).abs() < 1e-6));
            assert!(samples > 1 || smaller < arena + 4 * 2000, "{smaller} {arena}");
        }
    }
    // Gradients that come whole are added up pass by pass: rounded in another order.
    let optimizer = OptimizerRecord::sgd(0.1);
    let (_, batch, _) = learn(&rows(), &options(optimizer, BATCH), IsaId::Scalar);
    let (_, passes, _) = learn(&rows(), &options(optimizer.with_passes(4), 1), IsaId::Scalar);
    let near = |(a, b): (&f32, &f32)| assert!((a - b).abs() < 1e-5, "{a} {b}");
    view::<f32>(&passes).iter().zip(view(&batch)).for_each(near);
}

#[test]
fn every_exact_token_learns_the_same_with_narrow_state() {
    use embernet_core::arch::Threads;
    let available =
        || [IsaId::Avx2Exact, IsaId::Avx2, IsaId::Avx512, IsaId::Neon].into_iter().filter(|isa| isa.is_available());
    for optimizer in optimizers() {
        for passes in [1, 4] {
            let options = options(optimizer.with_passes(passes), BATCH / passes as usize);
            let (losses, learned, _) = learn(&net(), &options, IsaId::Scalar);
            for isa in available().filter(|isa| !isa.packs()) {
                let processor = Processor { isa, threads: Threads::new(3) };
                let found = learn(&net(), &options, processor);
                assert!(found.1 == learned && found.0 == losses, "{}, {optimizer:?}", isa.name());
            }
        }
        // Those that pack filters sum in another order, and no more.
        let (_, learned, _) = learn(&net(), &options(optimizer, BATCH), IsaId::Scalar);
        for isa in available().filter(|isa| isa.packs()) {
            let found = learn(&net(), &Options { isa, ..options(optimizer, BATCH) }, isa).1;
            let near = |(a, b): (&f32, &f32)| assert!((a - b).abs() < 0.02, "{}, {optimizer:?}: {a} {b}", isa.name());
            view::<f32>(&found).iter().zip(view(&learned)).for_each(near);
        }
    }
}

#[test]
fn computed_again_is_as_kept() {
    let plain = options(OptimizerRecord::adam(0.01), BATCH);
    let (losses, learned, arena) = learn(&net(), &plain, IsaId::Scalar);
    let steps = |options: &Options| lower(&net(), options).unwrap().train.unwrap().records.len();
    for layers in [vec!["conv2d"], vec!["depthwise_conv2d", "conv2d"], vec!["conv2d_1"], vec!["max_pool2d", "dense"]] {
        let mut again = plain.clone();
        again.train.as_mut().unwrap().recompute = layers.iter().map(|name| name.to_string()).collect();
        let found = learn(&net(), &again, IsaId::Scalar);
        assert!(found.1 == learned && found.0 == losses, "{layers:?}");
        assert!(steps(&again) > steps(&plain), "{layers:?}");
        if layers.len() == 2 && layers[0] == "depthwise_conv2d" {
            assert!(found.2 < arena, "{layers:?}: {} {arena}", found.2);
        }
    }
    let refused = |graph: &Graph, layer: &str| {
        let mut options = plain.clone();
        options.train.as_mut().unwrap().recompute = vec![layer.into()];
        lower(graph, &options).unwrap_err()
    };
    assert!(matches!(refused(&net(), "nobody"), LowerError::Graph(_)));
    let normalised = Sequential::new([4]).add(Dense::new(3)).add(BatchNorm::new()).add(Dense::new(3)).build(1).unwrap();
    let error = refused(&normalised, "batch_norm").to_string();
    assert_eq!(error, "layer `batch_norm` (batch_norm): computing it twice for one update is not supported");
}

#[test]
fn kept_as_int8_is_nearly_as_kept() {
    let plain = options(OptimizerRecord::adam(0.01), BATCH);
    let (losses, learned, arena) = learn(&net(), &plain, IsaId::Scalar);
    let all = ["conv2d", "depthwise_conv2d", "max_pool2d", "conv2d_1", "tanh"];
    for layers in all.iter().map(|layer| vec![*layer]).chain([all.to_vec()]) {
        let mut compressed = plain.clone();
        compressed.train.as_mut().unwrap().compress = layers.iter().map(|name| name.to_string()).collect();
        let found = learn(&net(), &compressed, IsaId::Scalar);
        assert_eq!(found.0[0], losses[0], "the forward pass is the same");
        assert!(found.1 != learned, "{layers:?}");
        for (found, loss) in found.0.iter().zip(&losses) {
            assert!((found - loss).abs() < 0.02 * loss, "{layers:?}: {found} {loss}");
        }
        if layers.len() > 1 {
            assert!(found.2 < arena, "{} {arena}", found.2);
        }
        for isa in [IsaId::Avx2Exact, IsaId::Neon].into_iter().filter(|isa| isa.is_available() && !isa.packs()) {
            assert!(learn(&net(), &compressed, isa).1 == found.1, "{layers:?}");
        }
    }
    let refused = |graph: &Graph, layer: &str, recompute: &str| {
        let mut options = plain.clone();
        let train = options.train.as_mut().unwrap();
        (train.compress, train.recompute) = (vec![layer.into()], vec![recompute.into()]);
        lower(graph, &options).unwrap_err()
    };
    assert!(matches!(refused(&net(), "nobody", "dense"), LowerError::Graph(_)));
    let refused = |graph: &Graph, layer: &str, recompute: &str| refused(graph, layer, recompute).to_string();
    assert!(refused(&net(), "conv2d", "conv2d").contains("keeping an output as int8 that is computed again"));
    assert!(refused(&net(), "dense", "conv2d").contains("the backward pass does not read"));
    let error = refused(&net(), "dense_1", "dense");
    assert_eq!(
        error,
        "layer `dense_1` (dense): keeping an output as int8 that the loss reads at once, or that is never in memory, is not supported"
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |graph: &Graph, optimizer, isa| {
        lower(graph, &Options { isa, ..options(optimizer, 2) }).unwrap_err().to_string()
    };
    let error = refused(&net(), OptimizerRecord::adagrad(0.1).with_state(StateFormat::Block8), IsaId::Scalar);
    assert_eq!(error, "training with state that does not start from 0 and is not f32 is not supported");
    let error = refused(&net(), OptimizerRecord::sgd(0.1).with_passes(3), IsaId::Avx2);
    assert!(error.contains("take the whole batch"), "{error}");
    let normalised = Sequential::new([4]).add(BatchNorm::new()).add(Dense::new(3)).build(1).unwrap();
    let error = refused(&normalised, OptimizerRecord::sgd(0.1).with_passes(3), IsaId::Scalar);
    assert!(error.contains("it needs the batch at once"), "{error}");
    let mut unknown = OptimizerRecord::sgd(0.1);
    unknown.state = 9;
    assert!(refused(&net(), unknown, IsaId::Scalar).contains("unknown"));
}
