//! Which module of a state dict serves which layer.
//!
//! First what the caller says, then equal names. The others match in order (names sorted with their
//! numbers as numbers, since files do not keep the order of modules) if all shapes fit that way, and
//! else where only one module fits.

use super::{Layer, Modules, StateDictError, shapes_text};
use std::collections::BTreeMap;

/// A module's name, ordered so that `layer.2` comes before `layer.10`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Natural {
    parts: Vec<(String, u64)>,
    name: String,
}

impl Natural {
    pub fn new(name: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = name;
        while !rest.is_empty() {
            let (text, after) = rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
            let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            let (number, after) = after.split_at(digits);
            parts.push((text.to_owned(), number.parse().unwrap_or(0)));
            rest = after;
        }
        Self { parts, name: name.to_owned() }
    }
}

type Shapes = BTreeMap<String, Vec<usize>>;

/// The module for each layer.
pub fn find(layers: &[Layer], modules: &Modules, map: &[(String, String)]) -> Result<Vec<String>, StateDictError> {
    let mut left: Vec<(&Natural, &Shapes)> = modules.iter().collect();
    let mut chosen: Vec<Option<String>> = vec![None; layers.len()];
    for (layer_name, module) in map {
        let known = || join(layers.iter().map(|l| l.name.as_str()));
        let layer = layers.iter().position(|l| l.name == *layer_name).ok_or_else(|| StateDictError::NoSuchName {
            what: "a layer",
            name: layer_name.clone(),
            known: known(),
        })?;
        let known = || join(modules.keys().map(|m| m.name.as_str()));
        let at = left.iter().position(|(name, _)| name.name == *module).ok_or_else(|| StateDictError::NoSuchName {
            what: "a module",
            name: module.clone(),
            known: known(),
        })?;
        take(&layers[layer], &mut left, at, &mut chosen[layer])?;
    }
    for (layer, chosen) in layers.iter().zip(&mut chosen) {
        if chosen.is_none()
            && let Some(at) = left.iter().position(|(name, _)| name.name == layer.name)
        {
            take(layer, &mut left, at, chosen)?;
        }
    }
    let open: Vec<usize> = (0..layers.len()).filter(|i| chosen[*i].is_none()).collect();
    let in_order = open.len() == left.len() && open.iter().zip(&left).all(|(i, (_, shapes))| fits(&layers[*i], shapes));
    if in_order {
        for (i, (name, _)) in open.into_iter().zip(left.drain(..)) {
            chosen[i] = Some(name.name.clone());
        }
    } else {
        by_shape(layers, &open, &mut left, &mut chosen)?;
    }
    if !left.is_empty() {
        let tensors = left.iter().flat_map(|(module, shapes)| shapes.keys().map(|role| full_name(&module.name, role)));
        let tensors = tensors.collect::<Vec<_>>().join("`, `");
        return Err(StateDictError::Unexpected { tensors, layers: join(layers.iter().map(|l| l.name.as_str())) });
    }
    Ok(chosen.into_iter().flatten().collect())
}

/// Layers that exactly one module fits, until none is left.
fn by_shape(
    layers: &[Layer],
    open: &[usize],
    left: &mut Vec<(&Natural, &Shapes)>,
    chosen: &mut [Option<String>],
) -> Result<(), StateDictError> {
    loop {
        let mut progress = false;
        for i in open.iter().copied() {
            if chosen[i].is_some() {
                continue;
            }
            let fitting: Vec<usize> = (0..left.len()).filter(|m| fits(&layers[i], left[*m].1)).collect();
            match fitting.as_slice() {
                [only] => {
                    take(&layers[i], left, *only, &mut chosen[i])?;
                    progress = true;
                }
                [] => return Err(missing(&layers[i], left)),
                _ => (),
            }
        }
        if !progress {
            break;
        }
    }
    let Some(i) = open.iter().copied().find(|i| chosen[*i].is_none()) else { return Ok(()) };
    let modules = join(left.iter().filter(|(_, shapes)| fits(&layers[i], shapes)).map(|(m, _)| m.name.as_str()));
    Err(StateDictError::Ambiguous { layer: layers[i].name.clone(), modules })
}

fn take(
    layer: &Layer,
    left: &mut Vec<(&Natural, &Shapes)>,
    at: usize,
    chosen: &mut Option<String>,
) -> Result<(), StateDictError> {
    let (module, shapes) = left.remove(at);
    if !fits(layer, shapes) {
        return Err(StateDictError::Shape {
            module: module.name.clone(),
            layer: layer.name.clone(),
            op: layer.op,
            found: shapes_text(shapes.iter().map(|(role, shape)| (role.as_str(), shape.as_slice()))),
            wanted: wanted_text(layer),
        });
    }
    *chosen = Some(module.name.clone());
    Ok(())
}

/// Whether a module has exactly the tensors that the layer wants.
fn fits(layer: &Layer, shapes: &Shapes) -> bool {
    shapes.len() == layer.wanted.len()
        && layer.wanted.iter().all(|(role, (_, wanted))| shapes.get(*role).is_some_and(|s| wanted.shapes.contains(s)))
}

fn missing(layer: &Layer, left: &[(&Natural, &Shapes)]) -> StateDictError {
    let describe = |(module, shapes): &(&Natural, &Shapes)| {
        let shapes = shapes_text(shapes.iter().map(|(role, shape)| (role.as_str(), shape.as_slice())));
        format!("`{}` ({shapes})", module.name)
    };
    let left = match left {
        [] => "all its modules serve other layers".into(),
        left => format!("not yet used: {}", left.iter().map(describe).collect::<Vec<_>>().join(", ")),
    };
    StateDictError::Missing { layer: layer.name.clone(), op: layer.op, wanted: wanted_text(layer), left }
}

fn wanted_text(layer: &Layer) -> String {
    shapes_text(layer.wanted.iter().map(|(role, (_, wanted))| (*role, wanted.shapes[0].as_slice())))
}

fn full_name(module: &str, role: &str) -> String {
    if module.is_empty() { role.to_owned() } else { format!("{module}.{role}") }
}

fn join<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
