//! Mutated files: a graph or an error, never a panic, and never much memory.

use super::*;
use embernet_core::rng::Rng;

/// Bytes that tags, lengths and sizes fear.
const NASTY: [u8; 8] = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff, 8];

fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..=rng.below(3) {
        let len = bytes.len() as u32;
        if len < 8 {
            return;
        }
        let at = rng.below(len) as usize;
        match rng.below(7) {
            0 => bytes[at] = rng.next_u32() as u8,
            1 => bytes[at] ^= 1 << rng.below(8),
            2 if rng.below(8) == 0 => bytes.truncate(at),
            3 => bytes[at] = NASTY[rng.below(NASTY.len() as u32) as usize],
            // A piece of the file in another place: fields that are right by themselves.
            4 => {
                let from = rng.below(len - 4) as usize;
                let to = at.min(bytes.len() - 4);
                bytes.copy_within(from..from + 4, to);
            }
            5 => bytes[at] = bytes[at].wrapping_add(rng.below(5) as u8).wrapping_sub(2),
            _ => bytes.insert(at, rng.next_u32() as u8),
        }
    }
}

#[test]
fn twenty_five_thousand_mutants_do_not_panic() {
    let models = [small_cnn().to_bytes(), sequence().to_bytes(), quantized().to_bytes()];
    let mut rng = Rng::new(3);
    let mut accepted = 0;
    for i in 0..25_000 {
        let mut mutant = models[i % models.len()].clone();
        mutate(&mut mutant, &mut rng);
        accepted += usize::from(from_bytes(&mutant, &Options::default()).is_ok());
    }
    assert!(accepted > 1000 && accepted < 24_000, "{accepted}");
}

/// Shape arithmetic around a product.
fn sequence() -> File {
    File::new(17)
        .input("x", &["N", "2", "3"])
        .ints("first", &[0])
        .ints("rest", &[-1])
        .ints("begin", &[1])
        .ints("end", &[3])
        .floats("w", &[6, 2], &[1.0; 12])
        .node("Shape", &["x"], "shape", &[])
        .node("Gather", &["shape", "first"], "size", &[int("axis", 0)])
        .node("Concat", &["size", "rest"], "target", &[int("axis", 0)])
        .node("Slice", &["shape", "begin", "end"], "part", &[])
        .node("Mul", &["part", "rest"], "product", &[])
        .node("Expand", &["product", "end"], "expanded", &[])
        .node("Transpose", &["x"], "turned", &[ints("perm", &[0, 2, 1])])
        .node("Transpose", &["turned"], "back", &[ints("perm", &[0, 2, 1])])
        .node("Reshape", &["back", "target"], "flat", &[])
        .node("MatMul", &["flat", "w"], "y", &[])
        .output("y")
}

/// A quantised convolution and product.
fn quantized() -> File {
    File::new(13)
        .input("x", &["1", "1", "4", "4"])
        .floats("s", &[], &[0.5])
        .raw("z", 2, &[], &[128])
        .raw("zw", 3, &[], &[0])
        .raw("w", 3, &[2, 1, 3, 3], &(0..18).collect::<Vec<u8>>())
        .raw("b", 6, &[2], &[1, 0, 0, 0, 2, 0, 0, 0])
        .raw("m", 3, &[8, 3], &(0..24).collect::<Vec<u8>>())
        .node("QuantizeLinear", &["x", "s", "z"], "xq", &[])
        .node("QLinearConv", &["xq", "s", "z", "w", "s", "zw", "s", "z", "b"], "yq", &[])
        .node("Flatten", &["yq"], "flat", &[])
        .node("DequantizeLinear", &["m", "s", "zw"], "md", &[])
        .node("DequantizeLinear", &["flat", "s", "z"], "fd", &[])
        .node("MatMul", &["fd", "md"], "p", &[])
        .node("QuantizeLinear", &["p", "s", "z"], "pq", &[])
        .node("DequantizeLinear", &["pq", "s", "z"], "y", &[])
        .output("y")
}

#[test]
fn a_small_file_cannot_ask_for_much() {
    // One list read by many nodes that repeat it: every result is larger than the file.
    let mut file = File::new(13).input("x", &["1", "1"]).ints("one", &[1]).ints("sizes", &[1000, 1000, 10]);
    for i in 0..100 {
        file = file.node("Expand", &["one", "sizes"], &format!("y{i}"), &[]);
    }
    let text = refusal(&file.output("x"));
    assert!(text.contains("out of proportion"), "{text}");
    // Nodes and names without end, two bytes each.
    let nodes = [0x0a, 0u8].repeat(1 << 20);
    let mut file = File::new(13);
    file.graph.0.extend(nodes);
    let text = refusal(&file);
    assert!(text.contains("out of proportion"), "{text}");
}

/// What has no values has axes all the same.
#[test]
fn nothing_cannot_ask_for_much() {
    let begin = || File::new(13).input("x", &["1", "1"]).ints("huge", &[2_000_000_000, 0]).floats("none", &[1, 0], &[]);
    let whole = |file: File| file.ints("a", &[0]).ints("b", &[1_900_000_000]).ints("axis", &[0]);
    let cases = [
        begin().node("Expand", &["none", "huge"], "y", &[]),
        begin().ints("times", &[2_000_000_000, 1]).node("Tile", &["none", "times"], "y", &[]),
        begin().ints("pads", &[0, 0, 2_000_000_000, 0]).node("Pad", &["none", "pads"], "y", &[]),
        whole(begin().node("ConstantOfShape", &["huge"], "z", &[])).node("Slice", &["z", "a", "b", "axis"], "y", &[]),
        begin().node("ConstantOfShape", &["huge"], "z", &[]).node("Split", &["z"], "y", &[]),
        begin().node("ConstantOfShape", &["huge"], "z", &[]).node("ReduceSum", &["z"], "y", &[]),
        begin().raw("stored", 1, &[2_000_000_000, 0], &[]).node("Split", &["stored"], "y", &[]),
    ];
    for file in cases {
        let text = refusal(&file.output("x"));
        assert!(text.contains("out of proportion"), "{text}");
    }
}
