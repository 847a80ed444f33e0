//! Inference on the emulated board, compared with this PC byte by byte.

use crate::model::Candidate;
use crate::screen;
use anyhow::Result;
use embernet::engine::{self, Place};
use embernet::graph::{grouped, text_table};
use embernet::link::Board;

/// What the board gave for the whole test set.
#[derive(Debug)]
pub struct Run {
    /// Bytes that are not those of this PC.
    pub different: usize,
    /// Bytes in all.
    pub bytes: usize,
    /// The share of the test set that the board recognises.
    pub accuracy: f64,
    pub stack_bytes: u32,
    /// Of one inference.
    pub instructions: u64,
}

impl Run {
    /// Whether every byte equals this PC's.
    pub fn is_exact(&self) -> bool {
        self.different == 0
    }
}

/// Sends the image and then the whole test set over the board's serial port.
pub fn run(candidate: &Candidate, board: &Board) -> Result<Run> {
    let image = candidate.packed.image()?;
    let title = format!("{} {}", candidate.model, candidate.numbers);
    let sending = screen::bar(&format!("{title}: sending image"), image.bytes().len());
    let running = screen::bar(&format!("{title}: running test set"), candidate.test.classes.len());
    let (output, cost) = engine::with(
        &Place::Qemu(board.name.clone()),
        &image,
        &mut |at| sending.set_position(at.done as u64),
        |engine| -> Result<_> {
            sending.finish_and_clear();
            let output = engine.infer(&candidate.input, &mut |done| running.set_position(done as u64))?;
            Ok((output, engine.cost()?))
        },
    )?;
    running.finish_and_clear();

    let expected = &candidate.output;
    let unequal = output.iter().zip(expected).filter(|(found, expected)| found != expected).count();
    let run = Run {
        different: unequal + output.len().abs_diff(expected.len()),
        bytes: expected.len(),
        accuracy: candidate.test.accuracy(&engine::decode_f32(&output, &image.outputs()[0])),
        stack_bytes: cost.stack_bytes.unwrap_or_default(),
        instructions: cost.infer_instructions.unwrap_or_default() / cost.inferences.max(1),
    };
    screen::say(format_args!(
        "   {title}: {} samples, {}",
        candidate.test.classes.len(),
        match run.different {
            0 => format!("all {} output bytes equal this PC's", grouped(run.bytes as u64)),
            count => format!("{} of {} output bytes DIFFER from this PC's", count, run.bytes),
        }
    ));
    Ok(run)
}

/// Columns of the comparison, for screen and report.
pub const COLUMNS: [&str; 8] =
    ["model", "numbers", "accuracy", "accuracy on board", "flash B", "RAM B", "stack B", "instructions per inference"];

/// The cells of one image; what the board would say is a dash where there was none.
pub fn cells(candidate: &Candidate, run: Option<&Run>) -> Result<[String; 8]> {
    let image = candidate.packed.image()?;
    let of_board = |text: fn(&Run) -> String| run.map_or_else(|| "-".to_owned(), text);
    Ok([
        candidate.model.clone(),
        candidate.numbers.to_owned(),
        format!("{:.4}", candidate.accuracy),
        of_board(|run| format!("{:.4}", run.accuracy)),
        grouped(image.bytes().len() as u64),
        grouped(u64::from(image.header().infer.arena_bytes)),
        of_board(|run| grouped(u64::from(run.stack_bytes))),
        of_board(|run| grouped(run.instructions)),
    ])
}

/// All images in one table.
pub fn table(candidates: &[Candidate], runs: &[Run]) -> impl std::fmt::Display {
    let mut table = text_table(&COLUMNS, 2);
    for (index, candidate) in candidates.iter().enumerate() {
        // An image that cannot be parsed would have failed long before.
        if let Ok(cells) = cells(candidate, runs.get(index)) {
            table.add_row(cells);
        }
    }
    table
}
