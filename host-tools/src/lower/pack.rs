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

/// Two items that live at the same time and may overlap all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nested {
    /// Index of the item that begins first, if they overlap.
    pub lower: usize,
    /// Index of the other one.
    pub upper: usize,
    /// How many bytes further on it begins then, at least.
    pub distance: usize,
}

/// Items, and which of them may overlap.
struct Items<'a> {
    list: &'a [Item],
    nested: &'a [Nested],
}

impl Items<'_> {
    /// Bytes that `item` keeps from `other`, where that one lies behind it.
    fn kept(&self, item: usize, other: usize) -> usize {
        let nested = self.nested.iter().find(|n| (n.lower, n.upper) == (item, other));
        nested.map_or(self.list[item].bytes, |n| n.distance.min(self.list[item].bytes))
    }

    /// What overlapping saves at most of the bytes of both.
    fn saved(&self, nested: &Nested) -> usize {
        let [lower, upper] = [nested.lower, nested.upper].map(|index| self.list[index].bytes);
        lower + upper - lower.max(upper + nested.distance.min(lower))
    }

    /// Where the item can begin at the lowest, with those placed where they are.
    fn lowest(&self, item: usize, placed: &[usize], offsets: &[usize]) -> usize {
        let bytes = self.list[item].bytes;
        let mut at = 0;
        // `placed` is sorted by offset: walk up until a gap fits. An item that is nested with this one may lie before
        // it now and not any more once others have moved this one up.
        let nested = self.nested.iter().any(|n| n.lower == item || n.upper == item);
        loop {
            let before = at;
            for &other in placed {
                if self.list[other].meets(&self.list[item]) && self.list[other].bytes > 0 {
                    if at + bytes <= offsets[other] {
                        break;
                    }
                    if at + self.kept(item, other) > offsets[other] {
                        at = at.max(offsets[other] + self.kept(other, item));
                    }
                }
            }
            if !nested || at == before {
                return at;
            }
        }
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
pub(super) fn lower_bound(items: &[Item], nested: &[Nested], align: usize) -> usize {
    let (list, nested) = rounded(items, nested, align);
    alive(&Items { list: &list, nested: &nested })
}

fn rounded(items: &[Item], nested: &[Nested], align: usize) -> (Vec<Item>, Vec<Nested>) {
    let up = |bytes: usize| bytes.next_multiple_of(align);
    let items = items.iter().map(|i| Item { bytes: up(i.bytes), ..*i }).collect();
    (items, nested.iter().map(|n| Nested { distance: up(n.distance), ..*n }).collect())
}

/// Packs `items`; every offset is a multiple of `align`.
pub fn pack(items: &[Item], nested: &[Nested], align: usize) -> Packing {
    let (items, nested) = rounded(items, nested, align);
    let all = Items { list: &items, nested: &nested };
    let lower_bound = alive(&all);
    let orders: [(&'static str, Key); 4] = [
        ("by size", |i| [usize::MAX - i.bytes, i.first]),
        ("by first use", |i| [i.first, usize::MAX - i.bytes]),
        ("by duration", |i| [usize::MAX - i.duration(), usize::MAX - i.bytes]),
        ("by area", |i| [usize::MAX - i.bytes.saturating_mul(i.duration()), i.first]),
    ];
    let mut best: Option<(Vec<usize>, Packing)> = None;
    // An item that begins behind another one finds its place once that one has its own: just after it.
    let upper = |item: usize| nested.iter().any(|n| n.upper == item);
    let raised = |item: usize| {
        let above = nested.iter().filter(|n| n.lower == item).map(|n| items[n.upper].bytes);
        Item { bytes: above.fold(items[item].bytes, usize::max), ..items[item] }
    };
    for (strategy, key) in orders {
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_key(|&i| {
            let [first, then] = key(&raised(i));
            (first, upper(i), then)
        });
        let (offsets, bytes) = place(&all, &order);
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
        let (offsets, bytes) = place(&all, &order);
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
fn alive(items: &Items<'_>) -> usize {
    // The maximum is reached where some item begins.
    let lives = |i: &Item, step| i.first <= step && step <= i.last;
    let alive = |step| {
        let bytes: usize = items.list.iter().filter(|i| lives(i, step)).map(|i| i.bytes).sum();
        let both = items.nested.iter().filter(|n| [n.lower, n.upper].iter().all(|i| lives(&items.list[*i], step)));
        bytes.saturating_sub(both.map(|n| items.saved(n)).sum())
    };
    items.list.iter().map(|i| alive(i.first)).max().unwrap_or(0)
}

/// Places items in this order, each at the lowest offset that is free for its lifetime.
fn place(items: &Items<'_>, order: &[usize]) -> (Vec<usize>, usize) {
    let mut offsets = vec![0; items.list.len()];
    let mut placed: Vec<usize> = Vec::with_capacity(items.list.len());
    let mut total = 0;
    for &index in order {
        let at = items.lowest(index, &placed, &offsets);
        offsets[index] = at;
        total = total.max(at + items.list[index].bytes);
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
        let packing = pack(&chain, &[], 4);
        assert_eq!((packing.bytes, packing.lower_bound), (140, 140));
    }

    #[test]
    fn nothing_takes_nothing() {
        assert_eq!(pack(&[], &[], 4).bytes, 0);
        assert_eq!(pack(&[item(0, 0, 5)], &[], 4).bytes, 0);
    }

    #[test]
    fn sizes_are_rounded_up_to_the_alignment() {
        let packing = pack(&[item(1, 0, 0), item(1, 0, 0)], &[], 16);
        assert_eq!(packing.bytes, 32);
        let mut offsets = packing.offsets;
        offsets.sort();
        assert_eq!(offsets, [0, 16]);
    }

    #[test]
    fn what_is_written_lies_over_what_is_read() {
        let items = [item(100, 0, 1), item(80, 1, 2), item(20, 1, 1)];
        let nested = [Nested { lower: 1, upper: 0, distance: 8 }];
        let packing = pack(&items, &nested, 4);
        assert_eq!((packing.bytes, packing.lower_bound), (128, 128));
        assert_eq!(packing.offsets[0], packing.offsets[1] + 8);
    }

    proptest! {
        #[test]
        fn no_two_living_buffers_overlap(
            raw in proptest::collection::vec((0usize..200, 0usize..20, 0usize..20), 0..40),
            pairs in proptest::collection::vec((0usize..40, 0usize..40, 0usize..100), 0..10),
        ) {
            let items: Vec<Item> =
                raw.into_iter().map(|(bytes, a, b)| item(bytes, a.min(b), a.max(b))).collect();
            let mut nested: Vec<Nested> = Vec::new();
            for (lower, upper, distance) in pairs {
                let pair = [lower, upper];
                let known = nested.iter().any(|n| pair.contains(&n.lower) && pair.contains(&n.upper));
                if lower != upper && pair.iter().all(|index| *index < items.len()) && !known {
                    nested.push(Nested { lower, upper, distance });
                }
            }
            let packing = pack(&items, &nested, 4);
            prop_assert!(packing.bytes >= packing.lower_bound);
            for Nested { lower, upper, distance } in &nested {
                let [a, b] = [&items[*lower], &items[*upper]];
                let [x, y] = [packing.offsets[*lower], packing.offsets[*upper]];
                let apart = x + a.bytes <= y || y + b.bytes <= x || x + distance <= y;
                prop_assert!(!a.meets(b) || apart || a.bytes * b.bytes == 0);
            }
            for (i, a) in items.iter().enumerate() {
                prop_assert!(packing.offsets[i].is_multiple_of(4));
                prop_assert!(packing.offsets[i] + a.bytes <= packing.bytes);
                for (j, b) in items.iter().enumerate().skip(i + 1) {
                    let (x, y) = (packing.offsets[i], packing.offsets[j]);
                    let apart = x + a.bytes <= y || y + b.bytes <= x;
                    let may = nested.iter().any(|n| [n.lower, n.upper] == [i, j] || [n.lower, n.upper] == [j, i]);
                    prop_assert!(!a.meets(b) || may || apart || a.bytes == 0 || b.bytes == 0);
                }
            }
        }
    }
}
