//! Training in 16-bit fixed point on emulated boards: the host's bits, at a fraction of soft floats' instructions.

use embernet::image::Precision;
use embernet::link::{Board, Client, FirmwareOptions};
use embernet::planner::cost;
use embernet_core::optim::OptimizerRecord;
use embernet_core::rng::Rng;
use embernet_tests::{firmware, models};

/// Updates of each kind; the thousand when asked.
fn updates() -> usize {
    std::env::var("EMBERNET_UPDATES").ok().and_then(|n| n.parse().ok()).unwrap_or(30)
}

const RULES: [(&str, OptimizerRecord); 4] = [
    ("sgd", OptimizerRecord::sgd(0.05)),
    ("momentum", OptimizerRecord::momentum(0.02, 0.9, false)),
    ("nesterov", OptimizerRecord::momentum(0.02, 0.9, true)),
    ("adam", OptimizerRecord::adam(0.005)),
];

/// Inference and updates with the host's bits; gives the instructions of one update.
fn replays(
    client: &mut Client,
    board: &Board,
    (packed, steps): (&embernet::image::Packed, models::Steps),
    what: &str,
) -> u64 {
    let image = packed.image().unwrap();
    let estimated =
        cost::update(&packed.program, &image.header().optimizer, cost::Core::of_target(&board.target), board.isa);
    client.load(&image, |_, _| {}).unwrap();
    let input = models::values(&mut Rng::new(11), 5 * image.inputs()[0].elements as usize);
    let outputs = client.infer(&image, &[&input], true).unwrap().outputs;
    assert_eq!(outputs, [models::infer(&image, &input)], "{what}: outputs");
    let steps = steps(12, updates().div_ceil(models::BATCH / image.header().train.samples as usize));
    let (losses, learned) = models::replay(&image, &steps);
    let (mut ticks, mut count) = (0, 0);
    for ((inputs, labels), loss) in models::passes(&image, &steps).zip(&losses) {
        let step = client.train_step(&image, &[inputs], labels).unwrap();
        assert_eq!(step.loss.to_bits(), loss.to_bits(), "{what}: loss of step {count}");
        ticks += step.ticks;
        count += 1;
    }
    assert_eq!(client.params(&image).unwrap(), learned, "{what}: weights after {count} steps");
    models::evaluates_like_the_host(client, &image, &steps[..1]);
    let instructions = board.instructions(ticks).unwrap() / count;
    eprintln!("{what}: the planner estimates {estimated} instructions for {instructions}");
    if image.header().train.samples == 1 && image.header().optimizer.passes == 1 {
        let share = estimated as f64 / instructions as f64;
        assert!((0.8..=1.25).contains(&share), "{what}: the planner estimates {estimated}, it takes {instructions}");
    }
    instructions
}

fn learns(name: &str) {
    let board = Board::named(name).unwrap();
    // What a board with FPU has for such images.
    let Some(mut client) = firmware::start_with(name, &FirmwareOptions::with_fixed().on(board), None) else { return };
    for hidden in [&[10, 10][..], &[16]] {
        for (rule, optimizer) in RULES {
            let what = format!("{name}, 4-{hidden:?}-3, {rule}");
            let packed = models::precise(Precision::Fixed16, hidden, optimizer, 1);
            let fixed = replays(&mut client, board, (&packed, models::steps), &what);
            let arena = packed.image().unwrap().arena_bytes();
            let packed = models::precise(Precision::F32, hidden, optimizer, 1);
            let float = replays(&mut client, board, (&packed, models::steps), &what);
            eprintln!(
                "{what}: {fixed} instructions an update and {arena} B in fixed16; {float} and {} B in f32",
                packed.image().unwrap().arena_bytes()
            );
            // The goal for cores without a floating-point unit.
            if matches!(name, "m0" | "m0-mps2" | "microbit") {
                assert!(fixed * 4 <= float, "{what}: {fixed} of {float}");
            }
        }
    }
    let packed = models::precise(Precision::Fixed16, &[10, 10], RULES[3].1, models::BATCH);
    replays(&mut client, board, (&packed, models::steps), &format!("{name}, a batch"));
}

/// Branches that part and meet, channels, adapters, AdaGrad, several passes for one update.
fn learns_branches(name: &str) {
    let board = Board::named(name).unwrap();
    let Some(mut client) = firmware::start_with(name, &FirmwareOptions::with_fixed().on(board), None) else { return };
    let of = |client: &mut Client, optimizer: OptimizerRecord, layers: &str, batch: usize| {
        let packed = models::branches(optimizer, layers, batch);
        let passes = optimizer.passes;
        let what = format!("{name}, branches, {layers}, {:?}, {passes} passes", optimizer.rule().unwrap());
        let instructions = replays(client, board, (&packed, models::steps), &what);
        eprintln!("{what}: {instructions} instructions a step");
        packed
    };
    for (_, optimizer) in [RULES[0], RULES[3]] {
        of(&mut client, optimizer, "all", 1);
    }
    of(&mut client, OptimizerRecord::adagrad(0.05), "all", 1);
    for layers in ["second:channels=1-2+7,last:lora=2,third:bias", "first,second:lora=3,last:channels=0"] {
        of(&mut client, RULES[1].1, layers, 2);
    }
    // A program of its own.
    let adds_up = FirmwareOptions { states: true, ..FirmwareOptions::with_fixed_images() };
    let Some(mut client) = firmware::start_with(name, &adds_up, None) else { return };
    for optimizer in [RULES[0].1, RULES[3].1, OptimizerRecord::adagrad(0.05)] {
        let packed = of(&mut client, optimizer.with_passes(5), "all", 2);
        assert_eq!(FirmwareOptions::whole_for(&packed.image().unwrap()), adds_up);
    }
}

#[test]
fn m0_learns_branches_in_fixed_point() {
    learns_branches("m0");
}

#[test]
fn m3_learns_branches_in_fixed_point() {
    learns_branches("m3");
}

#[test]
fn m4_learns_branches_in_fixed_point() {
    learns_branches("m4");
}

#[test]
fn rv32_learns_branches_in_fixed_point() {
    learns_branches("rv32");
}

/// Convolutions and pools, too.
fn learns_images(name: &str) {
    let board = Board::named(name).unwrap();
    let Some(mut client) = firmware::start_with(name, &FirmwareOptions::with_fixed_images(), None) else { return };
    for (rule, optimizer) in RULES {
        let what = format!("{name}, images, {rule}");
        let mut of = |precision, batch| {
            let packed = models::images(precision, optimizer, batch);
            let instructions = replays(&mut client, board, (&packed, models::image_steps), &what);
            (instructions, packed.image().unwrap().arena_bytes())
        };
        let (fixed, arena) = of(Precision::Fixed16, 1);
        let (float, float_arena) = of(Precision::F32, 1);
        eprintln!(
            "{what}: {fixed} instructions an update and {arena} B in fixed16; {float} and {float_arena} B in f32"
        );
        if matches!(name, "m0" | "m0-mps2" | "microbit") {
            assert!(fixed * 3 <= float, "{what}: {fixed} of {float}");
        }
        of(Precision::Fixed16, 4);
    }
}

#[test]
fn m0_learns_images_in_fixed_point() {
    learns_images("m0");
}

#[test]
fn m3_learns_images_in_fixed_point() {
    learns_images("m3");
}

#[test]
fn m4_learns_images_in_fixed_point() {
    learns_images("m4");
}

#[test]
fn rv32_learns_images_in_fixed_point() {
    learns_images("rv32");
}

#[test]
fn m0_learns_in_fixed_point() {
    learns("m0");
}

#[test]
fn m3_learns_in_fixed_point() {
    learns("m3");
}

#[test]
fn m4_learns_in_fixed_point() {
    learns("m4");
}

#[test]
fn rv32_learns_in_fixed_point() {
    learns("rv32");
}
