//! A graph beside a table: one line per node, values as lanes from their maker to their last reader.
//!
//! ```text
//! ○      an input
//! ●      reads it
//! ├─●    reads the same value again, on a lane of its own
//! ●─╯    reads both
//! ```

/// A line of lanes for every node. `sources` has the nodes that each one reads, all before itself.
pub fn lanes(sources: &[Vec<usize>]) -> Vec<String> {
    let mut last_reader = vec![None; sources.len()];
    for (node, from) in sources.iter().enumerate() {
        from.iter().for_each(|f| last_reader[*f] = Some(node));
    }
    // Whose value each lane holds.
    let mut held: Vec<Option<usize>> = Vec::new();
    let mut lines = Vec::with_capacity(sources.len());
    for (node, from) in sources.iter().enumerate() {
        let reads = |lane: &Option<usize>| lane.is_some_and(|value| from.contains(&value));
        let ends = |lane: &Option<usize>| reads(lane) && lane.is_some_and(|value| last_reader[value] == Some(node));
        let own = held.iter().position(ends).or_else(|| held.iter().position(Option::is_none)).unwrap_or(held.len());
        if own == held.len() {
            held.push(None);
        }
        let touched = (0..held.len()).filter(|lane| *lane == own || reads(&held[*lane]));
        let (first, last) = touched.fold((own, own), |(first, last), lane| (first.min(lane), last.max(lane)));
        let mut line = String::new();
        for (lane, value) in held.iter().enumerate() {
            line.push(match (lane == own, reads(value), ends(value)) {
                (true, ..) if from.is_empty() => '○',
                (true, ..) => '●',
                (_, true, true) if lane == last => '╯',
                (_, true, true) if lane == first => '╰',
                (_, true, true) => '┴',
                (_, true, false) if lane == last => '┤',
                (_, true, false) if lane == first => '├',
                (_, true, false) => '┼',
                _ if value.is_some() => '│',
                _ if first < lane && lane < last => '─',
                _ => ' ',
            });
            line.push(if first <= lane && lane < last { '─' } else { ' ' });
        }
        lines.push(line.trim_end().to_owned());
        for lane in &mut held {
            if ends(lane) {
                *lane = None;
            }
        }
        held[own] = last_reader[node].map(|_| node);
        while held.last() == Some(&None) {
            held.pop();
        }
    }
    lines
}

/// Whether every node reads just the one before it: then there is nothing to draw.
pub fn is_chain(sources: &[Vec<usize>]) -> bool {
    sources.iter().enumerate().all(|(node, from)| if node == 0 { from.is_empty() } else { *from == [node - 1] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn branches_part_and_meet() {
        let sources = [vec![], vec![0], vec![1], vec![2], vec![1, 3], vec![4], vec![]];
        assert_eq!(lanes(&sources), ["○", "●", "├─●", "│ ●", "●─╯", "●", "○"]);
        let crossing = [vec![], vec![0], vec![0], vec![0], vec![1, 3], vec![2, 4]];
        assert_eq!(lanes(&crossing), ["○", "├─●", "├─│─●", "● │ │", "●─╯ │", "●───╯"]);
        assert!(is_chain(&[vec![], vec![0], vec![1]]) && !is_chain(&sources));
    }

    proptest! {
        #[test]
        fn any_order_can_be_drawn(raw in proptest::collection::vec(proptest::collection::vec(0usize..40, 0..4), 0..40)) {
            let sources: Vec<Vec<usize>> =
                raw.iter().enumerate().map(|(n, from)| from.iter().filter(|f| **f < n).copied().collect()).collect();
            let lines = lanes(&sources);
            prop_assert_eq!(lines.len(), sources.len());
            prop_assert!(lines.iter().all(|l| l.chars().filter(|c| "○●".contains(*c)).count() == 1));
        }
    }
}
