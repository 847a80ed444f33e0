//! Choosing a token at run time.

use super::{Isa, IsaId, Scalar, Threads};

/// Work that is generic over the token: what [`run_on`] and [`run_best`] call.
pub trait Task {
    /// What it gives.
    type Output;

    /// Does it.
    fn run<I: Isa>(self, isa: I) -> Self::Output;
}

/// What a host works with: instructions, and how many threads share the work. Results do not depend on the threads;
/// [`IsaId::Scalar`] has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processor {
    /// Instruction set.
    pub isa: IsaId,
    /// Threads.
    pub threads: Threads,
}

impl From<IsaId> for Processor {
    /// One thread.
    fn from(isa: IsaId) -> Self {
        Self { isa, threads: Threads::ONE }
    }
}

/// Runs `task` on a processor's token; `None` if this machine lacks the instructions.
pub fn run_on<T: Task>(on: impl Into<Processor>, task: T) -> Option<T::Output> {
    #[cfg(target_arch = "aarch64")]
    use super::Neon;
    #[cfg(target_arch = "x86_64")]
    use super::{Avx2, Avx2Exact, Avx512};
    let Processor { isa, threads } = on.into();
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = threads;
    match isa {
        IsaId::Scalar => Some(task.run(Scalar)),
        #[cfg(target_arch = "x86_64")]
        IsaId::Avx2 => Avx2::new().map(|isa| task.run(isa.with(threads))),
        #[cfg(target_arch = "x86_64")]
        IsaId::Avx512 => Avx512::new().map(|isa| task.run(isa.with(threads))),
        #[cfg(target_arch = "x86_64")]
        IsaId::Avx2Exact => Avx2Exact::new().map(|isa| task.run(isa.with(threads))),
        #[cfg(target_arch = "aarch64")]
        IsaId::Neon => Neon::new().map(|isa| task.run(isa.with(threads))),
        // Instructions of another processor.
        _ => None,
    }
}

impl IsaId {
    /// Whether this processor has the instructions.
    pub fn is_available(self) -> bool {
        struct Nothing;
        impl Task for Nothing {
            type Output = ();
            fn run<I: Isa>(self, _: I) {}
        }
        run_on(self, Nothing).is_some()
    }
}

/// The fastest token of this processor.
pub fn best() -> IsaId {
    [IsaId::Avx512, IsaId::Avx2, IsaId::Neon].into_iter().find(|id| id.is_available()).unwrap_or(IsaId::Scalar)
}

/// The fastest token of this processor that gives the scalar token's bits: for replaying a device.
pub fn best_exact() -> IsaId {
    if IsaId::Avx2Exact.is_available() { IsaId::Avx2Exact } else { IsaId::Scalar }
}

/// Runs `task` on [`best`].
pub fn run_best<T: Task>(task: T) -> T::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(isa) = super::Avx512::new() {
            return task.run(isa);
        }
        if let Some(isa) = super::Avx2::new() {
            return task.run(isa);
        }
    }
    #[cfg(target_arch = "aarch64")]
    if let Some(isa) = super::Neon::new() {
        return task.run(isa);
    }
    task.run(Scalar)
}
