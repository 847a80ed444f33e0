//! A device that is watched: what is heard of it over a link, and how that is drawn.

use embernet::link::{Client, LinkError, LogLine};
use embernet::monitor::{Clock, Counters, Drift, Event, Feed, Heard, Samples, Source, State, Watcher, draw, line};
use embernet_core::optim::OptimizerRecord;
use embernet_core::rng::Rng;
use embernet_tests::nor::{Nor, PAGE};
use embernet_tests::{device, models};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

const SLOT: usize = 16 * PAGE;
const ARENA: usize = 12_000;

/// A device in this process with the Iris network.
fn connect() -> (Client, embernet::image::Packed) {
    let packed = models::iris(OptimizerRecord::sgd(0.1));
    let (mut client, _) = device::connect(Nor::slots(SLOT).0, ARENA);
    client.load(&packed.image().unwrap(), |_, _| {}).unwrap();
    (client, packed)
}

/// All that happens in so many turns.
fn hear(source: &mut dyn Source, turns: usize) -> Result<Vec<Event>, LinkError> {
    let mut events = Vec::new();
    for _ in 0..turns {
        source.next(&mut |event| events.push(event))?;
    }
    Ok(events)
}

#[test]
fn a_device_that_is_fed_tells_outputs_and_drift() {
    let (client, packed) = connect();
    let image = packed.image().unwrap();
    let inputs = models::values(&mut Rng::new(1), 4 * 3);
    let expected = models::infer(&image, &inputs);
    let samples = Samples { inputs, labels: vec![0, 1, 2] };
    let mut feed = Feed::new(Heard::new(client, None), image, samples, 15).unwrap();
    let events = hear(&mut feed, 20).unwrap();
    let inferred = events.iter().filter_map(|event| match event {
        Event::Inferred { sample: Some(sample), outputs, label: Some(label), ticks: Some(_), .. } => {
            assert_eq!(*label, *sample as u32);
            Some((*sample, outputs.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()))
        }
        _ => None,
    });
    let inferred: Vec<_> = inferred.collect();
    assert_eq!(inferred.len(), 20);
    for (number, (sample, output)) in inferred.iter().enumerate() {
        assert_eq!((*sample, &output[..]), (number % 3, &expected[12 * (number % 3)..][..12]), "the host's bits");
    }
    let drifts: Vec<_> =
        events.iter().filter_map(|event| if let Event::Drift(drift) = event { Some(drift) } else { None }).collect();
    assert_eq!(drifts.iter().map(|drift| drift.missing).collect::<Vec<_>>(), [5, 0]);
    assert!(drifts[1].input < 10.0, "the same three samples are no drift: {drifts:?}");
    let counters =
        events.iter().rev().find_map(|event| if let Event::Counters(counters) = event { Some(counters) } else { None });
    assert_eq!(counters.unwrap().inferences, 20);
    let counts =
        events.iter().rev().find_map(|event| if let Event::Classes { counts } = event { Some(counts) } else { None });
    assert_eq!(counts.unwrap().iter().sum::<u32>(), 20);
}

#[test]
fn samples_that_are_no_whole_ones_are_refused() {
    for bytes in [0, 15, 17] {
        let (client, packed) = connect();
        let samples = Samples { inputs: vec![0; bytes], labels: Vec::new() };
        let error = Feed::new(Heard::new(client, None), packed.image().unwrap(), samples, 0).unwrap_err();
        assert_eq!(error.to_string(), format!("the samples for one input has {bytes} bytes, expected 16"));
    }
}

#[test]
fn a_device_that_is_only_asked_tells_what_has_changed() {
    let (mut client, packed) = connect();
    let image = packed.image().unwrap();
    let (inputs, labels) = models::steps(1, 1).remove(0);
    let loss = client.train_step(&image, &[&inputs], &labels).unwrap().loss;
    let mut watcher = Watcher::new(Heard::new(client, None), Some(image));
    let events = hear(&mut watcher, 1).unwrap();
    assert!(events.contains(&Event::Trained { step: Some(1), loss, ticks: None }), "{events:?}");
    assert!(matches!(events[0], Event::Counters(Counters { updates: 1, .. })), "{events:?}");
    assert_eq!(hear(&mut watcher, 3).unwrap(), [], "nothing has changed");
}

/// A terminal of this size that shows a device.
fn drawn(state: &State, width: u16, height: u16) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state, "q quits, space pauses")).unwrap();
    terminal.backend().clone()
}

/// What is on it.
fn screen(state: &State, width: u16, height: u16) -> String {
    drawn(state, width, height).to_string()
}

fn busy() -> State {
    let names = ["setosa", "versicolor", "virginica"].map(String::from).to_vec();
    let mut state = State::new("m4 on serial:COM3: iris.emb, 2,784 B, slot 0", Clock::Hz(1_000_000), names);
    let level = "info";
    state.take(Event::Note { text: "the device has restarted".into() });
    let log = |text: &str| LogLine { level, text: text.into(), place: Some("firmware/app/src/lib.rs:131".into()) };
    state.take(Event::Log(log("model runs: slot 0, generation 1, bytes: 2784")));
    for step in 1..=40_u64 {
        let outputs = vec![0.9 - 0.01 * step as f32, 0.08, 0.02 + 0.01 * step as f32];
        let (label, ticks) = (Some(u32::from(step > 30) * 2), Some(1200 + step * 7 % 100));
        state.take(Event::Inferred { sample: Some(0), outputs, class: None, label, ticks });
        state.take(Event::Trained { step: Some(step), loss: 2.0 / step as f32, ticks: None });
        state.take(Event::Drift(Drift { input: step as f32 / 3.0, output: 0.5, missing: 0 }));
    }
    state.take(Event::Judged { accuracy: 0.93, samples: 100 });
    state.take(Event::Classes { counts: vec![30, 0, 10] });
    let (stack_used, stack_bytes, arena_used, arena_bytes) = (3080, 16_384, 2852, 65_536);
    let counters =
        Counters { inferences: 40, updates: 40, stack_used, stack_bytes, arena_used, arena_bytes, bad_frames: 1 };
    state.take(Event::Counters(counters));
    state
}

#[test]
fn everything_has_its_place() {
    insta::assert_snapshot!(screen(&busy(), 100, 30));
}

#[test]
fn a_narrow_terminal_has_one_column() {
    insta::assert_snapshot!(screen(&busy(), 48, 24));
}

#[test]
fn a_device_that_has_done_nothing_yet() {
    let mut state = State::new("m4 on qemu:m4: no model", Clock::Unknown, Vec::new());
    insta::assert_snapshot!(screen(&state, 60, 8));
    state.hint = "--model MODEL.emb --data X.npy sends a model and feeds it samples".into();
    let (level, text) = ("warn", "no model".into());
    state.take(Event::Log(LogLine { level, text, place: Some("firmware/app/src/lib.rs:138".into()) }));
    insta::assert_snapshot!(screen(&state, 60, 16));
}

#[test]
fn no_terminal_is_too_small() {
    let states = [State::default(), busy()];
    for state in &states {
        for width in 0..30 {
            for height in 0..18 {
                drawn(state, width, height);
            }
        }
    }
}

#[test]
fn outputs_that_are_no_numbers_are_drawn_too() {
    let mut state = State::default();
    let outputs = vec![f32::NAN, f32::INFINITY, -1.0];
    state.take(Event::Inferred { sample: None, outputs, class: None, label: None, ticks: None });
    state.take(Event::Trained { step: None, loss: f32::NAN, ticks: None });
    assert!(screen(&state, 60, 16).contains("NaN"));
}

#[test]
fn what_happens_is_told_in_one_line_each() {
    let mut state = State::new("", Clock::Hz(1000), ["cold", "warm"].map(String::from).to_vec());
    let mut told = |event: Event| {
        state.take(event.clone());
        line(&state, &event)
    };
    let inferred = |outputs: &[f32], class, label, ticks| Event::Inferred {
        sample: Some(4),
        outputs: outputs.to_vec(),
        class,
        label,
        ticks,
    };
    assert_eq!(
        told(inferred(&[0.25, 0.75], None, Some(0), Some(2))),
        "infer of sample 4: warm 0.750 (is cold), 2.00 ms"
    );
    assert_eq!(told(inferred(&[], Some(1), None, None)), "infer of sample 4: warm");
    assert_eq!(told(inferred(&[1.5], None, None, Some(2500))), "infer of sample 4: 1.5000, 2.50 s");
    assert_eq!(told(Event::Trained { step: Some(7), loss: 0.5, ticks: None }), "step 7: loss 0.50000");
    assert_eq!(told(Event::Judged { accuracy: 0.5, samples: 10 }), "accuracy 0.5000 on 10 samples");
    assert_eq!(
        told(Event::Drift(Drift { input: 0.0, output: 0.0, missing: 9 })),
        "drift: 9 samples of the reference to come"
    );
    assert_eq!(
        told(Event::Drift(Drift { input: 11.0, output: 2.0, missing: 0 })),
        "drift: input 11.0, output 2.0: the world is another one"
    );
    assert_eq!(told(Event::Classes { counts: vec![3, 0] }), "answers: cold 3");
    assert_eq!(told(Event::Note { text: "the device has restarted".into() }), "the device has restarted");
}
