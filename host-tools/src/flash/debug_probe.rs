//! [`Probe`] by way of probe-rs (the cargo feature `probe`).

use probe_rs::flashing::{DownloadOptions, FlashProgress, erase};
use probe_rs::probe::DebugProbeInfo;
use probe_rs::probe::list::Lister;
use probe_rs::{MemoryInterface, Permissions, Session};

use super::{Probe, Probes};
use crate::image::Piece;

/// The debug probes that probe-rs finds.
#[derive(Debug, Default)]
pub struct DebugProbes(Vec<DebugProbeInfo>);

impl Probes for DebugProbes {
    type Attached = DebugProbe;

    fn names(&mut self) -> Vec<String> {
        self.0 = Lister::new().list_all();
        self.0.iter().map(name).collect()
    }

    fn attach(&mut self, number: usize, chip: &str) -> Result<DebugProbe, String> {
        let info = self.0.get(number).ok_or("it is gone")?;
        let probe = info.open().map_err(|error| error.to_string())?;
        let session = probe.attach(chip, Permissions::default()).map_err(|error| error.to_string())?;
        Ok(DebugProbe { session })
    }
}

fn name(info: &DebugProbeInfo) -> String {
    let serial = info.serial_number.as_ref().filter(|serial| !serial.is_empty());
    let serial = serial.map_or_else(String::new, |serial| format!(":{serial}"));
    format!("{:04x}:{:04x}{serial}", info.vendor_id, info.product_id)
}

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
    /// Erases what a program needs of flash and writes it there.
    ///
    /// # Errors
    /// A sentence, as those of [`Probe`].
    pub fn program(&mut self, pieces: &[Piece]) -> Result<(), String> {
        let mut loader = self.session.target().flash_loader();
        for piece in pieces {
            loader.add_data(piece.address.into(), &piece.bytes).map_err(|error| error.to_string())?;
        }
        let mut options = DownloadOptions::new();
        options.verify = true;
        loader.commit(&mut self.session, options).map_err(|error| error.to_string())
    }

    /// What probe-rs can do besides, such as reading a log by RTT.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }
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
