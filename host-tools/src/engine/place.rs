//! Where a model works, as the command line says it.

use std::fmt;
use std::str::FromStr;

/// Where a model works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `host`: this machine.
    Host,
    /// `qemu:BOARD`: an emulated board.
    Qemu(String),
    /// `serial:PORT` or `serial:PORT@BAUD`: a device on a serial port.
    Serial {
        /// The port, such as `COM3`.
        port: String,
        /// Bits per second.
        baud: u32,
    },
}

/// What the boards' UARTs run at unless their manual says otherwise.
const BAUD: u32 = 115_200;

/// A text that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no place; there are `host`, `qemu:BOARD`, `serial:PORT` and `serial:PORT@BAUD`")]
pub struct PlaceError(String);

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let wrong = || PlaceError(text.into());
        match text.split_once(':') {
            None if text == "host" => Ok(Place::Host),
            Some(("qemu", board)) if !board.is_empty() => Ok(Place::Qemu(board.into())),
            Some(("serial", port)) => {
                let (port, baud) = match port.rsplit_once('@') {
                    Some((port, baud)) => (port, baud.parse().map_err(|_| wrong())?),
                    None => (port, BAUD),
                };
                if port.is_empty() || baud == 0 {
                    return Err(wrong());
                }
                Ok(Place::Serial { port: port.into(), baud })
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Host => f.write_str("host"),
            Place::Qemu(board) => write!(f, "qemu:{board}"),
            Place::Serial { port, baud: BAUD } => write!(f, "serial:{port}"),
            Place::Serial { port, baud } => write!(f, "serial:{port}@{baud}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_as_they_are_written() {
        for text in ["host", "qemu:m4", "serial:COM3", "serial:/dev/ttyACM0@1000000"] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        for text in ["", "Host", "qemu", "qemu:", "serial:", "serial:@9600", "serial:a@b", "serial:a@0", "usb:1"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
