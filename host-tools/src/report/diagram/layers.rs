//! A layered layout, after Sugiyama, Tagawa and Toda (1981): ranks, then orders, then places.
//!
//! Every edge goes down by at least one rank; where it passes ranks it gets bends there, which take
//! part in everything as narrow boxes. Orders follow from barycentres; places are those closest to
//! the neighbours that keep order and distance, found by isotonic regression.

/// Between neighbours of a rank.
const GAP_X: f64 = 28.0;
/// Between ranks.
const GAP_Y: f64 = 34.0;
/// Room that a passing edge takes.
const BEND: f64 = 10.0;
/// Sweeps down and up for orders.
const SWEEPS: usize = 12;
/// Visits of items in sweeps for places: what it takes for chains to become straight, and a bound.
const VISITS: usize = 100_000;
const MOST_PLACE_SWEEPS: usize = 400;
/// Successive over-relaxation: 2 and more would never settle.
const BEYOND: f64 = 1.8;
/// How much an edge wants to be straight, by the number of bends at its ends (Gansner et al. 1993).
const STRAIGHT: [f64; 3] = [1.0, 2.0, 8.0];

/// Where everything goes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Placed {
    /// Upper left corner of each box.
    pub corners: Vec<(f64, f64)>,
    /// For each edge the points that it passes, from the lower side of one box to the upper side of
    /// another. They come in pairs between which the edge goes straight down.
    pub paths: Vec<Vec<(f64, f64)>>,
    /// Of the whole picture.
    pub size: (f64, f64),
}

/// A box, or a bend of an edge.
struct Item {
    width: f64,
    rank: usize,
    bend: bool,
}

/// Places boxes of these sizes; an edge goes from a box to a later one.
pub fn place(sizes: &[(f64, f64)], edges: &[(usize, usize)]) -> Placed {
    let ranks = ranks(sizes.len(), edges);
    let mut items: Vec<Item> =
        sizes.iter().zip(&ranks).map(|((width, _), rank)| Item { width: *width, rank: *rank, bend: false }).collect();
    // Each edge as the items that it visits.
    let mut visits: Vec<Vec<usize>> = Vec::with_capacity(edges.len());
    for (from, to) in edges {
        let mut path = vec![*from];
        for rank in ranks[*from] + 1..ranks[*to] {
            path.push(items.len());
            items.push(Item { width: BEND, rank, bend: true });
        }
        path.push(*to);
        visits.push(path);
    }
    let (mut above, mut below) = (vec![Vec::new(); items.len()], vec![Vec::new(); items.len()]);
    for pair in visits.iter().flat_map(|path| path.windows(2)) {
        above[pair[1]].push(pair[0]);
        below[pair[0]].push(pair[1]);
    }
    let rows = orders(&items, &above, &below);
    let centres = centres(&items, &rows, &above, &below);
    finish(sizes, &ranks, &items, &rows, &centres, &visits)
}

/// The longest way from a source; sources move down to just above their first reader.
fn ranks(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut sorted = edges.to_vec();
    sorted.sort_by_key(|(from, to)| (*to, *from));
    let mut ranks = vec![0; count];
    let mut has_source = vec![false; count];
    for (from, to) in &sorted {
        ranks[*to] = ranks[*to].max(ranks[*from] + 1);
        has_source[*to] = true;
    }
    let mut lowest: Vec<Option<usize>> = vec![None; count];
    for (from, to) in &sorted {
        let rank = ranks[*to] - 1;
        lowest[*from] = Some(lowest[*from].map_or(rank, |l: usize| l.min(rank)));
    }
    for node in 0..count {
        if let (false, Some(rank)) = (has_source[node], lowest[node]) {
            ranks[node] = rank;
        }
    }
    ranks
}

/// The items of every rank from left to right, with few crossings.
fn orders(items: &[Item], above: &[Vec<usize>], below: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let count = items.iter().map(|i| i.rank + 1).max().unwrap_or(0);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (number, item) in items.iter().enumerate() {
        rows[item.rank].push(number);
    }
    let mut best = (crossings(&rows, below), rows.clone());
    for sweep in 0..SWEEPS {
        if best.0 == 0 {
            break;
        }
        let down = sweep % 2 == 0;
        let neighbours = if down { above } else { below };
        let order: Vec<usize> = if down { (0..count).collect() } else { (0..count).rev().collect() };
        let mut position = vec![0.0; items.len()];
        for row in &rows {
            row.iter().enumerate().for_each(|(p, i)| position[*i] = p as f64);
        }
        for rank in order {
            let mean = |i: &usize| match neighbours[*i].as_slice() {
                [] => position[*i],
                list => list.iter().map(|n| position[*n]).sum::<f64>() / list.len() as f64,
            };
            let mut keyed: Vec<(f64, usize)> = rows[rank].iter().map(|i| (mean(i), *i)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            rows[rank] = keyed.into_iter().map(|(_, i)| i).collect();
            rows[rank].iter().enumerate().for_each(|(p, i)| position[*i] = p as f64);
        }
        let crossed = crossings(&rows, below);
        if crossed < best.0 {
            best = (crossed, rows.clone());
        }
    }
    best.1
}

/// Pairs of edges between neighbouring ranks that cross.
fn crossings(rows: &[Vec<usize>], below: &[Vec<usize>]) -> usize {
    let mut total = 0;
    for pair in rows.windows(2) {
        let position: std::collections::HashMap<usize, usize> =
            pair[1].iter().enumerate().map(|(p, i)| (*i, p)).collect();
        // Edges from left to right; each crosses the earlier ones that end further right. `ends` is
        // sorted, so that those are counted by one search.
        let mut ends: Vec<usize> = Vec::new();
        for item in &pair[0] {
            let mut targets: Vec<usize> = below[*item].iter().filter_map(|b| position.get(b).copied()).collect();
            targets.sort_unstable();
            for target in &targets {
                total += ends.len() - ends.partition_point(|e| e <= target);
            }
            for target in targets {
                ends.insert(ends.partition_point(|e| *e <= target), target);
            }
        }
    }
    total
}

/// The middle of each item, left to right.
fn centres(items: &[Item], rows: &[Vec<usize>], above: &[Vec<usize>], below: &[Vec<usize>]) -> Vec<f64> {
    let mut centres = vec![0.0; items.len()];
    let weight = |a: usize, b: usize| STRAIGHT[usize::from(items[a].bend) + usize::from(items[b].bend)];
    let sweeps = SWEEPS + MOST_PLACE_SWEEPS.min(VISITS / items.len().max(1));
    let last = sweeps.saturating_sub(SWEEPS);
    for sweep in 0..sweeps {
        let order: Vec<usize> =
            if sweep % 2 == 0 { (0..rows.len()).collect() } else { (0..rows.len()).rev().collect() };
        for rank in order {
            // Where an item wants to be, and how much.
            let wish = |i: &usize| {
                // The first sweeps look one way, the others both.
                let (up, down) = (&above[*i][..], &below[*i][..]);
                let (up, down) = match sweep {
                    s if s >= SWEEPS => (up, down),
                    s if s % 2 == 0 => (up, &[][..]),
                    _ => (&[][..], down),
                };
                let seen = up.iter().chain(down).map(|n| (weight(*i, *n), centres[*n]));
                let (total, sum) = seen.fold((0.0, 0.0), |(total, sum), (w, c)| (total + w, sum + w * c));
                if total == 0.0 {
                    return (centres[*i], STRAIGHT[0]);
                }
                // Beyond the mean while there is far to go: relaxation creeps along chains.
                let step = if sweep >= SWEEPS && sweep < last { BEYOND } else { 1.0 };
                (centres[*i] + step * (sum / total - centres[*i]), total)
            };
            let wishes: Vec<(f64, f64)> = rows[rank].iter().map(wish).collect();
            for (item, centre) in rows[rank].iter().zip(spread(&rows[rank], &wishes, items)) {
                centres[*item] = centre;
            }
        }
    }
    centres
}

/// The centres closest to the wishes, by weighted least squares, that keep order and distance.
///
/// With the least distances subtracted this is isotonic regression: neighbours in the wrong order
/// share their mean.
fn spread(row: &[usize], wishes: &[(f64, f64)], items: &[Item]) -> Vec<f64> {
    let mut offsets = vec![0.0; row.len()];
    for i in 1..row.len() {
        let (left, right) = (&items[row[i - 1]], &items[row[i]]);
        offsets[i] = offsets[i - 1] + (left.width + right.width) / 2.0 + GAP_X;
    }
    // Blocks of equal value: sum of weighted wishes, sum of weights, how many.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for i in 0..row.len() {
        let (wish, weight) = wishes[i];
        let mut block = ((wish - offsets[i]) * weight, weight, 1);
        while let Some(last) = blocks.last().filter(|b| b.0 / b.1 > block.0 / block.1) {
            block = (last.0 + block.0, last.1 + block.1, last.2 + block.2);
            blocks.pop();
        }
        blocks.push(block);
    }
    let values = blocks.iter().flat_map(|(sum, weight, count)| std::iter::repeat_n(sum / weight, *count));
    values.zip(offsets).map(|(value, offset)| value + offset).collect()
}

fn finish(
    sizes: &[(f64, f64)],
    ranks: &[usize],
    items: &[Item],
    rows: &[Vec<usize>],
    centres: &[f64],
    visits: &[Vec<usize>],
) -> Placed {
    let mut heights = vec![0.0f64; rows.len()];
    for ((_, height), rank) in sizes.iter().zip(ranks) {
        heights[*rank] = heights[*rank].max(*height);
    }
    let mut tops = Vec::with_capacity(rows.len());
    let mut y = 0.0;
    for height in &heights {
        tops.push(y);
        y += height + GAP_Y;
    }
    let left = items.iter().zip(centres).map(|(i, c)| c - i.width / 2.0).fold(f64::INFINITY, f64::min);
    let right = items.iter().zip(centres).map(|(i, c)| c + i.width / 2.0).fold(f64::NEG_INFINITY, f64::max);
    let left = if left.is_finite() { left } else { 0.0 };
    // Boxes stand in the middle of their rank.
    let top = |node: usize| tops[ranks[node]] + (heights[ranks[node]] - sizes[node].1) / 2.0;
    let corners = (0..sizes.len()).map(|n| (centres[n] - sizes[n].0 / 2.0 - left, top(n))).collect();
    let path = |visit: &Vec<usize>| {
        let mut points = Vec::with_capacity(2 * visit.len());
        for (at, item) in visit.iter().enumerate() {
            let (x, rank) = (centres[*item] - left, items[*item].rank);
            let (upper, lower) = match sizes.get(*item) {
                Some((_, height)) => (top(*item), top(*item) + height),
                None => (tops[rank], tops[rank] + heights[rank]),
            };
            if at > 0 {
                points.push((x, upper));
            }
            if at + 1 < visit.len() {
                points.push((x, lower));
            }
        }
        points
    };
    let size = if sizes.is_empty() { (0.0, 0.0) } else { (right - left, y - GAP_Y) };
    Placed { corners, paths: visits.iter().map(path).collect(), size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_chain_stands_in_one_column_and_a_branch_beside_it() {
        let placed = place(&[(100.0, 20.0); 3], &[(0, 1), (1, 2)]);
        assert!(placed.corners.iter().all(|(x, _)| *x == 0.0));
        assert_eq!(placed.size, (100.0, 3.0 * 20.0 + 2.0 * GAP_Y));
        // The skip passes beside the box that it skips.
        let placed = place(&[(100.0, 20.0); 3], &[(0, 1), (1, 2), (0, 2)]);
        let (x, y) = (placed.paths[2][1].0, placed.paths[2][1].1);
        let (left, top) = placed.corners[1];
        assert!((x < left || x > left + 100.0) && y == top, "{placed:?}");
    }

    proptest! {
        #[test]
        fn boxes_never_touch(raw in proptest::collection::vec((20.0f64..200.0, 0usize..30, 0usize..30), 1..30)) {
            let sizes: Vec<(f64, f64)> = raw.iter().map(|(w, ..)| (*w, 30.0)).collect();
            let mut edges: Vec<(usize, usize)> = Vec::new();
            for (to, (_, a, b)) in raw.iter().enumerate() {
                edges.extend([*a, *b].iter().filter(|from| **from < to).map(|from| (*from, to)));
            }
            let placed = place(&sizes, &edges);
            for (i, (x, y)) in placed.corners.iter().enumerate() {
                prop_assert!(*x >= -1e-6 && x + sizes[i].0 <= placed.size.0 + 1e-6);
                for (j, (u, v)) in placed.corners.iter().enumerate().skip(i + 1) {
                    prop_assert!(y != v || x + sizes[i].0 < *u || u + sizes[j].0 < *x);
                }
            }
            for ((from, to), path) in edges.iter().zip(&placed.paths) {
                prop_assert!(placed.corners[*from].1 < placed.corners[*to].1);
                prop_assert!(path.windows(2).all(|p| p[0].1 <= p[1].1));
            }
        }
    }
}
