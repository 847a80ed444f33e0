//! What an image holds, for people and as data: steps, sizes, arena map.

use super::flow::{Flow, flow};
use super::metadata::Metadata;
use crate::graph::{grouped, is_chain, lanes, shape_text, text_table};
use crate::lower::loops::{Shape, Unit, costs};
use embernet_core::arch::IsaId;
use embernet_core::exec::PlanKind;
use embernet_core::image::{Image, PlanSection, TensorRecord};
use embernet_core::plan::{Access, Plan};
use serde::Serialize;
use std::collections::HashSet;

/// An image, described.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// Name of the model.
    pub name: String,
    /// Length of the image.
    pub flash_bytes: u32,
    /// Of these: header, records, plans, metadata.
    pub head_bytes: u32,
    /// And of these: weights and tables.
    pub data_bytes: u32,
    /// Arena bytes of trainable parameters.
    pub param_bytes: u32,
    /// Arena bytes of optimiser state.
    pub state_bytes: u32,
    /// The instruction set that scratch was sized for.
    pub isa: String,
    /// Name, shape, type of each input.
    pub inputs: Vec<String>,
    /// The same of each output.
    pub outputs: Vec<String>,
    /// Names of the classes; empty if unknown.
    pub class_names: Vec<String>,
    /// The inference plan.
    pub infer: PlanInfo,
    /// The training plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<PlanInfo>,
}

/// One plan.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct PlanInfo {
    /// Most samples in one run.
    pub samples: u32,
    /// Bytes of arena, parameters and optimiser state included.
    pub arena_bytes: u32,
    /// Arena bytes without parameters and optimiser state.
    pub transient_bytes: u32,
    /// No plan takes fewer transient bytes; 0 if unknown.
    pub transient_bound: u32,
    /// What is estimated of int8 layers with weights; `None` where the core is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// In order of execution.
    pub steps: Vec<StepRow>,
    /// For each output of inference who makes it, as in [`StepRow::reads`].
    #[serde(skip)]
    pub results: Vec<Vec<usize>>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct StepRow {
    /// The layer it belongs to; empty if unknown.
    pub layer: String,
    /// Its kind.
    pub step: &'static str,
    /// Output of one sample; empty if unknown.
    pub shape: Vec<u32>,
    /// Whose loop an int8 layer with weights runs in: `own` is the core's, `plain` every core's. Empty for other steps.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub runs_in: &'static str,
    /// What that takes for one sample, estimated, in [`PlanInfo::unit`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<u64>,
    /// Multiply-accumulates of the layer for one sample, at the first step of it; forward steps only.
    pub macs: u64,
    /// Scale and zero point of an integer output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quant: Option<(f32, i32)>,
    /// Flash bytes: record, weights, tables. Shared data counts at every step.
    pub flash_bytes: usize,
    /// Arena bytes it touches.
    pub ram_bytes: usize,
    /// Arena bytes that hold activations, gradients or scratch at this step.
    pub alive_bytes: usize,
    /// Who made what it reads: numbers of inputs, then of steps.
    #[serde(skip)]
    pub reads: Vec<usize>,
    /// Arena ranges as `(start, end, access)`.
    pub ram: Vec<(usize, usize, &'static str)>,
    /// The steps that it stands for, by number: itself, or all of its layer.
    #[serde(skip)]
    pub steps: Vec<usize>,
}

/// Describes a parsed image; unreadable metadata leaves names empty.
pub fn inspect(image: &Image<'_>) -> Inspection {
    let metadata = Metadata::from_bytes(image.metadata()).unwrap_or_default();
    let header = image.header();
    let isa = IsaId::from_u32(header.isa);
    let unit = isa.and_then(|isa| costs().unit(isa));
    let ports = |names: &[String], records: &[TensorRecord]| {
        records.iter().enumerate().map(|(i, r)| port_text(names.get(i), r)).collect()
    };
    let plan = |plan: Plan<'_>, section: &PlanSection, kind, bound| {
        let samples = section.samples as usize;
        let mut steps = step_rows(plan, samples, &metadata, kind, isa);
        let (inputs, outputs) = match kind {
            PlanKind::Infer => (image.inputs(), image.outputs()),
            PlanKind::Train => (image.train_inputs(), &[][..]),
        };
        let range = |r: &TensorRecord| (r.at.offset(), r.at.offset().saturating_add(r.sample_bytes() * samples));
        let ranges = |records: &[TensorRecord]| records.iter().map(range).collect::<Vec<_>>();
        let Flow { reads, results, alive } =
            flow(&steps, &ranges(inputs), &ranges(outputs), header.persistent_bytes as usize);
        for ((step, reads), alive) in steps.iter_mut().zip(reads).zip(alive) {
            (step.reads, step.alive_bytes) = (reads, alive);
        }
        PlanInfo {
            samples: section.samples,
            arena_bytes: section.arena_bytes,
            transient_bytes: section.arena_bytes.saturating_sub(header.persistent_bytes),
            transient_bound: bound,
            unit,
            steps,
            results,
        }
    };
    Inspection {
        name: metadata.name.clone(),
        flash_bytes: header.image_bytes,
        head_bytes: header.head_bytes,
        data_bytes: header.data.bytes,
        param_bytes: header.param_bytes,
        state_bytes: header.persistent_bytes.saturating_sub(header.param_bytes),
        isa: isa.map_or("unknown", |i| i.name()).into(),
        inputs: ports(&metadata.inputs, image.inputs()),
        outputs: ports(&metadata.outputs, image.outputs()),
        class_names: metadata.class_names.clone(),
        infer: plan(image.infer_plan(), &header.infer, PlanKind::Infer, metadata.infer_bound),
        train: image
            .is_trainable()
            .then(|| plan(image.train_plan(), &header.train, PlanKind::Train, metadata.train_bound)),
    }
}

fn port_text(name: Option<&String>, record: &TensorRecord) -> String {
    let shape: Vec<usize> = record.shape().iter().map(|d| *d as usize).collect();
    let name = name.map_or("?", String::as_str);
    let dtype = match record.dtype() {
        embernet_core::image::DType::F32 => return format!("{name} {} f32", shape_text(&shape)),
        embernet_core::image::DType::I8 => "i8",
        embernet_core::image::DType::I16 => "i16",
        embernet_core::image::DType::U32 => "u32",
    };
    let (scale, zero_point) = (record.scale, record.zero_point);
    format!("{name} {} {dtype} (scale {scale}, zero point {zero_point})", shape_text(&shape))
}

fn step_rows(plan: Plan<'_>, samples: usize, metadata: &Metadata, kind: PlanKind, isa: Option<IsaId>) -> Vec<StepRow> {
    let row = |(index, step): (usize, embernet_core::plan::Step<'_>)| {
        let operands = step.operands(samples);
        let operands = operands.as_slice();
        let bytes = |flash: bool| operands.iter().filter(|o| o.at.is_data() == flash).map(|o| o.bytes).sum();
        let access = |access| match access {
            Access::Read => "read",
            Access::Write => "write",
            Access::ReadWrite => "update",
            Access::Scratch => "scratch",
        };
        let layer = match kind {
            PlanKind::Infer => metadata.infer_layer(index),
            PlanKind::Train => metadata.train_layer(index),
        };
        let layer = layer.cloned().unwrap_or_default();
        let weights = Shape::of(&step);
        StepRow {
            layer: layer.name,
            step: step.name(),
            shape: layer.shape,
            runs_in: weights.map_or("", |(_, order)| if order.is_plain() { "plain" } else { "own" }),
            estimate: isa.zip(weights).and_then(|(isa, (shape, order))| costs().estimate(isa, &shape, &order)),
            macs: if kind == PlanKind::Infer { layer.macs } else { 0 },
            quant: (layer.scale > 0.0).then_some((layer.scale, layer.zero_point)),
            flash_bytes: bytes(true),
            ram_bytes: bytes(false),
            alive_bytes: 0,
            reads: Vec::new(),
            steps: vec![index],
            ram: operands
                .iter()
                .filter(|o| !o.at.is_data())
                .map(|o| (o.at.offset(), o.at.offset() + o.bytes, access(o.access)))
                .collect(),
        }
    };
    let mut rows: Vec<StepRow> = plan.steps().enumerate().map(row).collect();
    let mut known = HashSet::new();
    for row in rows.iter_mut().filter(|row| !row.layer.is_empty()) {
        if !known.insert(row.layer.clone()) {
            row.macs = 0;
        }
    }
    rows
}

/// Columns of the arena map.
const MAP_WIDTH: usize = 40;

impl core::fmt::Display for Inspection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        writeln!(f, "{}: {} -> {}", self.name, self.inputs.join(", "), self.outputs.join(", "))?;
        if !self.class_names.is_empty() {
            writeln!(f, "classes: {}", self.class_names.join(", "))?;
        }
        writeln!(f, "\ninference")?;
        self.plan(f, &self.infer)?;
        if let Some(train) = &self.train {
            writeln!(f, "\ntraining")?;
            self.plan(f, train)?;
        }
        let n = |bytes: u32| grouped(bytes.into());
        writeln!(f, "\nflash {} B: head {}, data {}", n(self.flash_bytes), n(self.head_bytes), n(self.data_bytes))?;
        writeln!(f, "for instruction set {}", self.isa)
    }
}

impl Inspection {
    fn plan(&self, f: &mut core::fmt::Formatter<'_>, plan: &PlanInfo) -> core::fmt::Result {
        // A layer that computes some rows at a time has many steps.
        let by_layer = (!plan.results.is_empty()).then(|| plan.by_layer(self.inputs.len()));
        let plan = by_layer.as_ref().unwrap_or(plan);
        // Columns that would be empty are left out.
        let unit = plan.unit.filter(|_| plan.steps.iter().any(|s| s.estimate.is_some()));
        let (macs, quant) = (plan.steps.iter().any(|s| s.macs > 0), plan.steps.iter().any(|s| s.quant.is_some()));
        // Steps that read just the one before need no drawing. Inputs have no line of their own.
        let inputs = if plan.results.is_empty() { usize::MAX } else { self.inputs.len() };
        let after_inputs = |s: &StepRow| s.reads.iter().filter_map(|r| r.checked_sub(inputs)).collect::<Vec<usize>>();
        let sources: Vec<Vec<usize>> = plan.steps.iter().map(after_inputs).collect();
        let drawing = if inputs == usize::MAX || is_chain(&sources) { Vec::new() } else { lanes(&sources) };
        let mut columns = if drawing.is_empty() { vec![] } else { vec![""] };
        columns.extend(["layer", "step"]);
        columns.extend(unit.map(|_| "loop"));
        columns.extend(["output"]);
        columns.extend(quant.then_some("scale, zero point"));
        columns.extend(["arena", "flash B", "RAM B"]);
        columns.extend(macs.then_some("MACs"));
        let estimated = unit.map(|unit| format!("est. {unit}"));
        columns.extend(estimated.as_deref());
        let mut table = text_table(&columns, columns.len() - 2 - usize::from(macs) - usize::from(unit.is_some()));
        for (index, step) in plan.steps.iter().enumerate() {
            let shape: Vec<usize> = step.shape.iter().map(|d| *d as usize).collect();
            let mut row: Vec<String> = drawing.get(index).into_iter().cloned().collect();
            row.extend([step.layer.clone(), step.title()]);
            row.extend(unit.map(|_| step.runs_in.to_owned()));
            row.push(shape_text(&shape));
            if quant {
                row.push(step.quant.map_or_else(String::new, |(scale, zero)| format!("{scale:.6}, {zero}")));
            }
            row.push(map_line(step, plan.arena_bytes as usize));
            row.extend([grouped(step.flash_bytes as u64), grouped(step.ram_bytes as u64)]);
            row.extend(macs.then(|| grouped(step.macs)));
            row.extend(unit.map(|_| step.estimate.map_or_else(String::new, grouped)));
            table.add_row(row);
        }
        writeln!(f, "{table}")?;
        let n = |bytes: u32| grouped(bytes.into());
        write!(
            f,
            "arena {} B for up to {} samples: parameters {}, optimiser state {}, activations and scratch {}",
            n(plan.arena_bytes),
            plan.samples,
            n(self.param_bytes),
            n(self.state_bytes),
            n(plan.transient_bytes)
        )?;
        write!(f, "{}", plan.reason())?;
        let total: u64 = plan.steps.iter().map(|s| s.macs).sum();
        if macs { writeln!(f, "; {} MACs for one sample", grouped(total)) } else { writeln!(f) }?;
        plan.loops().map_or(Ok(()), |loops| writeln!(f, "{loops}"))
    }
}

impl PlanInfo {
    /// Which loops int8 layers with weights run in, and what they take together; `None` where nothing is estimated.
    pub fn loops(&self) -> Option<String> {
        let unit = self.unit?;
        let total = self.steps.iter().filter_map(|step| step.estimate).reduce(|a, b| a + b)?;
        let of = |name| self.steps.iter().filter(|step| step.runs_in == name).count();
        let (own, plain, total) = (of("own"), of("plain"), grouped(total));
        Some(format!(
            "int8 layers with weights: {own} in the core's own loops, {plain} in plain ones, about {total} {unit}"
        ))
    }

    /// Why the plan takes as much as it does, in parentheses; empty if the bound is unknown.
    pub fn reason(&self) -> String {
        let Some(fullest) = self.steps.iter().rev().max_by_key(|s| s.alive_bytes) else { return String::new() };
        let (bytes, bound) = (self.transient_bytes, self.transient_bound);
        let n = |bytes: u32| grouped(bytes.into());
        match bound {
            0 => String::new(),
            _ if bytes <= bound => format!(" (no plan takes less: all in use at `{}`)", fullest.layer),
            _ => format!(
                " (lower bound {}, in use at `{}`; {} more, because no order tried packs the lifetimes without holes)",
                n(bound),
                fullest.layer,
                n(bytes - bound)
            ),
        }
    }
}

/// The arena as a line: `r` read, `w` written, `u` updated, `s` scratch.
fn map_line(step: &StepRow, arena_bytes: usize) -> String {
    let mut line = vec!['.'; MAP_WIDTH];
    for &(start, end, access) in &step.ram {
        if arena_bytes == 0 || start == end {
            continue;
        }
        let column = |byte: usize| byte * MAP_WIDTH / arena_bytes;
        let last = column(end - 1).min(MAP_WIDTH - 1);
        for cell in &mut line[column(start).min(last)..=last] {
            *cell = access.chars().next().unwrap_or('?');
        }
    }
    line.into_iter().collect()
}
