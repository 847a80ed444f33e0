//! A device on a serial port.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

use serialport::{SerialPort, SerialPortInfo, SerialPortType};

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
            Err(source) => Err(refused(port, source, Self::ports())),
        }
    }

    /// The names of the ports of this machine; none where the system cannot tell.
    pub fn ports() -> Vec<String> {
        let ports = serialport::available_ports().unwrap_or_default();
        ports.into_iter().map(|port| port.port_name).collect()
    }

    /// Those of USB devices with this vendor and product number.
    pub fn usb_ports([vendor, product]: [u16; 2]) -> Vec<String> {
        let is_meant = |port: &SerialPortInfo| match &port.port_type {
            SerialPortType::UsbPort(usb) => [usb.vid, usb.pid] == [vendor, product],
            _ => false,
        };
        let ports = serialport::available_ports().unwrap_or_default();
        ports.into_iter().filter(is_meant).map(|port| port.port_name).collect()
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

/// Why a port does not open.
fn refused(port: &str, source: serialport::Error, ports: Vec<String>) -> LinkError {
    use serialport::ErrorKind as Kind;
    // Pseudo-terminals are in no list.
    let is_here = ports.iter().any(|name| name == port) || Path::new(port).exists();
    let port = port.to_owned();
    match source.kind() {
        Kind::Io(ErrorKind::PermissionDenied) => LinkError::ForbiddenPort { port },
        // The crate says so of a port that another program has locked, too; Windows of any that is not given to us.
        Kind::NoDevice if is_here => LinkError::BusyPort { port },
        Kind::NoDevice | Kind::Io(ErrorKind::NotFound) => LinkError::NoPort { port, ports },
        _ => LinkError::Serial { port, source },
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

#[cfg(test)]
mod tests {
    use super::*;
    use serialport::{Error, ErrorKind as Kind};

    #[test]
    fn a_port_that_does_not_open_says_why() {
        let said = |port: &str, kind, text: &str, ports: &[&str]| {
            let ports = ports.iter().map(ToString::to_string).collect();
            refused(port, Error::new(kind, text), ports).to_string()
        };
        let missing = said("COM9", Kind::Io(ErrorKind::NotFound), "gone", &["COM3", "COM4"]);
        assert_eq!(missing, "there is no serial port COM9; here are COM3, COM4: is the board plugged in?");
        let missing = said("COM9", Kind::NoDevice, "gone", &[]);
        assert_eq!(missing, "there is no serial port COM9; none is here: is the board plugged in?");
        let busy = said("COM3", Kind::NoDevice, "Access is denied.", &["COM3"]);
        assert_eq!(busy, "serial port COM3 is in use: close the program that has it open, then try again");
        let forbidden = said("/dev/ttyX", Kind::Io(ErrorKind::PermissionDenied), "no", &[]);
        assert!(forbidden.starts_with("this user may not open serial port /dev/ttyX"), "{forbidden}");
        let other = said("COM3", Kind::Unknown, "Inappropriate ioctl for device", &["COM3"]);
        assert_eq!(other, "cannot open serial port COM3");
    }
}
