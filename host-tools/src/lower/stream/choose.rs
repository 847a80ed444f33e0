//! Which steps become groups, and how many rows they compute at a time.
//!
//! The sequence is cut into groups and single steps. The fullest of them says how large the arena is; how full a group
//! is follows from its schedule and from what else is alive while it runs. (How buffers are packed then may still leave
//! holes.) Every step takes flash, and time: so the arena is not made smaller by a byte for every eight bytes of
//! records.

use super::group::{Facts, Group};
use super::schedule::{Schedule, Way};
use std::collections::HashSet;
use std::ops::Range;

/// Longest group.
const MOST_LINKS: usize = 16;

/// Most bands of the last step of a group: a longer plan takes more flash than it saves RAM.
const MOST_BANDS: usize = 64;

/// Bytes of RAM that a step must save: its record takes about 150 bytes of flash, and microcontrollers have four to
/// sixteen times as much flash as RAM.
const STEP_WORTH: usize = 16;

/// Most limits for the arena that are tried.
const MOST_LIMITS: usize = 200;

/// A group that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its steps.
    pub steps: Range<usize>,
    /// About how many rows its last step computes at a time.
    pub band: usize,
}

/// Steps that are computed together, or one as it is.
#[derive(Debug, Clone)]
struct Candidate {
    steps: Range<usize>,
    /// `None` for one as it is.
    band: Option<usize>,
    /// Bytes alive.
    bytes: usize,
    /// How many steps it becomes.
    cost: usize,
}

/// The groups of the sequence, and how many bytes are then alive at most; `enough` are bytes that the arena has anyhow.
pub fn choose(facts: &Facts, enough: usize) -> (Vec<Choice>, usize) {
    let steps = facts.uses.len();
    let singles: Vec<usize> = (0..steps).map(|step| single(facts, step)).collect();
    let whole = singles.iter().copied().max().unwrap_or(0);
    if whole <= enough {
        return (Vec::new(), whole);
    }
    let mut candidates: Vec<Candidate> =
        (0..steps).map(|step| Candidate { steps: step..step + 1, band: None, bytes: singles[step], cost: 1 }).collect();
    for end in 1..=steps {
        for start in (0..end).rev().take(MOST_LINKS) {
            // A step that no group can hold ends all of them.
            if facts.step(start).is_none_or(|step| super::rows::rows(&step).is_none()) {
                break;
            }
            if let Some(group) = Group::of(facts, start..end) {
                candidates.extend(bands(facts, &group, start..end));
            }
        }
    }
    candidates.sort_by_key(|candidate| candidate.steps.end);
    let group = |candidate: &&Candidate| Some(Choice { steps: candidate.steps.clone(), band: candidate.band? });
    let mut best: Option<(usize, Vec<Choice>, usize)> = None;
    for limit in limits(&candidates, enough) {
        let Some((cost, path)) = path(steps, candidates.iter().filter(|candidate| candidate.bytes <= limit)) else {
            continue;
        };
        let value = limit + STEP_WORTH * cost;
        if best.as_ref().is_none_or(|(known, ..)| value < *known) {
            best = Some((value, path.iter().filter_map(group).collect(), limit));
        }
    }
    best.map_or((Vec::new(), whole), |(_, choices, limit)| (choices, limit))
}

/// Sizes of the arena that are worth a look.
fn limits(candidates: &[Candidate], enough: usize) -> Vec<usize> {
    let mut limits: Vec<usize> = candidates.iter().map(|candidate| candidate.bytes.max(enough)).collect();
    limits.sort_unstable();
    limits.dedup();
    let step = limits.len().div_ceil(MOST_LIMITS).max(1);
    limits.into_iter().step_by(step).collect()
}

/// The way through all steps that makes the fewest of them, and how many.
fn path<'c>(steps: usize, candidates: impl Iterator<Item = &'c Candidate>) -> Option<(usize, Vec<&'c Candidate>)> {
    let mut best: Vec<Option<(usize, Option<&Candidate>)>> = vec![None; steps + 1];
    *best.first_mut()? = Some((0, None));
    // In the order of their ends, so that the way to where one begins is known.
    for candidate in candidates {
        let Some((before, _)) = best[candidate.steps.start] else { continue };
        let cost = before + candidate.cost;
        if best[candidate.steps.end].is_none_or(|(known, _)| cost < known) {
            best[candidate.steps.end] = Some((cost, Some(candidate)));
        }
    }
    let (cost, _) = best[steps]?;
    let (mut path, mut end) = (Vec::new(), steps);
    while let Some((_, Some(candidate))) = best[end] {
        path.push(candidate);
        end = candidate.steps.start;
    }
    Some((cost, path))
}

/// Bytes of the transients that are alive during these steps.
fn alive(facts: &Facts, steps: &Range<usize>) -> usize {
    let lives = |(_, span): &(&super::BufferId, &(usize, usize))| span.0 < steps.end && steps.start <= span.1;
    facts.spans.iter().filter(lives).map(|(buffer, _)| rounded(facts.bytes[buffer])).sum()
}

fn rounded(bytes: usize) -> usize {
    bytes.next_multiple_of(super::super::BUFFER_ALIGN)
}

/// Bytes alive at a step as it is.
fn single(facts: &Facts, step: usize) -> usize {
    alive(facts, &(step..step + 1)) - rounded(facts.saved[step])
}

/// A group with several heights of bands: those that are worth it.
fn bands(facts: &Facts, group: &Group, steps: Range<usize>) -> Vec<Candidate> {
    let streams = group.tensors.iter().filter(|tensor| tensor.streams()).map(|tensor| tensor.buffer);
    let gone: HashSet<_> = streams.chain(group.links.iter().flat_map(|link| link.scratch.iter().copied())).collect();
    let whole = alive(facts, &steps) - gone.iter().map(|buffer| rounded(facts.bytes[buffer])).sum::<usize>();
    let rows = group.links.last().map_or(1, |link| link.axis.output as usize);
    let mut heights: Vec<usize> = (2..=MOST_BANDS).map(|count| rows.div_ceil(count)).collect();
    heights.dedup();
    let mut worth: Vec<Candidate> = Vec::new();
    for band in heights {
        let schedule = Schedule::of(facts, group, band, Way::Down);
        // Outputs may lie over several inputs; the greatest saving is certain.
        let saved = schedule.overlays.iter().map(|(lower, upper, distance)| {
            let [lower, upper] = [*lower, *upper].map(|t| group.tensors[t].rows * group.tensors[t].row_bytes);
            (lower + upper).saturating_sub(lower.max(upper + distance))
        });
        let bytes = whole + schedule.bytes(group) + rounded(group.scratch_bytes) - saved.max().unwrap_or(0);
        if worth.last().is_none_or(|candidate| bytes < candidate.bytes) {
            worth.push(Candidate { steps: steps.clone(), band: Some(band), bytes, cost: schedule.acts.len() });
        }
    }
    worth
}

/// Most bytes that steps as they are have alive at one time.
pub fn most_alive(facts: &Facts) -> usize {
    (0..facts.uses.len()).map(|step| single(facts, step)).max().unwrap_or(0)
}
