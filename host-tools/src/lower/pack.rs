//! Packing buffers with lifetimes into as little memory as possible.
//!
//! Two buffers that live at the same time may not overlap. The problem is NP-hard; we place greedily in
//! several orders, improve the best order by seeded random swaps, and compare with the bound that no
//! packing can beat: the most bytes that are alive at one time.

use embernet_core::rng::Rng;

/// A buffer to place: alive from step `first` to step `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Its length.
    pub bytes: usize,
    /// The first step that touches it.
    pub first: usize,
    /// The last one.
    pub last: usize,
}

impl Item {
    fn meets(&self, other: &Item) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    fn duration(&self) -> usize {
        self.last - self.first + 1
    }
}

/// Where everything went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packing {
    /// Byte offset of each item, in the order given.
    pub offsets: Vec<usize>,
    /// Bytes that they take together.
    pub bytes: usize,
    /// No packing takes less.
    pub lower_bound: usize,
    /// The order that won.
    pub strategy: &'static str,
}

/// Sorts items for placing: smallest key first.
type Key = fn(&Item) -> [usize; 2];

/// Random swaps tried when no simple order reaches the lower bound...
const SWAPS: usize = 2000;

/// ...or fewer, so that this many pairs of buffers are compared: a fraction of a second.
const MOST_COMPARISONS: usize = 1 << 26;

/// Bytes that no packing of `items` at multiples of `align` can do without.
pub(super) fn lower_bound(items: &[Item], align: usize) -> usize {
    alive(&rounded(items, align))
}

fn rounded(items: &[Item], align: usize) -> Vec<Item> {
    items.iter().map(|i| Item { bytes: i.bytes.next_multiple_of(align), ..*i }).collect()
}

/// Packs `items`; every offset is a multiple of `align`.
pub fn pack(items: &[Item], align: usize) -> Packing {
    let items = rounded(items, align);
    let lower_bound = alive(&items);
    let orders: [(&'static str, Key); 4] = [
        ("by size", |i| [usize::MAX - i.bytes, i.first]),
        ("by first use", |i| [i.first, usize::MAX - i.bytes]),
        ("by duration", |i| [usize::MAX - i.duration(), usize::MAX - i.bytes]),
        ("by area", |i| [usize::MAX - i.bytes.saturating_mul(i.duration()), i.first]),
    ];
    let mut best: Option<(Vec<usize>, Packing)> = None;
    for (strategy, key) in orders {
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_key(|i| key(&items[*i]));
        let (offsets, bytes) = place(&items, &order);
        if best.as_ref().is_none_or(|(_, b)| bytes < b.bytes) {
            best = Some((order, Packing { offsets, bytes, lower_bound, strategy }));
        }
    }
    let Some((mut order, mut best)) = best else {
        return Packing { offsets: Vec::new(), bytes: 0, lower_bound: 0, strategy: "none" };
    };
    // A swap that is no worse is kept: plateaus are wide, and walking along them finds the way down.
    let mut rng = Rng::new(1);
    let mut current = best.bytes;
    let swaps = SWAPS.min(MOST_COMPARISONS / order.len().pow(2).max(1));
    for _ in 0..swaps {
        if best.bytes == lower_bound || order.len() < 2 {
            break;
        }
        let [a, b] = [(); 2].map(|()| rng.below(order.len() as u32) as usize);
        order.swap(a, b);
        let (offsets, bytes) = place(&items, &order);
        if bytes > current {
            order.swap(a, b);
            continue;
        }
        current = bytes;
        if bytes < best.bytes {
            best = Packing { offsets, bytes, strategy: "by search", ..best };
        }
    }
    best
}

/// The most bytes alive at one step.
fn alive(items: &[Item]) -> usize {
    // The maximum is reached where some item begins.
    let alive = |step| items.iter().filter(|i| i.first <= step && step <= i.last).map(|i| i.bytes).sum();
    items.iter().map(|i| alive(i.first)).max().unwrap_or(0)
}

/// Places items in this order, each at the lowest offset that is free for its lifetime.
fn place(items: &[Item], order: &[usize]) -> (Vec<usize>, usize) {
    let mut offsets = vec![0; items.len()];
    let mut placed: Vec<usize> = Vec::with_capacity(items.len());
    let mut total = 0;
    for &index in order {
        let item = &items[index];
        let mut at = 0;
        // `placed` is sorted by offset: walk up until a gap fits.
        for &other in &placed {
            if items[other].meets(item) && items[other].bytes > 0 {
                if at + item.bytes <= offsets[other] {
                    break;
                }
                at = at.max(offsets[other] + items[other].bytes);
            }
        }
        offsets[index] = at;
        total = total.max(at + item.bytes);
        let position = placed.partition_point(|p| offsets[*p] <= at);
        placed.insert(position, index);
    }
    (offsets, total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item(bytes: usize, first: usize, last: usize) -> Item {
        Item { bytes, first, last }
    }

    #[test]
    fn a_chain_needs_its_largest_neighbours() {
        let chain = [item(100, 0, 1), item(40, 1, 2), item(80, 2, 3), item(10, 3, 4)];
        let packing = pack(&chain, 4);
        assert_eq!((packing.bytes, packing.lower_bound), (140, 140));
    }

    #[test]
    fn nothing_takes_nothing() {
        assert_eq!(pack(&[], 4).bytes, 0);
        assert_eq!(pack(&[item(0, 0, 5)], 4).bytes, 0);
    }

    #[test]
    fn sizes_are_rounded_up_to_the_alignment() {
        let packing = pack(&[item(1, 0, 0), item(1, 0, 0)], 16);
        assert_eq!(packing.bytes, 32);
        let mut offsets = packing.offsets;
        offsets.sort();
        assert_eq!(offsets, [0, 16]);
    }

    proptest! {
        #[test]
        fn no_two_living_buffers_overlap(
            raw in proptest::collection::vec((0usize..200, 0usize..20, 0usize..20), 0..40),
        ) {
            let items: Vec<Item> =
                raw.into_iter().map(|(bytes, a, b)| item(bytes, a.min(b), a.max(b))).collect();
            let packing = pack(&items, 4);
            prop_assert!(packing.bytes >= packing.lower_bound);
            for (i, a) in items.iter().enumerate() {
                prop_assert!(packing.offsets[i].is_multiple_of(4));
                prop_assert!(packing.offsets[i] + a.bytes <= packing.bytes);
                for (j, b) in items.iter().enumerate().skip(i + 1) {
                    let (x, y) = (packing.offsets[i], packing.offsets[j]);
                    let apart = x + a.bytes <= y || y + b.bytes <= x;
                    prop_assert!(!a.meets(b) || apart || a.bytes == 0 || b.bytes == 0);
                }
            }
        }
    }
}
