//! [`Probe`] by way of probe-rs (the cargo feature `probe`).

use std::fmt::Display;

use probe_rs::flashing::{DownloadOptions, FlashProgress, erase};
use probe_rs::probe::DebugProbeSelector;
use probe_rs::probe::list::Lister;
use probe_rs::{MemoryInterface, Permissions, Session};

use super::{FlashError, Probe};
use crate::link::Board;

/// A debug probe with a board's chip behind it.
pub struct DebugProbe {
    session: Session,
}

impl std::fmt::Debug for DebugProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DebugProbe").field("chip", &self.session.target().name).finish_non_exhaustive()
    }
}

impl DebugProbe {
    /// Attaches to `board`'s chip through the probe that `selector` names (`VID:PID` or `VID:PID:SERIAL`), or the only
    /// one when it is empty.
    ///
    /// # Errors
    /// [`FlashError`]: the board names no chip; no probe or several; another chip.
    pub fn open(board: &Board, selector: &str) -> Result<Self, FlashError> {
        let Some(chip) = &board.chip else { return Err(FlashError::NoChip { board: board.name.clone() }) };
        let lister = Lister::new();
        let probe = if selector.is_empty() {
            match &lister.list_all()[..] {
                [] => return Err(FlashError::Probe("none is connected".into())),
                [probe] => probe.open().map_err(said)?,
                several => {
                    let names: Vec<String> = several.iter().map(ToString::to_string).collect();
                    let names = names.join("; ");
                    return Err(FlashError::Probe(format!("there are several, name one with --probe: {names}")));
                }
            }
        } else {
            let selector = selector.parse::<DebugProbeSelector>().map_err(said)?;
            lister.open(selector).map_err(said)?
        };
        let session = probe.attach(chip.as_str(), Permissions::default());
        let session = session.map_err(|error| FlashError::Probe(format!("no {chip} answers: {error}")))?;
        Ok(Self { session })
    }
}

fn said(error: impl Display) -> FlashError {
    FlashError::Probe(error.to_string())
}

impl Probe for DebugProbe {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), String> {
        let mut core = self.session.core(0).map_err(|error| error.to_string())?;
        core.read(address.into(), bytes).map_err(|error| error.to_string())
    }

    fn erase(&mut self, address: u32, bytes: u32) -> Result<(), String> {
        let (start, end) = (u64::from(address), u64::from(address) + u64::from(bytes));
        erase(&mut self.session, &mut FlashProgress::empty(), start, end, false).map_err(|error| error.to_string())
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), String> {
        let mut loader = self.session.target().flash_loader();
        loader.add_data(address.into(), bytes).map_err(|error| error.to_string())?;
        let mut options = DownloadOptions::new();
        options.skip_erase = true;
        loader.commit(&mut self.session, options).map_err(|error| error.to_string())
    }

    fn restart(&mut self) -> Result<(), String> {
        let mut core = self.session.core(0).map_err(|error| error.to_string())?;
        core.reset().map_err(|error| error.to_string())
    }
}
