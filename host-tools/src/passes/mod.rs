//! The image compiler's simplifications: a graph becomes a smaller one that computes the same bits.
//!
//! Every pass is safe and exact: for finite inputs the outputs keep every bit, on every instruction
//! set. Where a rewrite would round differently, the graph stays as it is. [`PASSES`] is the one
//! list; [`simplify`] runs it until nothing changes any more and reports what happened.
//!
//! What training may change ([`Tensor::trainable`](crate::graph::Tensor::trainable)) is not taken for
//! a constant. [`prepare`] sets those flags for a target before it simplifies.

mod channels;
mod clamps;
mod constants;
mod depthwise;
mod editor;
mod evaluate;
mod identities;
mod pads;
mod reach;

#[cfg(test)]
mod tests;

use crate::graph::{Graph, GraphError, Piece};
use crate::lower::Options;
use editor::Editor;
use serde::Serialize;

/// One simplification.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// Its name in reports.
    pub name: &'static str,
    /// What it did once, as a report says it: `constant folded`.
    one: &'static str,
    /// The same in the plural.
    many: &'static str,
    /// Looks at the whole graph once; gives the number of changes.
    run: fn(&mut Editor) -> usize,
}

/// In the order in which they run. Cheap ones that uncover work for others come first.
pub const PASSES: &[Pass] = &[
    Pass { name: "reach", one: "unused layer dropped", many: "unused layers dropped", run: reach::run },
    Pass { name: "constants", one: "constant folded", many: "constants folded", run: constants::run },
    Pass { name: "identities", one: "identity removed", many: "identities removed", run: identities::run },
    Pass { name: "pads", one: "border fused", many: "borders fused", run: pads::run },
    Pass { name: "clamps", one: "clamp fused", many: "clamps fused", run: clamps::run },
    Pass {
        name: "depthwise",
        one: "depthwise layer turned into a convolution",
        many: "depthwise layers turned into convolutions",
        run: depthwise::run,
    },
    Pass { name: "channels", one: "constant channel removed", many: "constant channels removed", run: channels::run },
];

/// The name of folded batch normalisation in reports.
const BATCH_NORM: &str = "batch_norm";

/// Sweeps over the list. Each of them shrinks the graph, so that few are needed; this bounds what a
/// strange file can cost.
const MOST_SWEEPS: usize = 16;

/// What a pass did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The pass's name.
    pub pass: &'static str,
    /// How often it changed the graph.
    pub count: usize,
}

/// What the passes did; passes that did nothing are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Report {
    /// Batch normalisation first, then in the order of [`PASSES`].
    pub changes: Vec<Change>,
}

impl Report {
    /// Whether the graph is as it was.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Both together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let total = |pass| Change { pass, count: self.count(pass) + other.count(pass) };
        let names = std::iter::once(BATCH_NORM).chain(PASSES.iter().map(|p| p.name));
        Self { changes: names.map(total).filter(|c| c.count > 0).collect() }
    }

    /// How often the pass of this name changed the graph.
    pub fn count(&self, pass: &str) -> usize {
        self.changes.iter().find(|c| c.pass == pass).map_or(0, |c| c.count)
    }
}

/// One line: `simplified: 2 constants folded, 1 clamp fused`.
impl core::fmt::Display for Report {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing to simplify");
        }
        let said = |change: &Change| {
            let pass = PASSES.iter().find(|p| p.name == change.pass);
            let what = match pass {
                Some(pass) if change.count == 1 => pass.one,
                Some(pass) => pass.many,
                None if change.count == 1 => "batch normalisation folded",
                None => "batch normalisations folded",
            };
            format!("{} {what}", change.count)
        };
        let all: Vec<String> = self.changes.iter().map(said).collect();
        write!(f, "simplified: {}", all.join(", "))
    }
}

/// Simplifies a graph. Inputs and outputs keep their order, names, shapes and types.
///
/// # Errors
/// If the graph does not hold together.
pub fn simplify(graph: &mut Graph) -> Result<Report, GraphError> {
    graph.validate()?;
    let mut editor = Editor::new(graph)?;
    let mut counts = vec![0; PASSES.len()];
    for _ in 0..MOST_SWEEPS {
        let mut changed = 0;
        for (pass, count) in PASSES.iter().zip(&mut counts) {
            let changes = (pass.run)(&mut editor);
            *count += changes;
            changed += changes;
        }
        if changed == 0 {
            break;
        }
    }
    editor.finish();
    let changes = PASSES.iter().zip(counts).filter(|(_, count)| *count > 0);
    Ok(Report { changes: changes.map(|(pass, count)| Change { pass: pass.name, count }).collect() })
}

/// A graph as it is lowered.
#[derive(Debug)]
pub struct Prepared {
    /// Its flags say what learns.
    pub graph: Graph,
    /// What was simplified.
    pub report: Report,
    /// Parameters that stand for parts of others.
    pub pieces: Vec<Piece>,
}

/// The graph as it is lowered for `options`: what is selected learns, and the rest is simplified.
///
/// Without [`Options::reuse`] every tensor can be read after a run, and so the graph stays whole.
/// Batch normalisation that nothing trains goes into the layer before it ([`Graph::fold_batch_norm`]).
///
/// # Errors
/// If the graph does not hold together, or the selection names no layer of it.
pub fn prepare(graph: &Graph, options: &Options) -> Result<Prepared, GraphError> {
    graph.validate()?;
    let mut graph = graph.clone();
    let mut pieces = Vec::new();
    match options.train.as_ref().map(|t| t.layers.as_ref()) {
        // Nothing learns: every parameter is a constant.
        None => graph.tensors.iter_mut().for_each(|t| t.trainable = false),
        Some(None) => {}
        Some(Some(layers)) => {
            pieces = graph.set_trainable(layers)?;
            graph.validate()?;
        }
    }
    let report = if options.reuse { fold_and_simplify(&mut graph, Graph::fold_batch_norm)? } else { Report::default() };
    Ok(Prepared { graph, report, pieces })
}

/// Folds batch normalisation with `fold`, and simplifies before and after.
///
/// The folding is no pass, because it rounds: once, where the layer would have rounded several times.
///
/// # Errors
/// If the graph does not hold together.
pub fn fold_and_simplify(graph: &mut Graph, fold: fn(&mut Graph) -> usize) -> Result<Report, GraphError> {
    let mut report = simplify(graph)?;
    let count = fold(graph);
    if count > 0 {
        report = report.and(&simplify(graph)?);
        report.changes.insert(0, Change { pass: BATCH_NORM, count });
    }
    Ok(report)
}
