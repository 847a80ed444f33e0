//! Where events come from: a device that is given samples, or one that is only asked how it is.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use embernet_core::image::Image;
use embernet_core::wire::{Buffer, Fault};

use super::{Counters, Drift, Event, readings};
use crate::engine::decode_f32;
use crate::link::{Client, LinkError, LogDecoder};

/// Something that is watched.
pub trait Source: Send {
    /// Waits for what happens next and hands it on.
    ///
    /// # Errors
    /// [`LinkError`]: the device is gone, or has a bug.
    fn next(&mut self, hear: &mut dyn FnMut(Event)) -> Result<(), LinkError>;
}

/// A device whose log is heard.
#[derive(Debug)]
pub struct Heard {
    client: Client,
    log: Arc<Mutex<Vec<Event>>>,
}

impl Heard {
    /// Without a decoder its log says nothing.
    pub fn new(mut client: Client, decoder: Option<LogDecoder>) -> Self {
        let log = Arc::new(Mutex::new(Vec::new()));
        if let Some(decoder) = decoder {
            let sink = Arc::clone(&log);
            client.log_to(decoder, move |line| {
                let mut events = sink.lock().unwrap_or_else(PoisonError::into_inner);
                events.extend(readings(&line.text));
                events.push(Event::Log(line.clone()));
            });
        }
        Self { client, log }
    }

    /// Hands on what the log has said.
    fn tell(&self, hear: &mut dyn FnMut(Event)) {
        mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().for_each(hear);
    }
}

/// Samples for a model's only input.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// Their bytes, one after another.
    pub inputs: Vec<u8>,
    /// Their classes, if they are known.
    pub labels: Vec<u32>,
}

/// Inferences between two questions for counters and statistics.
const REPORT: u64 = 10;

/// A device that infers the samples of a file, over and over.
#[derive(Debug)]
pub struct Feed<'i> {
    device: Heard,
    image: Image<'i>,
    samples: Samples,
    /// How many samples shall be what is normal.
    reference: u16,
    asked: Asked,
    done: u64,
}

impl<'i> Feed<'i> {
    /// `image` is the device's model. The first `reference` samples are what is normal, 0: drift is not watched.
    ///
    /// # Errors
    /// [`LinkError`]: no whole samples, a model with several inputs or outputs, or no answer.
    pub fn new(mut device: Heard, image: Image<'i>, samples: Samples, reference: u16) -> Result<Self, LinkError> {
        let bytes = match image.inputs() {
            [input] => input.sample_bytes(),
            _ => 0,
        };
        let found = samples.inputs.len();
        if bytes == 0 || found == 0 || !found.is_multiple_of(bytes) {
            return Err(LinkError::Length { what: "the samples for one input", found, expected: bytes });
        }
        let mut asked = Asked::default();
        asked.watch(&mut device.client, reference)?;
        Ok(Self { device, image, samples, reference, asked, done: 0 })
    }
}

impl Source for Feed<'_> {
    fn next(&mut self, hear: &mut dyn FnMut(Event)) -> Result<(), LinkError> {
        let bytes = self.image.inputs()[0].sample_bytes();
        let count = self.samples.inputs.len() / bytes;
        let sample = (self.done % count as u64) as usize;
        let input = &self.samples.inputs[sample * bytes..(sample + 1) * bytes];
        let client = &mut self.device.client;
        let run = match client.infer(&self.image, &[input], true) {
            Err(error) if error.is_restart() => {
                restarted(client, hear)?;
                return self.asked.watch(client, self.reference);
            }
            run => run?,
        };
        self.device.tell(hear);
        hear(Event::Inferred {
            sample: Some(sample),
            outputs: run.outputs.first().map_or_else(Vec::new, |output| decode_f32(output, &self.image.outputs()[0])),
            class: None,
            label: self.samples.labels.get(sample).copied(),
            ticks: run.ticks,
        });
        self.done += 1;
        if self.done.is_multiple_of(REPORT) {
            self.asked.ask(&mut self.device.client, hear)?;
        }
        Ok(())
    }
}

/// A device that runs by itself and is only asked how it is.
#[derive(Debug)]
pub struct Watcher<'i> {
    device: Heard,
    /// Its model, which tells what its outputs are.
    image: Option<Image<'i>>,
    asked: Asked,
}

impl<'i> Watcher<'i> {
    /// With the device's model its outputs are shown, too.
    pub fn new(device: Heard, image: Option<Image<'i>>) -> Self {
        Self { device, image, asked: Asked::default() }
    }
}

impl Source for Watcher<'_> {
    fn next(&mut self, hear: &mut dyn FnMut(Event)) -> Result<(), LinkError> {
        let before = self.asked.counters.unwrap_or_default().inferences;
        let client = &mut self.device.client;
        match self.asked.ask(client, hear) {
            Err(error) if error.is_restart() => restarted(client, hear)?,
            asked => asked?,
        }
        self.device.tell(hear);
        let has_inferred = self.asked.counters.unwrap_or_default().inferences != before;
        let output = self.image.and_then(|image| image.outputs().first().copied());
        if let (Some(output), true) = (output, has_inferred) {
            let bytes = self.device.client.read(Buffer::Output(0), output.sample_bytes())?;
            let (outputs, ticks) = (decode_f32(&bytes, &output), Some(self.asked.last_ticks));
            hear(Event::Inferred { sample: None, outputs, class: None, label: None, ticks });
        }
        Ok(())
    }
}

fn restarted(client: &mut Client, hear: &mut dyn FnMut(Event)) -> Result<(), LinkError> {
    client.hello()?;
    hear(Event::Note { text: "the device has restarted".into() });
    Ok(())
}

/// What a device has answered to questions about itself.
#[derive(Debug, Default)]
struct Asked {
    counters: Option<Counters>,
    last_ticks: u64,
    /// Training steps of its statistics.
    steps: u32,
    counts: Vec<u32>,
    /// Whether its program knows no statistics.
    is_plain: bool,
}

impl Asked {
    /// Begins to watch for drift.
    fn watch(&mut self, client: &mut Client, reference: u16) -> Result<(), LinkError> {
        match client.watch(reference) {
            Err(LinkError::Refused { fault: Fault::Unknown, .. }) => {
                self.is_plain = true;
                Ok(())
            }
            done => done,
        }
    }

    /// Asks, and hands on what has changed.
    fn ask(&mut self, client: &mut Client, hear: &mut dyn FnMut(Event)) -> Result<(), LinkError> {
        let stats = client.stats()?;
        self.last_ticks = stats.last_ticks.into();
        let counters = Counters::from(stats);
        if self.counters.replace(counters) != Some(counters) {
            hear(Event::Counters(counters));
        }
        if self.is_plain {
            return Ok(());
        }
        let watch = match client.statistics() {
            // A program of an older release, or no model.
            Err(LinkError::Refused { fault: Fault::Unknown, .. }) => {
                self.is_plain = true;
                return Ok(());
            }
            Err(LinkError::Refused { fault: Fault::NoModel, .. }) => return Ok(()),
            watch => watch?,
        };
        if watch.steps != self.steps {
            self.steps = watch.steps;
            hear(Event::Trained { step: Some(watch.steps.into()), loss: watch.loss, ticks: None });
        }
        if let Some(drift) = Drift::of(&watch) {
            hear(Event::Drift(drift));
        }
        let used = watch.classes.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        let counts = watch.classes[..used].to_vec();
        if counts != self.counts {
            self.counts.clone_from(&counts);
            hear(Event::Classes { counts });
        }
        Ok(())
    }
}
