//! embernet on the PC: data, graph, training, quantisation, lowering, images, devices, reports.

pub mod graph;
