//! Lifetimes and places: which buffers share one place, and where in the arena each of them lies.

use super::error::LowerError;
use super::pack::{Item, Nested, Packing, pack};
use super::program::{
    BUFFER_ALIGN, Buffer, BufferId, Encoded, Home, Inside, Layout, MOST_BYTES, Places, Program, Sequence, StepSpec, Use,
};
use embernet_core::plan::{Ref, Step};

impl Program {
    /// Gives every buffer its place and every step its record.
    ///
    /// Without `reuse` all transients live from the first step to the last.
    ///
    /// Transients begin at multiples of `align`, a power of two no less than [`BUFFER_ALIGN`]; what outlives a run lies
    /// where it lies for every target.
    pub fn place(&mut self, reuse: bool, align: usize) -> Result<(), LowerError> {
        self.place_fixed()?;
        self.merged = self.buffers.iter().map(Buffer::inside).collect();
        let mut infer = std::mem::take(&mut self.infer);
        self.place_sequence(&mut infer, reuse, align)?;
        self.infer = infer;
        if let Some(mut train) = self.train.take() {
            self.place_sequence(&mut train, reuse, align)?;
            self.train = Some(train);
        }
        Ok(())
    }

    /// Data, parameters and state: one after the other.
    fn place_fixed(&mut self) -> Result<(), LowerError> {
        let (mut data, mut parameters) = (0usize, 0usize);
        for buffer in &mut self.buffers {
            let (counter, at): (&mut usize, fn(u32) -> Ref) = match buffer.home {
                Home::Data(_) => (&mut data, Ref::data),
                Home::Parameter { .. } => (&mut parameters, Ref::arena),
                _ => continue,
            };
            buffer.at = at(*counter as u32);
            *counter = counter.saturating_add(buffer.bytes).next_multiple_of(BUFFER_ALIGN);
            if *counter > MOST_BYTES {
                return Err(LowerError::TooLarge { what: "the model", bytes: *counter, most: MOST_BYTES });
            }
        }
        self.parameter_bytes = parameters;
        self.data_bytes = data + parameters;
        let mut persistent = parameters;
        for buffer in &mut self.buffers {
            if let Home::State { bytes } = buffer.home {
                buffer.at = Ref::arena(persistent as u32);
                persistent = persistent.saturating_add(bytes).next_multiple_of(BUFFER_ALIGN);
            }
        }
        self.persistent_bytes = persistent;
        Ok(())
    }

    fn place_sequence(&mut self, sequence: &mut Sequence, reuse: bool, align: usize) -> Result<(), LowerError> {
        sequence.uses = self.uses_of(sequence)?;
        if reuse {
            self.merge(sequence);
            sequence.uses = self.uses_of(sequence)?;
            self.merge_parts(sequence, align);
        }
        sequence.steps.retain(|s| !self.is_idle(s));
        sequence.uses = self.uses_of(sequence)?;
        let mut spans = self.spans(sequence);
        if !reuse {
            let end = sequence.steps.len().saturating_sub(1);
            spans.iter_mut().for_each(|(_, first, last)| (*first, *last) = (0, end));
        }
        let items = self.items(&spans);
        let nested = if reuse { self.nested(sequence, &spans) } else { Vec::new() };
        let Packing { offsets, bytes, lower_bound, strategy } = pack(&items, &nested, align);
        let first = self.persistent_bytes.next_multiple_of(align);
        let arena_bytes = first.saturating_add(bytes);
        if arena_bytes > MOST_BYTES {
            return Err(LowerError::TooLarge { what: "the arena", bytes: arena_bytes, most: MOST_BYTES });
        }
        for (&(buffer, ..), offset) in spans.iter().zip(offsets) {
            self.buffers[buffer.index()].at = Ref::arena((first + offset) as u32);
        }
        let places: Vec<Ref> = (0..self.buffers.len() as u32).map(|b| self.place_of(BufferId(b))).collect();
        sequence.records = sequence.steps.iter().map(|s| (s.make)(Places::new(&places))).collect();
        sequence.layout = Layout { arena_bytes, transient_bytes: bytes, lower_bound, strategy, spans };
        // What shares another one's place can be asked for it, too.
        for (buffer, at) in self.buffers.iter_mut().zip(places) {
            buffer.at = at;
        }
        Ok(())
    }

    /// The buffer with a place of its own that this one lies in.
    pub(super) fn root(&self, buffer: BufferId) -> Inside {
        let mut at = Inside { buffer, offset: 0 };
        while let Some(into) = self.merged.get(at.buffer.index()).copied().flatten() {
            at = Inside { buffer: into.buffer, offset: at.offset + into.offset };
        }
        at
    }

    /// One buffer for all that begin at the same place.
    fn same_place(&self, mut buffer: BufferId) -> BufferId {
        while let Some(Inside { buffer: into, offset: 0 }) = self.merged.get(buffer.index()).copied().flatten() {
            buffer = into;
        }
        buffer
    }

    fn place_of(&self, buffer: BufferId) -> Ref {
        let Inside { buffer, offset } = self.root(buffer);
        let at = self.buffer(buffer).at;
        if offset == 0 || at.is_none() { at } else { Ref::arena((at.offset() + offset) as u32) }
    }

    /// Whether the step does nothing where its buffers lie now.
    pub(super) fn is_idle(&self, step: &StepSpec) -> bool {
        let shared = step.in_place.iter().all(|(a, b)| self.root(*a) == self.root(*b));
        let inside = step.part.is_some_and(|part| {
            let whole = self.root(part.whole);
            self.root(part.part) == Inside { offset: whole.offset + part.offset, ..whole }
        });
        (step.vanishes && shared) || inside
    }

    /// What is to be packed.
    pub(super) fn items(&self, spans: &[(BufferId, usize, usize)]) -> Vec<Item> {
        spans.iter().map(|&(buffer, first, last)| Item { bytes: self.buffer(buffer).bytes, first, last }).collect()
    }

    /// Which of them may overlap. A buffer that lies in a larger one does not: there is more in that.
    pub(super) fn nested(&self, sequence: &Sequence, spans: &[(BufferId, usize, usize)]) -> Vec<Nested> {
        let item = |buffer: BufferId| {
            let root = self.root(buffer);
            let alone = root.offset == 0 && self.buffer(root.buffer).bytes == self.buffer(buffer).bytes;
            spans.iter().position(|(of, ..)| *of == root.buffer).filter(|_| alone)
        };
        let nested = sequence.overlays.iter().filter_map(|overlay| {
            Some(Nested { lower: item(overlay.lower)?, upper: item(overlay.upper)?, distance: overlay.distance })
        });
        nested.collect()
    }

    /// The records of a sequence, with the number of each buffer as its place.
    pub(super) fn symbolic(&self, sequence: &Sequence) -> Vec<Encoded> {
        let symbol = |b: BufferId| match self.buffer(b).home {
            Home::Data(_) => Ref::data(b.0),
            _ => Ref::arena(b.0),
        };
        let symbols: Vec<Ref> = (0..self.buffers.len() as u32).map(|b| symbol(self.same_place(BufferId(b)))).collect();
        sequence.steps.iter().map(|step| (step.make)(Places::new(&symbols))).collect()
    }

    /// What every step touches, read from its record; sets the sizes of transients on the way.
    pub(super) fn uses_of(&mut self, sequence: &Sequence) -> Result<Vec<Vec<Use>>, LowerError> {
        let mut all = Vec::with_capacity(sequence.steps.len());
        for (spec, encoded) in sequence.steps.iter().zip(self.symbolic(sequence)) {
            let refused = || LowerError::Record { node: spec.layer.clone(), step: encoded.name };
            let step = encoded.step().filter(Step::shape_is_valid).ok_or_else(refused)?;
            let uses: Vec<Use> = step
                .operands(sequence.samples)
                .as_slice()
                .iter()
                .map(|o| Use { buffer: BufferId(o.at.offset() as u32), bytes: o.bytes, access: o.access })
                .collect();
            for u in &uses {
                if u.bytes > MOST_BYTES {
                    return Err(LowerError::TooLarge { what: "a tensor", bytes: u.bytes, most: MOST_BYTES });
                }
                if let Home::Within { of, from } = self.buffer(u.buffer).home {
                    let whole = &mut self.buffers[of.index()];
                    whole.bytes = whole.bytes.max(from.saturating_add(u.bytes));
                }
                let buffer = &mut self.buffers[u.buffer.index()];
                if buffer.home == Home::Transient {
                    buffer.bytes = buffer.bytes.max(u.bytes);
                }
            }
            all.push(uses);
        }
        for port in sequence.ports() {
            let place = self.same_place(port.buffer);
            let bytes = port.bytes(sequence.samples).filter(|b| *b <= MOST_BYTES).unwrap_or(usize::MAX);
            if bytes > MOST_BYTES {
                return Err(LowerError::TooLarge { what: "a tensor", bytes, most: MOST_BYTES });
            }
            let buffer = &mut self.buffers[place.index()];
            buffer.bytes = buffer.bytes.max(bytes);
        }
        Ok(all)
    }

    /// Lets steps work in place where nobody reads their input afterwards.
    fn merge(&mut self, sequence: &Sequence) {
        let mut last_use = vec![0; self.buffers.len()];
        let mut first_use = vec![usize::MAX; self.buffers.len()];
        for (index, uses) in sequence.uses.iter().enumerate() {
            for whole in uses.iter().map(|used| self.root(used.buffer).buffer.index()) {
                last_use[whole] = index;
                first_use[whole] = first_use[whole].min(index);
            }
        }
        for port in sequence.outputs.iter() {
            last_use[port.buffer.index()] = usize::MAX;
        }
        // What is there before the first step begins at none: two inputs that the first step reads may
        // not both become its output.
        for port in sequence.inputs.iter().chain(&sequence.target) {
            first_use[port.buffer.index()] = usize::MAX;
        }
        for (index, step) in sequence.steps.iter().enumerate() {
            for (from, to) in &step.in_place {
                let (from, to) = (self.root(*from).buffer, self.root(*to).buffer);
                let transient = |b: BufferId| self.buffer(b).home == Home::Transient;
                // `to` must begin here (nothing of it exists before) and `from` end here.
                if from != to
                    && transient(from)
                    && transient(to)
                    && self.buffer(from).bytes == self.buffer(to).bytes
                    && last_use[from.index()] == index
                    && first_use[to.index()] == index
                {
                    self.merged[to.index()] = Some(Inside { buffer: from, offset: 0 });
                    last_use[from.index()] = last_use[to.index()];
                }
            }
        }
    }

    /// Transients of a sequence with first and last step. Inputs are there from the start, outputs
    /// to the end.
    pub(super) fn spans(&self, sequence: &Sequence) -> Vec<(BufferId, usize, usize)> {
        let mut spans: std::collections::BTreeMap<BufferId, (usize, usize)> = Default::default();
        let mut extend = |buffer: BufferId, step: usize| {
            let span = spans.entry(buffer).or_insert((step, step));
            *span = (span.0.min(step), span.1.max(step));
        };
        for (index, uses) in sequence.uses.iter().enumerate() {
            uses.iter().for_each(|u| extend(self.root(u.buffer).buffer, index));
        }
        let end = sequence.steps.len().saturating_sub(1);
        sequence.inputs.iter().chain(&sequence.target).for_each(|p| extend(self.root(p.buffer).buffer, 0));
        sequence.outputs.iter().for_each(|p| extend(self.root(p.buffer).buffer, end));
        spans
            .into_iter()
            .filter(|(b, _)| self.buffer(*b).home == Home::Transient)
            .map(|(b, (first, last))| (b, first, last))
            .collect()
    }
}
