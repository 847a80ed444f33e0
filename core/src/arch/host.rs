//! Choosing a token at run time.

use super::{Isa, IsaId, Scalar};

/// Work that is generic over the token: what [`run_on`] and [`run_best`] call.
pub trait Task {
    /// What it gives.
    type Output;

    /// Does it.
    fn run<I: Isa>(self, isa: I) -> Self::Output;
}

/// Runs `task` on `id`'s token; `None` if this processor lacks the instructions.
pub fn run_on<T: Task>(id: IsaId, task: T) -> Option<T::Output> {
    #[cfg(target_arch = "x86_64")]
    use super::{Avx2, Avx2Exact, Avx512};
    match id {
        IsaId::Scalar => Some(task.run(Scalar)),
        #[cfg(target_arch = "x86_64")]
        IsaId::Avx2 => Avx2::new().map(|isa| task.run(isa)),
        #[cfg(target_arch = "x86_64")]
        IsaId::Avx512 => Avx512::new().map(|isa| task.run(isa)),
        #[cfg(target_arch = "x86_64")]
        IsaId::Avx2Exact => Avx2Exact::new().map(|isa| task.run(isa)),
        #[cfg(not(target_arch = "x86_64"))]
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
    [IsaId::Avx512, IsaId::Avx2].into_iter().find(|id| id.is_available()).unwrap_or(IsaId::Scalar)
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
    task.run(Scalar)
}
