//! embernet on the PC: data, graph, training, quantisation, lowering, images, devices, reports.

pub mod counting;
pub mod data;
pub mod engine;
mod exact;
pub mod experiment;
pub mod export;
pub mod files;
pub mod flash;
pub mod graph;
pub mod image;
pub mod import;
pub mod link;
pub mod lower;
pub mod monitor;
pub mod passes;
pub mod planner;
pub mod project;
pub mod quant;
pub mod report;
#[cfg(test)]
mod testing;
pub mod train;
