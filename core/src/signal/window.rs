//! A sliding window over the values of a sensor.

/// The last `LENGTH` values of each of `AXES` axes.
///
/// It takes `2 * AXES * LENGTH` bytes and some words.
#[derive(Clone, Debug)]
pub struct Window<const AXES: usize, const LENGTH: usize> {
    /// A ring.
    values: [[i16; AXES]; LENGTH],
    /// Where the next value goes, which is where the oldest one lies.
    next: usize,
    /// Values that are still to come until a window is due.
    missing: usize,
    hop: usize,
}

impl<const AXES: usize, const LENGTH: usize> Window<AXES, LENGTH> {
    /// An empty window. Once it is full, it is due, and then again after every `hop` values (at least 1): with a `hop`
    /// of `LENGTH` windows follow each other, with less they overlap.
    pub fn new(hop: usize) -> Self {
        Self { values: [[0; AXES]; LENGTH], next: 0, missing: LENGTH, hop: hop.max(1) }
    }

    /// Takes the next value of every axis. True if a window is due.
    pub fn push(&mut self, value: [i16; AXES]) -> bool {
        if let Some(place) = self.values.get_mut(self.next) {
            *place = value;
        }
        self.next += 1;
        if self.next >= LENGTH {
            self.next = 0;
        }
        self.missing = self.missing.saturating_sub(1);
        if self.missing == 0 {
            self.missing = self.hop;
            return true;
        }
        false
    }

    /// Forgets all values: the next window is due when it is full again.
    pub fn clear(&mut self) {
        *self = Self::new(self.hop);
    }

    /// All values, the oldest first.
    pub fn values(&self) -> impl Iterator<Item = [i16; AXES]> + Clone {
        let (newer, older) = self.values.split_at_checked(self.next).unwrap_or_default();
        older.iter().chain(newer).copied()
    }

    /// The values of one axis, the oldest first; none if there is no such axis.
    pub fn axis(&self, axis: usize) -> impl Iterator<Item = i16> + Clone {
        self.values().filter_map(move |value| value.get(axis).copied())
    }
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use super::*;

    #[test]
    fn windows_are_due_when_full_and_then_every_hop() {
        let mut window = Window::<2, 4>::new(3);
        let due: Vec<i16> = (1..=12).filter(|value| window.push([*value, -value])).collect();
        assert_eq!(due, [4, 7, 10]);
        assert_eq!(window.axis(0).collect::<Vec<_>>(), [9, 10, 11, 12]);
        assert_eq!(window.axis(1).collect::<Vec<_>>(), [-9, -10, -11, -12]);
        assert_eq!(window.axis(2).count(), 0);
        window.clear();
        assert_eq!((0..4).map(|_| window.push([1, 1])).collect::<Vec<_>>(), [false, false, false, true]);
    }

    #[test]
    fn strange_sizes_do_no_harm() {
        let mut never_less_than_one = Window::<1, 2>::new(0);
        assert_eq!([1, 2, 3].map(|value| never_less_than_one.push([value])), [false, true, true]);
        let mut nothing = Window::<1, 0>::new(1);
        assert!(nothing.push([1]));
        assert_eq!(nothing.values().collect::<Vec<_>>(), vec![[0; 1]; 0]);
    }
}
