//! Row-streaming: neighbouring layers that compute their outputs some rows at a time, so that what lies between them
//! never exists as a whole.
//!
//! A window sees a few rows of its input. So a layer can go on as soon as these are there, and the rows that nobody
//! needs any more can go. Such a group becomes ordinary steps here, one for each *band* of rows of each layer: the
//! layer's own record with another vertical axis and other places, and copies that move the rows still needed to the
//! start of their buffer. The device knows nothing of it; every output is the same sum of the same numbers, computed
//! once. The price is time for more steps, and flash for their records.
//!
//! | file | is |
//! |---|---|
//! | `rows.rs` | which steps can be computed row by row, and the record for some rows: what a new operation adds to |
//! | `group.rs` | which neighbouring steps make a group, and what they share |
//! | `schedule.rs` | when a group computes which rows, and where they lie |
//! | `choose.rs` | which groups, with how high bands, make the arena smallest |

mod choose;
mod group;
mod rows;
mod schedule;
#[cfg(test)]
mod tests;

use super::program::{Overlay, StepSpec};
use super::{BufferId, LowerError, Program, Sequence, word};
use crate::graph::NodeId;
use choose::Choice;
use embernet_core::kernels::copy::Copy;
use embernet_core::kernels::window::Axis;
use group::{Facts, Group};
use schedule::{Act, Band, Move, Schedule, Way};
use std::collections::HashMap;

/// How many rows of outputs each streaming layer computes at a time, but for some first and last ones.
pub(super) type Bands = HashMap<NodeId, u32>;

/// The axis of so many rows in the middle of the image.
pub(super) fn middle(axis: &Axis, rows: u32) -> Axis {
    let rows = rows.min(axis.output) as usize;
    let first = (axis.output as usize - rows) / 2;
    rows::part(axis, &(first..first + rows)).map_or(*axis, |(part, _)| part)
}

/// Makes groups of both plans' steps where that makes the arena smaller that they share. In a training plan those are
/// forward steps whose outputs nobody keeps: of layers that do not learn.
pub(super) fn stream(program: &mut Program) -> Result<Bands, LowerError> {
    let (mut enough, mut bands) = (0, Bands::new());
    if let Some(mut train) = program.train.take() {
        let facts = Facts::of(program, &train)?;
        // Several samples lie one after the other, so that rows of one are not followed by rows of the next.
        if train.samples == 1 {
            let (choices, bytes) = choose::choose(&facts, 0);
            bands = apply(program, &mut train, &facts, &choices);
            enough = bytes;
        } else {
            enough = choose::most_alive(&facts);
        }
        program.train = Some(train);
    }
    let mut sequence = std::mem::take(&mut program.infer);
    let facts = Facts::of(program, &sequence)?;
    let (choices, _) = choose::choose(&facts, enough);
    bands.extend(apply(program, &mut sequence, &facts, &choices));
    program.infer = sequence;
    Ok(bands)
}

/// Puts the steps of groups in the place of those that they are made of.
fn apply(program: &mut Program, sequence: &mut Sequence, facts: &Facts, choices: &[Choice]) -> Bands {
    let mut steps: Vec<Option<StepSpec>> = std::mem::take(&mut sequence.steps).into_iter().map(Some).collect();
    let mut choices = choices.iter().filter_map(|choice| Some((choice, Group::of(facts, choice.steps.clone())?)));
    let mut groups: HashMap<usize, (&Choice, Group)> = HashMap::new();
    choices.by_ref().for_each(|(choice, group)| {
        groups.insert(choice.steps.start, (choice, group));
    });
    let mut ways: HashMap<BufferId, Way> = HashMap::new();
    let mut bands = Bands::new();
    let mut next = 0;
    while next < steps.len() {
        let Some((choice, group)) = groups.get(&next) else {
            sequence.steps.extend(steps[next].take());
            next += 1;
            continue;
        };
        let originals: Vec<StepSpec> = steps[choice.steps.clone()].iter_mut().filter_map(Option::take).collect();
        // The other way than the group that made what this one overwrites.
        let read = group.tensors.iter().filter(|tensor| !tensor.written && tensor.ends);
        let way = read.filter_map(|tensor| ways.get(&tensor.buffer)).next().map_or(Way::Down, |way: &Way| way.turned());
        group.tensors.iter().filter(|tensor| tensor.written).for_each(|tensor| {
            ways.insert(tensor.buffer, way);
        });
        let schedule = Schedule::of(facts, group, choice.band, way);
        for (link, original) in originals.iter().enumerate() {
            bands.extend(original.node.zip(schedule.usual_rows(link)));
        }
        Streamed::new(program, group, &originals).write(sequence, &schedule);
        next = choice.steps.end;
    }
    bands
}

/// A group on its way into steps.
struct Streamed<'s> {
    program: &'s mut Program,
    group: &'s Group,
    originals: &'s [StepSpec],
    /// The buffer of each tensor: its own, or the one that it streams through.
    buffers: Vec<BufferId>,
    /// What all steps of the group use as scratch.
    scratch: BufferId,
    parts: HashMap<(BufferId, usize), BufferId>,
}

impl<'s> Streamed<'s> {
    fn new(program: &'s mut Program, group: &'s Group, originals: &'s [StepSpec]) -> Self {
        let mut buffer = |tensor: &group::Tensor| {
            let name = format!("{}/rows", program.buffer(tensor.buffer).name);
            if tensor.streams() { program.transient(name) } else { tensor.buffer }
        };
        let buffers = group.tensors.iter().map(&mut buffer).collect();
        let scratch = program.transient("rows/scratch");
        Self { program, group, originals, buffers, scratch, parts: HashMap::new() }
    }

    fn write(mut self, sequence: &mut Sequence, schedule: &Schedule) {
        for act in &schedule.acts {
            match act {
                Act::Band(band) => {
                    let step = self.band(band);
                    sequence.steps.push(step);
                }
                Act::Move(moved) => self.moved(sequence, moved),
            }
        }
        for (lower, upper, distance) in &schedule.overlays {
            let [lower, upper] = [lower, upper].map(|tensor| self.buffers[*tensor]);
            sequence.overlays.push(Overlay { lower, upper, distance: *distance });
        }
        // What streams is nowhere to be found as a whole.
        let gone = |buffer: &BufferId| self.group.tensors.iter().any(|t| t.streams() && t.buffer == *buffer);
        for value in &mut sequence.values {
            *value = value.filter(|buffer| !gone(buffer));
        }
    }

    /// The place of a tensor's row.
    fn at(&mut self, tensor: usize, row: usize) -> BufferId {
        let (buffer, from) = (self.buffers[tensor], row * self.group.tensors[tensor].row_bytes);
        let Self { program, parts, .. } = self;
        *parts.entry((buffer, from)).or_insert_with(|| program.within(buffer, from))
    }

    fn band(&mut self, band: &Band) -> StepSpec {
        let group = self.group;
        let link = &group.links[band.link];
        let mut instead: Vec<(BufferId, BufferId)> = Vec::new();
        for (tensor, row) in link.inputs.iter().zip(&band.from).chain([(&link.output, &band.to)]) {
            instead.push((group.tensors[*tensor].buffer, self.at(*tensor, *row)));
        }
        // One place serves all steps of the group: they run one after the other. A step with several keeps its own.
        if let [scratch] = link.scratch[..] {
            instead.push((scratch, self.scratch));
        }
        let (axis, whole) = (band.axis, link.axis.output);
        self.originals[band.link].changed(instead, move |record| {
            // Always there: the group is made of steps that can be cut.
            rows::cut(&record, &axis, whole).unwrap_or(record)
        })
    }

    fn moved(&mut self, sequence: &mut Sequence, moved: &Move) {
        let [from, to] = [moved.from, moved.to].map(|row| self.at(moved.tensor, row));
        let bytes = word(moved.rows * self.group.tensors[moved.tensor].row_bytes);
        let producer = self.group.links.iter().position(|link| link.output == moved.tensor);
        let Some(original) = producer.map(|link| &self.originals[link]) else { return };
        sequence.push(&original.layer, original.node, move |p| Copy { bytes, x: p.at(from), y: p.at(to) });
    }
}
