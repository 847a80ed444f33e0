//! Matrix products of small networks, in GFLOP/s and percent of this core's multiply-add peak.
//!
//! `cargo bench -p embernet-core --features std --bench gemm [-- FILTER]`
//!
//! Machines are shared and clocks drift, so all programs take turns in short rounds, and the best round of each
//! counts. The peak is measured in the same rounds. `matrixmultiply` (by way of `ndarray`) is
//! the ruler.

use embernet_core::arch::{Gemm, Isa, IsaId, Task, run_on};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// One product: what it is in which network, and its shape.
struct Case {
    name: &'static str,
    shape: Gemm,
}

/// Rows of A and columns of B contiguous: a forward pass.
fn nt(name: &'static str, m: usize, k: usize, n: usize) -> Case {
    Case { name, shape: Gemm { m, n, k, a_row: k, a_col: 1, b_row: 1, b_col: k, c_row: n } }
}

/// Rows of both contiguous: the gradient of an input.
fn nn(name: &'static str, m: usize, k: usize, n: usize) -> Case {
    Case { name, shape: Gemm { m, n, k, a_row: k, a_col: 1, b_row: n, b_col: 1, c_row: n } }
}

/// Columns of A and rows of B contiguous: the gradient of weights.
fn tn(name: &'static str, m: usize, k: usize, n: usize) -> Case {
    Case { name, shape: Gemm { m, n, k, a_row: 1, a_col: m, b_row: n, b_col: 1, c_row: n } }
}

/// The products of the networks in the comparison with other frameworks; sizes are m x k x n.
fn cases() -> Vec<Case> {
    // So many patches that the matrix has 65536 elements.
    let block = |k: usize| 65536 / k;
    vec![
        nt("iris forward", 10, 4, 10),
        nn("iris dx", 10, 10, 10),
        tn("iris dw", 10, 10, 4),
        nt("784-32 one sample", 1, 784, 32),
        nt("784-128 one sample", 1, 784, 128),
        nt("784-32 forward", 32, 784, 32),
        tn("784-32 dw", 32, 32, 784),
        nt("32-10 forward", 32, 32, 10),
        nn("32-10 dx", 32, 10, 32),
        tn("32-10 dw", 10, 32, 32),
        nt("784-128 forward", 32, 784, 128),
        nt("784-128 forward, a quarter", 8, 784, 128),
        nt("784-128 forward, 4 rows", 4, 784, 128),
        nt("784-128 forward, 2 rows", 2, 784, 128),
        tn("784-128 dw", 128, 32, 784),
        nt("128-10 forward", 32, 128, 10),
        nn("128-10 dx", 32, 10, 128),
        tn("128-10 dw", 10, 32, 128),
        nt("640-128 forward", 128, 640, 128),
        nn("128-128 dx", 128, 128, 128),
        tn("128-128 dw", 128, 128, 128),
        nt("conv 1-32 forward, block", block(9), 9, 32),
        tn("conv 1-32 dw, block", 32, block(9), 9),
        nt("conv 32-64 forward, block", block(288), 288, 64),
        nt("conv 32-64 forward, row", 11, 288, 64),
        nn("conv 32-64 dx, block", block(288), 64, 288),
        tn("conv 32-64 dw, block", 64, block(288), 288),
        nt("conv 64-64 forward, block", block(576), 576, 64),
        nn("conv 64-64 dx, block", block(576), 64, 576),
        tn("conv 64-64 dw, block", 64, block(576), 576),
        nt("pointwise 64-64 forward", 25 * 5 * 32, 64, 64),
        nn("pointwise 64-64 dx", 25 * 5 * 32, 64, 64),
        tn("pointwise 64-64 dw", 64, 25 * 5 * 32, 64),
    ]
}

/// Something that can be timed: runs its work so many times.
struct Program<'a> {
    name: &'static str,
    run: Box<dyn FnMut(usize) + 'a>,
    best: f64,
}

/// Times every program in turn, `rounds` times, and keeps each one's best seconds for one run.
fn race(programs: &mut [Program<'_>], round: Duration, rounds: usize) {
    for program in programs.iter_mut() {
        (program.run)(1);
    }
    let mut repeats = vec![1usize; programs.len()];
    for _ in 0..rounds {
        for (program, repeats) in programs.iter_mut().zip(&mut repeats) {
            loop {
                let start = Instant::now();
                (program.run)(*repeats);
                let seconds = start.elapsed().as_secs_f64();
                if seconds >= round.as_secs_f64() / 2.0 {
                    program.best = program.best.min(seconds / *repeats as f64);
                    break;
                }
                // Short products first find out how many of them fill a round.
                let wanted = round.as_secs_f64() / seconds.max(1e-7) * *repeats as f64;
                *repeats = (wanted as usize).clamp(*repeats + 1, *repeats * 100);
            }
        }
    }
}

struct Run<'a> {
    shape: &'a Gemm,
    a: &'a [f32],
    b: &'a [f32],
    c: &'a mut [f32],
    repeats: usize,
}

impl Task for Run<'_> {
    type Output = ();

    fn run<I: Isa>(self, isa: I) {
        for _ in 0..self.repeats {
            isa.gemm_f32(black_box(self.shape), black_box(self.a), black_box(self.b), self.c);
        }
    }
}

/// The product by `matrixmultiply`, through a crate that checks its bounds.
fn ruler(g: &Gemm, a: &[f32], b: &[f32], c: &mut [f32]) {
    let view = |rows: usize, row: usize, columns: usize, column: usize| (rows, columns).strides((row, column));
    let a = ArrayView2::from_shape(view(g.m, g.a_row, g.k, g.a_col), a).expect("A fits");
    let b = ArrayView2::from_shape(view(g.k, g.b_row, g.n, g.b_col), b).expect("B fits");
    let mut c = ArrayViewMut2::from_shape((g.m, g.n), c).expect("C fits");
    general_mat_mul(1.0, &a, &b, 1.0, &mut c);
}

/// The tokens whose peaks are measured: narrow registers, then wide ones.
const PEAKS: [(&str, IsaId); 2] = [("256-bit peak", IsaId::Avx2), ("512-bit peak", IsaId::Avx512)];
/// Rounds of a peak loop that count as one run.
const PEAK_ROUNDS: usize = 64;

struct Peak(usize);

impl Task for Peak {
    type Output = u64;

    fn run<I: Isa>(self, isa: I) -> u64 {
        isa.peak_f32(self.0)
    }
}

fn main() {
    // Cargo passes `--bench`; anything else picks cases by name.
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with("--")).unwrap_or_default();
    let quick = Duration::from_micros(1500);
    let tokens: Vec<IsaId> = IsaId::ALL.into_iter().filter(|id| id.is_available()).collect();
    let peaks: Vec<_> = PEAKS.into_iter().filter(|(_, id)| id.is_available()).collect();
    let peak_flops = |id| run_on(id, Peak(PEAK_ROUNDS)).unwrap_or_default() as f64;

    let mut head = format!("{:<28} {:>16}", "product", "m x k x n");
    for (name, _) in &peaks {
        head += &format!(" {name:>12}");
    }
    for id in &tokens {
        head += &format!(" {:>17}", id.name());
    }
    println!("GFLOP/s (percent of the peak of that width)\n{head} {:>17}", "matrixmultiply");

    for case in cases().iter().filter(|case| case.name.contains(&filter)) {
        let g = case.shape;
        let flops = 2.0 * (g.m * g.n * g.k) as f64;
        // Operands begin where an arena would put them: aligned to 64 bytes.
        let (a, b) = (Aligned::new(g.m * g.k), Aligned::new(g.k * g.n));
        let mut outputs: Vec<Aligned> = (0..=tokens.len()).map(|_| Aligned::new(g.m * g.n)).collect();
        let mut programs: Vec<Program<'_>> = Vec::new();
        for &(name, id) in &peaks {
            programs.push(Program {
                name,
                run: Box::new(move |n| {
                    run_on(id, Peak(PEAK_ROUNDS * n));
                }),
                best: f64::INFINITY,
            });
        }
        let (last, outputs) = outputs.split_last_mut().expect("one for each program");
        for (id, c) in tokens.iter().zip(outputs) {
            let (a, b) = (a.get(), b.get());
            let run = move |repeats| {
                c.get_mut().fill(0.0);
                run_on(*id, Run { shape: &g, a, b, c: c.get_mut(), repeats });
            };
            programs.push(Program { name: id.name(), run: Box::new(run), best: f64::INFINITY });
        }
        let run = |repeats| {
            last.get_mut().fill(0.0);
            for _ in 0..repeats {
                ruler(black_box(&g), black_box(a.get()), black_box(b.get()), last.get_mut());
            }
        };
        programs.push(Program { name: "matrixmultiply", run: Box::new(run), best: f64::INFINITY });

        race(&mut programs, quick, 15);

        let mut line = format!("{:<28} {:>16}", case.name, format!("{}x{}x{}", g.m, g.k, g.n));
        let peak_speeds: Vec<f64> =
            peaks.iter().zip(&programs).map(|((_, id), program)| peak_flops(*id) / program.best / 1e9).collect();
        for speed in &peak_speeds {
            line += &format!(" {speed:>12.1}");
        }
        for program in &programs[peaks.len()..] {
            let speed = flops / program.best / 1e9;
            // The ruler uses the widest registers that it finds.
            let widest = ["avx512", "matrixmultiply"].contains(&program.name);
            let peak = if widest { peak_speeds.last() } else { peak_speeds.first() };
            match peak {
                Some(peak) => line += &format!(" {speed:>9.2} ({:>3.0} %)", speed / peak * 100.0),
                None => line += &format!(" {speed:>17.2}"),
            }
        }
        println!("{line}");
    }
}

/// Floats that begin at a cache line, with ordinary values.
struct Aligned {
    memory: Vec<f32>,
    start: usize,
    len: usize,
}

impl Aligned {
    fn new(len: usize) -> Self {
        let memory: Vec<f32> = (0..len + 16).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.01).collect();
        let start = memory.as_ptr().align_offset(64);
        Self { memory, start, len }
    }

    fn get(&self) -> &[f32] {
        &self.memory[self.start..self.start + self.len]
    }

    fn get_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..self.start + self.len]
    }
}
