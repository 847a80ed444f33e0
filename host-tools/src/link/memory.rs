//! A link inside this process, for a device program that runs on a thread.

use std::io::{self, Read, Write};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use super::transport::{Pump, chunks};
use super::{LinkError, Transport};

/// The host's end of a [`pipe`].
#[derive(Debug)]
pub struct Memory {
    to_device: SyncSender<Vec<u8>>,
    from_device: Pump,
}

/// The device's end of a [`pipe`]: blocking reads, end of file when the host's end is dropped.
#[derive(Debug)]
pub struct DeviceEnd {
    to_host: SyncSender<Vec<u8>>,
    from_host: Pump,
}

/// Two ends of one link.
pub fn pipe() -> (Memory, DeviceEnd) {
    let (to_device, from_host) = chunks();
    let (to_host, from_device) = chunks();
    (Memory { to_device, from_device: Pump::of(from_device) }, DeviceEnd { to_host, from_host: Pump::of(from_host) })
}

impl Memory {
    fn gone(&self) -> LinkError {
        LinkError::Gone { what: self.name().to_owned(), status: String::new() }
    }
}

impl Transport for Memory {
    fn read(&mut self, bytes: &mut [u8], timeout: Duration) -> Result<usize, LinkError> {
        self.from_device.read(bytes, timeout).map_err(|_| self.gone())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.to_device.send(bytes.to_vec()).map_err(|_| self.gone())
    }

    fn name(&self) -> &str {
        "the device in this process"
    }
}

impl Read for DeviceEnd {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        const LONG: Duration = Duration::from_secs(3600);
        loop {
            match self.from_host.read(bytes, LONG) {
                Ok(0) if !bytes.is_empty() => {}
                Ok(count) => return Ok(count),
                Err(_) => return Ok(0),
            }
        }
    }
}

impl Write for DeviceEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to_host.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
