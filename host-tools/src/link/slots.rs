//! The device's model slots: what lies in them, which one is active.

use embernet_core::slot::{RECORD_BYTES, Record};
use embernet_core::wire::Request;

use super::client::Reply;
use super::{Client, LinkError, Upload};

/// What lies in a device's slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotStates {
    /// The newest record of each.
    pub records: [Option<Record>; 2],
    /// The slot whose model is at work, or would be if it could run.
    pub active: Option<u8>,
}

impl SlotStates {
    /// The slot that the next model goes to.
    pub fn spare(&self) -> u8 {
        u8::from(self.active == Some(0))
    }

    /// The generation that a model gets which is made active now.
    pub fn next_generation(&self) -> u32 {
        let newest = self.records.iter().flatten().map(|record| record.generation).max();
        newest.map_or(1, |generation| generation.saturating_add(1))
    }
}

impl Client {
    /// What lies in the slots.
    pub fn slots(&mut self) -> Result<SlotStates, LinkError> {
        let wrong = LinkError::Unexpected { request: "slots" };
        let Reply::Data(data) = self.ask("slots", &Request::Slots)? else { return Err(wrong) };
        let (records, rest) = data.as_chunks::<RECORD_BYTES>();
        let ([first, second], [active]) = (records, rest) else { return Err(wrong) };
        Ok(SlotStates {
            records: [first, second].map(Record::parse),
            active: Some(*active).filter(|slot| *slot != u8::MAX),
        })
    }

    /// Makes the image in a slot the device's model. It begins with the image's own parameters.
    pub fn activate(&mut self, slot: u8) -> Result<Upload, LinkError> {
        match self.ask("activate", &Request::Activate { slot })? {
            Reply::Committed(slot, generation) => Ok(Upload { sent: 0, slot, generation }),
            _ => Err(LinkError::Unexpected { request: "activate" }),
        }
    }
}
