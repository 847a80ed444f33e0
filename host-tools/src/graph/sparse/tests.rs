use super::*;
use crate::graph::Sequential;
use crate::graph::ops::Flatten;

fn net() -> Graph {
    Sequential::new([3, 3, 2])
        .add(Conv2d::new(4, [2, 2]).activation(Activation::Relu))
        .add(Conv2d::new(5, [1, 1]).activation(Activation::Relu))
        .add(Flatten {})
        .add(Dense::new(3))
        .build(7)
        .unwrap()
}

fn select(text: &str) -> Result<(Graph, Vec<Piece>), String> {
    let mut graph = net();
    let selection: Selection = text.parse().map_err(|error: crate::graph::SelectionError| error.to_string())?;
    let pieces = graph.set_trainable(&selection).map_err(|error| error.to_string())?;
    graph.validate().unwrap();
    Ok((graph, pieces))
}

fn learning(graph: &Graph) -> Vec<String> {
    let trainable = graph.parameter_tensors().into_iter().map(|t| graph.tensor(t)).filter(|t| t.trainable);
    trainable.map(|t| t.name.clone()).collect()
}

#[test]
fn what_learns_is_what_was_selected() {
    let learns = |text: &str| learning(&select(text).unwrap().0);
    assert_eq!(learns("all:bias"), ["conv2d/bias", "conv2d_1/bias", "dense/bias"]);
    assert_eq!(learns("last:2:bias, conv2d"), ["conv2d/kernel", "conv2d/bias", "conv2d_1/bias", "dense/bias"]);
    assert_eq!(learns("dense:channels=1"), ["dense/kernel[1..2]", "dense/bias[1..2]"]);
    assert_eq!(
        learns("conv2d:channels=0+2-3"),
        ["conv2d/kernel[0..1]", "conv2d/bias[0..1]", "conv2d/kernel[2..4]", "conv2d/bias[2..4]"]
    );
    // The convolution of 2x2 has no adapter.
    let adapters = ["conv2d_1/down/kernel", "conv2d_1/up/kernel", "dense/down/kernel", "dense/up/kernel"];
    assert_eq!(learns("all:lora=2"), adapters);
    assert_eq!(learns("last:1:lora=3"), ["dense/down/kernel", "dense/up/kernel"]);
}

#[test]
fn pieces_hold_what_they_stand_for() {
    let (graph, pieces) = select("conv2d:channels=1-2").unwrap();
    let whole = net();
    let values = |graph: &Graph, name: &str| {
        graph.tensor(graph.find_tensor(name).unwrap()).data.clone().unwrap().as_f32().unwrap().to_vec()
    };
    assert_eq!(
        pieces[0],
        Piece { name: "conv2d/kernel[1..3]".into(), elements: 16, of: "conv2d/kernel".into(), role: Role::From(8) }
    );
    assert_eq!(values(&graph, "conv2d/kernel[1..3]"), values(&whole, "conv2d/kernel")[8..24]);
    assert_eq!(values(&graph, "conv2d/kernel[3..4]"), values(&whole, "conv2d/kernel")[24..]);
}

#[test]
fn what_pieces_learn_comes_back() {
    let mut graph = net();
    let piece = |name: &str, of: &str, role| Piece { name: name.into(), elements: 0, of: of.into(), role };
    let pieces = [
        piece("b", "conv2d/bias", Role::From(2)),
        piece("down", "conv2d_1/kernel", Role::Down),
        piece("up", "conv2d_1/kernel", Role::Up),
    ];
    let before = net();
    let learned = [
        ("b", Data::F32(vec![5.0])),
        ("down", Data::F32(vec![1.0, 2.0, 3.0, 4.0])),
        ("up", Data::F32(vec![0.0, 0.5, 0.0, 0.0, -1.0])),
    ];
    let values = |name: &str| learned.iter().find(|(known, _)| *known == name).map(|(_, data)| data);
    merge(&mut graph, &pieces, values).unwrap();
    let of = |graph: &Graph, name: &str| {
        graph.tensor(graph.find_tensor(name).unwrap()).data.as_ref().unwrap().as_f32().unwrap().to_vec()
    };
    assert_eq!(of(&graph, "conv2d/bias"), [0.0, 0.0, 5.0, 0.0]);
    let (old, new) = (of(&before, "conv2d_1/kernel"), of(&graph, "conv2d_1/kernel"));
    for (index, (old, new)) in old.iter().zip(&new).enumerate() {
        let added = [0.0, 0.5, 0.0, 0.0, -1.0][index / 4] * (index % 4 + 1) as f64;
        assert_eq!(*new, (f64::from(*old) + added) as f32);
    }
    let unknown = [piece("up", "nobody", Role::Up)];
    assert_eq!(merge(&mut graph, &unknown, values), Err("up".into()));
    let long = [piece("up", "conv2d/bias", Role::From(1))];
    assert_eq!(merge(&mut graph, &long, values), Err("up".into()));
}

#[test]
fn what_cannot_learn_says_why() {
    let refused = |text: &str| select(text).unwrap_err();
    assert_eq!(refused("conv2d:channels=2-4"), "`conv2d:channels=2-4` cannot learn: it has 4 channels");
    assert_eq!(
        refused("conv2d:lora=1"),
        "`conv2d:lora=1` cannot learn: only dense layers and convolutions of 1x1 have adapters"
    );
    assert_eq!(refused("dense:lora=4"), "`dense:lora=4` cannot learn: the rank of its weights is 3 at most");
    assert_eq!(refused("last:1,dense"), "`dense` cannot learn: `dense` was named before");
    assert_eq!(refused("all:lora=9"), "`all:lora=9` cannot learn: there is no layer for which that is possible");
    assert!(
        refused("flatten").starts_with("no tensor or layer is called `flatten`; there are: conv2d, conv2d_1, dense")
    );
    for text in ["dense:channels=", "dense:channels=3-1", "dense:channels=a", "dense:lora=0", ":bias", "last:0:bias"] {
        assert!(refused(text).contains("selects no layers"), "{text}");
    }
}
