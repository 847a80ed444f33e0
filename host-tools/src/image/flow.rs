//! What flows through a plan, told by the ranges that its steps touch.

use super::inspect::StepRow;
use std::collections::BTreeSet;

/// Makers and lifetimes. Sources are numbered: the inputs first, then the steps.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Flow {
    /// For each step the sources of what it reads.
    pub reads: Vec<Vec<usize>>,
    /// For each output the sources of it.
    pub results: Vec<Vec<usize>>,
    /// For each step the bytes that hold something that it, or a later one, needs.
    pub alive: Vec<usize>,
}

/// Bytes that one source wrote and nobody has overwritten.
#[derive(Debug, Clone, Copy)]
struct Value {
    start: usize,
    end: usize,
    source: usize,
    first: usize,
    last: usize,
}

impl Value {
    fn meets(&self, start: usize, end: usize) -> bool {
        self.start < end && start < self.end
    }
}

/// Follows the steps. `inputs` and `outputs` are ranges; what lies before `from` is persistent and
/// not counted.
pub fn flow(steps: &[StepRow], inputs: &[(usize, usize)], outputs: &[(usize, usize)], from: usize) -> Flow {
    let mut flow = Flow::default();
    let mut current: Vec<Value> = Vec::new();
    let mut gone: Vec<Value> = Vec::new();
    for (source, (start, end)) in inputs.iter().enumerate() {
        current.push(Value { start: *start, end: *end, source, first: 0, last: 0 });
    }
    for (number, step) in steps.iter().enumerate() {
        let mut sources = BTreeSet::new();
        for (start, end, access) in &step.ram {
            if matches!(*access, "read" | "update") {
                for value in current.iter_mut().filter(|v| v.meets(*start, *end)) {
                    value.last = number;
                    sources.insert(value.source);
                }
            }
        }
        flow.reads.push(sources.into_iter().collect());
        for (start, end, access) in &step.ram {
            if *access != "read" {
                overwrite(&mut current, &mut gone, *start, *end);
                current.push(Value {
                    start: *start,
                    end: *end,
                    source: inputs.len() + number,
                    first: number,
                    last: number,
                });
            }
        }
    }
    let end = steps.len().saturating_sub(1);
    for (start, stop) in outputs {
        let mut sources = BTreeSet::new();
        for value in current.iter_mut().filter(|v| v.meets(*start, *stop)) {
            value.last = end;
            sources.insert(value.source);
        }
        flow.results.push(sources.into_iter().collect());
    }
    gone.append(&mut current);
    gone.retain(|v| v.start >= from);
    flow.alive = alive(gone, steps.len());
    flow
}

/// Cuts a range out of the current values; what is left of them stays.
fn overwrite(current: &mut Vec<Value>, gone: &mut Vec<Value>, start: usize, end: usize) {
    let mut kept = Vec::with_capacity(current.len());
    for value in current.drain(..) {
        if !value.meets(start, end) {
            kept.push(value);
            continue;
        }
        gone.push(value);
        let parts = [(value.start, start.min(value.end)), (end.max(value.start), value.end)];
        kept.extend(parts.iter().filter(|(s, e)| s < e).map(|(s, e)| Value { start: *s, end: *e, ..value }));
    }
    *current = kept;
}

/// Bytes in use at each step; places that two values share count once.
fn alive(mut values: Vec<Value>, steps: usize) -> Vec<usize> {
    values.sort_by_key(|v| v.first);
    let mut next = 0;
    let mut living: Vec<Value> = Vec::new();
    let mut all = Vec::with_capacity(steps);
    for step in 0..steps {
        living.retain(|v| v.last >= step);
        while let Some(value) = values.get(next).filter(|v| v.first <= step) {
            living.push(*value);
            next += 1;
        }
        living.sort_by_key(|v| v.start);
        let mut reached = 0;
        let count = |v: &Value| {
            let bytes = v.end.saturating_sub(v.start.max(reached));
            reached = reached.max(v.end);
            bytes
        };
        all.push(living.iter().map(count).sum());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(ram: &[(usize, usize, &'static str)]) -> StepRow {
        StepRow { ram: ram.to_vec(), ..StepRow::default() }
    }

    #[test]
    fn values_are_followed_through_shared_places() {
        let steps = [
            step(&[(0, 8, "read"), (8, 24, "write")]),
            // In place, with scratch where the input was.
            step(&[(8, 24, "update"), (0, 8, "scratch")]),
            step(&[(8, 24, "read"), (0, 4, "write")]),
            step(&[(0, 4, "read"), (8, 24, "read"), (24, 28, "write")]),
        ];
        let flow = flow(&steps, &[(0, 8)], &[(24, 28)], 0);
        assert_eq!(flow.reads, [vec![0], vec![1], vec![2], vec![2, 3]]);
        assert_eq!(flow.results, [vec![4]]);
        assert_eq!(flow.alive, [24, 24, 20, 24]);
    }
}
