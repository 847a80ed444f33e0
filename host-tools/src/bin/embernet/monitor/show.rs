//! What is watched, shown: on the screen, or in lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use embernet::link::LinkError;
use embernet::monitor::{Event, Source, State, Told, line};

use crate::output::Output;
use crate::screen::{Screen, Wish};

/// Lines, until it ends.
pub fn plain(
    mut source: Box<dyn Source>,
    state: &mut State,
    every: Duration,
    count: u64,
    output: &Output,
) -> Result<()> {
    output.text(&state.title);
    for told in state.told.iter() {
        if let Told::Note(text) = told {
            output.text(text);
        }
    }
    for number in 0..count {
        if number > 0 {
            thread::sleep(every);
        }
        source.next(&mut |event| {
            output.json(&event);
            state.take(event.clone());
            output.text(line(state, &event));
        })?;
    }
    Ok(())
}

/// What the thread that asks the device sends.
enum Message {
    Event(Event),
    Over(Result<(), LinkError>),
}

/// The screen, until somebody has seen enough. The device is asked by a thread: it may take its time, and keys are heard
/// meanwhile.
pub fn draw(mut source: Box<dyn Source>, state: &mut State, every: Duration, count: u64) -> Result<()> {
    let (sender, messages) = sync_channel(256);
    let is_paused = Arc::new(AtomicBool::new(false));
    let pause = Arc::clone(&is_paused);
    thread::spawn(move || {
        // Nobody listens any more: the program is about to end.
        let over = |result| drop(sender.send(Message::Over(result)));
        let mut number = 0;
        while number < count {
            if pause.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
                continue;
            }
            match source.next(&mut |event| drop(sender.send(Message::Event(event)))) {
                Ok(()) => thread::sleep(every),
                Err(error) => return over(Err(error)),
            }
            number += 1;
        }
        over(Ok(()));
    });
    let mut screen = Screen::open()?;
    let mut footer = "q quits, space pauses";
    loop {
        loop {
            match messages.try_recv() {
                Ok(Message::Event(event)) => state.take(event),
                Ok(Message::Over(result)) => {
                    result?;
                    footer = "that was all; q quits";
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        screen.draw(state, footer)?;
        match screen.wish(Duration::from_millis(50))? {
            Some(Wish::Quit) => return Ok(()),
            Some(Wish::Pause) => {
                state.is_paused = !state.is_paused;
                is_paused.store(state.is_paused, Ordering::Relaxed);
            }
            None => {}
        }
    }
}
