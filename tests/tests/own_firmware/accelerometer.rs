#[path = "../../../host-tools/templates/project/src/features.rs"]
pub mod features;
#[path = "../../../host-tools/templates/sensors/accelerometer.rs"]
pub mod sensor;

use std::convert::Infallible;

use embedded_hal::i2c::{ErrorType, I2c, Operation};
use embernet::project::Sensor;

/// An LIS3DH that has a measurement when it is asked for the third time.
#[derive(Default)]
struct Chip {
    written: Vec<Vec<u8>>,
    asked: u32,
}

impl ErrorType for &mut Chip {
    type Error = Infallible;
}

impl I2c for &mut Chip {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), Infallible> {
        assert_eq!(address, 0x18);
        match operations {
            [Operation::Write(bytes)] => self.written.push(bytes.to_vec()),
            [Operation::Write([0x27]), Operation::Read(status)] => {
                self.asked += 1;
                status[0] = if self.asked < 3 { 0x07 } else { 0x08 };
            }
            [Operation::Write([0xA8]), Operation::Read(axes)] => {
                axes.copy_from_slice(&[0x00, 0x40, 0x00, 0xC0, 0x00, 0x10]); // 1 g, -1 g, 1/4 g
            }
            other => panic!("{other:?}"),
        }
        Ok(())
    }
}

#[test]
fn it_waits_for_a_measurement() {
    assert_eq!(features::FEATURES, Sensor::Accelerometer.features());
    assert_eq!(features::of(&features::Window::new(sensor::HOP)), [0.0; features::FEATURES]);
    let mut chip = Chip::default();
    assert_eq!(sensor::Sensor::new(&mut chip).read(), [16384, -16384, 4096]);
    assert_eq!((chip.asked, chip.written), (3, vec![vec![0x20, 0x47], vec![0x23, 0x88]]));
}
