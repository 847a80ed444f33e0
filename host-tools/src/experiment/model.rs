//! Layers as people write them.

use serde::Deserialize;
use toml::{Table, Value};

use crate::graph::{Activation, LayerSpec};

/// A layer from its table, with two conveniences: `{ type = "relu" }` for
/// `{ type = "activation", function = "relu" }`, and one number where a pair is meant
/// (`kernel = 3`). The error is a message without a place.
pub(super) fn layer(mut table: Table) -> Result<LayerSpec, String> {
    for key in ["kernel", "strides", "size", "dilation"] {
        if let Some(value) = table.get_mut(key)
            && value.is_integer()
        {
            *value = Value::Array(vec![value.clone(), value.clone()]);
        }
    }
    if let Some(Value::String(kind)) = table.get_mut("type") {
        if kind == "dropout" {
            return Err("dropout is not supported yet".into());
        }
        let function = Value::String(kind.clone());
        if Activation::deserialize(function.clone()).is_ok_and(|function| function != Activation::Softmax) {
            *kind = "activation".into();
            table.insert("function".into(), function);
        }
    }
    LayerSpec::deserialize(Value::Table(table)).map_err(|error| error.message().into())
}
