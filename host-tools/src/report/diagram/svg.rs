//! The drawing of a diagram. Colours follow the reader's light or dark setting.

use super::super::{escape, put};
use super::layers::{Placed, place};
use super::{Block, BlockKind, Diagram};

/// Around everything.
const MARGIN: f64 = 24.0;
/// Room for the title.
const HEAD: f64 = 34.0;
/// Between a box's edge and its text.
const INSET: f64 = 14.0;
/// Heights of the large and the small lines.
const TITLE_LINE: f64 = 19.0;
const LINE: f64 = 16.0;
/// Widths of a character, about.
const TITLE_CHARACTER: f64 = 9.0;
const CHARACTER: f64 = 6.5;
/// Longer texts are cut.
const MOST_CHARACTERS: usize = 44;

const STYLE: &str = "
svg { --page: #f6f5f3; --card: #ffffff; --ink: #1f2328; --soft: #5f6670; --line: #a9aeb5;
  --port: #5f6670; --weights: #1c6fb8; --pool: #a67c00; --function: #1c7c54; --movement: #8a4fbf;
  font: 12px system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', sans-serif; }
@media (prefers-color-scheme: dark) { svg { --page: #16181b; --card: #1e2125; --ink: #e6e4e0; --soft: #9ba3ad;
  --line: #565b61; --port: #9ba3ad; --weights: #62aef0; --pool: #e0b93f; --function: #4cc38a; --movement: #c08bf0; } }
.page { fill: var(--page); } text { fill: var(--soft); } .head { fill: var(--ink); font-size: 17px; font-weight: 700; }
.title { fill: var(--ink); font-size: 13.5px; font-weight: 650; } .box { fill: var(--card); stroke-width: 1.2; }
.edge { fill: none; stroke: var(--line); stroke-width: 1.6; } .tip { fill: var(--line); }
.port { stroke: var(--port); } .weights { stroke: var(--weights); } .pool { stroke: var(--pool); }
.function { stroke: var(--function); } .movement { stroke: var(--movement); }
.bar { stroke: none; } .bar.port { fill: var(--port); } .bar.weights { fill: var(--weights); }
.bar.pool { fill: var(--pool); } .bar.function { fill: var(--function); } .bar.movement { fill: var(--movement); }
";

impl BlockKind {
    const fn class(self) -> &'static str {
        match self {
            Self::Port => "port",
            Self::Weights => "weights",
            Self::Pool => "pool",
            Self::Function => "function",
            Self::Movement => "movement",
        }
    }
}

/// A whole SVG document.
pub fn draw(diagram: &Diagram) -> String {
    let sizes: Vec<(f64, f64)> = diagram.blocks.iter().map(size).collect();
    let placed = place(&sizes, &diagram.edges);
    let head = cut(&diagram.title);
    let width = placed.size.0.max(head.chars().count() as f64 * 10.0) + 2.0 * MARGIN;
    let height = placed.size.1 + HEAD + 2.0 * MARGIN;
    // A picture narrower than its title stands in the middle below it.
    let left = (width - placed.size.0) / 2.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} \
         {height:.0}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n\
         <text class=\"head\" x=\"{MARGIN}\" y=\"{:.0}\">{title}</text>\n<g transform=\"translate({left:.1} {:.1})\">\n",
        MARGIN + 14.0,
        MARGIN + HEAD,
        title = escape(&head),
    );
    edges(&placed, &mut svg);
    for ((block, size), corner) in diagram.blocks.iter().zip(&sizes).zip(&placed.corners) {
        draw_block(block, *size, *corner, &mut svg);
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

/// Width and height of a box.
fn size(block: &Block) -> (f64, f64) {
    let small = |text: &String| cut(text).chars().count() as f64 * CHARACTER;
    let title = cut(&block.title).chars().count() as f64 * TITLE_CHARACTER;
    let width = block.facts.iter().chain([&block.name]).map(small).fold(title, f64::max);
    let lines = block.facts.len() + usize::from(shows_name(block));
    (width + 2.0 * INSET, TITLE_LINE + lines as f64 * LINE + INSET)
}

/// A name that only repeats the title is left out.
fn shows_name(block: &Block) -> bool {
    !block.name.is_empty() && block.name != block.title
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MOST_CHARACTERS {
        return text.to_owned();
    }
    // Names of foreign files differ at their ends.
    let end: Vec<char> = text.chars().rev().take(MOST_CHARACTERS - 1).collect();
    std::iter::once('…').chain(end.into_iter().rev()).collect()
}

fn draw_block(block: &Block, (width, height): (f64, f64), (x, y): (f64, f64), svg: &mut String) {
    let class = block.kind.class();
    // Ports are pills, layers have a bar of their colour.
    let radius = if block.kind == BlockKind::Port { height / 2.0 } else { 5.0 };
    put(
        svg,
        format_args!(
            "<g transform=\"translate({x:.1} {y:.1})\"><title>{}</title>\
             <rect class=\"box {class}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius:.1}\"/>",
            escape(&block.name)
        ),
    );
    if block.kind != BlockKind::Port {
        put(
            svg,
            format_args!(
                "<path class=\"bar {class}\" d=\"M5 0 H6 V{height:.1} H5 A5 5 0 0 1 0 {:.1} V5 A5 5 0 0 1 5 0 Z\"/>",
                height - 5.0
            ),
        );
    }
    let middle = width / 2.0;
    let mut line = INSET / 2.0 + 13.0;
    put(
        svg,
        format_args!(
            "<text class=\"title\" x=\"{middle:.1}\" y=\"{line:.1}\" text-anchor=\"middle\">{}</text>",
            escape(&cut(&block.title))
        ),
    );
    let name = shows_name(block).then_some(&block.name);
    for text in name.into_iter().chain(&block.facts) {
        line += LINE;
        put(
            svg,
            format_args!(
                "<text x=\"{middle:.1}\" y=\"{line:.1}\" text-anchor=\"middle\">{}</text>",
                escape(&cut(text))
            ),
        );
    }
    svg.push_str("</g>\n");
}

/// Curves from box to box; they leave and arrive upright.
fn edges(placed: &Placed, svg: &mut String) {
    for path in &placed.paths {
        let Some((x, y)) = path.first() else { continue };
        put(svg, format_args!("<path class=\"edge\" d=\"M{x:.1} {y:.1}"));
        for (at, pair) in path.windows(2).enumerate() {
            let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
            // Every second stretch passes a rank, straight down.
            if at % 2 == 1 || x0 == x1 {
                put(svg, format_args!(" L{x1:.1} {y1:.1}"));
            } else {
                let middle = (y0 + y1) / 2.0;
                put(svg, format_args!(" C{x0:.1} {middle:.1} {x1:.1} {middle:.1} {x1:.1} {y1:.1}"));
            }
        }
        svg.push_str("\"/>");
        if let Some((x, y)) = path.last() {
            put(svg, format_args!("<path class=\"tip\" d=\"M{x:.1} {y:.1} l-4 -7 h8 Z\"/>\n"));
        }
    }
}
