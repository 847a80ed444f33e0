//! The log of a program of one's own, read out of the chip's memory by a debug probe (SEGGER's RTT).

use std::fmt::Display;

use probe_rs::rtt;

use super::{Event, Source, readings};
use crate::flash::DebugProbe;
use crate::link::{LinkError, LogDecoder};

/// The first channel of a chip's RTT, which carries defmt.
pub struct Rtt {
    probe: DebugProbe,
    decoder: LogDecoder,
    rtt: Option<rtt::Rtt>,
    has_complained: bool,
}

impl std::fmt::Debug for Rtt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rtt").field("probe", &self.probe).finish_non_exhaustive()
    }
}

impl Rtt {
    /// `decoder` is that of the chip's program.
    pub fn new(probe: DebugProbe, decoder: LogDecoder) -> Self {
        Self { probe, decoder, rtt: None, has_complained: false }
    }
}

impl Source for Rtt {
    fn next(&mut self, hear: &mut dyn FnMut(Event)) -> Result<(), LinkError> {
        let mut core = self.probe.session().core(0).map_err(gone)?;
        let rtt = match &mut self.rtt {
            Some(rtt) => rtt,
            None => match rtt::Rtt::attach(&mut core) {
                Ok(rtt) => self.rtt.insert(rtt),
                // A program that has just started sets it up in a moment.
                Err(error) => {
                    if !self.has_complained {
                        self.has_complained = true;
                        hear(Event::Note { text: format!("no log in the chip's memory yet: {error}") });
                    }
                    return Ok(());
                }
            },
        };
        let Some(channel) = rtt.up_channel(0) else { return Ok(()) };
        let mut bytes = [0; 1024];
        let count = channel.read(&mut core, &mut bytes).map_err(gone)?;
        for line in self.decoder.push(&bytes[..count]) {
            readings(&line.text).into_iter().for_each(&mut *hear);
            hear(Event::Log(line));
        }
        Ok(())
    }
}

fn gone(error: impl Display) -> LinkError {
    LinkError::Gone { what: "the chip behind the debug probe".into(), status: error.to_string() }
}
