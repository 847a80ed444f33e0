//! Batch normalisation without a step of its own: folded into the layer before it.

use super::ops::{Activation, BatchNorm, DepthwiseConv2d, Op, Reshape};
use super::{DType, Data, Graph, Node, NodeId, Selection, Tensor, TensorId};

/// Scale and shift of every channel.
type Factors = (Vec<f64>, Vec<f64>);

impl Graph {
    /// Folds every batch normalisation that nothing will train into the dense or convolution layer
    /// before it, where that has no activation and no other reader. Returns how many.
    ///
    /// With `s = gamma / sqrt(variance + epsilon)`, for each output channel: kernel becomes
    /// `kernel s` and bias `(bias - mean) s + beta`; both are computed in f64 and rounded once. The
    /// layer gets the normalisation's activation. Borders stay exact: padding goes before the sum.
    pub fn fold_batch_norm(&mut self) -> usize {
        let before = self.nodes.len();
        let mut at = 0;
        while at < self.nodes.len() {
            if !self.fold_one(NodeId(at as u32)) {
                at += 1;
            }
        }
        let folded = before - self.nodes.len();
        if folded > 0 {
            self.remove_unused_tensors();
        }
        folded
    }

    /// [`Graph::fold_batch_norm`] for a graph that will not be trained any more; what has no layer to
    /// fold into becomes a depthwise convolution with a 1x1 kernel, which has an integer form.
    pub fn fold_all_batch_norm(&mut self) -> usize {
        // Selecting no layer cannot fail: it names none.
        let _ = self.set_trainable(&Selection::None);
        let mut folded = self.fold_batch_norm();
        for id in (0..self.nodes.len() as u32).map(NodeId) {
            folded += usize::from(self.become_depthwise(id));
        }
        self.remove_unused_tensors();
        folded
    }

    /// Scale and shift of a batch normalisation, if its parameters are f32 constants.
    pub fn batch_norm_factors(&self, node: &Node, norm: &BatchNorm) -> Option<Factors> {
        let values = |id: &TensorId| self.tensor(*id).data.as_ref()?.as_f32();
        let [gamma, beta, mean, variance] = node.parameters() else { return None };
        Some(norm.factors([values(gamma)?, values(beta)?, values(mean)?, values(variance)?]))
    }

    fn fold_one(&mut self, id: NodeId) -> bool {
        let Op::BatchNorm(norm) = self.node(id).op else { return false };
        let norm_node = self.node(id);
        let input = norm_node.inputs[0];
        let Some(before) = self.producers()[input.index()] else { return false };
        let layer = self.node(before);
        let fixed = |node: &Node| !node.parameters().iter().any(|t| self.tensor(*t).trainable);
        let float = |node: &Node| node.inputs.iter().all(|t| self.tensor(*t).dtype == DType::F32);
        if !matches!(layer.op, Op::Dense(_) | Op::Conv2d(_) | Op::DepthwiseConv2d(_))
            || layer.op.fused() != Activation::Linear
            || self.consumers()[input.index()].len() != 1
            || self.outputs.contains(&input)
            || ![norm_node, layer].into_iter().all(|node| fixed(node) && float(node))
        {
            return false;
        }
        let (Some((scale, shift)), output) = (self.batch_norm_factors(norm_node, &norm), norm_node.outputs[0]) else {
            return false;
        };
        let values = |id: &TensorId| self.tensor(*id).data.as_ref().and_then(Data::as_f32).map(<[f32]>::to_vec);
        let parameters = layer.parameters().to_vec();
        let Some(kernel) = parameters.first().and_then(values) else { return false };
        let bias = parameters.get(1).and_then(values).unwrap_or_else(|| vec![0.0; scale.len()]);
        // Output channels are the first axis of a kernel, the last one of a depthwise kernel.
        let row = match layer.op {
            Op::DepthwiseConv2d(_) => 1,
            _ => kernel.len() / scale.len().max(1),
        };
        let channel = |index: usize| index / row.max(1) % scale.len();
        let kernel: Vec<f32> =
            kernel.iter().enumerate().map(|(i, w)| (f64::from(*w) * scale[channel(i)]) as f32).collect();
        let sums = bias.iter().zip(&scale).zip(&shift);
        let bias: Vec<f32> = sums.map(|((b, scale), shift)| (f64::from(*b) * scale + shift) as f32).collect();

        let kernel_shape = self.tensor(parameters[0]).shape.clone();
        let name = self.node(before).name.clone();
        let kernel = self.replacement(parameters.first().copied(), &format!("{name}/kernel"), kernel_shape, kernel);
        let bias = self.replacement(parameters.get(1).copied(), &format!("{name}/bias"), vec![scale.len()], bias);
        let layer = self.node_mut(before);
        let data = layer.data_inputs().to_vec();
        match &mut layer.op {
            Op::Dense(op) => op.use_bias = true,
            Op::Conv2d(op) => op.use_bias = true,
            Op::DepthwiseConv2d(op) => op.use_bias = true,
            _ => {}
        }
        layer.op.set_fused(norm.activation);
        layer.inputs = [&data[..], &[kernel, bias]].concat();
        layer.outputs[0] = output;
        self.nodes.remove(id.index());
        true
    }

    /// A constant with these values: `old` itself where nobody else reads it, else a new one.
    fn replacement(&mut self, old: Option<TensorId>, name: &str, shape: Vec<usize>, values: Vec<f32>) -> TensorId {
        if let Some(id) = old
            && self.consumers()[id.index()].len() == 1
        {
            self.tensor_mut(id).data = Some(Data::F32(values));
            return id;
        }
        let name = self.unused_name(name);
        self.add_tensor(Tensor::constant(name, shape, Data::F32(values)))
    }

    fn unused_name(&self, base: &str) -> String {
        let mut name = base.to_owned();
        let mut number = 1;
        while self.find_tensor(&name).is_some() {
            name = format!("{base}_{number}");
            number += 1;
        }
        name
    }

    fn become_depthwise(&mut self, id: NodeId) -> bool {
        let Op::BatchNorm(norm) = self.node(id).op else { return false };
        let Some((scale, shift)) = self.batch_norm_factors(self.node(id), &norm) else { return false };
        let (input, name) = (self.node(id).inputs[0], self.node(id).name.clone());
        let (output, shape) = (self.node(id).outputs[0], self.tensor(input).shape.clone());
        let channels = scale.len();
        let narrow = |values: Vec<f64>| Data::F32(values.into_iter().map(|v| v as f32).collect());
        let image = if shape.len() == 3 {
            shape.clone()
        } else {
            vec![shape.iter().product::<usize>() / channels, 1, channels]
        };
        let kernel = self.unused_name(&format!("{name}/kernel"));
        let kernel = self.add_tensor(Tensor::constant(kernel, [1, 1, channels], narrow(scale)));
        let bias = self.unused_name(&format!("{name}/bias"));
        let bias = self.add_tensor(Tensor::constant(bias, [channels], narrow(shift)));
        let op = DepthwiseConv2d::new([1, 1]).activation(norm.activation);
        let (mut x, mut y) = (input, output);
        if shape != image {
            let names = [format!("{name}/image"), format!("{name}/scaled")].map(|name| self.unused_name(&name));
            [x, y] = names.map(|name| self.add_tensor(Tensor::activation(name, image.clone(), DType::F32)));
            self.add_node(format!("{name}/to_image"), Reshape::new(image), &[input], &[x]);
            self.add_node(format!("{name}/from_image"), Reshape::new(shape), &[y], &[output]);
        }
        let node = self.node_mut(id);
        (node.op, node.inputs, node.outputs) = (op.into(), vec![x, kernel, bias], vec![y]);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Sequential;
    use crate::graph::ops::{Conv2d, Dense, Flatten, Padding};
    use crate::train::predict;
    use embernet_core::rng::Rng;

    /// Normalisations with statistics as training leaves them.
    fn network() -> Graph {
        let mut graph = Sequential::new([5, 5, 2])
            .add(BatchNorm::new())
            .add(Conv2d::new(4, [3, 3]).padding(Padding::Same).use_bias(false))
            .add(BatchNorm::new().activation(Activation::Relu))
            .add(DepthwiseConv2d::new([3, 3]))
            .add(BatchNorm::new())
            .add(Flatten {})
            .add(Dense::new(6))
            .add(BatchNorm::new().activation(Activation::Relu))
            .add(BatchNorm::new())
            .build(4)
            .unwrap();
        let mut rng = Rng::new(9);
        for id in graph.parameter_tensors() {
            let tensor = graph.tensor_mut(id);
            if tensor.shape.len() == 1 {
                let values = (0..tensor.shape[0]).map(|_| rng.uniform_f32(0.5, 2.0)).collect();
                tensor.data = Some(Data::F32(values));
            }
        }
        graph
    }

    #[test]
    fn a_folded_network_computes_the_same() {
        let graph = network();
        let x: Vec<f32> = {
            let mut rng = Rng::new(1);
            (0..3 * 50).map(|_| rng.uniform_f32(-1.0, 1.0)).collect()
        };
        let kinds = |graph: &Graph| graph.nodes.iter().map(|n| n.op.kind()).collect::<Vec<_>>();
        let mut folded = graph.clone();
        assert_eq!(folded.fold_batch_norm(), 0, "what learns is not folded");
        folded.set_trainable(&Selection::None).unwrap();
        assert_eq!(folded.fold_batch_norm(), 3);
        folded.validate().unwrap();
        assert_eq!(kinds(&folded), ["batch_norm", "conv2d", "depthwise_conv2d", "flatten", "dense", "batch_norm"]);
        let mut whole = graph.clone();
        assert_eq!(whole.fold_all_batch_norm(), 5);
        whole.validate().unwrap();
        assert!(!kinds(&whole).contains(&"batch_norm"));
        let [expected, found, other] = [&graph, &folded, &whole].map(|graph| predict(graph, &x, true).unwrap());
        for ((expected, found), other) in expected.iter().zip(&found).zip(&other) {
            // Five layers of sums of up to 36 products of numbers around 1: some hundred roundings.
            let bound = 256.0 * f32::EPSILON * (1.0 + expected.abs());
            assert!(
                (expected - found).abs() <= bound && (expected - other).abs() <= bound,
                "{expected} {found} {other}"
            );
        }
    }

    #[test]
    fn what_others_read_stays() {
        let mut graph = network();
        graph.set_trainable(&Selection::None).unwrap();
        let conv = graph.find_node("conv2d").unwrap();
        let inner = graph.node(conv).outputs[0];
        graph.outputs.push(inner);
        assert_eq!(graph.fold_batch_norm(), 2);
        graph.validate().unwrap();
    }
}
