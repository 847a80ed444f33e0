//! One training step of small dense networks, beside AIfES.

use crate::peers::Peers;
use crate::table::{number, ratio};
use anyhow::{Context, Result};
use embernet::graph::ops::Dense;
use embernet::graph::{Activation, Graph, Sequential, grouped, text_table};
use embernet::image::{Loss, PackOptions, TrainOptions, pack};
use embernet::link::{Board, Client, FirmwareOptions, Qemu, QemuOptions, build_firmware};
use embernet_core::optim::OptimizerRecord;
use embernet_core::rng::Rng;

/// Steps, of which the figure is the mean: few instructions depend on the numbers.
const STEPS: u64 = 4;

/// What one step costs.
struct Cost {
    instructions: Option<u64>,
    /// Bytes of the arena that are not weights.
    ram_bytes: u64,
    stack_bytes: u32,
}

/// Every network on every board.
pub fn table(boards: &[&'static Board], peers: &Peers) -> String {
    let header = [
        "training step",
        "board",
        "instructions",
        "RAM beyond weights B",
        "stack B",
        "AIfES",
        "ours",
        "its RAM",
        "its stack",
        "goal",
        "ours",
        "goal RAM",
        "ours",
    ];
    let mut table = text_table(&header, 2);
    let rules = [("SGD", OptimizerRecord::sgd(0.01)), ("Adam", OptimizerRecord::adam(0.001))];
    for widths in [&[4, 10, 10, 3][..], &[784, 32, 10]] {
        for (rule, optimizer) in rules {
            let name = format!("{} {rule}", widths.iter().map(usize::to_string).collect::<Vec<_>>().join("-"));
            for board in boards {
                let cost = match cost(board, widths, optimizer) {
                    Ok(cost) => cost,
                    Err(error) => {
                        let why = format!("{error:#}");
                        eprintln!("skipped: {name} on {}: {}", board.name, why.lines().next().unwrap_or_default());
                        continue;
                    }
                };
                let peer = peers.training(&name, &board.name);
                table.add_row([
                    name.clone(),
                    board.name.clone(),
                    number(cost.instructions),
                    grouped(cost.ram_bytes),
                    grouped(cost.stack_bytes.into()),
                    number(peer.instructions),
                    ratio(cost.instructions, peer.instructions),
                    number(peer.ram_bytes),
                    number(peer.stack_bytes),
                    number(peer.goal_instructions),
                    ratio(cost.instructions, peer.goal_instructions),
                    number(peer.goal_ram_bytes),
                    ratio(Some(cost.ram_bytes), peer.goal_ram_bytes),
                ]);
            }
        }
    }
    format!(
        "{table}\ninstructions: executed in one step of one sample in f32, by the board's counter; stack: ours is that of the \
         whole program, link and all, AIfES's that of the step\npeer: {}",
        peers.training_source
    )
}

fn network(widths: &[usize]) -> Result<Graph> {
    let (inputs, units) = widths.split_first().context("inputs")?;
    let (last, hidden) = units.split_last().context("outputs")?;
    let relu = |net: Sequential, units: &usize| net.add(Dense::new(*units).activation(Activation::Relu));
    let net = hidden.iter().fold(Sequential::new([*inputs]), relu);
    Ok(net.add(Dense::new(*last).activation(Activation::Softmax)).build(7)?)
}

fn cost(board: &'static Board, widths: &[usize], optimizer: OptimizerRecord) -> Result<Cost> {
    let train = TrainOptions { optimizer, loss: Loss::SparseCrossEntropy, batch: 1, ..TrainOptions::default() };
    let options = PackOptions { train: Some(train), isa: board.isa, ..PackOptions::default() };
    let packed = pack(&network(widths)?, &options, None).context("pack")?;
    let image = packed.image().context("the packed image")?;
    let program = build_firmware(board, &FirmwareOptions::default())?;
    let mut client = Client::connect(Qemu::start(board, &program, &QemuOptions::default())?)?;
    client.load(&image, |_, _| {})?;
    let (mut rng, mut ticks) = (Rng::new(1), 0);
    for step in 0..STEPS as u32 {
        let x: Vec<u8> = (0..widths[0]).flat_map(|_| rng.uniform_f32(-1.0, 1.0).to_le_bytes()).collect();
        ticks += client.train_step(&image, &[&x], &(step % 3).to_le_bytes())?.ticks;
    }
    Ok(Cost {
        instructions: board.instructions(ticks).map(|all| all / STEPS),
        ram_bytes: image.arena_bytes() as u64 - u64::from(image.header().param_bytes),
        stack_bytes: client.stats()?.stack_used,
    })
}
