//! The table.

use crate::peers::Peer;
use crate::process::Process;
use embernet::graph::{grouped, text_table};

/// What was measured of one program.
#[derive(Debug)]
pub struct Row {
    program: &'static str,
    /// Floating-point operations of one training sample.
    flops: f64,
    /// Ours, training.
    pub samples_s: f64,
    /// GFLOP/s of the ruler.
    pub peak: f64,
    /// Ours, one inference of one sample.
    pub infer_us: f64,
    /// Of a process of its own.
    pub process: Option<Process>,
    /// The best first.
    pub peers: Vec<Peer>,
    /// Whether the peers took turns with us.
    pub same_run: bool,
}

impl Row {
    pub fn new(program: &'static str, flops: f64) -> Self {
        Self {
            program,
            flops,
            samples_s: 0.0,
            peak: 0.0,
            infer_us: f64::INFINITY,
            process: None,
            peers: Vec::new(),
            same_run: false,
        }
    }

    /// A line, for those who wait for the table.
    pub fn summary(&self) -> String {
        let peers = self.peers.iter().map(|peer| {
            let ratio = self.samples_s / peer.samples_s;
            format!("; {} {}/s, ratio {ratio:.2}", peer.name, grouped(peer.samples_s as u64))
        });
        let share = 100.0 * self.samples_s * self.flops / 1e9 / self.peak.max(1e-9);
        let ours = format!("{}: {}/s, {share:.1} % of peak", self.program, grouped(self.samples_s as u64));
        ours + &peers.collect::<String>()
    }

    fn cells(&self) -> Vec<String> {
        let gflops = self.samples_s * self.flops / 1e9;
        let mark = if self.same_run { "" } else { "*" };
        let dash = || "-".to_owned();
        let best = self.peers.first();
        let fastest = self.peers.iter().map(|peer| peer.infer_us).fold(f64::INFINITY, f64::min);
        let process =
            |value: fn(&Process) -> Option<String>| self.process.as_ref().and_then(value).unwrap_or_else(dash);
        vec![
            self.program.to_owned(),
            grouped(self.samples_s as u64),
            format!("{gflops:.1}"),
            format!("{:.1} %", 100.0 * gflops / self.peak.max(1e-9)),
            format!("{:.1}", self.infer_us),
            process(|process| Some(format!("{:.2}", process.first_batch_s))),
            process(|process| Some(format!("{:.0}", process.peak_mb?))),
            process(|process| Some(format!("{:.0}", process.data_mb))),
            best.map_or_else(dash, |peer| format!("{}{mark}", peer.name)),
            best.map_or_else(dash, |peer| grouped(peer.samples_s as u64)),
            best.map_or_else(dash, |peer| format!("{:.1}x", self.samples_s / peer.samples_s)),
            if fastest.is_finite() { format!("{fastest:.1}") } else { dash() },
        ]
    }
}

/// The table with what its columns mean.
pub fn render(rows: &[Row], threads: usize, source: &str) -> String {
    let header = [
        "program",
        "samples/s",
        "GFLOP/s",
        "of peak",
        "infer us",
        "start s",
        "peak MB",
        "data MB",
        "best peer",
        "samples/s",
        "ratio",
        "infer us",
    ];
    let mut table = text_table(&header, 1);
    for row in rows {
        table.add_row(row.cells());
    }
    let peak = rows.iter().map(|row| row.peak).fold(0.0, f64::max);
    let mut text =
        format!("{table}\n{threads} thread(s); multiply-add peak {peak:.0} GFLOP/s, measured in the same rounds");
    if rows.iter().any(|row| !row.same_run) {
        text.push_str(&format!("\n* not the same run: {source}; install the peers and name their folder with --peers"));
    }
    text
}
