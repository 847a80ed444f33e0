//! The tables.

use crate::measure::Measured;
use crate::peers::Peers;
use embernet::graph::{grouped, text_table};

/// Ours beside the peers'.
pub fn models(measured: &[&Measured], peers: &Peers) -> String {
    let header = [
        "model",
        "board",
        "instructions",
        "per MAC",
        "est. cycles",
        "arena B",
        "stack B",
        "image B",
        "TFLM + CMSIS-NN",
        "ours",
        "its cycles",
        "ours",
        "closed tools",
        "goal",
        "ours",
    ];
    let mut table = text_table(&header, 2);
    for row in measured {
        let figures = peers.of(&row.model, &row.board.name);
        let (instructions, cycles) = (Some(row.whole.instructions), row.whole.cycles);
        let goal = figures.goal_cycles.or(figures.goal_instructions);
        let reached = if figures.goal_cycles.is_some() { cycles } else { instructions };
        let unit = if figures.goal_cycles.is_some() { "c" } else { "i" };
        table.add_row([
            row.model.clone(),
            row.board.name.clone(),
            number(instructions),
            per_mac(row.whole.instructions, row.macs),
            number(cycles),
            grouped(row.arena_bytes as u64),
            grouped(row.stack_bytes.into()),
            grouped(row.image_bytes as u64),
            number(figures.instructions),
            ratio(instructions, figures.instructions),
            number(figures.cycles),
            ratio(cycles, figures.cycles),
            number(figures.closed),
            goal.map_or_else(String::new, |goal| format!("{} {unit}", grouped(goal))),
            ratio(reached, goal),
        ]);
    }
    format!(
        "{table}\ninstructions: executed, exact; est. cycles: by the manual of the core, memory without wait states; c and i: \
         goal in cycles or instructions\npeers: {}",
        peers.source
    )
}

/// Every layer of one model on one board.
pub fn layers(measured: &Measured, peers: &Peers) -> String {
    let header = ["layer", "step", "MACs", "instructions", "per MAC", "est. cycles", "per MAC", "CMSIS-NN", "ratio"];
    let mut table = text_table(&header, 2);
    for step in &measured.steps {
        let peer = peers.layer(&measured.model, &step.layer, &measured.board.name);
        table.add_row([
            step.layer.clone(),
            step.kind.to_owned(),
            grouped(step.macs),
            grouped(step.count.instructions),
            per_mac(step.count.instructions, step.macs),
            number(step.count.cycles),
            step.count.cycles.map_or_else(String::new, |cycles| per_mac(cycles, step.macs)),
            number(peer),
            ratio(Some(step.count.instructions), peer),
        ]);
    }
    format!("{} on {}\n{table}", measured.model, measured.board.name)
}

pub fn number(value: Option<u64>) -> String {
    value.map_or_else(String::new, grouped)
}

fn per_mac(count: u64, macs: u64) -> String {
    if macs == 0 { String::new() } else { format!("{:.2}", count as f64 / macs as f64) }
}

pub fn ratio(ours: Option<u64>, other: Option<u64>) -> String {
    match (ours, other) {
        (Some(ours), Some(other)) => format!("{:.2}x", ours as f64 / other.max(1) as f64),
        _ => String::new(),
    }
}
