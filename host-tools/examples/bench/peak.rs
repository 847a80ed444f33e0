//! The ruler: multiply-adds in registers on every thread.

use embernet_core::arch::{Isa, Task, run_best};
use std::time::{Duration, Instant};

struct Rounds(usize);

impl Task for Rounds {
    type Output = u64;

    fn run<I: Isa>(self, isa: I) -> u64 {
        isa.peak_f32(self.0)
    }
}

/// GFLOP/s of so many threads together.
pub fn measure(threads: usize) -> f64 {
    let work = || {
        let began = Instant::now();
        let mut operations = 0;
        while began.elapsed() < Duration::from_millis(300) {
            operations += run_best(Rounds(100_000));
        }
        operations as f64 / began.elapsed().as_secs_f64() / 1e9
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or(0.0)).sum()
    })
}
