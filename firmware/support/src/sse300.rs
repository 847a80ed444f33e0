use crate::mmio::Register;

/// The system counter of Arm's SSE-300 subsystem (Arm 101773): 64 bits that count up, of which the lower half is read.
#[derive(Debug)]
pub struct Counter {
    value: Register,
}

impl Counter {
    /// Starts the counter.
    ///
    /// # Safety
    /// `control` and `status` are the addresses of its two frames, and the caller alone uses it.
    pub unsafe fn new(control: usize, status: usize) -> Self {
        // SAFETY: registers of the counter, the caller's promise.
        let (enable, value) = unsafe { (Register::new(control), Register::new(status)) };
        enable.write(1);
        Self { value }
    }

    /// Ticks since start.
    pub fn ticks(&self) -> u32 {
        self.value.read()
    }
}
