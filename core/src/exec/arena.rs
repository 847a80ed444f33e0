//! Memory for a session, aligned as it wants it.

/// `N` bytes for a session, to stand in a `static` or on a stack.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct Arena<const N: usize>([u8; N]);

const _: () = assert!(align_of::<Arena<0>>() == crate::image::ALIGN);

impl<const N: usize> Arena<N> {
    /// Zeros, which cost no flash in a `static`.
    pub const fn new() -> Self {
        Self([0; N])
    }

    /// What [`super::Session::new`] takes.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl<const N: usize> Default for Arena<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Running, Session};
    use super::Arena;
    use crate::arch::Scalar;

    /// A session moves to the task that works with it, wherever that runs.
    #[test]
    fn a_session_can_be_sent() {
        fn is_send<T: Send>() {}
        is_send::<Session<'static, Scalar>>();
        is_send::<Running<'static>>();
        is_send::<Arena<16>>();
    }
}
