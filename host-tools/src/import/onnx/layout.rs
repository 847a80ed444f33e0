//! How an activation lies in memory, against the shape that ONNX gives it.
//!
//! ONNX images are `[batch, channels, height, width]`; the graph's are `[height, width, channels]`.
//! Transposes and reshapes of the file only change what is known here; a step that moves data is made
//! when an operation needs an arrangement that is not there.

/// The axes of a shape, cut into *atoms* that lie in memory in some order.
///
/// An axis is the product of its atoms (none for size 1), outer first. A flattened image `[1, c*h*w]`
/// that lies as `h, w, c` has one axis of the atoms `c, h, w`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The shape in the file.
    shape: Vec<usize>,
    /// Sizes of the atoms, in the order of the axes; all above 1 (or 0 in an empty tensor).
    atoms: Vec<usize>,
    /// How many atoms each axis has.
    counts: Vec<usize>,
    /// Numbers of the atoms as they lie in memory, outermost first.
    order: Vec<usize>,
}

impl Layout {
    /// Row-major, as ONNX has it.
    pub fn plain(shape: &[usize]) -> Self {
        let atoms: Vec<usize> = shape.iter().copied().filter(|d| *d != 1).collect();
        let counts = shape.iter().map(|d| usize::from(*d != 1)).collect();
        let order = (0..atoms.len()).collect();
        Self { shape: shape.to_vec(), atoms, counts, order }
    }

    /// With the axes in memory in this order.
    pub fn ordered(shape: &[usize], axes: &[usize]) -> Self {
        let mut layout = Self::plain(shape);
        layout.order = layout.sequence(axes);
        layout
    }

    /// The shape in the file.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Sizes of the atoms as they lie in memory.
    pub fn storage(&self) -> Vec<usize> {
        self.order.iter().filter_map(|a| self.atoms.get(*a).copied()).collect()
    }

    /// The numbers of an axis' atoms.
    fn atoms_of(&self, axis: usize) -> core::ops::Range<usize> {
        let first: usize = self.counts.iter().take(axis).sum();
        first..first + self.counts.get(axis).copied().unwrap_or(0)
    }

    /// The atoms in the order in which they would lie if the axes lay in this order.
    pub fn sequence(&self, axes: &[usize]) -> Vec<usize> {
        axes.iter().flat_map(|a| self.atoms_of(*a)).collect()
    }

    /// For each place of that order, where it lies now; `None` if everything lies so already.
    pub fn moves(&self, axes: &[usize]) -> Option<Vec<usize>> {
        let wanted = self.sequence(axes);
        if wanted == self.order {
            return None;
        }
        let place = |atom: &usize| self.order.iter().position(|a| a == atom).unwrap_or(0);
        Some(wanted.iter().map(place).collect())
    }

    /// The order of axes in memory; `None` if an axis' atoms are apart or turned round.
    ///
    /// An axis of size 1 lies nowhere; it is put behind the axis before it.
    pub fn axes(&self) -> Option<Vec<usize>> {
        let mut axes: Vec<usize> = Vec::with_capacity(self.rank());
        for atom in &self.order {
            let axis = (0..self.rank()).find(|a| self.atoms_of(*a).contains(atom))?;
            if !axes.contains(&axis) {
                axes.push(axis);
            }
        }
        if self.sequence(&axes) != self.order {
            return None;
        }
        for axis in 0..self.rank() {
            if self.atoms_of(axis).is_empty() {
                let before = axis.checked_sub(1).and_then(|b| axes.iter().position(|a| *a == b));
                axes.insert(before.map_or(0, |b| b + 1), axis);
            }
        }
        Some(axes)
    }

    /// The axis that lies last in memory; none if there is one element.
    pub fn innermost(&self) -> Option<usize> {
        let atom = self.order.last()?;
        (0..self.rank()).find(|a| self.atoms_of(*a).contains(atom))
    }

    /// After ONNX's Transpose: axis `i` is what axis `permutation[i]` was.
    pub fn transposed(&self, permutation: &[usize]) -> Self {
        let old: Vec<usize> = self.sequence(permutation);
        let new = |atom: &usize| old.iter().position(|a| a == atom).unwrap_or(0);
        Self {
            shape: permutation.iter().filter_map(|a| self.shape.get(*a).copied()).collect(),
            atoms: old.iter().filter_map(|a| self.atoms.get(*a).copied()).collect(),
            counts: permutation.iter().map(|a| self.atoms_of(*a).len()).collect(),
            order: self.order.iter().map(new).collect(),
        }
    }

    /// Under another shape of as many elements; `None` if its axes cut across what lies apart.
    pub fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        if shape.contains(&0) || self.shape.contains(&0) {
            return None;
        }
        // Every old atom becomes one or more new ones.
        let mut parts: Vec<Vec<usize>> = vec![Vec::new(); self.atoms.len()];
        let mut atoms = Vec::new();
        let mut counts = Vec::with_capacity(shape.len());
        let mut rest = self.atoms.clone();
        let mut at = 0;
        for size in shape {
            let mut missing = *size;
            let mut count = 0;
            while missing > 1 {
                let left = rest.get_mut(at)?;
                let taken = if missing.is_multiple_of(*left) {
                    *left
                } else if left.is_multiple_of(missing) {
                    missing
                } else {
                    return None;
                };
                parts.get_mut(at)?.push(atoms.len());
                atoms.push(taken);
                count += 1;
                missing /= taken;
                *left /= taken;
                if *left == 1 {
                    at += 1;
                }
            }
            counts.push(count);
        }
        if at != rest.len() {
            return None;
        }
        let order = self.order.iter().flat_map(|a| parts.get(*a).cloned().unwrap_or_default()).collect();
        Some(Self { shape: shape.to_vec(), atoms, counts, order })
    }

    /// If the atoms of the last axis lie last in memory (in any order): for each element of the axis
    /// as it lies, its number in the file.
    pub fn last_axis(&self) -> Option<Vec<u32>> {
        let axis = self.rank().checked_sub(1)?;
        let atoms = self.atoms_of(axis);
        let (before, last) = self.order.split_at(self.order.len().checked_sub(atoms.len())?);
        if before.iter().any(|a| atoms.contains(a)) {
            return None;
        }
        let size = |atom: usize| self.atoms.get(atom).copied().unwrap_or(1);
        // Distance of neighbours along an atom in the file's order.
        let stride = |atom: usize| (atom + 1..atoms.end).map(size).product::<usize>();
        let mut numbers = vec![0u32];
        for atom in last {
            let (size, step) = (size(*atom) as u32, stride(*atom) as u32);
            numbers = numbers.iter().flat_map(|n| (0..size).map(move |i| n + i * step)).collect();
        }
        Some(numbers)
    }

    /// With the last axis, which lies last, replaced by one of another size.
    pub fn with_last(&self, size: usize) -> Self {
        let axis = self.rank().saturating_sub(1);
        let gone = self.atoms_of(axis);
        let mut layout = self.clone();
        layout.order.retain(|a| !gone.contains(a));
        layout.atoms.truncate(gone.start);
        if let (Some(last), Some(count)) = (layout.shape.last_mut(), layout.counts.last_mut()) {
            (*last, *count) = (size, usize::from(size != 1));
        }
        if size != 1 {
            layout.order.push(layout.atoms.len());
            layout.atoms.push(size);
        }
        layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposes_cancel() {
        let nhwc = Layout::plain(&[1, 5, 6, 3]);
        let nchw = nhwc.transposed(&[0, 3, 1, 2]);
        assert_eq!(nchw.shape(), [1, 3, 5, 6]);
        assert_eq!(nchw.axes(), Some(vec![0, 2, 3, 1]));
        assert_eq!(nchw.moves(&[0, 2, 3, 1]), None);
        assert_eq!(nchw.transposed(&[0, 2, 3, 1]), nhwc);
        assert_eq!(nchw, Layout::ordered(&[1, 3, 5, 6], &[0, 2, 3, 1]));
    }

    #[test]
    fn a_flattened_image_knows_where_its_values_are() {
        let image = Layout::ordered(&[1, 2, 2, 3], &[0, 2, 3, 1]);
        let flat = image.reshaped(&[1, 12]).unwrap();
        assert_eq!(flat.axes(), None);
        // Memory holds (h, w, c); the file counts (c, h, w).
        assert_eq!(flat.last_axis().unwrap(), [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]);
        assert_eq!(flat.with_last(4), Layout::plain(&[1, 4]));
        assert_eq!(flat.reshaped(&[1, 2, 2, 3]), Some(image));
    }

    #[test]
    fn axes_split_and_join_where_they_lie_together() {
        let plain = Layout::plain(&[1, 12, 5]);
        assert_eq!(plain.reshaped(&[3, 4, 5]), Some(Layout::plain(&[3, 4, 5])));
        assert_eq!(plain.reshaped(&[1, 60]).unwrap().reshaped(&[6, 10]).unwrap().axes(), Some(vec![0, 1]));
        assert_eq!(Layout::plain(&[4, 3]).reshaped(&[6, 2]), None, "6 cuts across 4");
        let channels_last = Layout::ordered(&[1, 4, 3, 3], &[0, 2, 3, 1]);
        let groups = channels_last.reshaped(&[1, 2, 2, 3, 3]).unwrap();
        assert_eq!(groups.axes(), Some(vec![0, 3, 4, 1, 2]));
        let shuffled = groups.transposed(&[0, 2, 1, 3, 4]).reshaped(&[1, 4, 3, 3]).unwrap();
        assert_eq!(shuffled.axes(), None);
        assert_eq!(shuffled.moves(&[0, 2, 3, 1]), Some(vec![0, 1, 3, 2]));
    }

    #[test]
    fn sizes_of_one_lie_anywhere() {
        let pooled = Layout::ordered(&[1, 8, 1, 1], &[0, 2, 3, 1]);
        assert_eq!(pooled, Layout::plain(&[1, 8, 1, 1]));
        assert_eq!(pooled.axes(), Some(vec![0, 1, 2, 3]));
        assert_eq!(pooled.moves(&[0, 2, 3, 1]), None);
        assert_eq!(Layout::plain(&[1, 1]).axes(), Some(vec![0, 1]));
        assert_eq!(Layout::plain(&[]).axes(), Some(vec![]));
    }
}
