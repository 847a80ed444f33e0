//! Results that a device tells in its log.
//!
//! A program that runs by itself, with sensors of its own, answers nobody. What it does it says in its log, in words
//! `name=value`:
//!
//! | word | is |
//! |---|---|
//! | `class=2` | the class of an inference |
//! | `outputs=[0.1, 0.9]` | its outputs; without blanks, `outputs=[0.1,0.9]`, too |
//! | `ticks=4732` | what it, or the training step, took |
//! | `loss=0.25` | the loss of a training step |
//! | `accuracy=0.9` | a share of right answers |
//! | `drift=3.5` | a score of drift |

use super::{Drift, Event};

/// What a log message tells in such words; nothing, for most.
pub fn readings(text: &str) -> Vec<Event> {
    let number = |name| value(text, name).and_then(|word| word.parse::<f64>().ok());
    let whole = |name| value(text, name).and_then(|word| word.parse::<u64>().ok());
    let outputs = list(text);
    let class = whole("class").and_then(|class| u32::try_from(class).ok());
    let loss = number("loss");
    let mut events = Vec::new();
    if class.is_some() || !outputs.is_empty() {
        let ticks = whole("ticks").filter(|_| loss.is_none());
        events.push(Event::Inferred { sample: None, outputs, class, label: None, ticks });
    }
    if let Some(loss) = loss {
        events.push(Event::Trained { step: whole("step"), loss: loss as f32, ticks: whole("ticks") });
    }
    if let Some(accuracy) = number("accuracy") {
        events.push(Event::Judged { accuracy, samples: whole("samples").unwrap_or(0) as usize });
    }
    if let Some(score) = number("drift") {
        events.push(Event::Drift(Drift { input: score as f32, output: 0.0, missing: 0 }));
    }
    events
}

/// What follows `name=`, where that begins a word, up to the word's end.
fn value<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let rest = after(text, name)?;
    let end = rest.find(|c: char| c.is_whitespace() || c == ',' || c == ';').unwrap_or(rest.len());
    rest.get(..end)
}

fn after<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let begins = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let at = text
        .match_indices(name)
        .map(|(at, _)| at)
        .find(|&at| begins(at) && text[at + name.len()..].starts_with('='))?;
    text.get(at + name.len() + 1..)
}

/// The numbers of `outputs=[…]`; none if one of them is no number.
fn list(text: &str) -> Vec<f32> {
    let inside = after(text, "outputs").and_then(|rest| rest.strip_prefix('[')).and_then(|rest| rest.split(']').next());
    let numbers = inside.into_iter().flat_map(|inside| inside.split(',')).map(|word| word.trim().parse());
    numbers.collect::<Result<_, _>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_found_in_a_log() {
        let inferred = |outputs: &[f32], class, ticks| Event::Inferred {
            sample: None,
            outputs: outputs.to_vec(),
            class,
            label: None,
            ticks,
        };
        assert_eq!(readings("class=2 ticks=4732"), [inferred(&[], Some(2), Some(4732))]);
        assert_eq!(readings("saw: outputs=[0.25, -1.5e1], ticks=9"), [inferred(&[0.25, -15.0], None, Some(9))]);
        let trained = Event::Trained { step: Some(7), loss: 0.5, ticks: Some(3) };
        assert_eq!(readings("step=7 loss=0.5 ticks=3"), [trained]);
        let drift = Event::Drift(Drift { input: 3.5, output: 0.0, missing: 0 });
        assert_eq!(readings("accuracy=0.9 drift=3.5"), [Event::Judged { accuracy: 0.9, samples: 0 }, drift]);
    }

    #[test]
    fn other_messages_tell_nothing() {
        for text in
            ["", "model runs: slot 0", "class=", "class=a", "subclass=1", "outputs=[", "outputs=[a]", "loss", "é=loss"]
        {
            assert_eq!(readings(text), [], "{text}");
        }
    }
}
