//! A link over the chip's own USB: a serial port (CDC ACM) on an `embassy-usb` driver, without an executor.
//!
//! Whoever waits for a byte carries the device's own work on. While the program computes, what the host sends waits in
//! hardware; requests about the device itself are answered when it is done.

use core::convert::Infallible;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};

use embassy_usb::class::cdc_acm::{CdcAcmClass, State};
use embassy_usb::driver::Driver;
use embassy_usb::{Builder, Config, UsbDevice};
use embedded_io::{ErrorType, Read, Write};

/// Bytes of a packet: the most that full speed has.
const PACKET: usize = 64;

/// What a serial port needs for as long as it is there.
#[derive(Default)]
pub struct Room<'d> {
    configuration: Buffer,
    object_store: Buffer,
    control: Buffer,
    state: State<'d>,
}

/// Bytes of a descriptor or a request; a serial port's configuration has 75.
struct Buffer([u8; 128]);

impl Default for Buffer {
    fn default() -> Self {
        Self([0; 128])
    }
}

impl core::fmt::Debug for Room<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Room").finish_non_exhaustive()
    }
}

/// A device with one serial port, called `name`; `numbers` are its vendor and product.
pub fn serial_port<'d, D: Driver<'d>>(
    driver: D,
    [vendor, product]: [u16; 2],
    name: &'d str,
    room: &'d mut Room<'d>,
) -> (UsbDevice<'d, D>, CdcAcmClass<'d, D>) {
    let mut config = Config::new(vendor, product);
    config.manufacturer = Some("embernet");
    config.product = Some(name);
    let Room { configuration, object_store, control, state } = room;
    let mut builder = Builder::new(driver, config, &mut configuration.0, &mut object_store.0, &mut [], &mut control.0);
    let class = CdcAcmClass::new(&mut builder, state, PACKET as u16);
    (builder.build(), class)
}

/// The serial port as a link.
pub struct UsbLink<'a, 'd, D: Driver<'d>, B> {
    background: Pin<&'a mut B>,
    class: CdcAcmClass<'d, D>,
    packet: [u8; PACKET],
    /// What of the packet has not been read yet.
    waiting: core::ops::Range<usize>,
    /// Whether the last packet was a full one: the host then waits for more.
    is_open: bool,
}

impl<'d, D: Driver<'d>, B> core::fmt::Debug for UsbLink<'_, 'd, D, B> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("UsbLink").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl<'a, 'd, D: Driver<'d>, B: Future> UsbLink<'a, 'd, D, B> {
    /// `background` is the device's `run`.
    pub fn new(background: Pin<&'a mut B>, class: CdcAcmClass<'d, D>) -> Self {
        Self { background, class, packet: [0; PACKET], waiting: 0..0, is_open: false }
    }

    /// Sends a packet, as soon as a host is there.
    fn send(&mut self, packet: &[u8]) {
        let class = &mut self.class;
        wait(&mut self.background, async {
            while class.write_packet(packet).await.is_err() {
                class.wait_connection().await;
            }
        });
    }
}

/// Asks both until `work` is done.
fn wait<B: Future, T>(background: &mut Pin<&mut B>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        let _ = background.as_mut().poll(&mut context);
        if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
            return done;
        }
    }
}

impl<'d, D: Driver<'d>, B> ErrorType for UsbLink<'_, 'd, D, B> {
    type Error = Infallible;
}

impl<'d, D: Driver<'d>, B: Future> Read for UsbLink<'_, 'd, D, B> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        if bytes.is_empty() {
            return Ok(0);
        }
        while self.waiting.is_empty() {
            let (class, packet) = (&mut self.class, &mut self.packet);
            let count = wait(&mut self.background, async {
                loop {
                    match class.read_packet(packet).await {
                        Ok(count) => return count,
                        Err(_) => class.wait_connection().await,
                    }
                }
            });
            self.waiting = 0..count;
        }
        let mut count = 0;
        for (place, byte) in bytes.iter_mut().zip(self.packet.get(self.waiting.clone()).unwrap_or_default()) {
            *place = *byte;
            count += 1;
        }
        self.waiting.start += count;
        Ok(count)
    }
}

impl<'d, D: Driver<'d>, B: Future> Write for UsbLink<'_, 'd, D, B> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let packet = bytes.get(..PACKET).unwrap_or(bytes);
        if !packet.is_empty() {
            self.send(packet);
            self.is_open = packet.len() == PACKET;
        }
        Ok(packet.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        if self.is_open {
            self.send(&[]);
            self.is_open = false;
        }
        Ok(())
    }
}
