//! The tables of pages that say what an inference takes, made of what was last saved.
//!
//! Figures come from `firmware/instructions.toml` (`cargo xtask bench mcu --save`) and, for other
//! runtimes and goals, from `host-tools/examples/mcu/peers.toml`. A page has a line
//! `<!-- costs: NAME -->` before its table and `<!-- end -->` behind it.

use embernet::graph::grouped;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A page and the tables in it.
pub const PAGES: &[(&str, &[(&str, Table)])] = &[
    ("README.md", &[("boards", BOARDS)]),
    ("docs/performance.md", &[("m55", M55), ("m4", M4), ("plain cores", PLAIN_CORES)]),
];

/// Columns: heading and figure.
pub type Table = &'static [(&'static str, Figure)];

/// What a column shows of every model.
#[derive(Debug, Clone, Copy)]
pub enum Figure {
    /// Bytes of arena on a board.
    Arena(&'static str),
    /// Ours on a board.
    Ours(&'static str, Unit),
    /// TensorFlow Lite Micro with CMSIS-NN.
    Peer(&'static str, Unit),
    /// What we want to reach, in whichever unit it was set.
    Goal(&'static str),
}

/// What a figure counts.
#[derive(Debug, Clone, Copy)]
pub enum Unit {
    /// Executed, exactly.
    Instructions,
    /// Estimated by the manual of the core.
    Cycles,
}

use Figure::{Arena, Goal, Ours, Peer};
use Unit::{Cycles, Instructions};

const BOARDS: Table = &[
    ("arena B", Arena("m4")),
    ("M4F, est. cycles", Ours("m4", Cycles)),
    ("CMSIS-NN", Peer("m4", Cycles)),
    ("M3", Ours("m3", Instructions)),
    ("CMSIS-NN", Peer("m3", Instructions)),
    ("M55", Ours("m55", Instructions)),
    ("CMSIS-NN", Peer("m55", Instructions)),
    ("M0", Ours("m0-mps2", Instructions)),
    ("RV32", Ours("rv32", Instructions)),
];

const M55: Table =
    &[("instructions", Ours("m55", Instructions)), ("goal", Goal("m55")), ("CMSIS-NN", Peer("m55", Instructions))];

const M4: Table = &[
    ("instructions", Ours("m4", Instructions)),
    ("est. cycles", Ours("m4", Cycles)),
    ("goal", Goal("m4")),
    ("CMSIS-NN, est. cycles", Peer("m4", Cycles)),
    ("arena B", Arena("m4")),
];

const PLAIN_CORES: Table = &[
    ("m3", Ours("m3", Instructions)),
    ("goal", Goal("m3")),
    ("CMSIS-NN on M3", Peer("m3", Instructions)),
    ("m3, est. cycles", Ours("m3", Cycles)),
    ("CMSIS-NN", Peer("m3", Cycles)),
    ("m0-mps2", Ours("m0-mps2", Instructions)),
    ("rv32", Ours("rv32", Instructions)),
];

/// The rows: a model of the shared data and what readers call it.
const MODELS: &[(&str, &str)] = &[
    ("mlperf_kws_dscnn_int8", "keyword spotting, DS-CNN"),
    ("mlperf_ic_resnet8_int8", "image classification, ResNet-8"),
    ("mlperf_ad_autoencoder_int8", "anomaly detection, autoencoder"),
    ("tflm_person_detect_int8", "person detection, MobileNet"),
    ("tflm_micro_speech_int8", "micro_speech, CNN"),
    ("tflm_hello_world_int8", "hello_world, three dense layers"),
];

/// What was saved and what others reach.
#[derive(Debug)]
pub struct Figures {
    /// By board, model and what.
    ours: BTreeMap<String, BTreeMap<String, BTreeMap<String, u64>>>,
    peers: Peers,
}

#[derive(Debug, Deserialize)]
struct Peers {
    models: BTreeMap<String, BTreeMap<String, PeerFigures>>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
struct PeerFigures {
    instructions: Option<u64>,
    cycles: Option<u64>,
    goal_instructions: Option<u64>,
    goal_cycles: Option<u64>,
}

impl Figures {
    /// Of the texts of `firmware/instructions.toml` and `peers.toml`.
    ///
    /// # Errors
    /// TOML's, where a text is not what is expected.
    pub fn parse(ours: &str, peers: &str) -> Result<Self, toml::de::Error> {
        Ok(Self { ours: toml::from_str(ours)?, peers: toml::from_str(peers)? })
    }

    /// `page` with its tables written anew; an error names the table whose place is missing.
    ///
    /// # Errors
    /// A table without its two marks.
    pub fn refresh(&self, page: &str, tables: &[(&str, Table)]) -> Result<String, String> {
        let mut page = page.to_owned();
        for (name, table) in tables {
            let begin = format!("<!-- costs: {name} -->\n");
            let missing = || format!("no `{}` … `{END}`", begin.trim_end());
            let (before, rest) = page.split_once(&begin).ok_or_else(missing)?;
            let (_, after) = rest.split_once(END).ok_or_else(missing)?;
            page = format!("{before}{begin}\n{}\n{END}{after}", self.table(table));
        }
        Ok(page)
    }

    fn table(&self, columns: Table) -> String {
        let mut text = String::from("| model, int8 |");
        for (heading, _) in columns {
            let _ = write!(text, " {heading} |");
        }
        let _ = write!(text, "\n|---|{}\n", "---|".repeat(columns.len()));
        for (model, name) in MODELS {
            let _ = write!(text, "| {name} |");
            for (_, figure) in columns {
                let _ = write!(text, " {} |", self.cell(model, *figure).unwrap_or_default());
            }
            text.push('\n');
        }
        text
    }

    fn cell(&self, model: &str, figure: Figure) -> Option<String> {
        let ours = |board: &str, what: &str| self.ours.get(board)?.get(model)?.get(what).copied();
        let peer = |board: &str| self.peers.models.get(model).and_then(|boards| boards.get(board)).copied();
        match figure {
            Arena(board) => ours(board, "arena bytes").map(grouped),
            Ours(board, Instructions) => ours(board, "all").map(rounded),
            Ours(board, Cycles) => ours(board, "all, est. cycles").map(rounded),
            Peer(board, Instructions) => peer(board)?.instructions.map(rounded),
            Peer(board, Cycles) => peer(board)?.cycles.map(rounded),
            Goal(board) => {
                let goal = peer(board)?;
                let cycles = goal.goal_cycles.map(|cycles| format!("{} cycles", rounded(cycles)));
                cycles.or_else(|| goal.goal_instructions.map(|count| format!("{} instructions", rounded(count))))
            }
        }
    }
}

const END: &str = "<!-- end -->";

/// Three digits of large numbers, all of those below ten thousand.
fn rounded(count: u64) -> String {
    match count {
        ..10_000 => grouped(count),
        10_000..1_000_000 => format!("{} k", (count + 500) / 1000),
        1_000_000..10_000_000 => format!("{:.2} M", count as f64 / 1e6),
        10_000_000.. => format!("{:.1} M", count as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([2434, 61_500, 4_540_000, 18_070_000].map(rounded), ["2,434", "62 k", "4.54 M", "18.1 M"]);
    }

    #[test]
    fn tables_go_between_their_marks() {
        let ours = "[m55.mlperf_ad_autoencoder_int8]\nall = 61000\n";
        let peers =
            "[models.mlperf_ad_autoencoder_int8]\nm55 = { instructions = 149_925, goal_instructions = 120_000 }";
        let figures = Figures::parse(ours, peers).unwrap();
        let page = figures.refresh("a\n<!-- costs: x -->\nold\n<!-- end -->\nb\n", &[("x", M55)]).unwrap();
        assert!(page.starts_with("a\n<!-- costs: x -->\n\n| model, int8 |") && page.ends_with("<!-- end -->\nb\n"));
        assert!(page.contains("| anomaly detection, autoencoder | 61 k | 120 k instructions | 150 k |\n"), "{page}");
        assert_eq!(figures.refresh(&page, &[("x", M55)]), Ok(page.clone()), "a second time changes nothing");
        assert!(figures.refresh("none", &[("x", M55)]).unwrap_err().contains("costs: x"));
    }
}
