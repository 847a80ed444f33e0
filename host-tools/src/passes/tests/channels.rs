//! Channels that are constant or unread, borders included.

use super::*;

/// Puts zeros where channel `channel` of a layer has its weights, and a value into its bias.
fn silence(g: &mut Graph, layer: &str, channel: usize, bias: f32) {
    let node = g.node(g.find_node(layer).unwrap()).clone();
    let depthwise = matches!(node.op, Op::DepthwiseConv2d(_));
    let kernel = g.tensor_mut(node.inputs[1]);
    let (rows, columns) = (kernel.shape[0], *kernel.shape.last().unwrap());
    let inner = kernel.elements() / rows;
    let Some(Data::F32(w)) = &mut kernel.data else { panic!() };
    for (i, w) in w.iter_mut().enumerate() {
        if (if depthwise { i % columns } else { i / inner }) == channel {
            *w = 0.0;
        }
    }
    let Some(Data::F32(b)) = &mut g.tensor_mut(node.inputs[2]).data else { panic!() };
    b[channel] = bias;
}

/// A separable block whose layers are called `a` (conv), `b` (depthwise) and `c` (conv).
fn block() -> Graph {
    let mut g = Sequential::new([6, 6, 2])
        .add(Conv2d::new(4, [3, 3]).padding(Padding::Same).activation(Activation::Relu))
        .add(DepthwiseConv2d::new([3, 3]).padding(Padding::Same).activation(Activation::Relu))
        .add(MaxPool2d::new([2, 2]))
        .add(Conv2d::new(3, [3, 3]).padding(Padding::Same))
        .build(5)
        .unwrap();
    for (node, name) in ["a", "b", "pool", "c"].into_iter().enumerate() {
        g.nodes[node].name = name.into();
    }
    g.set_trainable(&Selection::None).unwrap();
    g
}

fn channels(graph: &Graph, layer: &str) -> usize {
    *graph.tensor(graph.node(graph.find_node(layer).unwrap()).outputs[0]).shape.last().unwrap()
}

#[test]
fn channels_that_are_zero_everywhere_go_borders_included() {
    let mut rng = Rng::new(3);
    let x: Vec<u8> = (0..2 * 72).flat_map(|_| rng.uniform_f32(-1.0, 1.0).to_le_bytes()).collect();
    let check = |g: &Graph, removed: usize| {
        let mut small = g.clone();
        assert_eq!(simplify(&mut small).unwrap().count("channels"), removed);
        small.validate().unwrap();
        assert_eq!(channels(&small, "a"), 4 - removed);
        for isa in [IsaId::Scalar, host_isa(false)] {
            assert_eq!(
                outputs(g, std::slice::from_ref(&x), isa, false),
                outputs(&small, std::slice::from_ref(&x), isa, true)
            );
        }
    };
    // Zero behind the relu of `a`, and of `b`.
    let mut g = block();
    silence(&mut g, "a", 1, -0.5);
    silence(&mut g, "b", 1, 0.0);
    check(&g, 1);
    // `b` ignores a living channel.
    silence(&mut g, "b", 2, -0.25);
    check(&g, 2);
    // Not zero behind `b`: floats would round differently.
    let mut g = block();
    silence(&mut g, "b", 1, 0.5);
    check(&g, 0);
    // Not zero behind `a`: at the borders `b` sees zeros instead.
    let mut g = block();
    silence(&mut g, "a", 1, 0.5);
    check(&g, 0);
    // One channel stays.
    let mut g = block();
    (0..4).for_each(|c| silence(&mut g, "b", c, 0.0));
    check(&g, 3);
    // What learns may come alive.
    g.set_trainable(&"a".parse().unwrap()).unwrap();
    check(&g, 0);
}
