//! The report of a training run.

use embernet::data::{Dataset, Labels};
use embernet::experiment::{Experiment, Parts};
use embernet::graph::{Graph, layer_rows, shape_text};
use embernet::image::Packed;
use embernet::report::{Curves, MemoryMap, Range, Report, Section, Table};
use embernet::train::history::{Epoch, History};
use embernet::train::metrics::Confusion;

use super::Line;
use crate::output::grouped;

/// Curves, confusion matrix, layers, memory on a device, settings.
pub(super) fn report(
    experiment: &Experiment,
    graph: &Graph,
    parts: &Parts,
    history: &History,
    line: &Line<'_>,
    outputs: &[f32],
    [infers, learns]: &[Packed; 2],
) -> Report {
    let figure = |name: &str, value: String| (name.to_string(), value);
    let mut figures = vec![
        match line.test_accuracy {
            Some(accuracy) => figure("test accuracy", format!("{accuracy:.4}")),
            None => figure("test loss", format!("{:.5}", line.test_loss)),
        },
        figure("parameters", grouped(line.parameters as u64)),
        figure("MACs", grouped(line.macs)),
        figure("samples/s", grouped(line.samples_per_s as u64)),
    ];
    if line.test_accuracy.is_some() {
        figures.insert(1, figure("test loss", format!("{:.4}", line.test_loss)));
    }

    let watched = if parts.validation.is_some() { "validation" } else { "test" };
    let points = |value: fn(&Epoch) -> Option<f64>| {
        let points = history.epochs.iter().filter_map(move |epoch| Some((f64::from(epoch.epoch), value(epoch)?)));
        points.collect::<Vec<_>>()
    };
    let loss = Curves::new("epoch", "loss")
        .series("training", points(|epoch| Some(epoch.loss)))
        .series(watched, points(|epoch| epoch.val_loss));
    let training = match line.test_accuracy {
        None => Section::Curves(loss),
        Some(_) => {
            let accuracy = Curves::new("epoch", "accuracy")
                .range(Range::UpToOne)
                .series("training", points(|epoch| epoch.accuracy))
                .series(watched, points(|epoch| epoch.val_accuracy));
            Section::Columns(vec![
                ("loss".into(), Section::Curves(loss)),
                ("accuracy".into(), Section::Curves(accuracy)),
            ])
        }
    };

    let mut layers = Table::new(["layer", "operation", "output", "parameters", "MACs"]);
    for row in layer_rows(graph) {
        let operation = match row.activation {
            Some(activation) => format!("{}, {activation}", row.op),
            None => row.op.to_string(),
        };
        let shape = shape_text(&row.shape);
        layers.push([row.name, operation, shape, grouped(row.parameters as u64), grouped(row.macs)]);
    }

    let mut report = Report::new(experiment.model.name.clone())
        .subtitle(format!("trained on the PC, {} epochs", line.epochs))
        .section("At a glance", Section::Figures(figures))
        .section("Training", training);
    if let Some(matrix) = confusion(&parts.test, outputs) {
        report = report.section("Test data", Section::Confusion(matrix));
    }
    report = report.section("Network", Section::Table(layers));
    let map = MemoryMap::of(&infers.program, &infers.program.infer);
    report = report.section("Memory on a device that infers", Section::MemoryMap(map));
    if let Some(train) = &learns.program.train {
        let map = MemoryMap::of(&learns.program, train);
        report = report.section("Memory on a device that learns, sample by sample", Section::MemoryMap(map));
    }
    report.section("Settings", Section::KeyValues(settings(experiment, parts)))
}

fn confusion(test: &Dataset, outputs: &[f32]) -> Option<Confusion> {
    let Labels::Class { ids, names } = test.labels() else { return None };
    let mut matrix = Confusion::new(names.clone());
    matrix.add_outputs(ids, outputs);
    Some(matrix)
}

fn settings(experiment: &Experiment, parts: &Parts) -> Vec<(String, String)> {
    let mut optimizer = serde_json::to_value(experiment.train.optimizer).unwrap_or_default();
    let kind = optimizer.as_object_mut().and_then(|table| table.remove("type"));
    let mut settings = vec![
        ("experiment", experiment.path.display().to_string()),
        ("optimizer", kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or("?").to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_string(), value))
    .collect::<Vec<_>>();
    settings.extend(optimizer.as_object().into_iter().flatten().map(|(name, value)| {
        // An f32 in JSON is a long f64; as an f32 it is what the file says.
        let value = value.as_f64().map_or_else(|| value.to_string(), |value| (value as f32).to_string());
        (name.replace('_', " "), value)
    }));
    settings.extend([
        ("batch".to_string(), experiment.train.batch.to_string()),
        ("seed".to_string(), experiment.train.seed.to_string()),
        ("training samples".to_string(), grouped(parts.train.len() as u64)),
        ("test samples".to_string(), grouped(parts.test.len() as u64)),
    ]);
    if let Some(validation) = &parts.validation {
        settings.push(("validation samples".into(), grouped(validation.len() as u64)));
    }
    settings
}
