//! embernet on the PC: data, graph, training, quantisation, lowering, images, devices, reports.

pub mod data;
pub mod files;
pub mod graph;
pub mod train;
