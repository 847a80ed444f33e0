//! The float graph that an int8 graph stands for: its own integers as reals, nothing rounded between layers.

use super::QuantError;
use crate::graph::ops::ActivationLayer;
use crate::graph::{Activation, DType, Data, Graph, Op, Quant};

/// The same network with every integer constant as the real that it stands for, and float activations.
///
/// Steps that only change a type or a scale become identities.
///
/// # Errors
/// [`QuantError::NotInteger`] if a constant has no scale.
pub fn to_float(graph: &Graph) -> Result<Graph, QuantError> {
    let mut float = graph.clone();
    for node in &graph.nodes {
        for (index, id) in node.parameters().iter().enumerate() {
            let tensor = graph.tensor(*id);
            let scales = |id| graph.tensor(id).quant.clone();
            // A bias counts in steps of input times weights, whatever the file says about it.
            let quant = match (tensor.dtype, index) {
                (DType::F32, _) => continue,
                (DType::I32, 1) => {
                    let input = node.inputs.first().and_then(|x| scales(*x)).and_then(|quant| quant.single());
                    let kernel = node.parameters().first().and_then(|w| scales(*w));
                    input.zip(kernel).map(|((x, _), w)| {
                        let products = w.scales.iter().map(|w| x * w).collect::<Vec<f32>>();
                        if products.len() > 1 {
                            Quant::per_axis(products, 0)
                        } else {
                            Quant::per_tensor(products[0], 0)
                        }
                    })
                }
                _ => tensor.quant.clone(),
            };
            let reals = quant.and_then(|quant| reals(tensor.data.as_ref()?, &tensor.shape, &quant));
            let reals = reals.ok_or_else(|| QuantError::NotInteger { tensor: tensor.name.clone() })?;
            float.tensor_mut(*id).data = Some(Data::F32(reals));
        }
    }
    for (new, old) in float.tensors.iter_mut().zip(&graph.tensors) {
        if let (Some(data), Some(quant), true) = (&old.data, &old.quant, new.data == old.data) {
            new.data = reals(data, &old.shape, quant).map(Data::F32);
        }
        (new.dtype, new.quant) = (DType::F32, None);
    }
    for node in &mut float.nodes {
        if matches!(node.op, Op::Quantize(_) | Op::Dequantize(_)) {
            node.op = ActivationLayer { function: Activation::Linear }.into();
        }
    }
    float.validate()?;
    Ok(float)
}

/// Integers as reals; `None` for types that have none, or scales that do not fit.
fn reals(data: &Data, shape: &[usize], quant: &Quant) -> Option<Vec<f32>> {
    let integers: Vec<i64> = match data {
        Data::I4(v) | Data::I8(v) => v.iter().map(|v| i64::from(*v)).collect(),
        Data::I16(v) => v.iter().map(|v| i64::from(*v)).collect(),
        Data::I32(v) => v.iter().map(|v| i64::from(*v)).collect(),
        Data::I64(v) => v.clone(),
        Data::F32(_) | Data::U8(_) => return None,
    };
    let axis = quant.axis.unwrap_or(0);
    let inner = shape.get(axis + 1..).unwrap_or_default().iter().product::<usize>().max(1);
    let channels = if quant.axis.is_some() { *shape.get(axis)? } else { 1 };
    let entry = |index: usize| if channels == 1 { 0 } else { index / inner % channels };
    let real = |(index, integer): (usize, &i64)| {
        let (scale, zero_point) = (quant.scales.get(entry(index))?, quant.zero_points.get(entry(index))?);
        Some((integer - i64::from(*zero_point)) as f32 * scale)
    };
    integers.iter().enumerate().map(real).collect()
}
