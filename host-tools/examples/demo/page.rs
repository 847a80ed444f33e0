//! `report.html`: what the demo did, with curves, confusion matrices and the memory map.

use crate::board::{self, Run};
use crate::learn::{self, Lesson, NewUser, Plan};
use crate::model::{Candidate, Model};
use embernet::engine;
use embernet::link::Board;
use embernet::report::{Curves, MemoryMap, Range, Report, Section, Table};
use embernet::train::history::Epoch;
use embernet::train::metrics::Confusion;

/// Everything that the demo did.
#[derive(Debug)]
pub struct Story<'s> {
    pub models: &'s [Model],
    pub candidates: &'s [Candidate],
    /// One per candidate; none without a board.
    pub runs: &'s [Run],
    pub user: &'s NewUser,
    pub plans: &'s [Plan],
    /// One per plan; none without a board.
    pub lessons: &'s [Lesson],
    pub board: &'s Board,
}

/// The whole report.
pub fn page(story: &Story<'_>) -> Report {
    let Story { candidates, runs, lessons, board, .. } = story;
    let mut report = Report::new("Train on the PC, learn on the chip")
        .subtitle(format!("the demo of embernet; board {}: {} in QEMU", board.name, board.processor))
        .section("At a glance", Section::Figures(figures(story)));
    for model in story.models {
        report = report.section(format!("Training {}", model.name), training(model));
    }
    report = report
        .section("Images", Section::Table(images(candidates, runs)))
        .section("Where the figures come from", Section::Text(notes(runs, board)));
    for candidate in candidates.iter().filter(|candidate| candidate.numbers == "int8") {
        if let Some(matrix) = confusion(candidate) {
            report = report.section(format!("{} in int8: test data", candidate.model), Section::Confusion(matrix));
        }
    }
    if !lessons.is_empty() {
        report = report
            .section("A new user: learning on the board", Section::Columns(learning(lessons)))
            .section("Lessons", Section::Table(lesson_table(lessons)));
    }
    for lesson in *lessons {
        let mut matrix = Confusion::new(story.user.test.names.clone());
        matrix.add_outputs(&story.user.test.classes, &lesson.outputs);
        let heading = format!("The turned digits after learning with {}", lesson.name);
        report = report.section(heading, Section::Confusion(matrix));
    }
    for plan in story.plans {
        if let Some(train) = &plan.packed.program.train {
            let map = MemoryMap::of(&plan.packed.program, train);
            report = report.section(format!("Memory while training with {}", plan.name), Section::MemoryMap(map));
        }
    }
    report
}

fn figures(story: &Story<'_>) -> Vec<(String, String)> {
    let accuracy = |name: String, value: f64| (name, format!("{value:.3}"));
    let of = |candidate: &Candidate| accuracy(format!("{} {}", candidate.model, candidate.numbers), candidate.accuracy);
    let mut figures: Vec<_> = story.candidates.iter().map(of).collect();
    if !story.runs.is_empty() {
        let different: usize = story.runs.iter().map(|run| run.different).sum();
        figures.push(("output bytes that differ on the board".into(), different.to_string()));
    }
    if let Some(lesson) = story.lessons.first() {
        figures.push(accuracy("turned digits".into(), lesson.before));
    }
    figures.extend(story.lessons.iter().map(|lesson| accuracy(format!("after {}", lesson.name), lesson.after)));
    figures
}

fn training(model: &Model) -> Section {
    let points = |value: fn(&Epoch) -> Option<f64>| {
        let epochs = model.history.epochs.iter();
        epochs.filter_map(move |epoch| Some((f64::from(epoch.epoch), value(epoch)?))).collect::<Vec<_>>()
    };
    let loss = Curves::new("epoch", "loss")
        .series("training", points(|epoch| Some(epoch.loss)))
        .series("test", points(|epoch| epoch.val_loss));
    let accuracy = Curves::new("epoch", "accuracy")
        .range(Range::UpToOne)
        .series("training", points(|epoch| epoch.accuracy))
        .series("test", points(|epoch| epoch.val_accuracy));
    Section::Columns(vec![("loss".into(), Section::Curves(loss)), ("accuracy".into(), Section::Curves(accuracy))])
}

fn images(candidates: &[Candidate], runs: &[Run]) -> Table {
    let mut table = Table::new(board::COLUMNS);
    for (index, candidate) in candidates.iter().enumerate() {
        if let Ok(cells) = board::cells(candidate, runs.get(index)) {
            table.push(cells);
        }
    }
    table
}

fn notes(runs: &[Run], board: &Board) -> String {
    let mut text = "Flash is the size of the image, RAM its arena for one sample.".to_owned();
    if runs.is_empty() {
        text.push_str(" There was no board: it says nothing about stack and instructions.");
    } else {
        let bytes: usize = runs.iter().map(|run| run.bytes).sum();
        text.push_str(&format!(
            " Stack is the most that the firmware has used since its start. QEMU counts instructions, not cycles.\n\n\
             Every one of the {bytes} bytes that board {} gave was compared with this PC's. The curves of learning come \
             from the replay, whose weights were compared with the board's bit by bit.",
            board.name
        ));
    }
    text
}

fn confusion(candidate: &Candidate) -> Option<Confusion> {
    let image = candidate.packed.image().ok()?;
    let outputs = engine::decode_f32(&candidate.output, image.outputs().first()?);
    let mut matrix = Confusion::new(candidate.test.names.clone());
    matrix.add_outputs(&candidate.test.classes, &outputs);
    Some(matrix)
}

fn learning(lessons: &[Lesson]) -> Vec<(String, Section)> {
    let mut accuracy = Curves::new("epoch on the board", "accuracy").range(Range::UpToOne);
    let mut loss = Curves::new("epoch on the board", "loss");
    for lesson in lessons {
        let points = lesson.accuracy.iter().enumerate().map(|(epoch, value)| (epoch as f64, *value));
        accuracy = accuracy.series(lesson.name, points);
        let points = lesson.losses.iter().enumerate().map(|(epoch, value)| (epoch as f64 + 1.0, f64::from(*value)));
        loss = loss.series(lesson.name, points);
    }
    vec![("accuracy on the turned digits".into(), Section::Curves(accuracy)), ("loss".into(), Section::Curves(loss))]
}

fn lesson_table(lessons: &[Lesson]) -> Table {
    let mut table = Table::new(learn::COLUMNS);
    for lesson in lessons {
        table.push(learn::cells(lesson));
    }
    table
}
