//! `docs/ops.md`: what is supported and how it is tested, found out by trying.
//!
//! Nothing in the page is kept by hand. Each operation (`examples`) is put into graphs of every
//! number type and lowered; what lowers is supported, and the steps it becomes say which cases test it.

mod examples;
mod support;

pub use examples::missing;

use crate::{cases, shared, vectors};
use embernet::import::{onnx, tflite};
use embernet::link::Board;
use embernet_core::arch::IsaId;
use embernet_core::image::Image;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use support::{Numbers, Support};

/// The line that tells readers where the page comes from.
const ORIGIN: &str = "<!-- Generated: `cargo xtask docs`. Do not edit. -->";

/// Cases for each kind of step.
type Counts = BTreeMap<&'static str, usize>;

/// The whole page; `None` without the shared data, whose vectors it counts.
pub fn page() -> Option<String> {
    let vectors = vectors::cmsis_nn("the page of operations")?;
    let nodes = shared::dir("the page of operations", "ops/onnx_node")?;
    let built_in = count(cases::all().iter());
    let published = vectors::all(&vectors).into_iter().filter_map(|vector| match vector {
        vectors::Vector::Case(case) => Some(case),
        vectors::Vector::Skipped { .. } => None,
    });
    let published = count(published.collect::<Vec<_>>().iter());
    let mut page = format!("# Operations\n\n{ORIGIN}\n\n{INTRODUCTION}\n");
    operations(&mut page, &built_in, &published);
    places(&mut page);
    importers(&mut page, &nodes);
    Some(page)
}

const INTRODUCTION: &str = "\
What each operation of a graph can do, found out by lowering it, and how many cases test its steps.

- **f32, int8, int16**: inference in these numbers; int16 has int8 weights. *free*: no step at all, only another name \
for the same bytes.
- **hybrid**: f32 activations, int8 weights. **int4**: int8 activations, int4 weights.
- **trains**: the gradient of its input (x), and its own parameters (w).
- **cases**: cases of `tests/src/cases`, which run on every instruction set and board below. Operations that share \
a step share its cases.
- **CMSIS-NN**: published test vectors that run as cases, bit for bit.
";

/// Number of cases that run each kind of step.
fn count<'c>(cases: impl Iterator<Item = &'c cases::Case>) -> Counts {
    let mut counts = Counts::new();
    for case in cases {
        let bytes = case.image(IsaId::Scalar);
        let image = Image::parse(&bytes).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let steps: BTreeSet<&str> = image.infer_plan().steps().map(|step| step.name()).collect();
        steps.into_iter().for_each(|step| *counts.entry(step).or_default() += 1);
    }
    counts
}

fn operations(page: &mut String, built_in: &Counts, published: &Counts) {
    let mut header = vec!["operation"];
    header.extend(Numbers::ALL.map(Numbers::name));
    header.extend(["trains", "cases", "CMSIS-NN", "steps"]);
    row(page, &header);
    row(page, &vec!["---"; header.len()]);
    for example in examples::all() {
        let support = Support::of(&example);
        let tested = |counts: &Counts| match support.steps.iter().filter_map(|s| counts.get(s)).sum::<usize>() {
            0 => String::new(),
            number => number.to_string(),
        };
        let trains = [("x", support.trains_input), ("w", support.trains_weights)];
        let trains: Vec<&str> = trains.iter().filter(|(_, can)| *can).map(|(name, _)| *name).collect();
        let mut cells = vec![format!("`{}`", example.op.kind())];
        cells.extend(support.numbers.iter().map(|cell| (*cell).to_owned()));
        let steps: Vec<&str> = support.steps.iter().copied().collect();
        cells.extend([trains.join(", "), tested(built_in), tested(published), steps.join(" ")]);
        row(page, &cells);
    }
}

fn places(page: &mut String) {
    let tokens = |device| {
        let names =
            IsaId::ALL.iter().filter(move |isa| isa.has_layout() == device).map(|isa| format!("`{}`", isa.name()));
        names.collect::<Vec<_>>().join(", ")
    };
    // What a HAL drives has the kernels of one of the others.
    let emulated = Board::all().filter(|board| board.qemu.is_some() && board.hal.is_none());
    let boards: Vec<String> = emulated.map(|board| format!("`{}` ({})", board.name, board.target)).collect();
    let _ = write!(
        page,
        "\n## Where the cases run\n\nOn a PC with the tokens {}, and with weights in the order of the devices' \
         tokens {}; through the device program in the test's process; and in QEMU on the boards {}. Kernels are written once, over a token: an operation that runs on one instruction set \
         runs on all.\n",
        tokens(false),
        tokens(true),
        boards.join(", ")
    );
}

fn importers(page: &mut String, nodes: &std::path::Path) {
    let manifest = std::fs::read_to_string(nodes.join("manifest.json")).unwrap_or_default();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap_or_default();
    let tests = manifest["tests"].as_array().cloned().unwrap_or_default();
    let cases_of = |name: &str| {
        tests
            .iter()
            .filter(|t| t["ops"].as_array().is_some_and(|ops| ops.iter().any(|o| o.as_str() == Some(name))))
            .count()
    };
    let _ = write!(
        page,
        "\n## Importers\n\nOperators of the files, in alphabetical order, that become operations of the graph or vanish \
         into them. What else a file has makes the import end with the operator's name.\n\n### TFLite\n\n"
    );
    for name in sorted(tflite::OPERATORS) {
        let _ = writeln!(page, "- `{name}`");
    }
    let names = |names: &[&str]| sorted(names).iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let _ = write!(
        page,
        "\nAnd computed at import, where shapes and constants are known: {}.\n\n\
         `tests/data/tflite` has a model of nearly each of them in every number type that the converter writes \
         (`tests/tests/tflite_operators.rs`).\n",
        names(tflite::FOLDED)
    );
    let _ = write!(
        page,
        "\n### ONNX\n\nBehind the name: how many of ONNX's own node tests use the operator \
         (`tests/tests/onnx_nodes.rs` says which pass and why others do not run). Names with `com.microsoft` are \
         onnxruntime's.\n\n"
    );
    for name in sorted(onnx::OPERATORS) {
        let _ = match cases_of(name) {
            0 => writeln!(page, "- `{name}`"),
            number => writeln!(page, "- `{name}` ({number})"),
        };
    }
    let _ = write!(
        page,
        "\nAnd computed at import, where shapes and constants are known: {}; arithmetic, comparisons and reductions of \
         constants.\n",
        names(onnx::FOLDED)
    );
}

fn sorted<'n>(names: &[&'n str]) -> Vec<&'n str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

fn row<T: AsRef<str>>(page: &mut String, cells: &[T]) {
    let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}
