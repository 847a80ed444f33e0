//! What the plugin writes: stretches of execution.

use std::collections::HashMap;

use super::cost::{self, Core, Cost};
use super::{Count, CountError};

/// The stretches of a trace, oldest first. `core` says whose cycles to estimate, if any.
pub(super) fn stretches(trace: &str, core: Option<Core>) -> Result<Vec<Count>, CountError> {
    let mut pieces: HashMap<&str, Piece> = HashMap::new();
    let mut counts = Vec::new();
    let nothing = Count { instructions: 0, cycles: core.map(|_| 0) };
    let mut count = nothing;
    for (number, line) in trace.lines().enumerate() {
        let wrong = || CountError::Trace { line: number + 1, text: line.chars().take(40).collect() };
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["p", name, instructions, code] => {
                pieces.insert(name, Piece::of(core, instructions, code).ok_or_else(wrong)?);
            }
            ["r", name, runs, left] => {
                let piece = pieces.get(name).ok_or_else(wrong)?;
                let (Ok(runs), Ok(left)) = (runs.parse::<u64>(), left.parse::<u64>()) else { return Err(wrong()) };
                count.instructions += piece.instructions * runs;
                count.cycles = count.cycles.map(|cycles| cycles + piece.cost.cycles * runs + piece.cost.leaving * left);
            }
            ["e"] => counts.push(std::mem::replace(&mut count, nothing)),
            _ => return Err(wrong()),
        }
    }
    Ok(counts)
}

/// What one run of a piece counts.
struct Piece {
    instructions: u64,
    cost: Cost,
}

impl Piece {
    fn of(core: Option<Core>, instructions: &str, code: &str) -> Option<Self> {
        let (pairs, rest) = code.as_bytes().as_chunks::<2>();
        let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
        let code = pairs.iter().map(byte).collect::<Option<Vec<u8>>>().filter(|_| rest.is_empty())?;
        let cost = core.map_or_else(Cost::default, |core| cost::of(core, &code));
        Some(Self { instructions: instructions.parse().ok()?, cost })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ldr r0, [r1]; bne`, run three times, of which it went on elsewhere twice; then a stretch without it.
    const TRACE: &str = "p 7 2 0868fed1\nr 7 3 2\ne\np 8 1 4018\nr 8 1 0\ne\nr 7 1 0\ne\n";

    #[test]
    fn stretches_add_up_their_pieces() {
        let count = |instructions, cycles| Count { instructions, cycles };
        let with = stretches(TRACE, Some(Core::CortexM4)).unwrap();
        assert_eq!(with, [count(6, Some(3 * 3 + 2 * 2)), count(1, Some(1)), count(2, Some(3))]);
        let without = stretches(TRACE, None).unwrap();
        assert_eq!(without, [count(6, None), count(1, None), count(2, None)]);
    }

    #[test]
    fn what_is_no_trace_is_told() {
        for (trace, line) in [("x", 1), ("e\nr 1 1 0", 2), ("p 1 1 123", 1), ("p 1 1 zz", 1), ("p 1 1 00\nr 1 a 0", 2)]
        {
            let error = stretches(trace, None).unwrap_err().to_string();
            assert!(error.contains(&format!("line {line}")), "{error}");
        }
    }
}
