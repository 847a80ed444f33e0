//! Which bytes of a board's flash change, in which order.

use std::fmt;

use embernet_core::slot::RECORD_BYTES;

use super::{TooLarge, fits};
use crate::link::Slots;

/// What happens to a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// All of it becomes ones.
    Erase,
    /// It is programmed.
    Write,
}

/// What a range holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A slot's erase unit of records.
    Records,
    /// The image.
    Image,
    /// The record that makes the image count.
    Record,
}

/// One range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What happens to it.
    pub action: Action,
    /// The first address.
    pub start: u32,
    /// Bytes.
    pub bytes: u32,
    /// What it holds.
    pub what: Content,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self.action {
            Action::Erase => "erase",
            Action::Write => "write",
        };
        let what = match self.what {
            Content::Records => "records",
            Content::Image => "image",
            Content::Record => "record",
        };
        let end = u64::from(self.start) + u64::from(self.bytes);
        write!(f, "{action} {:#010x}..{end:#010x} {what} ({} B)", self.start, self.bytes)
    }
}

/// Everything that changes when an image goes into a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The slot.
    pub slot: u8,
    /// In order: the record goes first and comes last, so that the slot counts for nothing in between.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Of `image` in this slot (0 or 1; any other number is 1).
    ///
    /// # Errors
    /// [`TooLarge`]: the slot does not take it.
    pub fn new(image: &[u8], slots: &Slots, slot: u8) -> Result<Self, TooLarge> {
        fits(image, slots)?;
        let slot = slot.min(1);
        let records = slots.origins[usize::from(slot)];
        let at = records.saturating_add(slots.head_bytes());
        // Larger than its slot it is not, so it fits 32 bits.
        let bytes = image.len() as u32;
        let (first, whole) = (slots.erase_bytes, (slots.head_bytes() + bytes).next_multiple_of(slots.erase_bytes));
        let step = |action, start, bytes, what| Step { action, start, bytes, what };
        let mut steps = vec![
            step(Action::Erase, records, first, Content::Records),
            step(Action::Erase, records.saturating_add(first), whole - first, Content::Image),
            step(Action::Write, at, bytes, Content::Image),
            step(Action::Write, records, RECORD_BYTES as u32, Content::Record),
        ];
        // Where an image shares its records' erase unit, that may be all.
        steps.retain(|step| step.bytes > 0);
        Ok(Self { slot, steps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Board;

    const SLOTS: Slots = Slots::new([0x1000, 0x3000], 0x2000, 0x400);

    #[test]
    fn every_range_is_named_in_order() {
        let plan = Plan::new(&[0; 0x500], &SLOTS, 1).unwrap();
        let lines: Vec<String> = plan.steps.iter().map(Step::to_string).collect();
        assert_eq!(
            lines,
            [
                "erase 0x00003000..0x00003400 records (1024 B)",
                "erase 0x00003400..0x00003c00 image (2048 B)",
                "write 0x00003400..0x00003900 image (1280 B)",
                "write 0x00003000..0x00003020 record (32 B)",
            ]
        );
        assert!(Plan::new(&[0; 0x1C01], &SLOTS, 0).is_err());
    }

    #[test]
    fn an_image_may_share_the_erase_unit_of_its_records() {
        let slots = &Board::named("netduinoplus2").unwrap().slots;
        let ranges = |bytes| -> Vec<_> {
            let plan = Plan::new(&vec![0; bytes], slots, 0).unwrap();
            plan.steps.iter().map(|step| (step.action, step.start, step.bytes)).collect()
        };
        let (erase, write) = (Action::Erase, Action::Write);
        let (start, head) = (0x0808_0000, 0x1000);
        let small = [(erase, start, 0x2_0000), (write, start + head, 0x1_F000), (write, start, 32)];
        assert_eq!(ranges(0x1_F000), small);
        let large = [(erase, start, 0x2_0000), (erase, start + 0x2_0000, 0x2_0000), (write, start + head, 0x1_F001)];
        assert_eq!(ranges(0x1_F001)[..3], large);
    }
}
