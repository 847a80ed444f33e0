//! Images of another size, each pixel a copy of one of the input.

use super::{Call, Converter};
use crate::graph::ops::ResizeNearest;
use crate::import::onnx::error::NodeProblem;

impl<'m, 'a> Converter<'m, 'a> {
    /// Resize (since operator set 10) and Upsample (before), mode `nearest`.
    pub(super) fn resize(&mut self, call: &Call<'m, 'a>) -> Result<(), NodeProblem> {
        let old = call.key() == "Upsample" || call.opset < 11;
        let mode = call.text("mode", "nearest")?;
        let x = self.raw(call, 0, "input")?;
        let rank = x.layout.rank();
        let axes: Vec<usize> = match call.ints("axes")? {
            Some(named) => super::operands::axes(named, rank)?,
            None => (0..rank).collect(),
        };
        let from: Vec<usize> = axes.iter().map(|a| x.shape()[*a]).collect();
        let scales = match call.floats("scales")? {
            Some(scales) => Some(scales.to_vec()),
            None => self.optional_constant(call, if old { 1 } else { 2 }, "scales")?.and_then(|c| c.reals()),
        };
        let scales = scales.filter(|s| !s.is_empty());
        let sizes = if old { None } else { self.list(call, "sizes", 3)? };
        let (scales, to) = match (scales, sizes) {
            (Some(scales), _) if scales.len() == from.len() && scales.iter().all(|s| s.is_finite() && *s > 0.0) => {
                let to = from.iter().zip(&scales).map(|(d, s)| (*d as f64 * f64::from(*s)).floor() as usize).collect();
                (scales, to)
            }
            (None, Some(sizes)) if sizes.len() == from.len() => sized(call, &from, &sizes)?,
            _ => {
                let expected = format!("{} positive numbers", from.len());
                return Err(NodeProblem::Value { role: "scales or sizes", found: "others".into(), expected });
            }
        };
        let to: Vec<usize> = to;
        if to.iter().any(|d| !(1..=1 << 16).contains(d)) {
            return Err(NodeProblem::Value { role: "sizes", found: format!("{to:?}"), expected: "1 to 65536".into() });
        }
        let same = to == from;
        if same && mode != "cubic" && call.text("coordinate_transformation_mode", "")? != "tf_crop_and_resize" {
            return self.define(call, 0, x);
        }
        if mode != "nearest" {
            return Err(NodeProblem::Feature { what: format!("resizing by mode {mode}") });
        }
        // Where each axis of an image gets its values from.
        let (mut rows, mut columns) = (vec![0], (0..x.shape()[rank - 1] as u32).collect());
        if let [_, _, height, _] = x.shape() {
            rows = (0..*height as u32).collect();
        }
        for (i, at) in axes.iter().enumerate() {
            if to[i] == from[i] {
                continue;
            }
            let table = sources(call, from[i], to[i], scales[i], old)?;
            match (rank, at) {
                (4, 2) => rows = table,
                (4, 3) | (3, 2) => columns = table,
                _ => return Err(NodeProblem::Feature { what: format!("resizing axis {at} of {rank}") }),
            }
        }
        let image = self.image(&x, "input")?;
        let quant = self.quant(&x);
        let id = self.emit(ResizeNearest { rows, cols: columns }, &[image], quant)?;
        let mut value = self.image_value(id, rank)?;
        value.dequantized = x.dequantized;
        self.define(call, 0, value)
    }
}

/// Scales and sizes from the sizes asked for; a policy may keep the aspect.
fn sized(call: &Call<'_, '_>, from: &[usize], sizes: &[i64]) -> Result<(Vec<f32>, Vec<usize>), NodeProblem> {
    let to: Option<Vec<usize>> = sizes.iter().map(|s| usize::try_from(*s).ok()).collect();
    let to = to.ok_or_else(|| NodeProblem::Value {
        role: "sizes",
        found: format!("{sizes:?}"),
        expected: "positive".into(),
    })?;
    let scales: Vec<f32> = to.iter().zip(from).map(|(t, f)| *t as f32 / *f as f32).collect();
    let one = match call.text("keep_aspect_ratio_policy", "stretch")? {
        "not_larger" => scales.iter().copied().fold(f32::INFINITY, f32::min),
        "not_smaller" => scales.iter().copied().fold(0.0, f32::max),
        _ => return Ok((scales, to)),
    };
    let to = from.iter().map(|d| (f64::from(one) * *d as f64 + 0.5).floor() as usize).collect();
    Ok((vec![one; from.len()], to))
}

/// For each of the new positions, the old one.
fn sources(call: &Call<'_, '_>, from: usize, to: usize, scale: f32, old: bool) -> Result<Vec<u32>, NodeProblem> {
    let transform = if old { "asymmetric" } else { call.text("coordinate_transformation_mode", "half_pixel")? };
    let rounding = if old { "floor" } else { call.text("nearest_mode", "round_prefer_floor")? };
    let (size, new, scale) = (from as f64, to as f64, f64::from(scale));
    let place = |i: f64| {
        Some(match transform {
            "half_pixel" => (i + 0.5) / scale - 0.5,
            "pytorch_half_pixel" if to == 1 => 0.0,
            "pytorch_half_pixel" => (i + 0.5) / scale - 0.5,
            "half_pixel_symmetric" => {
                let offset = size / 2.0 * (1.0 - new / (scale * size));
                offset + (i + 0.5) / scale - 0.5
            }
            "align_corners" if to == 1 => 0.0,
            "align_corners" => i * (size - 1.0) / (new - 1.0),
            "asymmetric" => i / scale,
            _ => return None,
        })
    };
    let round = |x: f64| {
        Some(match rounding {
            "round_prefer_floor" => (x - 0.5).ceil(),
            "round_prefer_ceil" => (x + 0.5).floor(),
            "floor" => x.floor(),
            "ceil" => x.ceil(),
            _ => return None,
        })
    };
    let source = |i: usize| Some(round(place(i as f64)?)?.clamp(0.0, size - 1.0) as u32);
    let all: Option<Vec<u32>> = (0..to).map(source).collect();
    all.ok_or_else(|| NodeProblem::Feature { what: format!("resizing with {transform} and {rounding}") })
}
