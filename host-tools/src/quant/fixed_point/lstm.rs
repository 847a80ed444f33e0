//! The factors of an int8 LSTM, and the table of its functions.

use super::{Affine, FixedPointError, Multiplier, dense_multiplier};
use embernet_core::kernels::lstm::{Gates, Rescale, TABLE};

/// Scale of a gate before its function: Q3.12.
const GATE_SCALE: f32 = 1.0 / 4096.0;
/// Scale of what the functions give: Q0.15.
const FUNCTION_SCALE: f32 = 1.0 / 32768.0;

/// What the tensors of an LSTM mean; gates in the order input, forget, cell, output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scales {
    /// Input.
    pub input: Affine,
    /// Hidden state.
    pub hidden: Affine,
    /// Cell state: a power of two, zero point 0.
    pub cell: f32,
    /// Weights for the input, by gate.
    pub kernel: [f32; 4],
    /// Weights for the state, by gate.
    pub recurrent: [f32; 4],
    /// Limit of the cell's magnitude, 0 for none.
    pub cell_clip: f32,
}

/// The integers of the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // as in the record
pub struct Factors {
    pub of_input: Gates,
    pub of_state: Gates,
    pub forget_to_cell: Rescale,
    pub input_to_cell: Rescale,
    pub to_hidden: Rescale,
    pub cell_power: i32,
    pub cell_clip: i32,
}

/// The factors of a step.
///
/// # Errors
/// [`FixedPointError::Multiplier`], also if the cell's scale is no power of two from `2^-16` to `2^-1`.
pub fn factors(scales: &Scales) -> Result<Factors, FixedPointError> {
    let cell_power = f64::from(scales.cell).log2();
    if cell_power.fract() != 0.0 || !(-16.0..=-1.0).contains(&cell_power) {
        let found = f64::from(scales.cell);
        return Err(FixedPointError::Multiplier { what: "lstm cell", found, expected: "2^-16 to 2^-1" });
    }
    let rescale = |Multiplier { mantissa, shift }| Rescale { multiplier: mantissa, shift };
    let gates = |scale: f32, weights: [f32; 4]| -> Result<Gates, FixedPointError> {
        let gate = |number: usize| dense_multiplier(scale, weights[number], GATE_SCALE).map(rescale);
        Ok(Gates { input: gate(0)?, forget: gate(1)?, cell: gate(2)?, output: gate(3)? })
    };
    let product = |a: f32, b: f32, y: f32| dense_multiplier(a, b, y).map(rescale);
    Ok(Factors {
        of_input: gates(scales.input.scale(), scales.kernel)?,
        of_state: gates(scales.hidden.scale(), scales.recurrent)?,
        forget_to_cell: product(FUNCTION_SCALE, scales.cell, scales.cell)?,
        input_to_cell: product(FUNCTION_SCALE, FUNCTION_SCALE, scales.cell)?,
        to_hidden: product(FUNCTION_SCALE, FUNCTION_SCALE, scales.hidden.scale())?,
        cell_power: cell_power as i32,
        // The cast saturates.
        cell_clip: ((scales.cell_clip / scales.cell) as i32).clamp(0, 32767),
    })
}

/// The logistic function at every 24th, 16 fraction bits, each moved by half of the error that a straight line to the
/// next one would make in the middle; the last one is 1. That is TFLite's table; see
/// `embernet_core::quant::functions::logistic_i16`.
pub fn sigmoid_table() -> Vec<u16> {
    let logistic = |at: f64| 1.0 / (1.0 + (-at / 24.0).exp());
    let entry = |i: usize| {
        let at = i as f64;
        let line = (logistic(at) + logistic(at + 1.0)) / 2.0;
        65536.0 * (logistic(at) + (logistic(at + 0.5) - line) / 2.0)
    };
    let mut table: Vec<u16> = (0..TABLE - 1).map(|i| entry(i).round() as u16).collect();
    table.push(u16::MAX);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_tflite() {
        // Entries of `sigmoid_table_uint16` in tensorflow/lite/kernels/internal/common.h, among them some where
        // rounding alone would give another number, and the sum of all of them.
        let table = sigmoid_table();
        let some = [0, 1, 28, 35, 43, 62, 134, 254, 255].map(|i| table[i]);
        assert_eq!(some, [32768, 33451, 49975, 53169, 56174, 60935, 65291, 65534, 65535]);
        assert_eq!(table.iter().map(|entry| u64::from(*entry)).sum::<u64>(), 15_670_629);
    }

    #[test]
    fn cells_have_powers_of_two() {
        let affine = Affine::new(0.5, 0).unwrap();
        let (input, hidden) = (affine, affine);
        let weights = ([0.25; 4], [0.125; 4]);
        let scales =
            Scales { input, hidden, cell: 1.0 / 2048.0, kernel: weights.0, recurrent: weights.1, cell_clip: 4.0 };
        let found = factors(&scales).unwrap();
        assert_eq!((found.cell_power, found.cell_clip), (-11, 8192));
        // 2^-15, as every forget gate's.
        assert_eq!(found.forget_to_cell, Rescale { multiplier: 1 << 30, shift: -14 });
        assert!(factors(&Scales { cell: 0.3, ..scales }).is_err());
        assert!(factors(&Scales { cell: 1.0, ..scales }).is_err());
    }
}
