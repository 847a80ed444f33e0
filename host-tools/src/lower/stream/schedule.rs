//! When a group computes which rows, and where they lie.
//!
//! The last step says how many rows of its output are wanted next; from it, step by step backwards, follows how many
//! rows of everything before it must be there. So every row is computed once, as late as the bands allow. A tensor
//! that streams has room for the rows that are alive at one time; before a band would go beyond the end of it, the
//! rows that are still to be read move to its start.
//!
//! A group goes down the image or up. Going down, its output may lie over its input, a little before it; going up, a
//! little behind it. So groups that follow each other take turns: each overwrites what the last one made, and all of
//! them together take no more than one does.

use super::group::{Facts, Group};
use super::rows::{part, seen};
use embernet_core::kernels::window::Axis;
use std::ops::Range;

/// Which way a group goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Way {
    /// From the first row to the last.
    #[default]
    Down,
    /// From the last row to the first.
    Up,
}

impl Way {
    /// The other one.
    pub fn turned(self) -> Self {
        match self {
            Self::Down => Self::Up,
            Self::Up => Self::Down,
        }
    }

    /// Rows from where the way begins, of `all`, as rows of the image.
    fn real(self, rows: Range<usize>, all: usize) -> Range<usize> {
        match self {
            Self::Down => rows,
            Self::Up => all - rows.end..all - rows.start,
        }
    }

    /// Rows of input, from where the way begins, that must be there for the first `outputs` rows of outputs.
    fn needed(self, axis: &Axis, outputs: usize) -> usize {
        match self {
            Self::Up if outputs > 0 => {
                let all = axis.output as usize;
                (axis.input as usize).saturating_sub(axis.part(&(all - outputs..all)).1).max(1)
            }
            _ => seen(axis, outputs),
        }
    }

    /// Rows of input, from where the way begins, that nobody needs any more after `outputs` rows of outputs.
    fn released(self, axis: &Axis, outputs: usize) -> usize {
        match self {
            Self::Down => axis.part(&(outputs..outputs + 1)).1,
            Self::Up => axis.input as usize - seen(axis, axis.output as usize - outputs),
        }
    }
}

/// Some rows of one step's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Band {
    /// The step.
    pub link: usize,
    /// Which rows of its output.
    pub outputs: Range<usize>,
    /// How they see rows of input.
    pub axis: Axis,
    /// Of each input the row of its buffer that the band begins with.
    pub from: Vec<usize>,
    /// The row of the output's buffer.
    pub to: usize,
}

/// Rows that move within their buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Whose.
    pub tensor: usize,
    /// From this row of the buffer on.
    pub from: usize,
    /// To this one.
    pub to: usize,
    /// How many; they do not overlap.
    pub rows: usize,
}

/// What a group does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Computes.
    Band(Band),
    /// Makes room.
    Move(Move),
}

/// All that a group does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// In order.
    pub acts: Vec<Act>,
    /// Rows of each tensor's buffer.
    pub rows: Vec<usize>,
    /// What may lie over what, as `(lower, upper, bytes between where they begin)`.
    pub overlays: Vec<(usize, usize, usize)>,
}

impl Schedule {
    /// The schedule of a group whose last step computes about `band` rows at a time.
    pub fn of(facts: &Facts, group: &Group, band: usize, way: Way) -> Self {
        let rounds = rounds(facts, group, band, way);
        let rows = buffer_rows(group, &rounds, way);
        let acts = acts(group, &rounds, &rows, way);
        let overlays = overlays(group, &acts, way);
        Self { acts, rows, overlays }
    }

    /// How many rows of a link's output most of its bands have.
    pub fn usual_rows(&self, link: usize) -> Option<u32> {
        let band = |act: &Act| match act {
            Act::Band(band) if band.link == link => u32::try_from(band.outputs.len()).ok(),
            _ => None,
        };
        let mut rows: Vec<u32> = self.acts.iter().filter_map(band).collect();
        rows.sort_unstable();
        rows.get(rows.len() / 2).copied()
    }

    /// Bytes of what streams.
    pub fn bytes(&self, group: &Group) -> usize {
        let streams = group.tensors.iter().zip(&self.rows).filter(|(tensor, _)| tensor.streams());
        streams.map(|(tensor, rows)| (rows * tensor.row_bytes).next_multiple_of(4)).sum()
    }
}

/// How many rows of each link's output are there after each round.
fn rounds(facts: &Facts, group: &Group, band: usize, way: Way) -> Vec<Vec<usize>> {
    let all = |link: usize| group.links[link].axis.output as usize;
    let Some(last) = group.links.len().checked_sub(1) else { return Vec::new() };
    let mut done = vec![0; group.links.len()];
    let mut rounds = Vec::new();
    while done[last] < all(last) {
        let mut wanted = done.clone();
        for link in (0..=last).rev() {
            let output = group.links[link].output;
            let readers = group.readers(output).map(|reader| way.needed(&group.links[reader].axis, wanted[reader]));
            let need = match link == last {
                true => (done[last] + band.max(1)).min(all(last)),
                false if wanted[last] == all(last) && !group.tensors[output].streams() => all(link),
                false => readers.max().unwrap_or(0),
            };
            if need > done[link] {
                let takes = |rows| group.takes(facts, link, way.real(rows, all(link)));
                let fits = |end: &usize| takes(done[link]..*end) && takes(*end..all(link));
                wanted[link] = (need..all(link)).find(fits).unwrap_or(all(link));
            }
        }
        done.clone_from(&wanted);
        rounds.push(wanted);
    }
    rounds
}

/// Rows of a tensor, of those that are there, that its readers do not need any more when they have done so much.
fn released(group: &Group, tensor: usize, done: &[usize], there: usize, way: Way) -> usize {
    let released = group.readers(tensor).filter_map(|reader| {
        let axis = &group.links[reader].axis;
        (done[reader] < axis.output as usize).then(|| way.released(axis, done[reader]))
    });
    released.min().unwrap_or(there).min(there)
}

/// The rounds with what was done before each.
fn changes(rounds: &[Vec<usize>]) -> impl Iterator<Item = (Vec<usize>, &Vec<usize>)> {
    let before = |round: usize| match round.checked_sub(1) {
        Some(before) => rounds[before].clone(),
        None => vec![0; rounds[round].len()],
    };
    rounds.iter().enumerate().map(move |(round, after)| (before(round), after))
}

/// Rows that each tensor's buffer must have: all, or of those that stream the most alive at one time.
fn buffer_rows(group: &Group, rounds: &[Vec<usize>], way: Way) -> Vec<usize> {
    let mut rows: Vec<usize> = group.tensors.iter().map(|t| if t.streams() { 1 } else { t.rows }).collect();
    for (before, after) in changes(rounds) {
        for (link, output) in group.links.iter().map(|link| link.output).enumerate() {
            if group.tensors[output].streams() && after[link] > before[link] {
                let alive = after[link] - released(group, output, &before, before[link], way);
                rows[output] = rows[output].max(alive);
            }
        }
    }
    rows
}

fn acts(group: &Group, rounds: &[Vec<usize>], rows: &[usize], way: Way) -> Vec<Act> {
    // How many rows of each tensor, from where the way begins, its buffer does not have any more.
    let mut gone = vec![0; group.tensors.len()];
    // Where a row of the image lies in its tensor's buffer.
    let place = |tensor: usize, row: usize, gone: &[usize]| match way {
        _ if !group.tensors[tensor].streams() => row,
        Way::Down => row - gone[tensor],
        Way::Up => rows[tensor] + gone[tensor] + row - group.tensors[tensor].rows,
    };
    let mut acts = Vec::new();
    for (before, after) in changes(rounds) {
        for (index, link) in group.links.iter().enumerate().filter(|(link, _)| after[*link] > before[*link]) {
            let tensor = link.output;
            if after[index] - gone[tensor] > rows[tensor] {
                let released = released(group, tensor, &before, before[index], way);
                let (distance, count) = (released - gone[tensor], before[index] - released);
                for to in (0..count).step_by(distance.max(1)) {
                    let (from, count) = (to + distance, distance.min(count - to));
                    let turned = |at: usize| if way == Way::Up { rows[tensor] - at - count } else { at };
                    acts.push(Act::Move(Move { tensor, from: turned(from), to: turned(to), rows: count }));
                }
                gone[tensor] = released;
            }
            let outputs = way.real(before[index]..after[index], link.axis.output as usize);
            let Some((axis, first)) = part(&link.axis, &outputs) else { continue };
            let from = link.inputs.iter().map(|input| place(*input, first, &gone)).collect();
            let to = place(tensor, outputs.start, &gone);
            acts.push(Act::Band(Band { link: index, outputs, axis, from, to }));
        }
    }
    acts
}

/// Which tensors that are written as a whole may lie over those that are read here for the last time.
fn overlays(group: &Group, acts: &[Act], way: Way) -> Vec<(usize, usize, usize)> {
    let whole = |tensor: usize, written| {
        let tensor = &group.tensors[tensor];
        !tensor.streams() && tensor.written == written && (written || tensor.ends)
    };
    let bytes = |tensor: usize, rows: usize| rows * group.tensors[tensor].row_bytes;
    let all = |tensor: usize| group.tensors[tensor].rows;
    // Bytes from where the way begins, up to the end of what is written and from the start of what is still read, each
    // counted within its own tensor.
    let distance = |written: usize, read: usize| {
        let (mut distance, mut left) = (0, usize::MAX);
        for act in acts.iter().rev() {
            let Act::Band(band) = act else { continue };
            let link = &group.links[band.link];
            for (input, from) in link.inputs.iter().zip(&band.from).filter(|(input, _)| **input == read) {
                let rows = way.real(*from..from + band.axis.input as usize, all(*input));
                left = left.min(bytes(read, rows.start));
            }
            if link.output == written {
                let rows = way.real(band.outputs.clone(), all(written));
                distance = distance.max(bytes(written, rows.end).saturating_sub(left));
            }
        }
        distance
    };
    let pair = |written: usize, read: usize| {
        let distance = distance(written, read);
        match way {
            Way::Down => (written, read, distance),
            // It is the ends that are so far apart.
            Way::Up => {
                (read, written, (bytes(read, all(read)) + distance).saturating_sub(bytes(written, all(written))))
            }
        }
    };
    let tensors = || 0..group.tensors.len();
    let written = tensors().filter(|tensor| whole(*tensor, true));
    written.flat_map(|w| tensors().filter(|r| whole(*r, false)).map(move |r| (w, r))).map(|(w, r)| pair(w, r)).collect()
}
