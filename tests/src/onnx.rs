//! ONNX's own operator cases: a model of one or few nodes, with inputs and outputs as tensors.

pub mod models;

use embernet::graph::{DType, Data};
use embernet::image::{self, PackOptions};
use embernet::import::onnx::{self, Constant, Imported, Options, Port};
use embernet_core::arch::IsaId;
use embernet_core::exec::PlanKind;
use std::fmt::Write as _;
use std::path::Path;

/// One folder of cases.
#[derive(Debug)]
pub struct Case {
    /// The folder's name.
    pub name: String,
    model: Vec<u8>,
    /// What feeds the model, by name.
    inputs: Vec<(String, Constant)>,
    /// What it should give; a type that we cannot read is said.
    outputs: Vec<Result<Constant, String>>,
}

/// How a case was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Every input is an activation.
    Activations,
    /// The first input is an activation, the others are weights.
    Weights,
    /// Every input is a constant, and the node is computed at import.
    Folded,
}

impl Way {
    /// For the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Activations => "pass",
            Self::Weights => "pass (other inputs as weights)",
            Self::Folded => "pass (computed at import)",
        }
    }
}

impl Case {
    /// Reads a folder's model and its first data set.
    ///
    /// # Errors
    /// An input that is no tensor.
    ///
    /// # Panics
    /// If a file is unreadable: this is test data.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let read = |path: &Path| std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let data = folder.join("test_data_set_0");
        let files = |stem: &str| {
            let path = |i: usize| data.join(format!("{stem}_{i}.pb"));
            (0..).map(path).take_while(|p| p.exists()).map(|p| read(&p)).collect::<Vec<_>>()
        };
        let tensor = |bytes: &Vec<u8>| onnx::read_tensor(bytes).map_err(|e| chain(&e));
        let model = read(&folder.join("model.onnx"));
        let known = onnx::input_names(&model).map_err(|e| chain(&e))?;
        let mut inputs: Vec<(String, Constant)> = files("input").iter().map(tensor).collect::<Result<_, _>>()?;
        // Older data does not say its names; the order does.
        for ((name, _), known) in inputs.iter_mut().zip(known) {
            if name.is_empty() {
                *name = known;
            }
        }
        let outputs = files("output").iter().map(|b| tensor(b).map(|(_, c)| c)).collect();
        let name = folder.file_name().expect("a folder's name").to_string_lossy().into_owned();
        Ok(Self { name, model, inputs, outputs })
    }

    /// Runs the case in the first way that works; else the reasons why none does.
    ///
    /// # Errors
    /// Reasons for not running; a wrong result is one that begins with `WRONG`.
    pub fn run(&self) -> Result<Way, String> {
        let mut reason = String::new();
        for way in [Way::Activations, Way::Weights] {
            match self.run_as(way) {
                Ok(()) => return Ok(way),
                Err(error) if error.starts_with("WRONG") => return Err(error),
                Err(error) => reason = error,
            }
        }
        match self.run_folded() {
            Ok(()) => Ok(Way::Folded),
            Err(error) if error.starts_with("WRONG") => Err(error),
            Err(_) => Err(reason),
        }
    }

    fn run_as(&self, way: Way) -> Result<(), String> {
        let activations = if way == Way::Weights { 1 } else { self.inputs.len() };
        let fixed = self.inputs.iter().skip(activations);
        let mut options = Options { values: fixed.cloned().collect(), ..Options::default() };
        let mut imported = onnx::from_bytes(&self.model, &options).map_err(|e| chain(&e));
        // A batch of several: the model for one, and each sample by itself. Sequences have it second.
        for axis in 0..2 {
            if !imported.as_ref().is_err_and(|error| error.contains("a batch of ")) {
                break;
            }
            for (name, value) in self.fed(&options) {
                let mut shape = value.shape.clone();
                if let Some(size) = shape.get_mut(axis) {
                    *size = 1;
                }
                options.shapes.insert(name.clone(), shape);
            }
            imported = onnx::from_bytes(&self.model, &options).map_err(|e| chain(&e));
        }
        self.compare(&imported?, &options)
    }

    fn fed(&self, options: &Options) -> Vec<&(String, Constant)> {
        self.inputs.iter().filter(|(name, _)| !options.values.contains_key(name)).collect()
    }

    /// Runs all samples on the scalar token.
    fn compare(&self, imported: &Imported, options: &Options) -> Result<(), String> {
        let fed = self.fed(options);
        // What the data has more of than the model is samples.
        let more = |(name, value): &&(String, Constant)| {
            let port = imported.inputs.iter().find(|p| p.name == *name)?;
            batch_axis(value, &port.shape).map(|axis| value.shape[axis])
        };
        let samples = fed.iter().find_map(more).unwrap_or(1);
        let packed = image::pack(&imported.graph, &PackOptions::default(), None).map_err(|e| chain(&e))?;
        let image = packed.image().map_err(|e| e.to_string())?;
        let mut arena = image::arena_for(&image);
        let mut session = image::open(&image, &mut arena, IsaId::Scalar).map_err(|e| e.to_string())?;
        for sample in 0..samples {
            for (i, port) in imported.inputs.iter().enumerate() {
                let (_, value) = fed.iter().find(|(name, _)| *name == port.name).ok_or("an input without values")?;
                let bytes = to_bytes(&one_of(value, sample, &port.shape), port)?;
                let place = session.input_mut(PlanKind::Infer, i);
                if place.len() != bytes.len() {
                    return Err(format!("`{}` has {} bytes, the data {}", port.name, place.len(), bytes.len()));
                }
                place.copy_from_slice(&bytes);
            }
            session.infer(1).map_err(|e| e.to_string())?;
            for (i, port) in imported.outputs.iter().enumerate() {
                let expected = self.outputs.get(i).ok_or("no expected output")?.clone()?;
                let expected = if samples == 1 { expected } else { one_of(&expected, sample, &port.shape) };
                let quantized = imported.graph.tensor(imported.graph.outputs[i]).dtype == DType::I8;
                let found = from_bytes(session.output(i), port, quantized);
                same(&found, &expected, quantized)
                    .map_err(|why| format!("WRONG: output {i}, sample {sample}: {why}"))?;
            }
        }
        Ok(())
    }

    /// All inputs fixed: the outputs are constants.
    fn run_folded(&self) -> Result<(), String> {
        let options = Options { values: self.inputs.iter().cloned().collect(), ..Options::default() };
        let mut found = onnx::constants(&self.model, &options).map_err(|e| chain(&e))?;
        if found.is_empty() {
            // Shape is known although its input is not.
            found = onnx::constants(&self.model, &Options::default()).map_err(|e| chain(&e))?;
        }
        if found.is_empty() {
            return Err("no output is a constant".into());
        }
        for (i, (_, constant)) in found.iter().enumerate() {
            let expected = self.outputs.get(i).ok_or("no expected output")?.clone()?;
            same(constant, &expected, false).map_err(|why| format!("WRONG: {why}"))?;
        }
        Ok(())
    }
}

/// The axis along which the data has samples: more of them than the model's one.
fn batch_axis(value: &Constant, model: &[usize]) -> Option<usize> {
    let differs = |axis: &usize| value.shape[*axis] != model[*axis];
    let axis = (value.shape.len() == model.len()).then(|| (0..model.len()).find(differs))??;
    (model[axis] == 1).then_some(axis)
}

/// Sample `i`.
fn one_of(value: &Constant, i: usize, model: &[usize]) -> Constant {
    let Some(axis) = batch_axis(value, model) else { return value.clone() };
    // Samples to the front, one of them taken, and back.
    let mut order: Vec<usize> = (0..value.shape.len()).collect();
    order.remove(axis);
    order.insert(0, axis);
    let front = value.permuted(&order);
    let bytes = front.data.to_le_bytes();
    let len = bytes.len() / front.shape[0];
    let data = Data::from_le_bytes(value.data.dtype(), &bytes[i * len..][..len]).expect("whole elements");
    // With one sample, moving its axis moves no value.
    Constant::new(model, data)
}

/// Values of the file as the graph's input takes them.
fn to_bytes(value: &Constant, port: &Port) -> Result<Vec<u8>, String> {
    if value.shape != port.shape {
        return Err(format!("`{}` has shape {:?}, the data {:?}", port.name, port.shape, value.shape));
    }
    let mut bytes = value.permuted(&port.axes).data.to_le_bytes();
    if port.unsigned {
        bytes.iter_mut().for_each(|b| *b ^= 0x80);
    }
    Ok(bytes)
}

/// What the graph gave, as the file has it.
fn from_bytes(bytes: &[u8], port: &Port, quantized: bool) -> Constant {
    let shape: Vec<usize> = port.axes.iter().map(|a| port.shape[*a]).collect();
    let count: usize = shape.iter().product();
    let data = match (quantized, port.unsigned) {
        (true, true) => Data::U8(bytes[..count].iter().map(|b| b ^ 0x80).collect()),
        (true, false) => Data::I8(bytes[..count].iter().map(|b| *b as i8).collect()),
        (false, _) => Data::from_le_bytes(DType::F32, &bytes[..4 * count]).expect("whole floats"),
    };
    let back: Vec<usize> = (0..port.axes.len()).map(|a| port.axes.iter().position(|b| *b == a).unwrap_or(0)).collect();
    Constant::new(shape, data).permuted(&back)
}

/// The cases' own tolerance: 1e-5 and a thousandth; a step for what is rounded.
fn same(found: &Constant, expected: &Constant, quantized: bool) -> Result<(), String> {
    if found.shape != expected.shape {
        return Err(format!("shape {:?}, expected {:?}", found.shape, expected.shape));
    }
    let values = |c: &Constant| -> Vec<f64> {
        match (c.reals(), c.integers()) {
            (Some(reals), _) => reals.iter().map(|v| f64::from(*v)).collect(),
            (None, integers) => integers.unwrap_or_default().iter().map(|v| *v as f64).collect(),
        }
    };
    let (found, expected) = (values(found), values(expected));
    if found.len() != expected.len() {
        return Err(format!("{} values, expected {}", found.len(), expected.len()));
    }
    let near = |f: f64, e: f64| {
        f == e || (f.is_nan() && e.is_nan()) || (f - e).abs() <= if quantized { 1.0 } else { 1e-5 + 1e-3 * e.abs() }
    };
    let wrong = found.iter().zip(&expected).position(|(f, e)| !near(*f, *e));
    wrong.map_or(Ok(()), |i| Err(format!("element {i} is {}, expected {}", found[i], expected[i])))
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        if !text.ends_with(&error.to_string()) {
            let _ = write!(text, ": {error}");
        }
        source = error.source();
    }
    text
}
