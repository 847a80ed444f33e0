//! Files to graphs: our own checkpoint, and (later) foreign models.

pub mod checkpoint;
