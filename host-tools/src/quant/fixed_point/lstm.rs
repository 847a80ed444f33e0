//! The factors of an integer LSTM.

use super::{Affine, FixedPointError, Multiplier, dense_multiplier};
use embernet_core::kernels::lstm::Gates;
use embernet_core::kernels::requantize::Rescale;
use embernet_core::quant::narrow_multiplier;

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

impl Factors {
    /// For int16 activations, whose sums of 64 bits take multipliers of 15.
    #[must_use]
    pub fn narrowed(self) -> Self {
        let narrow = |r: Rescale| Rescale { multiplier: narrow_multiplier(r.multiplier), ..r };
        let gates = |g: Gates| Gates {
            input: narrow(g.input),
            forget: narrow(g.forget),
            cell: narrow(g.cell),
            output: narrow(g.output),
        };
        Self { of_input: gates(self.of_input), of_state: gates(self.of_state), ..self }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
