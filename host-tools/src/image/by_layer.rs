//! A plan seen layer by layer: the steps of a layer that computes some rows at a time as one.

use super::inspect::{PlanInfo, StepRow};
use std::collections::HashMap;

/// The step that only moves what others have made.
const COPY: &str = "Copy";

impl PlanInfo {
    /// The plan with one row for each layer and kind of step. `inputs` is how many inputs [`StepRow::reads`] counts.
    ///
    /// Copies belong to their layer. Costs are added up, but flash that steps share counts once.
    pub fn by_layer(&self, inputs: usize) -> Self {
        let mut rows: Vec<StepRow> = Vec::new();
        let mut known: HashMap<(&str, &str), usize> = HashMap::new();
        // The row of each step.
        let mut row_of: Vec<usize> = Vec::new();
        for step in &self.steps {
            let layer = step.layer.as_str();
            let own = known.get(&(layer, step.step)).copied().filter(|_| !layer.is_empty());
            let moved =
                || rows.iter().position(|row| row.layer == layer).filter(|_| step.step == COPY && !layer.is_empty());
            match own.or_else(moved) {
                Some(row) => {
                    rows[row].take_in(step);
                    row_of.push(row);
                }
                None => {
                    known.insert((layer, step.step), rows.len());
                    row_of.push(rows.len());
                    rows.push(step.clone());
                }
            }
        }
        let renumbered = |sources: &[usize], own: usize| {
            let row = |source: &usize| match source.checked_sub(inputs) {
                Some(step) => inputs + row_of.get(step).copied().unwrap_or(step),
                None => *source,
            };
            let mut sources: Vec<usize> = sources.iter().map(row).filter(|source| *source != own).collect();
            sources.sort_unstable();
            sources.dedup();
            sources
        };
        for (number, row) in rows.iter_mut().enumerate() {
            row.reads = renumbered(&row.reads, inputs + number);
        }
        let results = self.results.iter().map(|sources| renumbered(sources, usize::MAX)).collect();
        Self { steps: rows, results, ..self.clone() }
    }
}

impl StepRow {
    /// What is done, and how many times.
    pub fn title(&self) -> String {
        match self.steps.len() {
            0 | 1 => self.step.to_owned(),
            count => format!("{} x{count}", self.step),
        }
    }

    /// Another step of the same layer.
    fn take_in(&mut self, other: &Self) {
        self.macs += other.macs;
        if self.runs_in.is_empty() {
            self.runs_in = other.runs_in;
        }
        self.estimate = self.estimate.into_iter().chain(other.estimate).reduce(|a, b| a + b);
        self.flash_bytes = self.flash_bytes.max(other.flash_bytes);
        self.alive_bytes = self.alive_bytes.max(other.alive_bytes);
        self.reads.extend(&other.reads);
        self.steps.extend(&other.steps);
        // Ranges that touch become one, so that their bytes count once.
        for &(mut start, mut end, access) in &other.ram {
            self.ram.retain(|&(s, e, other)| {
                let meets = other == access && s <= end && start <= e;
                if meets {
                    (start, end) = (start.min(s), end.max(e));
                }
                !meets
            });
            self.ram.push((start, end, access));
        }
        self.ram_bytes = self.ram.iter().map(|(start, end, _)| end - start).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(layer: &str, number: usize, reads: &[usize], ram: &[(usize, usize, &'static str)]) -> StepRow {
        let (reads, ram) = (reads.to_vec(), ram.to_vec());
        StepRow {
            layer: layer.into(),
            step: "Conv",
            macs: 5,
            flash_bytes: 7,
            reads,
            ram,
            steps: vec![number],
            ..StepRow::default()
        }
    }

    #[test]
    fn bands_are_one_row() {
        let copy = StepRow { step: COPY, macs: 0, ..step("a", 2, &[1], &[(8, 12, "read"), (4, 8, "write")]) };
        let steps = vec![
            step("a", 0, &[0], &[(0, 4, "read"), (4, 12, "write")]),
            step("b", 1, &[1], &[(4, 12, "read"), (20, 24, "write")]),
            copy,
            StepRow { macs: 0, ..step("a", 3, &[0], &[(4, 8, "read"), (8, 12, "write")]) },
            StepRow { macs: 0, ..step("b", 4, &[3, 4], &[(4, 12, "read"), (24, 28, "write")]) },
        ];
        let plan = PlanInfo { steps, results: vec![vec![2, 5]], ..PlanInfo::default() };
        let rows = plan.by_layer(1);
        let titles: Vec<String> = rows.steps.iter().map(StepRow::title).collect();
        assert_eq!(titles, ["Conv x3", "Conv x2"]);
        assert_eq!(rows.steps[0].reads, [0]);
        assert_eq!(rows.steps[1].reads, [1]);
        assert_eq!((rows.steps[0].steps.as_slice(), rows.steps[1].steps.as_slice()), (&[0, 2, 3][..], &[1, 4][..]));
        assert_eq!((rows.steps[1].macs, rows.steps[1].flash_bytes, rows.steps[1].ram_bytes), (5, 7, 16));
        assert_eq!(rows.results, [[2]]);
    }
}
