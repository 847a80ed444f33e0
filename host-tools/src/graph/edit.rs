//! Small clean-ups of a whole graph.

use super::Graph;

impl Graph {
    /// Drops tensors that nothing refers to and renumbers the others.
    pub fn remove_unused_tensors(&mut self) {
        let mut used = vec![false; self.tensors.len()];
        let operands = self.nodes.iter().flat_map(|n| n.inputs.iter().chain(&n.outputs));
        for t in operands.chain(&self.inputs).chain(&self.outputs) {
            used[t.index()] = true;
        }
        let mut next = 0;
        let numbers: Vec<u32> = used
            .iter()
            .map(|u| {
                let number = next;
                next += u32::from(*u);
                number
            })
            .collect();
        let mut keep = used.iter();
        self.tensors.retain(|_| keep.next().copied().unwrap_or(false));
        let operands = self.nodes.iter_mut().flat_map(|n| n.inputs.iter_mut().chain(&mut n.outputs));
        for t in operands.chain(&mut self.inputs).chain(&mut self.outputs) {
            t.0 = numbers[t.index()];
        }
    }
}
