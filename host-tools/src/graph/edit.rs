//! Changes to a whole graph: which layers learn, and small clean-ups.

use super::error::GraphError;
use super::{Graph, NodeId};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Which layers training may change.
///
/// As text: `all`, `none`, `last:2`, or names separated by commas.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Selection {
    /// Every layer.
    #[default]
    All,
    /// No layer.
    None,
    /// The last so many layers that have parameters.
    Last(usize),
    /// The layers with these names.
    Names(Vec<String>),
}

impl FromStr for Selection {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        let error = |why| SelectionError { text: text.to_owned(), why };
        match text.trim() {
            "" => Err(error("it is empty")),
            "all" => Ok(Self::All),
            "none" => Ok(Self::None),
            text => match text.strip_prefix("last:") {
                Some(count) => match count.trim().parse() {
                    Ok(0) | Err(_) => Err(error("after `last:` stands a number of layers, at least 1")),
                    Ok(count) => Ok(Self::Last(count)),
                },
                None => {
                    let names: Vec<String> = text.split(',').map(|n| n.trim().to_owned()).collect();
                    if names.iter().any(String::is_empty) {
                        return Err(error("a name is empty"));
                    }
                    Ok(Self::Names(names))
                }
            },
        }
    }
}

/// Text that selects no layers in a way we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` selects no layers: {why} (write all, none, last:N or names separated by commas)")]
pub struct SelectionError {
    /// What was written.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl TryFrom<String> for Selection {
    type Error = SelectionError;

    fn try_from(text: String) -> Result<Self, SelectionError> {
        text.parse()
    }
}

impl core::fmt::Display for Selection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::None => f.write_str("none"),
            Self::Last(n) => write!(f, "last:{n}"),
            Self::Names(names) => f.write_str(&names.join(",")),
        }
    }
}

impl From<Selection> for String {
    fn from(selection: Selection) -> Self {
        selection.to_string()
    }
}

impl Graph {
    /// Marks the parameters of the selected layers as trainable and all others as frozen.
    pub fn set_trainable(&mut self, selection: &Selection) -> Result<(), GraphError> {
        let layers: Vec<NodeId> = self.iter().filter(|(_, n)| !n.parameters().is_empty()).map(|(id, _)| id).collect();
        let chosen: Vec<NodeId> = match selection {
            Selection::All => layers,
            Selection::None => Vec::new(),
            Selection::Last(n) => layers[layers.len().saturating_sub(*n)..].to_vec(),
            Selection::Names(names) => {
                let known = || {
                    let names: Vec<&str> = layers.iter().map(|l| self.node(*l).name.as_str()).collect();
                    names.join(", ")
                };
                let find = |name: &String| {
                    layers
                        .iter()
                        .copied()
                        .find(|l| self.node(*l).name == *name)
                        .ok_or_else(|| GraphError::NoSuchName { name: name.clone(), known: known() })
                };
                names.iter().map(find).collect::<Result<_, _>>()?
            }
        };
        for tensor in self.parameter_tensors() {
            self.tensor_mut(tensor).trainable = false;
        }
        for node in chosen {
            for tensor in self.node(node).parameters().to_vec() {
                self.tensor_mut(tensor).trainable = true;
            }
        }
        Ok(())
    }

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
