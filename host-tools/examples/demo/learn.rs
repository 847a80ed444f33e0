//! Learning on the emulated board, replayed on this PC bit by bit.

use crate::model::{Model, Samples};
use crate::screen;
use anyhow::{Context, Result, anyhow};
use embernet::data::shift::rotate90;
use embernet::engine::{self, Engine, Place};
use embernet::files;
use embernet::graph::{grouped, text_table};
use embernet::image::{Loss, PackOptions, Packed, TrainOptions, pack, with_params};
use embernet::import::checkpoint::Checkpoint;
use embernet::link::Board;
use embernet_core::checksum::crc32;
use embernet_core::image::Image;
use embernet_core::optim::OptimizerRecord;
use std::path::Path;
use std::thread;

/// Samples that the board learns from.
const LESSON_SAMPLES: usize = 320;
/// How often the board goes through them.
const EPOCHS: usize = 6;
/// Samples in one step.
const BATCH: usize = 8;

/// A user who holds the tablet sideways: the same digits, turned by a quarter.
#[derive(Debug)]
pub struct NewUser {
    /// To learn from.
    pub lesson: Samples,
    /// To judge by.
    pub test: Samples,
    /// The share of the old user's test set that the network recognises.
    pub accuracy_before: f64,
}

/// The new user's digits.
pub fn new_user(model: &Model) -> Result<NewUser> {
    let rows: Vec<usize> = (0..LESSON_SAMPLES.min(model.parts.train.len())).collect();
    Ok(NewUser {
        lesson: Samples::of(&rotate90(&model.parts.train.select(&rows))?)?,
        test: Samples::of(&rotate90(&model.parts.test)?)?,
        accuracy_before: model.test.accuracy.unwrap_or_default(),
    })
}

/// A way to learn, and the image for it.
#[derive(Debug)]
pub struct Plan {
    pub name: &'static str,
    pub packed: Packed,
}

/// The two ways that the demo shows.
pub fn plans(model: &Model) -> Result<Vec<Plan>> {
    let parent = Checkpoint::new(model.graph.clone()).id()?;
    let plan = |(name, optimizer)| {
        let train = TrainOptions { optimizer, loss: Loss::SparseCrossEntropy, batch: BATCH, ..TrainOptions::default() };
        let options = PackOptions { train: Some(train), ..PackOptions::default() };
        Ok(Plan { name, packed: pack(&model.graph, &options, Some(parent))? })
    };
    [("SGD", OptimizerRecord::sgd(0.1)), ("Adam", OptimizerRecord::adam(0.02))].into_iter().map(plan).collect()
}

/// What one place learned.
#[derive(Debug)]
struct Learned {
    /// Outputs for the test set before the first epoch and after the last.
    outputs: [Vec<f32>; 2],
    /// Mean loss of each epoch.
    losses: Vec<f32>,
    /// Accuracy on the test set before the first epoch and after each, where that was asked for.
    accuracy: Vec<f64>,
    params: Vec<u8>,
    stack_bytes: u32,
    step_instructions: u64,
}

impl Learned {
    /// Whether every bit is the same.
    fn equals(&self, other: &Self) -> bool {
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let same = |a: &[f32], b: &[f32]| bits(a) == bits(b);
        self.params == other.params
            && same(&self.losses, &other.losses)
            && self.outputs.iter().zip(&other.outputs).all(|(a, b)| same(a, b))
    }
}

/// One optimiser's lesson on the board, and its replay.
#[derive(Debug)]
pub struct Lesson {
    pub name: &'static str,
    /// What the board recognised before and after.
    pub before: f64,
    pub after: f64,
    /// The replay's accuracy before the first epoch and after each.
    pub accuracy: Vec<f64>,
    pub losses: Vec<f32>,
    /// What the board says to the test set in the end.
    pub outputs: Vec<f32>,
    pub steps: usize,
    pub step_instructions: u64,
    pub arena_bytes: u32,
    pub stack_bytes: u32,
    /// Checksum of the weights that the board learned.
    pub weights: u32,
    /// Checksum of the weights that this PC's replay gives.
    pub replay: u32,
    /// Whether the board's weights, losses and outputs are those of the replay, bit for bit.
    pub is_exact: bool,
}

/// Learns on one board per plan, all at once; reads the weights back and replays everything on this PC.
pub fn learn_all(plans: &[Plan], user: &NewUser, board: &Board, out: &Path) -> Result<Vec<Lesson>> {
    thread::scope(|scope| {
        let mut running = Vec::new();
        for plan in plans {
            let (name, image) = (plan.name, &plan.packed.bytes[..]);
            running.push(scope.spawn(move || learn(name, image, user, board, out)));
        }
        let lessons = running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a panic"))));
        lessons.collect()
    })
}

fn learn(name: &'static str, image: &[u8], user: &NewUser, board: &Board, out: &Path) -> Result<Lesson> {
    let image = Image::parse(image)?;
    let on_board = learn_at(&Place::Qemu(board.name.clone()), &image, user, name, false)?;
    let replay = learn_at(&Place::Host, &image, user, name, true)?;
    let learned = out.join(format!("digits-learned-{}.emb", name.to_lowercase()));
    files::write(&learned, &with_params(&image, &on_board.params)?)?;
    let is_exact = on_board.equals(&replay);
    let [before, after] = on_board.outputs;
    Ok(Lesson {
        name,
        before: user.test.accuracy(&before),
        after: user.test.accuracy(&after),
        accuracy: replay.accuracy,
        losses: on_board.losses,
        outputs: after,
        steps: steps(user),
        step_instructions: on_board.step_instructions,
        arena_bytes: image.header().train.arena_bytes,
        stack_bytes: on_board.stack_bytes,
        weights: crc32(&on_board.params),
        replay: crc32(&replay.params),
        is_exact,
    })
}

fn steps(user: &NewUser) -> usize {
    EPOCHS * user.lesson.classes.len().div_ceil(BATCH)
}

/// The whole lesson in one place. With `watch` the test set is also run after each epoch.
fn learn_at(place: &Place, image: &Image<'_>, user: &NewUser, name: &str, watch: bool) -> Result<Learned> {
    let target = image.target().context("the image has no training plan")?;
    let x = engine::encode_f32(&user.lesson.x, &image.train_inputs()[0]);
    let classes: Vec<u8> = user.lesson.classes.iter().flat_map(|class| class.to_le_bytes()).collect();
    let (x_bytes, y_bytes) = (image.train_inputs()[0].sample_bytes() * BATCH, target.sample_bytes() * BATCH);
    let learning = screen::bar(&format!("{name} on {place}"), steps(user));
    let learned = engine::with(place, image, &mut |_| {}, |engine| -> Result<_> {
        let before = judge(engine, image, user)?;
        let mut accuracy = vec![user.test.accuracy(&before)];
        let mut losses = Vec::new();
        for _ in 0..EPOCHS {
            let mut sum = 0.0;
            let mut steps = 0.0;
            for (x, y) in x.chunks(x_bytes).zip(classes.chunks(y_bytes)) {
                sum += engine.train_step(x, y)?;
                steps += 1.0;
                learning.inc(1);
            }
            losses.push(sum / steps);
            learning.set_prefix(format!("loss {:.4}", sum / steps));
            if watch {
                accuracy.push(user.test.accuracy(&judge(engine, image, user)?));
            }
        }
        let after = judge(engine, image, user)?;
        let cost = engine.cost()?;
        Ok(Learned {
            outputs: [before, after],
            losses,
            accuracy,
            params: engine.params()?,
            stack_bytes: cost.stack_bytes.unwrap_or_default(),
            step_instructions: cost.train_instructions.unwrap_or_default() / cost.train_steps.max(1),
        })
    })?;
    learning.finish_and_clear();
    Ok(learned)
}

/// Outputs for the new user's test set, with what has been learned so far.
fn judge(engine: &mut dyn Engine, image: &Image<'_>, user: &NewUser) -> Result<Vec<f32>> {
    let input = engine::encode_f32(&user.test.x, &image.inputs()[0]);
    let output = engine.infer(&input, &mut |_| {})?;
    Ok(engine::decode_f32(&output, &image.outputs()[0]))
}

/// One sentence for each lesson.
pub fn tell(user: &NewUser, lesson: &Lesson) -> String {
    format!(
        "   {}: accuracy {:.4}, on the turned digits {:.4}, after {} steps on the board {:.4}; weights {}",
        lesson.name,
        user.accuracy_before,
        lesson.before,
        lesson.steps,
        lesson.after,
        if lesson.is_exact { "equal this PC's replay bit for bit" } else { "DIFFER from this PC's replay" }
    )
}

/// Columns of the comparison, for screen and report.
pub const COLUMNS: [&str; 9] = [
    "optimiser",
    "turned digits, before",
    "after",
    "steps",
    "instructions per step",
    "RAM B",
    "stack B",
    "weights on board",
    "replay",
];

/// The cells of one lesson.
pub fn cells(lesson: &Lesson) -> [String; 9] {
    [
        lesson.name.to_owned(),
        format!("{:.4}", lesson.before),
        format!("{:.4}", lesson.after),
        lesson.steps.to_string(),
        grouped(lesson.step_instructions),
        grouped(u64::from(lesson.arena_bytes)),
        grouped(u64::from(lesson.stack_bytes)),
        format!("{:08x}", lesson.weights),
        format!("{:08x}", lesson.replay),
    ]
}

/// All lessons in one table.
pub fn table(lessons: &[Lesson]) -> impl std::fmt::Display {
    let mut table = text_table(&COLUMNS, 1);
    for lesson in lessons {
        table.add_row(cells(lesson));
    }
    table
}
