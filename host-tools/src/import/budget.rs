//! A limit on what a file may make us allocate.

/// What the whole import may take: sixteen times the file and 64 MB. The budget hands out half of
/// that; the other half is room for growth of vectors, for maps and for the checks afterwards.
#[derive(Debug)]
pub struct Budget {
    left: usize,
    /// What was there at first.
    pub limit: usize,
}

/// The budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted;

impl Budget {
    /// For a file of so many bytes.
    pub fn for_file(bytes: usize) -> Self {
        let limit = bytes.saturating_mul(8).saturating_add(32 << 20);
        Self { left: limit, limit }
    }

    /// Takes `bytes`, before they are allocated.
    pub fn take(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.left = self.left.checked_sub(bytes).ok_or(Exhausted)?;
        Ok(())
    }
}
