//! A group: neighbouring steps that are computed together, some rows at a time.

use super::super::BufferId;
use super::super::program::{Home, Program, Sequence, Use};
use super::rows::{Rows, has_loop, one_to_one, part, rows};
use embernet_core::kernels::window::Axis;
use embernet_core::plan::{Access, Step};
use std::collections::HashMap;
use std::ops::Range;

/// What is known about the steps of a sequence before any of them is cut.
pub struct Facts {
    /// What each step touches.
    pub uses: Vec<Vec<Use>>,
    /// Each step's record, with symbolic places.
    records: Vec<super::super::program::Encoded>,
    /// First and last step of each transient.
    pub spans: HashMap<BufferId, (usize, usize)>,
    /// Its bytes.
    pub bytes: HashMap<BufferId, usize>,
    /// Rows of each transient, where a window says.
    heights: HashMap<BufferId, usize>,
    /// For each step the bytes that it saves by writing over what it reads.
    pub saved: Vec<usize>,
}

/// A tensor as the group sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// The buffer of all of it.
    pub buffer: BufferId,
    /// Its rows.
    pub rows: usize,
    /// Bytes of each.
    pub row_bytes: usize,
    /// Whether it is written here.
    pub written: bool,
    /// Whether nothing but this group reads it, and it is not there before or after it as an input or an output.
    pub ends: bool,
}

impl Tensor {
    /// Whether it never exists as a whole.
    pub fn streams(&self) -> bool {
        self.written && self.ends
    }
}

/// A step of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in the sequence.
    pub step: usize,
    /// How its rows of outputs see rows of input.
    pub axis: Axis,
    /// Indices of the tensors that it reads.
    pub inputs: Vec<usize>,
    /// Index of the one that it writes.
    pub output: usize,
    /// Its scratch.
    pub scratch: Vec<BufferId>,
}

/// Steps that can be computed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// In order of execution.
    pub links: Vec<Link>,
    /// What they read and write.
    pub tensors: Vec<Tensor>,
    /// Bytes of scratch that one of them takes at most.
    pub scratch_bytes: usize,
}

impl Facts {
    /// Looks at all steps.
    pub fn of(program: &mut Program, sequence: &Sequence) -> Result<Self, super::super::LowerError> {
        let uses = program.uses_of(sequence)?;
        let records = program.symbolic(sequence);
        let mut spans: HashMap<BufferId, (usize, usize)> = HashMap::new();
        let transient = |buffer: BufferId| program.buffer(buffer).home == Home::Transient;
        for (index, uses) in uses.iter().enumerate() {
            for used in uses.iter().filter(|used| transient(used.buffer)) {
                spans.entry(used.buffer).or_insert((index, index)).1 = index;
            }
        }
        // Inputs are there before the first step, outputs after the last one.
        for port in sequence.inputs.iter().chain(&sequence.target) {
            spans.entry(port.buffer).or_insert((0, 0)).0 = 0;
        }
        for port in &sequence.outputs {
            spans.entry(port.buffer).or_default().1 = usize::MAX;
        }
        let bytes = spans.keys().map(|buffer| (*buffer, program.buffer(*buffer).bytes)).collect();
        let saved = sequence.steps.iter().enumerate().map(|(index, step)| {
            let over = |(from, to): &&(BufferId, BufferId)| {
                let span = |buffer| spans.get(buffer).copied().unwrap_or_default();
                span(from).1 == index && span(to).0 == index && program.buffer(*from).bytes == program.buffer(*to).bytes
            };
            step.in_place.iter().find(over).map_or(0, |(from, _)| program.buffer(*from).bytes)
        });
        let saved = saved.collect();
        let mut facts = Self { uses, records, spans, bytes, heights: HashMap::new(), saved };
        facts.find_heights();
        Ok(facts)
    }

    /// The step's record.
    pub fn step(&self, index: usize) -> Option<Step<'_>> {
        self.records.get(index)?.step()
    }

    fn rows(&self, index: usize) -> Option<Rows> {
        rows(&self.step(index)?)
    }

    fn touched(&self, index: usize, access: Access) -> impl Iterator<Item = &Use> {
        let transient = |used: &&Use| self.spans.contains_key(&used.buffer);
        self.uses[index].iter().filter(move |used| used.access == access).filter(transient)
    }

    /// Windows say how many rows their inputs and outputs have; the rest of a chain has as many.
    fn find_heights(&mut self) {
        let mut heights = HashMap::new();
        let steps = 0..self.uses.len();
        for index in steps.clone() {
            if let Some(Rows::Window(axis)) = self.rows(index) {
                for (access, rows) in [(Access::Read, axis.input), (Access::Write, axis.output)] {
                    self.touched(index, access).for_each(|used| {
                        heights.entry(used.buffer).or_insert(rows as usize);
                    });
                }
            }
        }
        for index in steps.clone().chain(steps.rev()) {
            if let Some(Rows::Elements(_)) = self.rows(index) {
                let both = || self.touched(index, Access::Read).chain(self.touched(index, Access::Write));
                if let Some(rows) = both().find_map(|used| heights.get(&used.buffer).copied()) {
                    both().for_each(|used| {
                        heights.entry(used.buffer).or_insert(rows);
                    });
                }
            }
        }
        self.heights = heights;
    }
}

impl Group {
    /// These steps as a group; `None` if they are none.
    pub fn of(facts: &Facts, steps: Range<usize>) -> Option<Self> {
        let mut group = Self { links: Vec::new(), tensors: Vec::new(), scratch_bytes: 0 };
        for step in steps.clone() {
            group.add(facts, step, &steps)?;
        }
        // What nobody needs as a whole drives nothing: the last step must make something that is there afterwards.
        let last = group.links.last()?;
        (!group.tensors[last.output].streams()).then_some(group)
    }

    fn add(&mut self, facts: &Facts, step: usize, steps: &Range<usize>) -> Option<()> {
        let how = facts.rows(step)?;
        let others = facts.uses[step].iter().filter(|used| used.access == Access::ReadWrite).count();
        let inputs: Vec<&Use> = facts.touched(step, Access::Read).collect();
        let [output] = facts.touched(step, Access::Write).collect::<Vec<_>>()[..] else { return None };
        let (axis, count) = match how {
            Rows::Window(axis) => (axis, 1),
            Rows::Elements(count) => (one_to_one(u32::try_from(*facts.heights.get(&output.buffer)?).ok()?), count),
        };
        if others > 0 || inputs.len() != count {
            return None;
        }
        let whole_words = matches!(how, Rows::Elements(_));
        let inputs = inputs
            .into_iter()
            .map(|used| self.tensor(facts, used, axis.input as usize, whole_words, steps))
            .collect::<Option<Vec<_>>>()?;
        let known = self.tensors.len();
        let output = self.tensor(facts, output, axis.output as usize, whole_words, steps)?;
        if output < known {
            return None;
        }
        self.tensors[output].written = true;
        let scratch: Vec<BufferId> = facts.touched(step, Access::Scratch).map(|used| used.buffer).collect();
        let bytes = facts.touched(step, Access::Scratch).map(|used| used.bytes).sum();
        self.scratch_bytes = self.scratch_bytes.max(bytes);
        self.links.push(Link { step, axis, inputs, output, scratch });
        Some(())
    }

    /// The index of what the step uses as a tensor of `rows` rows.
    fn tensor(
        &mut self,
        facts: &Facts,
        used: &Use,
        rows: usize,
        whole_words: bool,
        steps: &Range<usize>,
    ) -> Option<usize> {
        let row_bytes = used.bytes.checked_div(rows).filter(|bytes| bytes * rows == used.bytes)?;
        // Loops over elements may count on it that they begin at whole words; those over windows begin anywhere.
        if whole_words && !row_bytes.is_multiple_of(4) {
            return None;
        }
        if let Some(index) = self.tensors.iter().position(|tensor| tensor.buffer == used.buffer) {
            let tensor = &self.tensors[index];
            return ((tensor.rows, tensor.row_bytes) == (rows, row_bytes)).then_some(index);
        }
        let ends = facts.spans.get(&used.buffer)?.1 < steps.end;
        self.tensors.push(Tensor { buffer: used.buffer, rows, row_bytes, written: false, ends });
        Some(self.tensors.len() - 1)
    }

    /// The links that read a tensor.
    pub fn readers(&self, tensor: usize) -> impl Iterator<Item = usize> {
        self.links.iter().enumerate().filter(move |(_, link)| link.inputs.contains(&tensor)).map(|(index, _)| index)
    }

    /// Whether a link's rows of outputs can be computed by themselves.
    pub fn takes(&self, facts: &Facts, link: usize, outputs: Range<usize>) -> bool {
        let Link { step, axis, .. } = &self.links[link];
        part(axis, &outputs).is_some_and(|(part, _)| facts.step(*step).is_some_and(|step| has_loop(&step, &part)))
    }
}
