//! The device's defmt stream as text.

use defmt_decoder::{DecodeError, Locations, Table};

use super::{LinkError, workspace};

/// One message of the device's log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LogLine {
    /// `trace`, `debug`, `info`, `warn` or `error`; empty for plain output.
    pub level: &'static str,
    /// The message.
    pub text: String,
    /// Source file and line, if the ELF knows.
    pub place: Option<String>,
}

impl std::fmt::Display for LogLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.level.is_empty() {
            write!(f, "{:5} ", self.level)?;
        }
        f.write_str(&self.text)?;
        match &self.place {
            Some(place) => write!(f, "  ({place})"),
            None => Ok(()),
        }
    }
}

/// Turns the log stream of one firmware into lines.
#[derive(Debug)]
pub struct LogDecoder {
    table: Table,
    locations: Option<Locations>,
    pending: Vec<u8>,
}

impl LogDecoder {
    /// For the firmware with this ELF file, which holds the messages' texts.
    pub fn new(elf: &[u8]) -> Result<Self, LinkError> {
        let reason = |error: &dyn std::fmt::Display| LinkError::LogTable { reason: error.to_string() };
        let table = Table::parse(elf).map_err(|error| reason(&error))?;
        let table = table.ok_or_else(|| reason(&"the ELF has no .defmt section"))?;
        let locations = table.get_locations(elf).ok().filter(|found| !found.is_empty());
        Ok(Self { table, locations, pending: Vec::new() })
    }

    /// Takes a piece of the stream and gives the messages that are whole now. Damaged ones are
    /// left out: a frame was lost.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<LogLine> {
        let mut lines = Vec::new();
        for byte in bytes {
            self.pending.push(*byte);
            // A zero ends every message, so each is decoded by itself.
            if *byte == 0 {
                lines.extend(self.decode());
                self.pending.clear();
            }
        }
        lines
    }

    fn decode(&self) -> Option<LogLine> {
        let mut decoder = self.table.new_stream_decoder();
        decoder.received(&self.pending);
        let frame = match decoder.decode() {
            Ok(frame) => frame,
            Err(DecodeError::UnexpectedEof | DecodeError::Malformed) => return None,
        };
        let location = self.locations.as_ref().and_then(|locations| locations.get(&frame.index()));
        Some(LogLine {
            level: frame.level().map_or("", |level| level.as_str()),
            text: frame.display_message().to_string(),
            place: location.map(|location| {
                // The ELF has the path on the machine that built it; what matters is the place in the workspace.
                let file = location.file.strip_prefix(workspace()).unwrap_or(&location.file);
                format!("{}:{}", file.display(), location.line)
            }),
        })
    }
}
