//! Which bytes of an arena hold what, step by step.

use super::{escape, put};

/// What a region of the arena is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RegionKind {
    /// Parameters being trained.
    Parameters,
    /// What the optimiser remembers.
    State,
    /// Inputs, outputs and what layers hand on.
    Activation,
    /// Gradients of activations.
    Gradient,
    /// Room that a step needs while it runs.
    Scratch,
}

impl RegionKind {
    const ALL: [RegionKind; 5] = [Self::Parameters, Self::State, Self::Activation, Self::Gradient, Self::Scratch];

    /// In the legend.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::State => "optimiser state",
            Self::Activation => "activations",
            Self::Gradient => "gradients",
            Self::Scratch => "scratch",
        }
    }

    const fn class(self) -> &'static str {
        match self {
            Self::Parameters => "m0",
            Self::State => "m1",
            Self::Activation => "m2",
            Self::Gradient => "m3",
            Self::Scratch => "m4",
        }
    }
}

/// Bytes that hold one tensor for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// The tensor.
    pub name: String,
    /// What it is for.
    pub kind: RegionKind,
    /// First byte in the arena.
    pub offset: usize,
    /// How many bytes.
    pub bytes: usize,
    /// First step that it lives in.
    pub first: usize,
    /// Last step that it lives in.
    pub last: usize,
}

/// An arena over the steps of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryMap {
    /// Size of the arena.
    pub arena_bytes: usize,
    /// The steps in order.
    pub steps: Vec<String>,
    /// What lies where, and when.
    pub regions: Vec<Region>,
}

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 8.0;
const PLOT: f64 = 360.0;
/// Step names are written out up to so many steps.
const NAMED_STEPS: usize = 48;
/// Width of a character of the labels, about.
const CHARACTER: f64 = 6.6;

impl MemoryMap {
    pub(super) fn render(&self, html: &mut String) {
        let steps = self.steps.len().max(self.regions.iter().map(|region| region.last + 1).max().unwrap_or(0));
        if steps == 0 || self.arena_bytes == 0 {
            html.push_str("<p class=\"note\">the arena is empty</p>\n");
            return;
        }
        let peak = self.peak(steps);
        html.push_str("<figure>\n<ul class=\"legend\">");
        for kind in RegionKind::ALL {
            if self.regions.iter().any(|region| region.kind == kind) {
                put(html, format_args!("<li><i class=\"{}\"></i>{}</li>", kind.class(), kind.name()));
            }
        }
        put(
            html,
            format_args!(
                "<li>arena <b>{}</b></li><li>most in use at once <b>{}</b></li></ul>\n",
                bytes(self.arena_bytes),
                bytes(peak)
            ),
        );
        let named = self.steps.len() <= NAMED_STEPS;
        let longest = self.steps.iter().map(|step| step.chars().count()).max().unwrap_or(0).min(24);
        // Names hang at 45 degrees.
        let below = if named { 16.0 + longest as f64 * CHARACTER * 0.71 } else { 30.0 };
        let height = TOP + PLOT + below;
        put(
            html,
            format_args!(
                "<svg class=\"map\" role=\"img\" aria-label=\"memory map\" viewBox=\"0 0 {WIDTH} {height:.0}\">\n"
            ),
        );
        self.axes(html, steps, named);
        let column = (WIDTH - LEFT - 4.0) / steps as f64;
        let scale = PLOT / self.arena_bytes as f64;
        for region in &self.regions {
            let x = LEFT + region.first as f64 * column;
            let width = (region.last + 1).saturating_sub(region.first) as f64 * column;
            let y = TOP + region.offset as f64 * scale;
            let height = region.bytes as f64 * scale;
            put(
                html,
                format_args!(
                    "<g><title>{}: {} at {}, steps {} to {}</title>\
                     <rect class=\"{}\" x=\"{:.2}\" y=\"{y:.2}\" width=\"{:.2}\" height=\"{height:.2}\" rx=\"2\"/>",
                    escape(&region.name),
                    bytes(region.bytes),
                    region.offset,
                    region.first,
                    region.last,
                    region.kind.class(),
                    x + 0.5,
                    (width - 1.0).max(0.5)
                ),
            );
            let room = ((width - 10.0) / CHARACTER).max(0.0) as usize;
            if height >= 14.0 && room >= 3 {
                put(
                    html,
                    format_args!(
                        "<text x=\"{:.2}\" y=\"{:.2}\">{}</text>",
                        x + 6.0,
                        y + height.min(40.0) / 2.0 + 4.0,
                        escape(&shortened(&region.name, room))
                    ),
                );
            }
            html.push_str("</g>\n");
        }
        html.push_str("</svg>\n</figure>\n");
    }

    fn axes(&self, html: &mut String, steps: usize, named: bool) {
        let tick = tick(self.arena_bytes);
        let mut at = 0;
        while at <= self.arena_bytes {
            let y = TOP + at as f64 / self.arena_bytes as f64 * PLOT;
            put(
                html,
                format_args!(
                    "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                     <text class=\"axis\" text-anchor=\"end\" x=\"{}\" y=\"{:.1}\">{}</text>\n",
                    LEFT - 8.0,
                    y + 4.0,
                    bytes(at)
                ),
            );
            at += tick;
        }
        let column = (WIDTH - LEFT - 4.0) / steps as f64;
        let y = TOP + PLOT + 14.0;
        if !named {
            put(
                html,
                format_args!("<text class=\"axis\" x=\"{LEFT}\" y=\"{y}\">{steps} steps, first to last</text>\n"),
            );
            return;
        }
        for (index, step) in self.steps.iter().enumerate() {
            let x = LEFT + (index as f64 + 0.5) * column;
            put(
                html,
                format_args!(
                    "<text class=\"axis\" text-anchor=\"end\" transform=\"translate({x:.1} {y}) rotate(-45)\">{}</text>\n",
                    escape(&shortened(step, 24))
                ),
            );
        }
    }

    /// The most bytes that live regions take in any step.
    fn peak(&self, steps: usize) -> usize {
        let live = |step| {
            let regions = self.regions.iter().filter(|region| (region.first..=region.last).contains(&step));
            regions.map(|region| region.bytes).sum::<usize>()
        };
        (0..steps).map(live).max().unwrap_or(0)
    }
}

/// A round distance that gives four to ten ticks.
fn tick(total: usize) -> usize {
    let mut tick = 1;
    while total / tick > 8 {
        tick *= 2;
    }
    tick
}

fn bytes(count: usize) -> String {
    match count {
        0..1024 => format!("{count} B"),
        _ if count.is_multiple_of(1024) => format!("{} KB", count / 1024),
        _ => format!("{:.1} KB", count as f64 / 1024.0),
    }
}

fn shortened(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.into();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ticks_are_round() {
        assert_eq!((bytes(12), bytes(2048), bytes(1536)), ("12 B".into(), "2 KB".into(), "1.5 KB".into()));
        assert_eq!((tick(5), tick(4096), tick(5000)), (1, 512, 1024));
        assert_eq!(shortened("conv2d/output", 7), "conv2d…");
    }

    #[test]
    fn the_peak_counts_what_lives_together() {
        let region = |bytes, first, last| Region {
            name: "t".into(),
            kind: RegionKind::Activation,
            offset: 0,
            bytes,
            first,
            last,
        };
        let map = MemoryMap {
            arena_bytes: 100,
            steps: vec![String::new(); 3],
            regions: vec![region(10, 0, 1), region(20, 1, 2), region(5, 2, 2)],
        };
        assert_eq!(map.peak(3), 30);
    }
}
