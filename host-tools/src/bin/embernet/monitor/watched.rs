//! A device that is watched, and with what: arguments that `monitor` and `start` share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use embernet::link::{Board, Client, Info, LogDecoder};
use embernet::monitor::{Clock, Event, Feed, Heard, Samples, Source, State, Watcher};
use embernet::{data, engine, files};
use embernet_core::image::Image;
use embernet_core::wire::ModelState;
use serde::Serialize;

use super::show;
use crate::args::read_samples;
use crate::model::{Facts, read_image};
use crate::output::{Output, grouped};
use crate::{progress, screen};

/// What is watched, and how it is shown.
#[derive(Debug, Clone, Args)]
pub struct Watched {
    /// The device's model (.emb). With --data it is sent there, unless it is there already; without, it tells what the
    /// outputs mean.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
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
    /// End after so many samples, or so many questions.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// The ELF of the device's program, which holds the texts of its log. That of the board in this workspace by default.
    #[arg(long, value_name = "FIRMWARE.elf")]
    pub elf: Option<PathBuf>,
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

impl Watched {
    /// The model, if one is named. It stays as long as the program: a thread may use it until the end.
    pub fn image(&self) -> Result<Option<Image<'static>>> {
        let Some(path) = &self.model else { return Ok(None) };
        Ok(Some(Image::parse(Box::leak(Box::new(read_image(path)?)))?))
    }

    /// Watches a device at the other end of a link. `emulated` is its board, if QEMU plays it; `image` is that of
    /// [`Watched::image`].
    pub fn on_link(
        &self,
        mut client: Client,
        emulated: Option<&'static Board>,
        place: &str,
        image: Option<Image<'static>>,
        output: &Output,
    ) -> Result<()> {
        let facts = image.as_ref().map(Facts::of_image).transpose()?;
        let samples = match (&self.data, &image, &facts) {
            (Some(data), Some(image), Some(facts)) => Some(self.samples(data, image, facts)?),
            _ => None,
        };
        if let (Some(image), Some(_)) = (&image, &samples) {
            let bar = progress::bytes("sending", image.bytes().len());
            client.load_keeping(image, |done, _| bar.set_position(done as u64))?;
            bar.finish_and_clear();
        }
        let info = client.info()?;
        if let (Some(path), Some(image), ModelState::Ready(there)) = (&self.model, &image, &info.model)
            && there.bytes as usize != image.bytes().len()
        {
            bail!("{} is not the device's model; with --data it would be sent there", path.display());
        }
        let board = emulated.or_else(|| Board::named(&info.board).ok());
        let (decoder, note) = self.decoder(board)?;
        let clock = emulated.map_or(Clock::Hz(info.tick_hz), Clock::Emulated);
        let classes = facts.filter(|facts| !facts.regression).map_or_else(Vec::new, |facts| facts.classes);
        let mut state = State::new(title(&info, place, self.model.as_deref()), clock, classes);
        if let Some(text) = note {
            state.take(Event::Note { text });
        }
        if samples.is_none() {
            state.hint =
                "--model MODEL.emb --data X.npy sends a model and feeds it samples; without them whatever else \
                          sends them is watched"
                    .into();
        }
        let device = Heard::new(client, decoder);
        let source: Box<dyn Source> = match (image, samples) {
            (Some(image), Some(samples)) => Box::new(Feed::new(device, image, samples, self.reference)?),
            (image, _) => Box::new(Watcher::new(device, image)),
        };
        self.show(source, state, output)
    }

    #[cfg(not(feature = "probe"))]
    pub fn by_probe(&self, _: &str, _: &str, _: &Output) -> Result<()> {
        bail!("this `embernet` was built without support for debug probes: cargo install --path host-tools -F probe")
    }

    /// Watches a program of one's own by its log, which a debug probe reads.
    #[cfg(feature = "probe")]
    pub fn by_probe(&self, board: &str, wanted: &str, output: &Output) -> Result<()> {
        use embernet::flash;
        if self.data.is_some() {
            bail!("a debug probe only hears the log; samples go over --on serial:PORT");
        }
        let board = Board::named(board)?;
        let (decoder, note) = self.decoder(Some(board))?;
        let Some(decoder) = decoder else { bail!("{}", note.unwrap_or_default()) };
        let probe = flash::attach(&mut flash::DebugProbes::default(), board, wanted)?;
        let state = State::new(format!("{} by RTT", board.name), Clock::Hz(board.tick_hz), Vec::new());
        self.show(Box::new(embernet::monitor::Rtt::new(probe, decoder)), state, output)
    }

    fn show(&self, source: Box<dyn Source>, mut state: State, output: &Output) -> Result<()> {
        let every = Duration::from_secs_f64(self.every);
        let count = self.count.unwrap_or(u64::MAX);
        if self.plain || output.is_json() || !screen::is_here() {
            show::plain(source, &mut state, every, count, output)?;
        } else {
            show::draw(source, &mut state, every, count)?;
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
