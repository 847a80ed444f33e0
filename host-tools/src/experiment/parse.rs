//! From text to a checked [`Experiment`].

use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use toml::Spanned;

use super::model;
use super::{Data, Experiment, ExperimentError, Loss, Model, Quantize, Task, Train};
use crate::data::Axis;
use crate::files;

/// Where in the file things stand, for errors that come later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lines {
    pub data: usize,
    /// The line of each layer.
    pub layers: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    data: Spanned<Data>,
    model: WrittenModel,
    train: Spanned<Train>,
    quantize: Option<Quantize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenModel {
    name: Option<String>,
    layers: Spanned<Vec<Spanned<toml::Table>>>,
}

impl Experiment {
    /// Reads an experiment file. The data it names are read by [`Experiment::load`].
    pub fn read(path: &Path) -> Result<Self, ExperimentError> {
        Self::parse(path, &files::read_text(path)?)
    }

    /// Parses the text of an experiment file that stands at `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ExperimentError> {
        let fail = |span: Option<Range<usize>>, message: &str| {
            let (line, column) = place(text, span.map_or(0, |span| span.start));
            ExperimentError::Toml { path: path.into(), line, column, message: message.replace('\n', " ") }
        };
        let written: Written = toml::from_str(text).map_err(|error| fail(error.span(), error.message()))?;

        let WrittenModel { name, layers } = written.model;
        if layers.get_ref().is_empty() {
            return Err(fail(Some(layers.span()), "the model has no layers"));
        }
        let line_of = |span: Range<usize>| place(text, span.start).0;
        let mut lines = Lines { data: line_of(written.data.span()), layers: Vec::new() };
        let mut specs = Vec::new();
        for layer in layers.into_inner() {
            let span = layer.span();
            specs.push(model::layer(layer.into_inner()).map_err(|message| fail(Some(span.clone()), &message))?);
            lines.layers.push(line_of(span));
        }
        let (data_span, train_span) = (written.data.span(), written.train.span());
        let (data, train) = (written.data.into_inner(), written.train.into_inner());
        check_data(&data).map_err(|message| fail(Some(data_span), message))?;
        if train.loss == Some(Loss::CrossEntropy) && data.task != Task::Classification {
            let task = if data.task == Task::Regression { "regression" } else { "reconstruction" };
            return Err(fail(Some(train_span), &format!("cross_entropy needs classes; the task is {task}")));
        }
        let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Ok(Experiment {
            path: path.into(),
            data,
            model: Model { name: name.unwrap_or(stem), layers: specs },
            train,
            quantize: written.quantize,
            data_folder: None,
            lines,
        })
    }
}

/// Line and column, both from 1, of a byte of `text`.
fn place(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    (line, column)
}

/// What kind of source a table names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Csv,
    Npz,
    Arrays,
    Synthetic,
}

fn check_data(data: &Data) -> Result<(), &'static str> {
    let reconstruction = data.task == Task::Reconstruction;
    let kind = |csv: bool, npz: bool, x: bool, y: bool, synthetic: bool| {
        if y && (reconstruction || !x) || x && !y && !reconstruction {
            return Err(if reconstruction { "reconstruction has no `y`" } else { "`x` and `y` come together" });
        }
        match (csv, npz, x, synthetic) {
            (true, false, false, false) => Ok(Kind::Csv),
            (false, true, false, false) => Ok(Kind::Npz),
            (false, false, true, false) => Ok(Kind::Arrays),
            (false, false, false, true) => Ok(Kind::Synthetic),
            (false, false, false, false) => Err("name the data: `csv`, `npz`, or `x` and `y`"),
            _ => Err("name the data once: `csv`, `npz`, or `x` and `y`"),
        }
    };
    let given = |path: &Option<std::path::PathBuf>| path.is_some();
    let synthetic = data.synthetic.is_some();
    let main = kind(given(&data.csv), given(&data.npz), given(&data.x), given(&data.y), synthetic)?;
    if let Some(test) = &data.test
        && kind(given(&test.csv), given(&test.npz), given(&test.x), given(&test.y), false)? != main
    {
        return Err("the test data must be of the same kind as the training data");
    }
    if main == Kind::Synthetic && data.task == Task::Regression {
        return Err("synthetic data have classes or are reconstructed");
    }
    if main != Kind::Csv
        && (data.header.is_some() || data.delimiter.is_some() || data.target.is_some() || data.ignore.is_some())
    {
        return Err("`header`, `delimiter`, `target` and `ignore` are for `csv`");
    }
    match (&data.target, data.task) {
        (Some(columns), Task::Classification) if columns.len() != 1 => {
            Err("a class stands in one `target` column; several numbers need task = \"regression\"")
        }
        (Some(_), Task::Reconstruction) => Err("reconstruction has no `target`; leave columns out with `ignore`"),
        (None, Task::Regression) if main == Kind::Csv => Err("regression needs the `target` column or columns"),
        (_, Task::Regression | Task::Reconstruction) if data.classes.is_some() => {
            Err("only classification has `classes`")
        }
        _ => Ok(()),
    }
}

/// A character of one byte.
pub(super) fn delimiter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    let character = char::deserialize(deserializer)?;
    match u8::try_from(character) {
        Ok(byte) if byte.is_ascii() => Ok(Some(byte)),
        _ => Err(D::Error::custom(format_args!("{character:?} is no ASCII character"))),
    }
}

/// One column or several, each by name or number.
pub(super) fn columns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    struct Columns;

    impl<'de> Visitor<'de> for Columns {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a column's name, its number from 1, or a list of them")
        }

        fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
            Ok(vec![name.into()])
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
            Ok(vec![number.to_string()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut columns = Vec::new();
            while let Some(column) = list.next_element::<toml::Value>()? {
                match column {
                    toml::Value::String(name) => columns.push(name),
                    toml::Value::Integer(number) => columns.push(number.to_string()),
                    _ => return Err(A::Error::custom("a column is named by a text or a number")),
                }
            }
            if columns.is_empty() {
                return Err(A::Error::custom("the list of columns is empty"));
            }
            Ok(columns)
        }
    }

    deserializer.deserialize_any(Columns).map(Some)
}

/// `true`, `false`, or the values that share a mean.
pub(super) fn standardise<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Axis>, D::Error> {
    struct Setting;

    impl Visitor<'_> for Setting {
        type Value = Option<Axis>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("true, false, \"feature\", \"channel\" or \"all\"")
        }

        fn visit_bool<E: Error>(self, on: bool) -> Result<Self::Value, E> {
            Ok(on.then_some(Axis::Feature))
        }

        fn visit_str<E: Error>(self, axis: &str) -> Result<Self::Value, E> {
            let axis: serde::de::value::StrDeserializer<'_, E> = serde::de::IntoDeserializer::into_deserializer(axis);
            Axis::deserialize(axis).map(Some)
        }
    }

    deserializer.deserialize_any(Setting)
}

pub(super) fn shape<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<usize>>, D::Error> {
    let shape = Vec::<usize>::deserialize(deserializer)?;
    if shape.is_empty() || shape.contains(&0) {
        return Err(D::Error::custom("a shape has at least one axis and no zero"));
    }
    Ok(Some(shape))
}

pub(super) fn factor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    let factor = f32::deserialize(deserializer)?;
    if factor.is_finite() && factor != 0.0 {
        return Ok(factor);
    }
    Err(D::Error::custom(format_args!("{factor} is no factor")))
}

pub(super) fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    if share > 0.0 && share < 1.0 {
        return Ok(share);
    }
    Err(D::Error::custom(format_args!("{share} does not lie between 0 and 1")))
}

pub(super) fn optional_share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    share(deserializer).map(Some)
}
