//! The transfer of an image into the spare slot, chunk by chunk.

use embernet_core::arch::Isa;
use embernet_core::slot::RECORD_BYTES;
use embernet_core::wire::Fault;

use crate::store::{Active, Region, Spare, check};

/// How far a transfer is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transfer {
    bytes: u32,
    crc: u32,
    written: u32,
}

impl Transfer {
    /// Erases the slot for `bytes` bytes that will have checksum `crc`.
    pub fn begin<F: Region>(spare: &mut Spare<'_, F>, bytes: u32, crc: u32) -> Result<Self, Fault> {
        spare.erase(bytes)?;
        Ok(Self { bytes, crc, written: 0 })
    }

    /// Programs the next bytes.
    #[inline(never)]
    pub fn chunk<F: Region>(&mut self, spare: &mut Spare<'_, F>, offset: u32, data: &[u8]) -> Result<(), Fault> {
        let end = offset.saturating_add(u32::try_from(data.len()).unwrap_or(u32::MAX));
        if offset != self.written {
            return Err(Fault::OutOfOrder { found: offset, expected: self.written });
        }
        if end > self.bytes {
            return Err(Fault::OutOfRange { need: end, have: self.bytes });
        }
        if end < self.bytes && !data.len().is_multiple_of(RECORD_BYTES) {
            // Flash is programmed in units; an odd piece can only be the last one.
            return Err(Fault::OutOfOrder { found: end, expected: self.bytes });
        }
        spare.program(offset, data)?;
        self.written = end;
        Ok(())
    }

    /// Checks that the image is whole and runs here, then makes it the active one.
    #[inline(never)]
    pub fn commit<F: Region, I: Isa>(&self, spare: &mut Spare<'_, F>, arena_bytes: usize) -> Result<Active, Fault> {
        if self.written != self.bytes {
            return Err(Fault::OutOfOrder { found: self.written, expected: self.bytes });
        }
        check::<I>(spare.image(self.bytes, self.crc)?, arena_bytes)?;
        spare.commit(self.bytes, self.crc)
    }
}
