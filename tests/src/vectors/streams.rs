//! Folders of recurrent layers: LSTM and SVDF.

use super::Folder;
use crate::cases::{Case, Values, lstm, svdf};
use embernet_core::kernels::lstm::Gates;
use embernet_core::kernels::recurrent::Recurrent;
use embernet_core::kernels::requantize::Rescale;
use embernet_core::kernels::svdf::Svdf;
use embernet_core::quant::narrow_multiplier;

/// Our order of the gates.
const GATES: [&str; 4] = ["input", "forget", "cell", "output"];

fn shape(folder: &Folder) -> Recurrent {
    let count = |key| folder.count(&[key]);
    Recurrent { time: count("TIME_STEPS"), inputs: count("INPUT_SIZE"), units: count("HIDDEN_SIZE"), reverse: 0 }
}

/// One array from those of the four gates.
fn gates<T: npyz::Deserialize>(folder: &Folder, name: impl Fn(&str) -> String) -> Vec<T> {
    GATES.iter().flat_map(|gate| folder.array::<T>(&[&name(gate)])).collect()
}

/// `[time][batch][..]` as `[batch][time][..]`.
fn batch_first<T: Copy>(values: &[T], batch: usize, time: usize) -> Vec<T> {
    let len = values.len() / (batch * time).max(1);
    let at = |sample: usize, step: usize| &values[(step * batch + sample) * len..][..len];
    (0..batch).flat_map(|sample| (0..time).flat_map(move |step| at(sample, step))).copied().collect()
}

fn is_time_major(folder: &Folder) -> bool {
    folder.config.get("TIME_MAJOR").is_some_and(|value| value == "true" || value == 1)
}

fn sequences<T: npyz::Deserialize + Copy>(folder: &Folder, names: &[&str]) -> Vec<T> {
    let (values, batch) = (folder.array(names), folder.count(&["BATCH_SIZE"]) as usize);
    if is_time_major(folder) { batch_first(&values, batch, folder.count(&["TIME_STEPS"]) as usize) } else { values }
}

/// An f32 LSTM.
pub fn lstm_f32(folder: &Folder) -> Case {
    let parameters = [
        gates(folder, |gate| format!("{gate}_input_weights")),
        gates(folder, |gate| format!("{gate}_hidden_weights")),
        gates(folder, |gate| format!("{gate}_bias")),
        vec![],
    ];
    let (x, y) = (sequences(folder, &["input"]), sequences(folder, &["output_ref"]));
    lstm::f32(&folder.name, shape(folder), x, parameters, Some(y))
}

/// An int8 or int16 LSTM.
pub fn lstm_int(folder: &Folder, wide: bool) -> Case {
    let rescale = |name: &str| Rescale {
        multiplier: folder.int(&[&format!("{name}_MULTIPLIER")]),
        shift: folder.int(&[&format!("{name}_SHIFT")]),
    };
    let of = |side: &str| {
        let gate = |name: &str| {
            let whole = rescale(&format!("{name}_GATE_{side}"));
            // 64-bit sums take the upper half of a multiplier.
            Rescale { multiplier: if wide { narrow_multiplier(whole.multiplier) } else { whole.multiplier }, ..whole }
        };
        Gates { input: gate("INPUT"), forget: gate("FORGET"), cell: gate("CELL"), output: gate("OUTPUT") }
    };
    let biases = |gate: &str| format!("{gate}_gate_bias");
    let layer = lstm::Int {
        shape: shape(folder),
        w: gates(folder, |gate| format!("{gate}_gate_input_weights")),
        r: gates(folder, |gate| format!("{gate}_gate_hidden_weights")),
        b: if wide { gates(folder, biases) } else { gates::<i32>(folder, biases).into_iter().map(i64::from).collect() },
        // What is added to the input, in spite of its name.
        input_zero_point: -folder.int(&["INPUT_ZERO_POINT"]),
        of_input: of("INPUT"),
        of_state: of("HIDDEN"),
        forget_to_cell: rescale("FORGET_TO_CELL"),
        input_to_cell: rescale("INPUT_TO_CELL"),
        to_hidden: rescale("OUTPUT"),
        zero_point: folder.int(&["OUTPUT_ZERO_POINT"]),
        cell_power: folder.int(&["CELL_SCALE_POWER"]),
        cell_clip: folder.int(&["CELL_CLIP"]),
    };
    let (x, y) = (&["input_tensor"], &["output"]);
    if wide {
        layer.i16(&folder.name, sequences(folder, x), sequences(folder, y))
    } else {
        layer.i8(&folder.name, sequences(folder, x), sequences(folder, y))
    }
}

/// An int8 SVDF with a state of 8 or 16 bits.
pub fn svdf(folder: &Folder) -> Case {
    let (count, int) = (|key| folder.count(&[key]), |key: &str| folder.int(&[key]));
    let (rank, filters, samples) = (count("RANK"), count("FEATURE_BATCHES"), count("INPUT_BATCHES") as usize);
    let shape = Svdf { inputs: count("INPUT_SIZE"), units: filters / rank, rank, memory: count("TIME_BATCHES") };
    let wide = folder.has_type("i2");
    let layer = svdf::Layer {
        shape,
        w: folder.array(&["weights_feature"]),
        v: if wide {
            Values::I16(folder.array(&["weights_time"]))
        } else {
            Values::I8(folder.array(&["weights_time"]))
        },
        b: folder.array(&["biases"]),
        input_zero_point: -int("INPUT_OFFSET"),
        to_state: Rescale { multiplier: int("MULTIPLIER_IN"), shift: int("SHIFT_1") },
        to_output: Rescale { multiplier: int("MULTIPLIER_OUT"), shift: int("SHIFT_2") },
        zero_point: int("OUTPUT_OFFSET"),
        limits: (int("OUT_ACTIVATION_MIN"), int("OUT_ACTIVATION_MAX")),
    };
    let sequence: Vec<i8> = folder.array(&["input_sequence"]);
    let runs = sequence.chunks(samples * shape.inputs as usize).map(<[i8]>::to_vec).collect();
    layer.case(&folder.name, samples, runs, folder.array(&["output_ref"]))
}
