//! The one checksum of images, slots and frames.

/// CRC-32/ISO-HDLC (polynomial 0x04C11DB7 reflected), as in Ethernet and zip, of bytes that come in pieces.
///
/// Works on half bytes: their table takes 64 bytes of a device's flash, one for whole bytes would take 1 KB.
#[derive(Debug, Clone, Copy)]
pub struct Crc32(u32);

const POLYNOMIAL: u32 = 0x04C1_1DB7_u32.reverse_bits();

/// What four bits that leave the register put back into it.
static TABLE: [u32; 16] = {
    let mut table = [0; 16];
    let mut rest: &mut [u32] = &mut table;
    let mut bits = 0;
    while let [entry, after @ ..] = rest {
        *entry = bits;
        let mut step = 0;
        while step < 4 {
            *entry = if *entry & 1 == 1 { (*entry >> 1) ^ POLYNOMIAL } else { *entry >> 1 };
            step += 1;
        }
        bits += 1;
        rest = after;
    }
    table
};

impl Crc32 {
    /// Of no bytes yet.
    pub const fn new() -> Self {
        Self(u32::MAX)
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let shift = |crc: u32| crc >> 4 ^ TABLE.get(crc as usize % 16).copied().unwrap_or_default();
        self.0 = bytes.iter().fold(self.0, |crc, byte| shift(shift(crc ^ u32::from(*byte))));
    }

    /// The checksum of all bytes so far.
    pub const fn value(self) -> u32 {
        !self.0
    }
}

impl Default for Crc32 {
    fn default() -> Self {
        Self::new()
    }
}

/// [`Crc32`] of one piece of bytes.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc32::new();
    crc.update(bytes);
    crc.value()
}

#[cfg(test)]
mod tests {
    #[test]
    fn matches_the_catalogue_check_value() {
        assert_eq!(super::crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(super::crc32(b""), 0);
    }

    #[test]
    fn pieces_give_the_whole() {
        let mut crc = super::Crc32::default();
        crc.update(b"1234");
        crc.update(b"56789");
        assert_eq!(crc.value(), 0xcbf4_3926);
    }
}
