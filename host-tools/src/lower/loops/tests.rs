use super::widen::widen;
use super::*;
use embernet_core::kernels::dense::Dense;
use embernet_core::kernels::depthwise_conv2d::DepthwiseConv2d;
use embernet_core::kernels::window::{Axis, Window2d};
use proptest::prelude::*;

/// The tokens with loops of their own.
fn tokens() -> impl Iterator<Item = IsaId> {
    IsaId::ALL.into_iter().filter(|isa| isa.has_layout())
}

fn axis(input: u32, kernel: u32, stride: u32, dilation: u32, pad: u32) -> Option<Axis> {
    let reach = (kernel - 1) * dilation + 1;
    let output = (input + 2 * pad).checked_sub(reach)? / stride + 1;
    let axis = Axis { input, output, kernel, stride, dilation, pad };
    (pad < reach && axis.is_valid()).then_some(axis)
}

fn window() -> impl Strategy<Value = Window2d> {
    let one = || (1..24u32, 1..6u32, 1..3u32, 1..3u32, 0..3u32);
    (one(), one()).prop_filter_map("no window", |(h, w)| {
        let of = |(input, kernel, stride, dilation, pad)| axis(input, kernel, stride, dilation, pad);
        Some(Window2d { height: of(h)?, width: of(w)? })
    })
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        (window(), 1..5u32, 1..4u32, 1..6u32).prop_map(|(window, groups, group_in, group_out)| {
            Shape::Conv2d(Conv2d { window, in_c: groups * group_in, out_c: groups * group_out, groups })
        }),
        (window(), 1..20u32, 1..3u32).prop_map(|(window, in_c, multiplier)| {
            Shape::Depthwise(DepthwiseConv2d { window, in_c, out_c: in_c * multiplier, multiplier })
        }),
        (1..200u32, 1..40u32).prop_map(|(inputs, outputs)| Shape::Dense(Dense { inputs, outputs })),
    ]
}

/// Number of outputs, and of weights.
fn sizes(shape: &Shape) -> [usize; 2] {
    match shape {
        Shape::Conv2d(conv) => [conv.out_c as usize, conv.weights()],
        Shape::Depthwise(layer) => [layer.out_c as usize, layer.out_c as usize * layer.window.taps()],
        Shape::Dense(dense) => [dense.outputs as usize, (dense.inputs * dense.outputs) as usize],
    }
}

#[test]
fn every_token_with_loops_has_figures_of_every_kind() {
    let kinds = ["conv2d", "dense", "depthwise_conv2d"];
    for isa in tokens() {
        let token = costs().0.get(isa.name()).unwrap_or_else(|| panic!("{}", isa.name()));
        for factors in [&token.own, &token.plain] {
            assert_eq!(factors.keys().map(String::as_str).collect::<Vec<_>>(), kinds, "{}", isa.name());
            assert!(factors.values().flat_map(|factors| factors.values()).all(|factor| *factor > 0.0));
        }
    }
    assert_eq!(costs().0.len(), tokens().count());
}

#[test]
fn every_factor_is_somebodys() {
    let window = Window2d::pointwise(4);
    let shapes = [
        Shape::Conv2d(Conv2d { window, in_c: 4, out_c: 4, groups: 1 }),
        Shape::Depthwise(DepthwiseConv2d { window, in_c: 4, out_c: 4, multiplier: 1 }),
        Shape::Dense(Dense { inputs: 4, outputs: 4 }),
    ];
    for token in costs().0.values() {
        for shape in &shapes {
            let known: Vec<&str> = shape.drivers(1).into_iter().map(|(name, _)| name).collect();
            let named = [&token.own, &token.plain].into_iter().flat_map(|of| of[shape.kind()].keys());
            assert!(named.into_iter().all(|name| known.contains(&name.as_str())));
        }
    }
}

#[test]
fn filters_of_groups_get_zeros() {
    let window = Window2d { height: axis(3, 1, 1, 1, 0).unwrap(), width: axis(3, 2, 1, 1, 0).unwrap() };
    // Two channels, two filters each; weights tap by tap.
    let depthwise = Shape::Depthwise(DepthwiseConv2d { window, in_c: 2, out_c: 4, multiplier: 2 });
    let (conv, wide) = widen(&depthwise, &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    assert_eq!((conv.in_c, conv.out_c, conv.groups), (2, 4, 1));
    assert_eq!(wide, [1, 0, 5, 0, 2, 0, 6, 0, 0, 3, 0, 7, 0, 4, 0, 8]);
    // Two groups of two channels, one filter each; weights filter by filter.
    let groups = Conv2d { window, in_c: 4, out_c: 2, groups: 2 };
    let (conv, wide) = widen(&Shape::Conv2d(groups), &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    assert_eq!(conv, Conv2d { groups: 1, ..groups });
    assert_eq!(wide, [1, 2, 0, 0, 3, 4, 0, 0, 0, 0, 5, 6, 0, 0, 7, 8]);
    // What is one, and what would grow too much.
    assert!(widen(&Shape::Conv2d(Conv2d { groups: 1, ..groups }), &[0; 16]).is_none());
    assert!(
        widen(&Shape::Depthwise(DepthwiseConv2d { window, in_c: 17, out_c: 17, multiplier: 1 }), &[0; 34]).is_none()
    );
}

proptest! {
    /// By the model, what is chosen takes no more than the plain loop, nor than the core's own loop as the layer is.
    #[test]
    fn the_choice_is_never_slower(shape in shape(), widens in any::<bool>()) {
        let [outputs, weights] = sizes(&shape);
        let weights: Vec<i8> = (0..weights).map(|i| (i * 37 % 201) as i8).collect();
        let (bias, multiplier, shift) = (vec![5; outputs], vec![1 << 30; outputs], vec![-6; outputs]);
        let layer = Layer {
            weights: &weights, bias: &bias, multiplier: &multiplier, shift: &shift, zero_point: 3, lo: -128,
        };
        for isa in tokens() {
            let estimate = |shape: &Shape, order| costs().estimate(isa, shape, &order).unwrap();
            let of = |packed: &Packed| OrderRecord::of(isa, packed.stream.len() as u32);
            let plain = estimate(&shape, OrderRecord::PLAIN);
            let own = shape.pack(isa, &layer).map(|packed| estimate(&shape, of(&packed)));
            let (may, mut loops) = (May { widen: widens, prefer_plain: true }, Loops::default());
            let found = fastest(isa, &shape, &layer, may, &mut loops);
            prop_assert_eq!(loops.preferred, usize::from(own.is_some() && found.is_none()));
            let chosen = found.map(|own| {
                let widened = own.widened.map_or(shape, Shape::Conv2d);
                prop_assert!(widens || own.widened.is_none());
                Ok(estimate(&widened, of(&own.packed)))
            });
            let chosen = chosen.transpose()?.unwrap_or(plain);
            prop_assert_eq!((loops.estimate, loops.plain), (chosen, plain));
            prop_assert!(chosen <= plain && own.is_none_or(|own| chosen <= own), "{isa:?}: {chosen}, {plain}, {own:?}");
        }
    }
}
