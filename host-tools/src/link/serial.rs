//! A device on a serial port.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use serialport::SerialPort;

use super::{LinkError, Transport};

/// A serial port, 8N1.
pub struct Serial {
    port: Box<dyn SerialPort>,
    name: String,
}

impl std::fmt::Debug for Serial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serial").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Serial {
    /// Opens a port, such as `COM3` or the path of a tty device.
    pub fn open(port: &str, baud: u32) -> Result<Self, LinkError> {
        let opened = serialport::new(port, baud).timeout(Duration::from_millis(100)).open();
        match opened {
            Ok(open) => Ok(Self { port: open, name: format!("the device on {port}") }),
            Err(source) => Err(LinkError::Serial { port: port.to_owned(), source }),
        }
    }

    /// The names of the ports of this machine; none where the system cannot tell.
    pub fn ports() -> Vec<String> {
        let ports = serialport::available_ports().unwrap_or_default();
        ports.into_iter().map(|port| port.port_name).collect()
    }

    fn io(&self, source: std::io::Error) -> LinkError {
        match source.kind() {
            ErrorKind::BrokenPipe | ErrorKind::NotConnected | ErrorKind::UnexpectedEof => {
                LinkError::Gone { what: self.name.clone(), status: source.to_string() }
            }
            _ => LinkError::Io { what: self.name.clone(), source },
        }
    }
}

impl Transport for Serial {
    fn read(&mut self, bytes: &mut [u8], timeout: Duration) -> Result<usize, LinkError> {
        self.port.set_timeout(timeout).map_err(|error| self.io(error.into()))?;
        match self.port.read(bytes) {
            Ok(count) => Ok(count),
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => Ok(0),
            Err(error) => Err(self.io(error)),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.port.write_all(bytes).and_then(|()| self.port.flush()).map_err(|error| self.io(error))
    }

    fn name(&self) -> &str {
        &self.name
    }
}
