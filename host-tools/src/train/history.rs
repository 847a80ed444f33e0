//! How training went, epoch by epoch.

use std::path::Path;

use serde::Serialize;

use crate::files::{self, FileError};

/// One pass over the training data. What a task lacks (accuracy of a regression, values without
/// validation data) is `None`: absent in JSON, an empty cell in CSV.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: u32,
    /// Since training began, at the end of this epoch.
    pub seconds: f64,
    /// Mean training loss over the epoch's samples, while the weights changed.
    pub loss: f64,
    /// Share of training samples recognised, while the weights changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Mean loss over the validation data after the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_loss: Option<f64>,
    /// Share of the validation data recognised after the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_accuracy: Option<f64>,
}

/// All epochs in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct History {
    /// The epochs.
    pub epochs: Vec<Epoch>,
}

impl History {
    /// The table `epoch,seconds,loss,accuracy,val_loss,val_accuracy`.
    ///
    /// Numbers have as many digits as bring the same `f64` back.
    pub fn to_csv(&self) -> String {
        let cell = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let mut text = String::from("epoch,seconds,loss,accuracy,val_loss,val_accuracy\n");
        for epoch in &self.epochs {
            text.push_str(&format!(
                "{},{},{},{},{},{}\n",
                epoch.epoch,
                epoch.seconds,
                epoch.loss,
                cell(epoch.accuracy),
                cell(epoch.val_loss),
                cell(epoch.val_accuracy)
            ));
        }
        text
    }

    /// Writes [`History::to_csv`] to a file, whole or not at all.
    pub fn write_csv(&self, path: &Path) -> Result<(), FileError> {
        files::write(path, self.to_csv().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_promised_columns() {
        let first = Epoch { epoch: 1, seconds: 0.25, loss: 1.5, accuracy: Some(0.5), ..Epoch::default() };
        let second =
            Epoch { epoch: 2, seconds: 0.5, loss: 0.1, val_loss: Some(0.2), val_accuracy: Some(1.0), accuracy: None };
        let history = History { epochs: vec![first, second] };
        assert_eq!(
            history.to_csv(),
            "epoch,seconds,loss,accuracy,val_loss,val_accuracy\n1,0.25,1.5,0.5,,\n2,0.5,0.1,,0.2,1\n"
        );
        assert_eq!(serde_json::to_string(&first).unwrap(), r#"{"epoch":1,"seconds":0.25,"loss":1.5,"accuracy":0.5}"#);
    }
}
