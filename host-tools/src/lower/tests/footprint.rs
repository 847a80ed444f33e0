//! What learning takes beyond the weights, one sample at a time. Each figure is that of an arena in which a session
//! learns, and which it refuses if it is a byte shorter.

use super::*;
use crate::image::AlignedBytes;
use embernet_core::arch::Scalar;
use embernet_core::exec::{Session, SessionError};
use embernet_core::optim::state::StateFormat;
use embernet_core::plan::Step;

/// Bytes of arena beyond the weights of a network that learns as a whole.
fn beyond(graph: &Graph, optimizer: OptimizerRecord, recompute: &[&str], compress: &[&str]) -> usize {
    let mut options = train_options(optimizer, Loss::SparseCrossEntropy, 1);
    let train = options.train.as_mut().unwrap();
    let owned = |layers: &[&str]| layers.iter().map(ToString::to_string).collect();
    (train.recompute, train.compress) = (owned(recompute), owned(compress));
    let packed = image::pack(graph, &options, None).unwrap();
    let image = packed.image().unwrap();
    let bytes = image.arena_bytes();
    let mut arena = AlignedBytes::zeroed(bytes);
    let mut session = Session::new(&image, &mut arena, Scalar).unwrap();
    let before = session.params().to_vec();
    let x = random(&mut Rng::new(1), image.train_inputs()[0].sample_bytes() / 4);
    session.input_mut(PlanKind::Train, 0).copy_from_slice(x.as_bytes());
    session.target_mut().fill(0);
    session.train_step(1).unwrap();
    assert_ne!(session.params(), before, "it learns");
    let mut short = AlignedBytes::zeroed(bytes - 1);
    let refused = Session::new(&image, &mut short, Scalar).map(|_| ()).unwrap_err();
    assert_eq!(refused, SessionError::ArenaTooSmall { need: bytes as u32, have: bytes as u32 - 1 });
    bytes - image.header().param_bytes as usize
}

fn dense(inputs: usize, units: &[usize]) -> Graph {
    let (last, hidden) = units.split_last().unwrap();
    let net = hidden
        .iter()
        .fold(Sequential::new([inputs]), |net, units| net.add(Dense::new(*units).activation(Activation::Relu)));
    net.add(Dense::new(*last).activation(Activation::Softmax)).build(1).unwrap()
}

#[test]
fn dense_networks() {
    let (sgd, adam) = (OptimizerRecord::sgd(0.1), OptimizerRecord::adam(0.001));
    let formats = [StateFormat::Bf16, StateFormat::Block8];
    let of = |graph: &Graph| {
        [sgd, adam, adam.with_state(formats[0]), adam.with_state(formats[1])].map(|rule| beyond(graph, rule, &[], &[]))
    };
    let (iris, digits) = (of(&dense(4, &[10, 10, 3])), of(&dense(784, &[32, 10])));
    println!("beyond the weights, SGD and Adam in f32, bf16, 8 bits: 4-10-10-3 {iris:?}, 784-32-10 {digits:?}");
    assert!(iris[0] <= 600 && iris[1] <= 2_700, "{iris:?}");
    let most = [4 * 1024, 207 * 1024, 106 * 1024, 56 * 1024];
    assert!(digits.iter().zip(most).all(|(found, most)| *found <= most), "{digits:?}");
}

/// LeNet-5 (LeCun et al. 1998, with relu and max pools) on images of 28 x 28.
fn lenet(padding: Padding) -> Graph {
    Sequential::new([28, 28, 1])
        .add(Conv2d::new(6, [5, 5]).padding(padding).activation(Activation::Relu))
        .add(MaxPool2d::new([2, 2]))
        .add(Conv2d::new(16, [5, 5]).activation(Activation::Relu))
        .add(MaxPool2d::new([2, 2]))
        .add(Flatten {})
        .add(Dense::new(120).activation(Activation::Relu))
        .add(Dense::new(84).activation(Activation::Relu))
        .add(Dense::new(10).activation(Activation::Softmax))
        .build(1)
        .unwrap()
}

#[test]
fn lenet_learns_in_40_kilobytes() {
    let of = |padding, recompute: &[&str], compress: &[&str]| {
        beyond(&lenet(padding), OptimizerRecord::sgd(0.1), recompute, compress)
    };
    let padded = of(Padding::Same, &[], &[]);
    let again = of(Padding::Same, &["conv2d"], &[]);
    let int8 = of(Padding::Same, &[], &["conv2d", "max_pool2d", "conv2d_1"]);
    let valid = of(Padding::Valid, &[], &[]);
    println!(
        "LeNet-5 beyond the weights: padded {padded}, its first layer computed again {again}, its first three kept as \
         int8 {int8}, not padded {valid}"
    );
    assert!(padded <= 40_000 && again < padded && int8 < padded && valid < padded);
}

/// A pool's gradient lies where the pool's input was, and limits apply behind the pool, where there is less.
#[test]
fn a_max_pool_needs_no_second_map() {
    let program = lower(&lenet(Padding::Same), &train_options(OptimizerRecord::sgd(0.1), Loss::SparseCrossEntropy, 1));
    let program = program.unwrap();
    let train = program.train.as_ref().unwrap();
    let steps: Vec<Step<'_>> = train.records.iter().map(|record| record.step().unwrap()).collect();
    let pools = steps.iter().filter(|step| matches!(step, Step::MaxPoolBackwardF32(pool) if pool.x == pool.dx)).count();
    assert_eq!(pools, 2);
    let limited: Vec<u32> = steps
        .iter()
        .filter_map(|step| match step {
            Step::ActivationBackwardF32(of) => Some(of.len),
            // What reads a relu's output makes its gradient in front of the relu.
            Step::DenseBackwardWeightsF32(of) if of.relu > 0.0 => Some(of.shape.inputs),
            _ => None,
        })
        .collect();
    assert_eq!(limited, [84, 120, 5 * 5 * 16, 14 * 14 * 6]);
}
