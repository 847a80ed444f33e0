//! The file's gates, peepholes and directions, against its own definition in f64.

use super::*;
use embernet_core::rng::Rng;

const TIME: usize = 3;
const FEATURES: usize = 2;
const UNITS: usize = 2;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// ONNX's LSTM in one direction: gates in the order input, output, forget, cell; peepholes input, output, forget.
fn definition(x: &[f32], w: &[f32], r: &[f32], p: &[f32], reverse: bool) -> Vec<[f64; UNITS]> {
    let (mut h, mut c, mut y) = ([0.0; UNITS], [0.0; UNITS], vec![[0.0; UNITS]; TIME]);
    let order: Vec<usize> = if reverse { (0..TIME).rev().collect() } else { (0..TIME).collect() };
    for t in order {
        let before = h;
        let sum = |gate: usize, unit: usize| {
            let row = gate * UNITS + unit;
            let of_input = (0..FEATURES).map(|i| f64::from(w[row * FEATURES + i]) * f64::from(x[t * FEATURES + i]));
            let of_state = (0..UNITS).map(|i| f64::from(r[row * UNITS + i]) * before[i]);
            of_input.chain(of_state).sum::<f64>()
        };
        let peephole = |gate: usize, unit: usize| f64::from(p[gate * UNITS + unit]);
        for u in 0..UNITS {
            let i = sigmoid(sum(0, u) + peephole(0, u) * c[u]);
            let f = sigmoid(sum(2, u) + peephole(2, u) * c[u]);
            c[u] = f * c[u] + i * sum(3, u).tanh();
            h[u] = sigmoid(sum(1, u) + peephole(1, u) * c[u]) * c[u].tanh();
        }
        y[t] = h;
    }
    y
}

fn check(direction: &str) {
    let directions: &[bool] = match direction {
        "forward" => &[false],
        "reverse" => &[true],
        _ => &[false, true],
    };
    let count = directions.len();
    let mut rng = Rng::new(5);
    let mut values = |n: usize| (0..n).map(|_| rng.uniform_f32(-1.5, 1.5)).collect::<Vec<f32>>();
    let rows = 4 * UNITS;
    let x = values(TIME * FEATURES);
    let [w, r, p] = [rows * FEATURES, rows * UNITS, 3 * UNITS].map(|n| values(count * n));
    let file = File::new(14)
        .input("x", &[&TIME.to_string(), "1", &FEATURES.to_string()])
        .floats("w", &[count, rows, FEATURES], &w)
        .floats("r", &[count, rows, UNITS], &r)
        .floats("p", &[count, 3 * UNITS], &p)
        .node("LSTM", &["x", "w", "r", "", "", "", "", "p"], "y", &[text("direction", direction)])
        .output("y");
    let imported = import(&file);
    assert_eq!(imported.outputs[0].shape, [TIME, count, 1, UNITS]);
    let found = run(&imported, &x);
    for (d, reverse) in directions.iter().enumerate() {
        let part = |all: &[f32], n: usize| all[d * n..][..n].to_vec();
        let [w, r, p] =
            [part(&w, rows * FEATURES), part(&r, rows * UNITS), part(&p, 3 * UNITS)].map(|part| part.to_vec());
        for (t, y) in definition(&x, &w, &r, &p, *reverse).iter().enumerate() {
            for (u, y) in y.iter().enumerate() {
                let found = f64::from(found[(t * count + d) * UNITS + u]);
                assert!((found - y).abs() < 1e-5, "{direction} {d}, step {t}, unit {u}: {found}, not {y}");
            }
        }
    }
}

#[test]
fn peepholes_reach_their_gates_in_both_directions() {
    check("forward");
    check("reverse");
    check("bidirectional");
}
