//! The search: for each selection the fastest plan, or one that fits.

use super::activations::{Instead, least};
use super::{Candidate, Gains, Request, Way, cost, flash_bytes, ways};
use crate::graph::{Graph, Selection};
use crate::lower::{LowerError, Precision, Program, lower};
use crate::train::TrainError;
use embernet_core::optim::Rule;
use embernet_core::optim::state::StateFormat;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What there is of one selection.
type Found = Result<Vec<Candidate>, TrainError>;

/// Elements of a gradient tile where RAM is short.
const SMALL_TILE: usize = 64;

/// Everything that can learn, each in the way that serves it best: the fastest that fits, or the smallest. The best
/// comes first: what fits before what does not, what gains more before what gains less, then the fewest instructions,
/// then the fewest bytes. What does not fit: the smallest first.
///
/// # Errors
/// If nothing of the model can be trained.
pub fn plan(graph: &Graph, request: &Request, gains: &Gains<'_>, threads: usize) -> Result<Vec<Candidate>, TrainError> {
    let selections = ways::ways(graph, gains);
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<(usize, Found)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, selections.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(selection) = selections.get(index) else { break };
                    let candidate = each(graph, request, gains, selection);
                    // Nobody panics while holding it.
                    if let Ok(mut found) = found.lock() {
                        found.push((index, candidate));
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_default();
    found.sort_by_key(|(index, _)| *index);
    let (mut candidates, mut error) = (Vec::new(), None);
    for (_, result) in found {
        match result {
            Ok(own) => candidates.extend(own),
            Err(e) => error = error.or(Some(e)),
        }
    }
    if candidates.is_empty() {
        return Err(error.unwrap_or_else(|| TrainError::Pack(LowerError::NothingToTrain.into())));
    }
    candidates.sort_by(|a, b| match (a.fits, b.fits) {
        (true, true) => {
            b.gain.total_cmp(&a.gain).then(a.instructions.cmp(&b.instructions)).then(a.ram_bytes.cmp(&b.ram_bytes))
        }
        (false, false) => a.ram_bytes.cmp(&b.ram_bytes).then(b.gain.total_cmp(&a.gain)),
        (a, b) => b.cmp(&a),
    });
    Ok(candidates)
}

/// The best way to train this in each of the numbers that it can be trained in; the error of the last one if in none.
fn each(graph: &Graph, request: &Request, gains: &Gains<'_>, train: &Selection) -> Found {
    let gain = gains.of(graph, train)?;
    let (mut found, mut error) = (Vec::new(), None);
    for &precision in &request.precisions {
        match one(graph, request, gain, train, precision) {
            Ok(candidate) => found.push(candidate),
            Err(why) => error = Some(why),
        }
    }
    match error {
        Some(why) if found.is_empty() => Err(why),
        _ => Ok(found),
    }
}

/// The fastest way to train this that fits, or the smallest.
fn one(
    graph: &Graph,
    request: &Request,
    gain: f64,
    train: &Selection,
    precision: Precision,
) -> Result<Candidate, TrainError> {
    let judged = |(way, program): (Way, Program)| {
        let optimizer = way.options(request).train.map_or(request.optimizer, |train| train.optimizer);
        let (ram_bytes, flash_bytes) =
            (program.arena_bytes(), flash_bytes(program.persistent_bytes, request.erase_bytes));
        let within = |most: Option<usize>, bytes: usize| most.is_none_or(|most| bytes <= most);
        let fits = within(request.ram, ram_bytes) && within(request.flash, flash_bytes);
        let instructions = cost::update(&program, &optimizer, request.core, request.isa);
        Candidate { way, ram_bytes, flash_bytes, instructions, gain, fits }
    };
    let lowered = |way: &Way| lower(graph, &way.options(request)).map(|program| judged((way.clone(), program)));
    let plain = Way {
        train: train.clone(),
        precision,
        state: StateFormat::F32,
        batch: request.batch,
        passes: 1,
        recompute: Vec::new(),
        compress: Vec::new(),
        tile: None,
    };
    let first = lowered(&plain).map_err(|error| TrainError::Pack(error.into()))?;
    if first.fits {
        return Ok(first);
    }
    let rule = request.optimizer.rule().unwrap_or(Rule::Sgd);
    let floats = precision == Precision::F32;
    let has_formats = floats && rule.slots() > 0 && request.optimizer.state_init == 0.0;
    let formats = if has_formats { &StateFormat::ALL[..] } else { &StateFormat::ALL[..1] };
    let mut tried = vec![first];
    for &state in formats {
        for single in [false, true] {
            if single && (request.batch == 1 || !floats) {
                continue;
            }
            let (batch, passes) = if single { (1, request.batch as u32) } else { (request.batch, 1) };
            // In fixed point they have one size.
            for tile in [None, Some(SMALL_TILE)].into_iter().filter(|tile| floats || tile.is_none()) {
                let way = Way { state, batch, passes, tile, ..plain.clone() };
                tried.extend(lowered(&way));
                let least = |way: &Way, instead| least(graph, request, way, instead);
                tried.extend(least(&way, Instead::Again).map(judged));
                if let (true, Ok(int8)) = (floats, least(&way, Instead::Int8)) {
                    tried.extend(least(&int8.0, Instead::Again).map(judged));
                    tried.push(judged(int8));
                }
            }
        }
    }
    let best = tried.into_iter().min_by_key(|c| {
        let size = if c.fits { c.instructions } else { c.ram_bytes as u64 };
        (!c.fits, size, c.ram_bytes)
    });
    // There is the first one.
    best.ok_or_else(|| TrainError::Pack(LowerError::NothingToTrain.into()))
}
