//! Singular value decomposition filters: the step runs once for each input, and the state goes on from run to run.

use super::{Case, Expected, Values};
use embernet_core::kernels::integer::Width;
use embernet_core::kernels::requantize::Rescale;
use embernet_core::kernels::svdf::{ForwardF32, ForwardInt, Svdf};
use embernet_core::rng::Rng;

/// The parameters of an int8 filter with a state of 8 or 16 bits.
#[derive(Debug, Clone)]
pub struct Layer {
    pub shape: Svdf,
    pub w: Vec<i8>,
    /// int8 or int16, as the state.
    pub v: Values,
    pub b: Vec<i32>,
    pub input_zero_point: i32,
    pub to_state: Rescale,
    pub to_output: Rescale,
    pub zero_point: i32,
    pub limits: (i32, i32),
}

impl Layer {
    /// The case for the inputs of several runs; the last one's output counts.
    pub fn case(self, name: impl Into<String>, samples: usize, runs: Vec<Vec<i8>>, expected: Vec<i8>) -> Case {
        let inputs = runs.into_iter().map(Values::I8).collect();
        Case::new(name, samples, inputs, Expected::Exact(expected), move |steps| {
            let Self { shape, to_state, to_output, zero_point, limits: (lo, hi), .. } = self;
            let width = if matches!(self.v, Values::I16(_)) { Width::I16 } else { Width::I8 };
            let rows = self.w.chunks(shape.inputs as usize);
            let w_bias: Vec<i32> =
                rows.map(|row| -self.input_zero_point * row.iter().map(|w| i32::from(*w)).sum::<i32>()).collect();
            let state = vec![0; samples * shape.state() * if width == Width::I16 { 2 } else { 1 }];
            let v = self.v.bytes().to_vec();
            steps.with_state(&[&self.w, &w_bias, &v, &self.b], state, move |at| {
                let &[w, w_bias, v, b] = at.constants else { unreachable!("four constants were given") };
                let (x, y, state) = (at.x[0], at.y, at.scratch);
                ForwardInt { shape, width, x, w, w_bias, v, b, state, y, to_state, to_output, zero_point, lo, hi }
            });
        })
    }
}

/// The built-in cases: by hand, two units of two filters over three runs.
pub fn cases(_: &mut Rng) -> Vec<Case> {
    let shape = Svdf { inputs: 2, units: 2, rank: 2, memory: 2 };
    let w: [f32; 8] = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0, -1.0];
    let v: [f32; 8] = [1.0, 2.0, -1.0, 1.0, 0.5, 0.5, 3.0, 1.0];
    let b: [f32; 2] = [0.25, -1.0];
    let runs = [[1.0, 2.0], [3.0, -1.0], [0.5, 4.0]];
    // Filters of the last two runs: [3, 0.5], [-1, 4], [2, 4.5], [7, -3].
    let expected = [0.25 + (3.0 + 1.0) + (1.0 + 4.0), -1.0 + (1.0 + 2.25) + (21.0 - 3.0)];
    let case = Case::new(
        "svdf/f32/by-hand",
        1,
        runs.iter().map(|run| Values::F32(run.to_vec())).collect(),
        Expected::close(expected.to_vec(), [0.0, 0.0]),
        move |steps| {
            steps.with_state(&[&w.to_vec(), &v.to_vec(), &b.to_vec()], vec![0; 4 * shape.state()], move |at| {
                let &[w, v, b] = at.constants else { unreachable!("three constants were given") };
                let (lo, hi) = (f32::NEG_INFINITY, f32::INFINITY);
                ForwardF32 { shape, x: at.x[0], w, v, b, state: at.scratch, y: at.y, lo, hi }
            });
        },
    );
    vec![case]
}
