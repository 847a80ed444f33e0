//! The drawing of a network with branches of unequal length.

use super::*;

fn block(kind: BlockKind, title: &str) -> Block {
    Block {
        kind,
        title: title.into(),
        name: format!("{title} & co"),
        facts: vec!["14x14x64 i8".into(), "1 MACs".into()],
    }
}

/// Two inputs, blocks of four branches, and connections that pass several of them.
fn branches() -> Diagram {
    let mut diagram = Diagram { title: "<branches>".into(), ..Diagram::default() };
    diagram.blocks.push(block(BlockKind::Port, "image"));
    diagram.blocks.push(block(BlockKind::Weights, "conv2d + relu"));
    let mut at = 1;
    let mut ends = Vec::new();
    for _ in 0..2 {
        let from = at;
        let mut joined = Vec::new();
        for length in [1, 2, 3, 2] {
            let mut last = from;
            for step in 0..length {
                let kind = if step == 0 && length == 2 { BlockKind::Pool } else { BlockKind::Weights };
                diagram.blocks.push(block(kind, ["conv2d + relu", "conv2d", "pool"][step]));
                diagram.edges.push((last, diagram.blocks.len() - 1));
                last = diagram.blocks.len() - 1;
            }
            joined.push(last);
        }
        diagram.blocks.push(block(BlockKind::Movement, "concat"));
        at = diagram.blocks.len() - 1;
        diagram.edges.extend(joined.iter().map(|j| (*j, at)));
        ends.push(at);
    }
    diagram.blocks.push(block(BlockKind::Port, "state"));
    diagram.blocks.push(block(BlockKind::Function, "add"));
    let add = diagram.blocks.len() - 1;
    diagram.edges.extend([(0, 1), (add - 1, add), (at, add), (ends[0], add), (1, add)]);
    diagram.blocks.push(block(BlockKind::Port, "output"));
    diagram.edges.push((add, add + 1));
    diagram
}

#[test]
fn every_box_and_edge_is_drawn_and_text_is_escaped() {
    let diagram = branches();
    let svg = diagram.to_svg();
    assert_eq!(svg.matches("class=\"edge\"").count(), diagram.edges.len());
    assert_eq!(svg.matches("class=\"box ").count(), diagram.blocks.len());
    assert!(svg.contains("&lt;branches&gt;") && svg.contains("conv2d &amp; co") && !svg.contains("<branches>"));
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    assert!(Diagram::default().to_svg().ends_with("</svg>\n"));
}
