//! Int8 models that learn in place recover on other data.
//!
//! The long comparisons with floats: `cargo run --release -p embernet-tests --example recovery -- --help`.

use embernet::train::Runaway;
use embernet_core::optim::OptimizerRecord;
use embernet_tests::adaptation::tasks::{
    CIFAR_MOMENTS, Greys, PERSON_RAM, as_person_input, cifar, is_worn_above, model, person_layers,
};
use embernet_tests::adaptation::{COLOURS, Learning, Samples, accuracies, normalised, split_changes_nothing};
use embernet_tests::models;

/// One table of 256 entries in front of the network.
const TABLE: usize = 256;

#[test]
fn person_detection_learns_its_last_third_in_110_kilobytes() {
    let Some(graph) = model("tflm_person_detect_int8") else { return };
    let how = Learning::sgd(person_layers(&graph), 1e-2, 2);
    let (bytes, parameters) = how.ram(&graph);
    println!("{}: {bytes} B, of which {parameters} B learn", how.layers);
    assert!(bytes + TABLE <= PERSON_RAM, "{bytes}");
    let set = |part| Greys::load("fashion_mnist_2k", part);
    let (Some(train), Some(test)) = (set("train"), set("t10k")) else { return };
    let [train, test] =
        [(train, 150), (test, 100)].map(|(set, count)| as_person_input(&set.two_classes(0..count, is_worn_above)));
    let found = accuracies(&graph, &how, &train, &test);
    println!("{found:?}");
    assert!(found[1] > 0.8 && found[1] > found[0] + 0.15, "{found:?}");
}

/// Before and after normalisation by the moments of images whose labels nobody knows, of so many of the others.
#[test]
fn normalised_inputs_undo_shifts_of_brightness_and_colour() {
    let Some(graph) = model("mlperf_ic_resnet8_int8") else { return };
    let Some(images) = cifar() else { return };
    let how = Learning::sgd("last:1".parse().unwrap(), 0.1, 0);
    let right = |test: &Samples| accuracies(&graph, &how, &Samples::default(), test)[0];
    for (shift, least) in COLOURS.iter().zip([0.7, 0.7, 0.6, 0.6]) {
        let [seen, test] = shift.of(&images, 32, 3, 1).halves(1);
        let after = normalised(&graph, &CIFAR_MOMENTS, &seen)(&test);
        let found = [right(&test), right(&after)];
        println!("{}: {found:?}", shift.name);
        assert!(found[1] > found[0] && found[1] >= least, "{}: {found:?}", shift.name);
    }
}

#[test]
fn a_front_that_runs_once_changes_nothing() {
    let Some(graph) = model("mlperf_ic_resnet8_int8") else { return };
    let Some(images) = cifar() else { return };
    let how = Learning::sgd("conv2d_6:bias,conv2d_7:bias,conv2d_8,dense".parse().unwrap(), 1e-2, 1);
    assert!(split_changes_nothing(&graph, &how, &images.some(&[0, 1, 2, 3])));
}

/// A thousand updates at rates that serve are no runaway; at rates that are, the network does worse than one that gives
/// every class the same chance.
#[test]
fn weights_that_have_run_away_have_learned_nothing() {
    let steps = models::int8_steps(3, 1000);
    for (rate, is_away) in [(0.01, false), (0.05, false), (0.2, false), (20.0, true), (200.0, true), (20_000.0, true)] {
        let packed = models::int8(OptimizerRecord::sgd(rate), "all", models::BATCH, &[]);
        let image = packed.image().unwrap();
        let (losses, params) = models::replay(&image, &steps);
        let loss = losses[980..].iter().sum::<f32>() / 20.0;
        let found = Runaway::of_params(&image, &params);
        println!("rate {rate}: loss {loss:.3}, {found:?}");
        assert_eq!((found.is_some(), loss > 3f32.ln()), (is_away, is_away), "rate {rate}: {loss}, {found:?}");
    }
}
