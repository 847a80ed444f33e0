//! Edits on a graph that keep track of who makes and who reads each tensor.

use crate::graph::{Data, Graph, GraphError, Node, NodeId, Tensor, TensorId};

/// A graph while passes change it. Numbers stay as they are until [`Editor::finish`].
pub struct Editor<'g> {
    graph: &'g mut Graph,
    order: Vec<NodeId>,
    /// Nodes that are gone.
    removed: Vec<bool>,
    /// The node that makes each tensor.
    producers: Vec<Option<NodeId>>,
    /// The nodes that read each tensor, once per use.
    readers: Vec<Vec<NodeId>>,
}

impl<'g> Editor<'g> {
    /// `graph` has been validated.
    pub fn new(graph: &'g mut Graph) -> Result<Self, GraphError> {
        let (order, producers, readers) = (graph.order()?, graph.producers(), graph.consumers());
        let removed = vec![false; graph.nodes.len()];
        Ok(Self { graph, order, removed, producers, readers })
    }

    /// The graph; nodes that are gone are still in it.
    pub fn graph(&self) -> &Graph {
        self.graph
    }

    /// The nodes that are left, each after those it needs.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.order.iter().copied().filter(|id| !self.is_removed(*id)).collect()
    }

    pub fn is_removed(&self, id: NodeId) -> bool {
        self.removed[id.index()]
    }

    pub fn node(&self, id: NodeId) -> &Node {
        self.graph.node(id)
    }

    /// To change attributes; operands change through the other methods.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.graph.node_mut(id)
    }

    pub fn tensor(&self, id: TensorId) -> &Tensor {
        self.graph.tensor(id)
    }

    pub fn tensor_mut(&mut self, id: TensorId) -> &mut Tensor {
        self.graph.tensor_mut(id)
    }

    /// The only output of a node.
    pub fn output(&self, id: NodeId) -> TensorId {
        self.node(id).outputs[0]
    }

    pub fn producer(&self, id: TensorId) -> Option<NodeId> {
        self.producers[id.index()]
    }

    pub fn readers(&self, id: TensorId) -> &[NodeId] {
        &self.readers[id.index()]
    }

    /// Whether the caller of the graph gives or gets this tensor.
    pub fn is_port(&self, id: TensorId) -> bool {
        self.graph.inputs.contains(&id) || self.graph.outputs.contains(&id)
    }

    pub fn is_output(&self, id: TensorId) -> bool {
        self.graph.outputs.contains(&id)
    }

    /// The only reader of a tensor that the caller does not see.
    pub fn only_reader(&self, id: TensorId) -> Option<NodeId> {
        match self.readers(id) {
            [one] if !self.is_port(id) => Some(*one),
            _ => None,
        }
    }

    /// The value of a constant that nothing changes any more.
    pub fn constant(&self, id: TensorId) -> Option<&Data> {
        let tensor = self.tensor(id);
        tensor.data.as_ref().filter(|_| !tensor.trainable)
    }

    /// Removes a node whose output nobody needs.
    pub fn remove(&mut self, id: NodeId) {
        self.removed[id.index()] = true;
        for input in &self.graph.node(id).inputs {
            self.readers[input.index()].retain(|reader| *reader != id);
        }
        for output in &self.graph.node(id).outputs {
            self.producers[output.index()] = None;
        }
    }

    /// Removes a node and gives its output this value.
    pub fn replace_by_constant(&mut self, id: NodeId, data: Data) {
        let output = self.output(id);
        self.remove(id);
        self.tensor_mut(output).data = Some(data);
    }

    /// Lets all readers of `from` read `to` instead.
    fn redirect(&mut self, from: TensorId, to: TensorId) {
        for reader in std::mem::take(&mut self.readers[from.index()]) {
            for input in &mut self.graph.node_mut(reader).inputs {
                if *input == from {
                    *input = to;
                }
            }
            self.readers[to.index()].push(reader);
        }
    }

    /// Lets one input of a node read another tensor.
    pub fn set_input(&mut self, id: NodeId, index: usize, to: TensorId) {
        let from = std::mem::replace(&mut self.graph.node_mut(id).inputs[index], to);
        let readers = &mut self.readers[from.index()];
        if let Some(at) = readers.iter().position(|reader| *reader == id) {
            readers.swap_remove(at);
        }
        self.readers[to.index()].push(id);
    }

    /// Removes a node whose output equals its input `index`. False if the tensors that the caller
    /// sees do not allow it.
    pub fn bypass(&mut self, id: NodeId, index: usize) -> bool {
        let (x, y) = (self.node(id).inputs[index], self.output(id));
        if !self.is_output(y) {
            self.remove(id);
            self.redirect(y, x);
            return true;
        }
        // The output keeps its name: who made the input makes it now.
        let Some(maker) = self.producer(x).filter(|_| !self.is_port(x)) else { return false };
        self.remove(id);
        self.hand_over(maker, x, y);
        true
    }

    /// Removes a node whose work the maker of its first input does from now on; nobody else may read
    /// that input.
    pub fn absorb(&mut self, id: NodeId) -> bool {
        let (x, y) = (self.node(id).inputs[0], self.output(id));
        let Some(maker) = self.producer(x).filter(|_| self.only_reader(x) == Some(id)) else { return false };
        self.remove(id);
        self.hand_over(maker, x, y);
        true
    }

    /// `maker` writes `y` instead of `x`, and whoever reads `x` reads `y`.
    fn hand_over(&mut self, maker: NodeId, x: TensorId, y: TensorId) {
        for output in &mut self.graph.node_mut(maker).outputs {
            if *output == x {
                *output = y;
            }
        }
        self.producers[x.index()] = None;
        self.producers[y.index()] = Some(maker);
        self.redirect(x, y);
    }

    /// Drops what is gone, and tensors that nothing refers to.
    pub fn finish(self) {
        let mut removed = self.removed.into_iter();
        self.graph.nodes.retain(|_| !removed.next().unwrap_or(false));
        self.graph.remove_unused_tensors();
    }
}
