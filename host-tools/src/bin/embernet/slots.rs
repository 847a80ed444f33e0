//! `embernet slots`: the models that lie in a device's flash.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use embernet::engine;
use embernet::link::{SlotStates, Upload};
use serde::Serialize;

use crate::args::PlaceArgs;
use crate::output::{Output, grouped};

/// Show the models in a device's two slots, or make the older one active again.
#[derive(Debug, Args)]
pub struct Slots {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(subcommand)]
    change: Option<Change>,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// Make the model in this slot the active one, after the device has read it whole.
    Activate {
        /// 0 or 1.
        #[arg(value_parser = clap::value_parser!(u8).range(0..=1))]
        slot: u8,
    },
    /// Make the model in the other slot the active one.
    Rollback,
}

#[derive(Serialize)]
struct SlotLine {
    slot: usize,
    active: bool,
    generation: u32,
    bytes: u32,
    crc: u32,
    verified: bool,
}

#[derive(Serialize)]
struct Line {
    done: bool,
    slot: u8,
    generation: u32,
}

impl Slots {
    pub fn run(&self, output: &Output) -> Result<()> {
        let (mut client, _) = engine::connect(&self.place.on)?;
        let slots = client.slots()?;
        let activated = match &self.change {
            None => {
                show(&slots, output);
                return Ok(());
            }
            Some(Change::Activate { slot }) => client.activate(*slot)?,
            Some(Change::Rollback) => {
                let Some(active) = slots.active else { bail!("{} has no active model to go back from", client.name()) };
                client.activate(1 - active.min(1))?
            }
        };
        let Upload { slot, generation, .. } = activated;
        output.text(format_args!("slot {slot} is active, generation {generation}"));
        output.json(&Line { done: true, slot, generation });
        Ok(())
    }
}

fn show(slots: &SlotStates, output: &Output) {
    for (slot, record) in slots.records.iter().enumerate() {
        let Some(record) = record else {
            output.text(format_args!("  slot {slot}: empty"));
            continue;
        };
        let active = slots.active.map(usize::from) == Some(slot);
        output.text(format_args!(
            "{} slot {slot}: generation {}, {} B, CRC-32 {:08x}{}",
            if active { "*" } else { " " },
            record.generation,
            grouped(record.bytes),
            record.crc,
            if record.verified { "" } else { ", not read back yet" },
        ));
        let (generation, bytes, crc, verified) = (record.generation, record.bytes, record.crc, record.verified);
        output.json(&SlotLine { slot, active, generation, bytes, crc, verified });
    }
    if slots.active.is_some() {
        output.text("*: active");
    }
}
