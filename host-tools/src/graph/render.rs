//! The graph as a table, for people and as data.

use super::lanes::{is_chain, lanes};
use super::tensor::shape_text;
use super::{Activation, Graph, NodeId};
use serde::Serialize;

/// One line of the layer table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerRow {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub op: &'static str,
    /// The fused clamp, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<&'static str>,
    /// The tensors that it reads as data.
    pub inputs: Vec<String>,
    /// Output shape of one sample.
    pub shape: Vec<usize>,
    /// Type of the output.
    pub dtype: &'static str,
    /// Number of weights and biases.
    pub parameters: usize,
    /// Of those, how many training may change.
    pub trainable: usize,
    /// Multiply-accumulates of one sample.
    pub macs: u64,
}

/// One row per node, in the order of execution (of the list, if the graph has a cycle).
pub fn layer_rows(graph: &Graph) -> Vec<LayerRow> {
    order(graph).into_iter().map(|id| layer_row(graph, id)).collect()
}

fn order(graph: &Graph) -> Vec<NodeId> {
    graph.order().unwrap_or_else(|_| graph.iter().map(|(id, _)| id).collect())
}

fn layer_row(graph: &Graph, id: NodeId) -> LayerRow {
    let node = graph.node(id);
    let output = graph.tensor(node.outputs[0]);
    let parameters = || node.parameters().iter().map(|t| graph.tensor(*t));
    LayerRow {
        name: node.name.clone(),
        op: node.op.kind(),
        activation: Some(node.op.fused()).filter(|a| *a != Activation::Linear).map(Activation::name),
        inputs: node.data_inputs().iter().map(|t| graph.tensor(*t).name.clone()).collect(),
        shape: output.shape.clone(),
        dtype: output.dtype.name(),
        parameters: parameters().map(|t| t.elements()).sum(),
        trainable: parameters().filter(|t| t.trainable).map(|t| t.elements()).sum(),
        macs: graph.node_macs(node),
    }
}

/// The layer table as text, with totals; beside it the graph, unless it is a plain chain.
pub fn layer_table(graph: &Graph) -> String {
    let rows = layer_rows(graph);
    // The inputs come first, then the layers.
    let mut makers: Vec<Option<usize>> = vec![None; graph.tensors.len()];
    let mut sources = vec![Vec::new(); graph.inputs.len()];
    graph.inputs.iter().enumerate().for_each(|(number, t)| makers[t.index()] = Some(number));
    for (number, id) in order(graph).into_iter().enumerate() {
        let node = graph.node(id);
        sources.push(node.data_inputs().iter().filter_map(|t| makers[t.index()]).collect());
        node.outputs.iter().for_each(|t| makers[t.index()] = Some(graph.inputs.len() + number));
    }
    let drawing = if is_chain(&sources) { Vec::new() } else { lanes(&sources) };
    let mut columns = if drawing.is_empty() { vec![] } else { vec![""] };
    columns.extend(["layer", "op", "output", "type", "parameters", "trainable", "MACs"]);
    let mut table = text_table(&columns, columns.len() - 3);
    for (line, id) in drawing.iter().zip(&graph.inputs) {
        let tensor = graph.tensor(*id);
        table.add_row([line, &tensor.name, "input", &shape_text(&tensor.shape), tensor.dtype.name(), "", "", ""]);
    }
    for (number, row) in rows.iter().enumerate() {
        let op = match row.activation {
            Some(activation) => format!("{} + {activation}", row.op),
            None => row.op.into(),
        };
        let mut cells: Vec<String> = drawing.get(graph.inputs.len() + number).into_iter().cloned().collect();
        cells.extend([row.name.clone(), op, shape_text(&row.shape), row.dtype.into()]);
        cells.extend([row.parameters as u64, row.trainable as u64, row.macs].map(grouped));
        table.add_row(cells);
    }
    let inputs: Vec<String> = graph
        .inputs
        .iter()
        .map(|t| graph.tensor(*t))
        .map(|t| format!("{} {} {}", t.name, shape_text(&t.shape), t.dtype))
        .collect();
    let trainable: usize = rows.iter().map(|r| r.trainable).sum();
    format!(
        "{}: {}\n{table}\n{} parameters, {} trainable, {} MACs for one sample\n",
        graph.name,
        inputs.join(", "),
        grouped(graph.parameter_count() as u64),
        grouped(trainable as u64),
        grouped(graph.macs()),
    )
}

/// An empty table in the house's look: light lines, numbers right from column `numbers` on.
pub fn text_table(columns: &[&str], numbers: usize) -> comfy_table::Table {
    use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
    const LINE: LineStyle = LineStyle::none().fill('─').junction('─');
    let mut table = Table::new();
    table.load_style(TableStyle::new().top_border(LINE).header_separator(LINE).bottom_border(LINE));
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().copied());
    for column in table.column_iter_mut().skip(numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A whole number with groups of three digits: `12,345`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
