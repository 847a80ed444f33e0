//! Events in one line each: for pipes, files and terminals that are none.

use super::{Event, State};
use crate::graph::grouped;
use crate::train::metrics::argmax;

/// What happened, in one line. `state` has taken the event already.
pub fn line(state: &State, event: &Event) -> String {
    let took = |ticks: &Option<u64>| match ticks {
        Some(ticks) => format!(", {}", state.clock.text(state.clock.amount(*ticks))),
        None => String::new(),
    };
    match event {
        Event::Inferred { sample, outputs, class, label, ticks } => {
            let number = sample.map_or_else(|| state.inferences.to_string(), |sample| format!("of sample {sample}"));
            let answer = answer(state, outputs, *class);
            let wanted = label.map_or_else(String::new, |label| format!(" (is {})", state.class_name(label as usize)));
            format!("infer {number}: {answer}{wanted}{}", took(ticks))
        }
        Event::Trained { loss, ticks, .. } => format!("step {}: loss {loss:.5}{}", state.step, took(ticks)),
        Event::Judged { accuracy, samples } => format!("accuracy {accuracy:.4} on {samples} samples"),
        Event::Drift(drift) if drift.missing > 0 => {
            format!("drift: {} samples of the reference to come", drift.missing)
        }
        Event::Drift(drift) => {
            let warning = if state.has_drifted() { ": the world is another one" } else { "" };
            format!("drift: input {:.1}, output {:.1}{warning}", drift.input, drift.output)
        }
        Event::Classes { counts } => {
            let named = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            let counts: Vec<String> =
                named.map(|(class, count)| format!("{} {count}", state.class_name(class))).collect();
            format!("answers: {}", if counts.is_empty() { "none".into() } else { counts.join(", ") })
        }
        Event::Counters(counters) => format!(
            "device: {} inferences, {} updates; stack {} of {} B, arena {} of {} B, {} bad frames",
            grouped(counters.inferences.into()),
            grouped(counters.updates.into()),
            grouped(counters.stack_used.into()),
            grouped(counters.stack_bytes.into()),
            grouped(counters.arena_used.into()),
            grouped(counters.arena_bytes.into()),
            counters.bad_frames,
        ),
        Event::Log(line) => format!("log: {line}"),
        Event::Note { text } => text.clone(),
    }
}

/// Outputs in words: the class, or the values.
fn answer(state: &State, outputs: &[f32], class: Option<u32>) -> String {
    /// Values that a line has room for.
    const MOST: usize = 8;
    match outputs {
        [_, _, ..] if !state.classes.is_empty() => {
            let class = argmax(outputs) as usize;
            format!("{} {:.3}", state.class_name(class), outputs[class])
        }
        [] => class.map_or_else(|| "done".into(), |class| state.class_name(class as usize)),
        outputs => {
            let values: Vec<String> = outputs.iter().take(MOST).map(|value| format!("{value:.4}")).collect();
            format!("{}{}", values.join(" "), if outputs.len() > MOST { " …" } else { "" })
        }
    }
}
