//! The defmt logger: messages wait in a queue until the app sends them as log frames.
//!
//! A message that does not fit the queue is dropped whole, so that the stream stays decodable.

use core::cell::RefCell;

use critical_section::{Mutex, RestoreState};

/// Bytes of the queue: a handful of messages, each a few bytes long.
const QUEUE: usize = 256;

struct Queue {
    bytes: [u8; QUEUE],
    /// Where the oldest byte is.
    start: usize,
    used: usize,
    /// How much of `used` belongs to whole messages.
    whole: usize,
    dropping: bool,
}

impl Queue {
    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let place = self.bytes.get_mut((self.start + self.used) % QUEUE);
            match place.filter(|_| self.used < QUEUE && !self.dropping) {
                Some(place) => {
                    *place = *byte;
                    self.used += 1;
                }
                None => self.dropping = true,
            }
        }
    }

    fn end_message(&mut self) {
        if self.dropping {
            self.used = self.whole;
            self.dropping = false;
        }
        self.whole = self.used;
    }

    fn take(&mut self, into: &mut [u8]) -> usize {
        let mut count = 0;
        for place in into.iter_mut().take(self.whole) {
            *place = self.bytes.get(self.start).copied().unwrap_or_default();
            self.start = (self.start + 1) % QUEUE;
            count += 1;
        }
        self.used -= count;
        self.whole -= count;
        count
    }
}

struct Shared {
    queue: Queue,
    encoder: defmt::Encoder,
    restore: RestoreState,
}

static SHARED: Mutex<RefCell<Shared>> = Mutex::new(RefCell::new(Shared {
    queue: Queue { bytes: [0; QUEUE], start: 0, used: 0, whole: 0, dropping: false },
    encoder: defmt::Encoder::new(),
    restore: RestoreState::invalid(),
}));

/// Takes bytes of whole messages out of the queue and says how many.
pub fn take(into: &mut [u8]) -> usize {
    let mut count = 0;
    shared(|shared| count = shared.queue.take(into));
    count
}

fn shared(work: impl FnOnce(&mut Shared)) {
    critical_section::with(|token| {
        // Never taken twice: `work` calls nothing that logs. A panic here would cost flash.
        if let Ok(mut shared) = SHARED.borrow(token).try_borrow_mut() {
            work(&mut shared);
        }
    });
}

#[defmt::global_logger]
struct Logger;

// SAFETY: `acquire` enters a critical section that `release` leaves, so that one message is
// written at a time; nested critical sections are allowed by `critical-section`.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        // SAFETY: `release` hands the restore state back, last in, first out, as defmt promises
        // to call the two in pairs.
        let restore = unsafe { critical_section::acquire() };
        shared(|shared| {
            shared.restore = restore;
            let Shared { queue, encoder, .. } = shared;
            encoder.start_frame(|bytes| queue.push(bytes));
        });
    }

    unsafe fn flush() {
        // The app sends what waits before its next answer.
    }

    unsafe fn release() {
        let mut restore = RestoreState::invalid();
        shared(|shared| {
            let Shared { queue, encoder, .. } = shared;
            encoder.end_frame(|bytes| queue.push(bytes));
            queue.end_message();
            restore = shared.restore;
        });
        // SAFETY: the state that `acquire` got.
        unsafe { critical_section::release(restore) };
    }

    unsafe fn write(bytes: &[u8]) {
        shared(|shared| {
            let Shared { queue, encoder, .. } = shared;
            encoder.write(bytes, |bytes| queue.push(bytes));
        });
    }
}
