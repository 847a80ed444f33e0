//! The two ways this crate reaches memory by address.

/// One 32-bit register.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Register(*mut u32);

impl Register {
    /// # Safety
    /// `address` is that of a 32-bit register that only the caller uses.
    pub unsafe fn new(address: usize) -> Self {
        Self(core::ptr::with_exposed_provenance_mut(address))
    }

    pub fn read(self) -> u32 {
        // SAFETY: `new`'s caller vouched for the address; a register is valid for any access.
        unsafe { self.0.read_volatile() }
    }

    pub fn write(self, value: u32) {
        // SAFETY: as in `read`.
        unsafe { self.0.write_volatile(value) }
    }
}

/// Memory by address, for reading.
///
/// # Safety
/// `bytes` bytes from `address` on are readable memory that nothing writes to while the slice lives.
pub unsafe fn memory<'a>(address: usize, bytes: usize) -> &'a [u8] {
    // SAFETY: the caller's promise; bytes need no alignment.
    unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(address), bytes) }
}

/// Memory by address.
///
/// # Safety
/// `bytes` bytes from `address` on are initialised memory that nothing else uses while the slice lives.
pub unsafe fn memory_mut<'a>(address: usize, bytes: usize) -> &'a mut [u8] {
    // SAFETY: the caller's promise; bytes need no alignment.
    unsafe { core::slice::from_raw_parts_mut(core::ptr::with_exposed_provenance_mut(address), bytes) }
}
