//! Workers that share a loop with the thread that runs a session.
//!
//! A process has one set of them, started when first asked for. Between loops they watch their mailbox for a moment
//! and then sleep. A loop is cut by its outputs, never across a sum, so that who computes what does not show in the
//! result; a caller that finds the workers busy does all of the work itself, with the same bits.

use core::ops::Range;
use core::ptr::null_mut;
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, TryLockError};
use std::thread::{Builder, Thread, park};
use std::time::{Duration, Instant};

/// Most threads that share a loop.
const MOST: usize = 64;
/// Work that is worth waking a thread for, in elements moved; see [`crate::arch::Isa::split`].
const LEAST_WORK: usize = 4096;
/// How long a worker watches its mailbox before it sleeps: longer than the steps between two loops take.
const WATCH: Duration = Duration::from_micros(200);

/// How many threads a token may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads(usize);

impl Threads {
    /// The calling thread alone.
    pub const ONE: Self = Self(1);

    /// So many, within reason: at least one, at most 64.
    pub fn new(count: usize) -> Self {
        Self(count.clamp(1, MOST))
    }

    /// How many.
    pub fn count(self) -> usize {
        self.0
    }

    /// How many of them are worth their while, if each item costs that much.
    pub(super) fn worthwhile(self, items: usize, cost: usize) -> usize {
        if self.0 == 1 {
            return 1;
        }
        self.0.min(items).min(items.saturating_mul(cost) / LEAST_WORK).max(1)
    }

    /// See [`crate::arch::Isa::split`].
    pub(super) fn split<const N: usize>(
        self,
        items: usize,
        cost: usize,
        slices: [(&mut [f32], usize); N],
        task: impl Fn(Range<usize>, [&mut [f32]; N]) + Sync,
    ) {
        let threads = self.worthwhile(items, cost);
        if threads == 1 {
            return task(0..items, slices.map(|(slice, _)| slice));
        }
        let cuts = slices.map(|(slice, each)| Cut { start: slice.as_mut_ptr(), len: slice.len(), each });
        share(threads, threads, &|piece| {
            let range = items * piece / threads..items * (piece + 1) / threads;
            // SAFETY: pieces have different ranges, and `share` calls each once, before the slices are free again.
            let parts = cuts.each_ref().map(|cut| unsafe { cut.part(&range) });
            task(range, parts);
        });
    }
}

/// A slice that is handed out in parts.
struct Cut {
    start: *mut f32,
    len: usize,
    each: usize,
}

// SAFETY: it stands for a slice borrowed exclusively, of which every thread gets another part.
unsafe impl Sync for Cut {}

impl Cut {
    /// What belongs to those items, as far as the slice has it.
    ///
    /// # Safety
    /// The slice lives on, and nobody else has a part of these items.
    unsafe fn part<'s>(&self, items: &Range<usize>) -> &'s mut [f32] {
        let start = items.start.saturating_mul(self.each).min(self.len);
        let end = items.end.saturating_mul(self.each).min(self.len);
        // SAFETY: within the slice; the caller says that no other part overlaps.
        unsafe { core::slice::from_raw_parts_mut(self.start.add(start), end - start) }
    }
}

/// Calls `task` for each of `0..pieces` once, on up to that many threads.
pub(super) fn share(threads: usize, pieces: usize, task: &(dyn Fn(usize) + Sync)) {
    let mut owner = match POOL.started.try_lock() {
        Ok(owner) => owner,
        Err(TryLockError::Poisoned(owner)) => owner.into_inner(),
        // Another session is using the workers.
        Err(TryLockError::WouldBlock) => return (0..pieces).for_each(task),
    };
    let Some((own, others)) = POOL.lanes.split_first() else { return };
    start(&mut owner, others, threads - 1);
    let lanes = (*owner + 1).min(threads);
    let job = Job { task, pieces, lanes, failed: AtomicBool::new(false) };
    for (lane, at) in POOL.lanes.iter().take(lanes).zip(0..) {
        lane.next.store(job.first_of(at), Ordering::Relaxed);
    }
    let at = (&raw const job).cast_mut().cast();
    let waiting = Waiting { lanes: others.get(..lanes - 1).unwrap_or_default(), job: at };
    for lane in waiting.lanes {
        lane.mail.store(at, Ordering::SeqCst);
        if lane.asleep.load(Ordering::SeqCst)
            && let Some(thread) = lane.thread.get()
        {
            thread.unpark();
        }
    }
    job.work(own, 0);
    drop(waiting);
    if job.failed.load(Ordering::Relaxed) {
        resume_unwind(Box::new("a worker panicked"));
    }
}

/// What workers are to do; lies on the stack of the thread that shares it.
struct Job<'j> {
    task: &'j (dyn Fn(usize) + Sync),
    pieces: usize,
    lanes: usize,
    failed: AtomicBool,
}

impl Job<'_> {
    /// Each lane begins with pieces of its own, so that what a core has in its cache stays of use to it.
    fn first_of(&self, lane: usize) -> usize {
        self.pieces * lane / self.lanes
    }

    /// Works off the lane's pieces, then what others have not come to.
    fn work(&self, own: &Lane, at: usize) {
        self.work_off(own, at);
        for (lane, other) in POOL.lanes.iter().take(self.lanes).zip(0..) {
            if other != at {
                self.work_off(lane, other);
            }
        }
    }

    fn work_off(&self, lane: &Lane, at: usize) {
        let end = self.first_of(at + 1);
        while lane.next.load(Ordering::Relaxed) < end {
            let piece = lane.next.fetch_add(1, Ordering::Relaxed);
            if piece < end {
                (self.task)(piece);
            }
        }
    }
}

/// Takes a job back from workers that have not begun, and waits for the others: the job may not leave the stack before.
struct Waiting<'l> {
    lanes: &'l [Lane],
    job: *mut (),
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        for lane in self.lanes {
            if lane.mail.compare_exchange(self.job, null_mut(), Ordering::AcqRel, Ordering::Acquire).is_ok() {
                continue;
            }
            let mut turns = 0u32;
            while !lane.mail.load(Ordering::Acquire).is_null() {
                // A worker that lost its core needs one to get on.
                if turns < 10_000 {
                    core::hint::spin_loop()
                } else {
                    std::thread::yield_now()
                }
                turns = turns.saturating_add(1);
            }
        }
    }
}

/// A worker's mailbox and its part of the pieces; number 0 belongs to the thread that shares.
#[repr(align(128))] // Two cache lines, which processors fetch together.
struct Lane {
    /// A [`Job`], null if there is none, or [`BUSY`].
    mail: AtomicPtr<()>,
    next: AtomicUsize,
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

struct Pool {
    /// How many workers there are; locked by whoever uses them.
    started: Mutex<usize>,
    lanes: [Lane; MOST],
}

static POOL: Pool = Pool {
    started: Mutex::new(0),
    lanes: [const {
        Lane {
            mail: AtomicPtr::new(null_mut()),
            next: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
            thread: OnceLock::new(),
        }
    }; MOST],
};

/// In the mailbox of a worker that has taken its job.
static BUSY: u8 = 0;

fn busy() -> *mut () {
    (&raw const BUSY).cast_mut().cast()
}

/// Starts workers until there are `count`, or as many as the system lets us have.
fn start(started: &mut usize, lanes: &'static [Lane], count: usize) {
    for (lane, at) in lanes.iter().zip(1..).take(count).skip(*started) {
        let Ok(handle) = Builder::new().name("embernet".into()).spawn(move || attend(lane, at)) else { return };
        let _ = lane.thread.set(handle.thread().clone());
        *started = at;
    }
}

/// A worker's life.
fn attend(lane: &'static Lane, at: usize) {
    loop {
        let job = wait(lane);
        if lane.mail.compare_exchange(job, busy(), Ordering::AcqRel, Ordering::Relaxed).is_err() {
            continue;
        }
        // SAFETY: it was in the mailbox, so it is a job; whoever put it there keeps it until the mailbox is empty.
        let job = unsafe { &*job.cast_const().cast::<Job<'_>>() };
        if catch_unwind(AssertUnwindSafe(|| job.work(lane, at))).is_err() {
            job.failed.store(true, Ordering::Relaxed);
        }
        lane.mail.store(null_mut(), Ordering::Release);
    }
}

/// The next job: watches the mailbox for a while, then sleeps.
fn wait(lane: &Lane) -> *mut () {
    let mut began = Instant::now();
    loop {
        for _ in 0..64 {
            let job = lane.mail.load(Ordering::Acquire);
            if !job.is_null() {
                return job;
            }
            core::hint::spin_loop();
        }
        if began.elapsed() > WATCH {
            lane.asleep.store(true, Ordering::SeqCst);
            while lane.mail.load(Ordering::SeqCst).is_null() {
                park();
            }
            lane.asleep.store(false, Ordering::SeqCst);
            began = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn every_item_is_worked_on_once() {
        for threads in [1, 2, 3, 4, 7] {
            for items in [0usize, 1, 2, 5, 64, 1000] {
                let (mut a, mut b) = (vec![0.0f32; items * 3], vec![0.0f32; items]);
                Threads::new(threads).split(items, LEAST_WORK, [(&mut a, 3), (&mut b, 1)], |range, [a, b]| {
                    assert_eq!((a.len(), b.len()), (range.len() * 3, range.len()));
                    a.iter_mut().for_each(|a| *a += 1.0);
                    b.iter_mut().zip(range).for_each(|(b, i)| *b += i as f32);
                });
                assert!(a.iter().all(|a| *a == 1.0));
                assert!(b.iter().enumerate().all(|(i, b)| *b == i as f32));
            }
        }
    }

    #[test]
    fn a_slice_may_be_shorter_than_its_items() {
        let mut short = [0.0f32; 5];
        Threads::new(4).split(8, LEAST_WORK, [(&mut short, 1)], |_, [part]| part.fill(1.0));
        assert_eq!(short, [1.0; 5]);
    }

    #[test]
    fn sessions_in_several_threads_do_not_wait_for_each_other() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        let mut y = vec![0.0f32; 64];
                        Threads::new(3).split(64, LEAST_WORK, [(&mut y, 1)], |_, [y]| {
                            // A loop within a loop is the caller's alone.
                            let len = y.len();
                            Threads::new(3).split(len, LEAST_WORK, [(y, 1)], |_, [y]| y.fill(2.0));
                        });
                        assert!(y.iter().all(|y| *y == 2.0));
                    }
                });
            }
        });
    }

    #[test]
    fn workers_sleep_and_wake() {
        for _ in 0..3 {
            let mut y = [0.0f32; 8];
            Threads::new(2).split(8, LEAST_WORK, [(&mut y, 1)], |_, [y]| y.fill(1.0));
            assert_eq!(y, [1.0; 8]);
            std::thread::sleep(WATCH * 20);
        }
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let result = catch_unwind(|| {
            Threads::new(4).split(4, LEAST_WORK, [], |range, []| assert!(!range.contains(&3), "piece 3"));
        });
        assert!(result.is_err());
        // The workers are still there.
        let mut y = [0.0f32; 8];
        Threads::new(4).split(8, LEAST_WORK, [(&mut y, 1)], |_, [y]| y.fill(1.0));
        assert_eq!(y, [1.0; 8]);
    }

    #[test]
    fn little_work_stays_with_the_caller() {
        assert_eq!(Threads::new(4).worthwhile(32, 64), 1);
        assert_eq!(Threads::new(4).worthwhile(32, 1024), 4);
        assert_eq!(Threads::new(4).worthwhile(2, 1 << 20), 2);
        assert_eq!((Threads::new(0).count(), Threads::new(1000).count()), (1, MOST));
    }
}
