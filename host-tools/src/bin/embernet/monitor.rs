//! `embernet monitor`: a device at work, live.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use embernet::data;
use embernet::engine::{self, Place};
use embernet::link::{Board, Info, LinkError, LogDecoder};
use embernet::monitor::{Clock, Event, Feed, Heard, Samples, Source, State, Watcher, line};
use embernet::{files, image::AlignedBytes};
use embernet_core::image::Image;
use embernet_core::wire::ModelState;
use serde::Serialize;

use crate::args::read_samples;
use crate::model::{Facts, read_image};
use crate::output::{Output, grouped};
use crate::progress;
use crate::screen::{self, Screen, Wish};

/// Watch a device at work: outputs, latency, drift, training loss, log.
///
/// In a terminal it draws; elsewhere, or with --plain, it prints a line for everything that happens.
#[derive(Debug, Args)]
pub struct Monitor {
    /// The device's model (.emb). With --data it is sent there, unless it is there already; without, it tells what the
    /// outputs mean.
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,
    /// The device: qemu:BOARD, serial:PORT, serial:PORT@BAUD, or probe (probe:VID:PID) for the log of a program of your
    /// own, which comes through a debug probe by RTT.
    #[arg(long, value_name = "PLACE")]
    on: String,
    /// Samples (npy or IDX) that the device infers over and over. Without them it is only asked how it is.
    #[arg(long, value_name = "X.npy", requires = "model")]
    data: Option<PathBuf>,
    /// Their classes, to count right answers.
    #[arg(long, value_name = "Y.npy", requires = "data")]
    labels: Option<PathBuf>,
    /// Do to the samples what was done to the training data (scaling, standardising).
    #[arg(long, requires = "data")]
    prepare: bool,
    /// The first so many samples are what is normal; what is unlike them is drift. 0: drift is not watched.
    #[arg(long, value_name = "N", default_value_t = 200, requires = "data")]
    reference: u16,
    /// Seconds between two samples, or two questions.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.1, value_parser = seconds)]
    every: f64,
    /// End after so many samples.
    #[arg(long, value_name = "N", requires = "data", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// The ELF of the device's program, which holds the texts of its log. That of the board in this workspace by default.
    #[arg(long, value_name = "FIRMWARE.elf")]
    elf: Option<PathBuf>,
    /// The board behind a debug probe.
    #[arg(long)]
    board: Option<String>,
    /// Print lines, in a terminal too.
    #[arg(long)]
    plain: bool,
}

#[derive(Serialize)]
struct Line {
    done: bool,
    inferences: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
}

impl Monitor {
    pub fn run(&self, output: &Output) -> Result<()> {
        let (source, mut state) = match self.on.strip_prefix("probe") {
            Some(rest) if rest.is_empty() || rest.starts_with(':') => self.by_probe(rest.trim_start_matches(':'))?,
            _ => self.on_link()?,
        };
        let every = Duration::from_secs_f64(self.every);
        if self.plain || output.is_json() || !screen::is_here() {
            plain(source, &mut state, every, output)?;
        } else {
            draw(source, &mut state, every)?;
        }
        let (right, judged) = state.right;
        let accuracy = (judged > 0).then(|| right as f64 / judged as f64);
        let latency = state.latency.mean().map(|mean| state.clock.text(mean));
        output.text(format_args!(
            "{} inferences{}{}",
            grouped(state.inferences),
            latency.map_or_else(String::new, |mean| format!(", the last ones took {mean} on average")),
            accuracy.map_or_else(String::new, |accuracy| format!(", accuracy {accuracy:.4}")),
        ));
        output.json(&Line { done: true, inferences: state.inferences, accuracy });
        Ok(())
    }

    /// A device at the other end of a link.
    fn on_link(&self) -> Result<(Box<dyn Source>, State)> {
        let place: Place = self.on.parse()?;
        // The source may outlive this call: its thread ends with the program.
        let bytes: Option<&'static AlignedBytes> = match &self.model {
            Some(model) => Some(Box::leak(Box::new(read_image(model)?))),
            None => None,
        };
        let image = bytes.map(|bytes| Image::parse(bytes)).transpose()?;
        let facts = image.as_ref().map(Facts::of_image).transpose()?;
        let samples = match (&self.data, &image, &facts) {
            (Some(data), Some(image), Some(facts)) => Some(self.samples(data, image, facts)?),
            _ => None,
        };
        let (mut client, emulated) = match &image {
            Some(image) => engine::connect_for(&place, image)?,
            None => engine::connect(&place)?,
        };
        if let (Some(image), Some(_)) = (&image, &samples) {
            let bar = progress::bytes("sending", image.bytes().len());
            client.load_keeping(image, |done, _| bar.set_position(done as u64))?;
            bar.finish_and_clear();
        }
        let info = client.info()?;
        if let (Some(model), Some(image), ModelState::Ready(there)) = (&self.model, &image, &info.model)
            && there.bytes as usize != image.bytes().len()
        {
            bail!("{} is not the device's model; with --data it would be sent there", model.display());
        }
        let board = emulated.or_else(|| Board::named(&info.board).ok());
        let (decoder, note) = self.decoder(board)?;
        let clock = emulated.map_or(Clock::Hz(info.tick_hz), Clock::Emulated);
        let classes = facts.filter(|facts| !facts.regression).map_or_else(Vec::new, |facts| facts.classes);
        let mut state = State::new(title(&info, &self.on, self.model.as_deref()), clock, classes);
        if let Some(text) = note {
            state.take(Event::Note { text });
        }
        let device = Heard::new(client, decoder);
        let source: Box<dyn Source> = match (image, samples) {
            (Some(image), Some(samples)) => Box::new(Feed::new(device, image, samples, self.reference, self.count)?),
            (image, _) => Box::new(Watcher::new(device, image)),
        };
        Ok((source, state))
    }

    fn samples(&self, path: &Path, image: &Image<'_>, facts: &Facts) -> Result<Samples> {
        let input = &image.inputs()[0];
        let (array, count) = read_samples(path, input.shape())?;
        let (_, mut values) = array.into_parts();
        if self.prepare {
            let mut x = values.to_f32();
            x.chunks_mut(facts.input.iter().product()).for_each(|sample| facts.preprocessing.apply(sample));
            values = data::Values::F32(x);
        }
        let inputs = engine::encode(&values, input).with_context(|| path.display().to_string())?;
        let labels = match &self.labels {
            None => Vec::new(),
            Some(path) => {
                let labels = data::read_array(path)?.values().to_f32();
                let is_class = |label: &f32| *label >= 0.0 && *label < facts.outputs as f32 && label.fract() == 0.0;
                if labels.len() != count || !labels.iter().all(is_class) {
                    bail!("{} is not the classes of {count} samples, 0 to {}", path.display(), facts.outputs - 1);
                }
                labels.into_iter().map(|label| label as u32).collect()
            }
        };
        Ok(Samples { inputs, labels })
    }

    /// What turns the log of this board's program into text, or why there is none.
    fn decoder(&self, board: Option<&Board>) -> Result<(Option<LogDecoder>, Option<String>)> {
        if let Some(path) = &self.elf {
            let decoder = LogDecoder::new(&files::read(path)?).with_context(|| path.display().to_string())?;
            return Ok((Some(decoder), None));
        }
        let found = board.and_then(|board| board.firmware().ok()).and_then(|path| files::read(&path).ok());
        match found.and_then(|elf| LogDecoder::new(&elf).ok()) {
            Some(decoder) => Ok((Some(decoder), None)),
            None => Ok((None, Some("the log is not shown: name the program's ELF with --elf".into()))),
        }
    }

    #[cfg(not(feature = "probe"))]
    fn by_probe(&self, _: &str) -> Result<(Box<dyn Source>, State)> {
        bail!("this `embernet` was built without support for debug probes: cargo install --path host-tools -F probe")
    }

    #[cfg(feature = "probe")]
    fn by_probe(&self, selector: &str) -> Result<(Box<dyn Source>, State)> {
        use embernet::flash;
        let Some(name) = &self.board else { bail!("name the board behind the probe with --board") };
        if self.data.is_some() {
            bail!("a debug probe only hears the log; samples go over --on serial:PORT");
        }
        let board = Board::named(name)?;
        let (decoder, note) = self.decoder(Some(board))?;
        let Some(decoder) = decoder else { bail!("{}", note.unwrap_or_default()) };
        let probe = flash::attach(&mut flash::DebugProbes::default(), board, selector)?;
        let state = State::new(format!("{name} by RTT"), Clock::Hz(board.tick_hz), Vec::new());
        Ok((Box::new(embernet::monitor::Rtt::new(probe, decoder)), state))
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a time from 0 to 3600 seconds is expected".into()),
    }
}

fn title(info: &Info, place: &str, model: Option<&Path>) -> String {
    let model = match (&info.model, model) {
        (ModelState::Ready(there), Some(path)) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            format!("{name}, {} B, slot {}", grouped(there.bytes), there.slot)
        }
        (ModelState::Ready(there), None) => format!("a model of {} B, slot {}", grouped(there.bytes), there.slot),
        (ModelState::Empty, _) => "no model".into(),
        (ModelState::Refused(fault), _) => format!("its model does not run: {fault}"),
    };
    format!("{} on {place}: {model}", info.board)
}

/// Lines, until it ends.
fn plain(mut source: Box<dyn Source>, state: &mut State, every: Duration, output: &Output) -> Result<()> {
    output.text(&state.title);
    for told in state.told.iter() {
        if let embernet::monitor::Told::Note(text) = told {
            output.text(text);
        }
    }
    loop {
        let goes_on = source.next(&mut |event| {
            output.json(&event);
            state.take(event.clone());
            output.text(line(state, &event));
        })?;
        if !goes_on {
            return Ok(());
        }
        thread::sleep(every);
    }
}

/// What the thread that asks the device sends.
enum Message {
    Event(Event),
    Over(Result<(), LinkError>),
}

/// The screen, until somebody has seen enough. The device is asked by a thread: it may take its time, and keys are heard
/// meanwhile.
fn draw(mut source: Box<dyn Source>, state: &mut State, every: Duration) -> Result<()> {
    let (sender, messages) = sync_channel(256);
    let is_paused = Arc::new(AtomicBool::new(false));
    let pause = Arc::clone(&is_paused);
    thread::spawn(move || {
        // Nobody listens any more: the program is about to end.
        let over = |result| drop(sender.send(Message::Over(result)));
        loop {
            if pause.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
                continue;
            }
            match source.next(&mut |event| drop(sender.send(Message::Event(event)))) {
                Ok(true) => thread::sleep(every),
                Ok(false) => return over(Ok(())),
                Err(error) => return over(Err(error)),
            }
        }
    });
    let mut screen = Screen::open()?;
    let mut footer = "q quits, space pauses";
    loop {
        loop {
            match messages.try_recv() {
                Ok(Message::Event(event)) => state.take(event),
                Ok(Message::Over(result)) => {
                    result?;
                    footer = "that was all; q quits";
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        screen.draw(state, footer)?;
        match screen.wish(Duration::from_millis(50))? {
            Some(Wish::Quit) => return Ok(()),
            Some(Wish::Pause) => {
                state.is_paused = !state.is_paused;
                is_paused.store(state.is_paused, Ordering::Relaxed);
            }
            None => {}
        }
    }
}
