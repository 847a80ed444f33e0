//! A [`State`] drawn in a terminal: only what there is something to show of.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph, Sparkline, Wrap};

use super::state::{Series, State, Told};
use crate::graph::grouped;
use crate::train::metrics::argmax;

/// Columns of a terminal in which two panels stand side by side.
const WIDE: u16 = 70;

/// Lines of a panel that is worth its border.
const PANEL: u16 = 4;

/// Lines of the words that stand where nothing is drawn.
const NOTHING: u16 = 3;

/// Lines of a terminal that has room for the log.
const WITH_LOG: u16 = 14;

/// Draws everything; `footer` is the last line, for what keys do.
pub fn draw(frame: &mut Frame<'_>, state: &State, footer: &str) {
    let area = frame.area();
    let wanted = u16::try_from(state.told.len()).unwrap_or(u16::MAX).saturating_add(2).max(PANEL);
    let log = if state.told.is_empty() || area.height < WITH_LOG { 0 } else { wanted.min(area.height / 3) };
    let line = |wanted: bool| Constraint::Length(wanted.into());
    let panels = panels_of(state);
    // Where there is nothing to draw, the log may have its room.
    let (body, log_rows) = match panels.is_empty() && log > 0 {
        true => (Constraint::Length(NOTHING), Constraint::Min(log)),
        false => (Constraint::Min(0), Constraint::Length(log)),
    };
    let rows = [line(true), body, log_rows, line(state.counters.is_some()), line(!footer.is_empty())];
    let [head, body, told, device, keys] = Layout::vertical(rows).areas(area);
    frame.render_widget(title(state, head.width), head);
    draw_panels(frame, state, &panels, body);
    if log > 0 {
        draw_told(frame, state, told);
    }
    if let Some(counters) = &state.counters {
        let text = super::line(state, &super::Event::Counters(*counters));
        frame.render_widget(Line::from(text).dim(), device);
    }
    frame.render_widget(Line::from(footer).dim(), keys);
}

fn title(state: &State, width: u16) -> Line<'_> {
    let mut counts = Vec::new();
    if let Some((done, total)) = state.progress {
        counts.push(format!("step {} of {}", grouped(done), grouped(total)));
    } else if state.step > 0 {
        counts.push(format!("step {}", grouped(state.step)));
    }
    if state.inferences > 0 && state.progress.is_none() {
        counts.push(format!("{} inferences", grouped(state.inferences)));
    }
    if state.is_paused {
        counts.push("paused".into());
    }
    let counts = counts.join(", ");
    let used = state.title.chars().count() + counts.chars().count();
    let gap = usize::from(width).saturating_sub(used).max(1);
    Line::from(vec![Span::from(state.title.as_str()).bold(), " ".repeat(gap).into(), counts.into()])
}

/// One panel's drawing.
type Panel = fn(&mut Frame<'_>, &State, Rect);

/// Those that there is something to show in.
fn panels_of(state: &State) -> Vec<Panel> {
    let all: [(bool, Panel); 5] = [
        (!state.outputs.is_empty() || state.class.is_some(), draw_outputs),
        (state.losses.last().is_some(), draw_losses),
        (state.latency.last().is_some(), draw_latency),
        (state.drift.is_some(), draw_drift),
        (!state.counts.is_empty(), draw_counts),
    ];
    all.into_iter().filter_map(|(is_shown, panel)| is_shown.then_some(panel)).collect()
}

fn draw_panels(frame: &mut Frame<'_>, state: &State, shown: &[Panel], area: Rect) {
    if shown.is_empty() {
        let mut text = "nothing has happened yet".to_string();
        if !state.hint.is_empty() {
            text = format!("{text}: {}", state.hint);
        }
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }).dim(), area);
        return;
    }
    let columns = if area.width >= WIDE && shown.len() > 1 { 2 } else { 1 };
    // What a short terminal has no room for is left out at the end of the list.
    let most = usize::from((area.height / PANEL).max(1)) * columns;
    let shown = &shown[..shown.len().min(most)];
    let rows: Vec<&[Panel]> = shown.chunks(columns).collect();
    let heights = Layout::vertical(vec![Constraint::Fill(1); rows.len()]).split(area);
    for (row, height) in rows.iter().zip(heights.iter()) {
        let widths = Layout::horizontal(vec![Constraint::Fill(1); row.len()]).split(*height);
        row.iter().zip(widths.iter()).for_each(|(panel, place)| panel(frame, state, *place));
    }
}

fn block<'t>(name: impl Into<Line<'t>>) -> Block<'t> {
    Block::bordered().border_style(Style::new().dim()).title(name)
}

fn draw_outputs(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let (right, judged) = state.right;
    let title = match judged {
        0 => "outputs".to_string(),
        _ => format!("outputs: {} of {} right", grouped(right), grouped(judged)),
    };
    let block = block(title);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    if let (Some(class), true) = (state.class, state.outputs.is_empty()) {
        frame.render_widget(Line::from(state.class_name(class as usize)).bold(), inside);
        return;
    }
    let best = (state.outputs.len() > 1).then(|| argmax(&state.outputs));
    let lines = bars(state, &state.outputs, inside, |index| {
        let is = |class: Option<u32>| class == Some(index as u32);
        match (is(best), is(state.label)) {
            (true, false) if state.label.is_some() => Style::new().fg(Color::Red),
            (true, _) => Style::new().fg(Color::Green),
            (false, true) => Style::new().fg(Color::Yellow),
            (false, false) => Style::new(),
        }
    });
    frame.render_widget(Paragraph::new(lines), inside);
}

fn draw_counts(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let block = block("answers so far");
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let counts: Vec<f32> = state.counts.iter().map(|count| *count as f32).collect();
    frame.render_widget(Paragraph::new(bars(state, &counts, inside, |_| Style::new())), inside);
}

/// One line for each value: name, bar, number. Where there are more than lines, those of the highest values.
fn bars(state: &State, values: &[f32], area: Rect, style: impl Fn(usize) -> Style) -> Vec<Line<'static>> {
    let mut shown: Vec<usize> = (0..values.len()).collect();
    shown.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
    shown.truncate(area.height.into());
    shown.sort_unstable();
    let names: Vec<String> = shown.iter().map(|index| state.class_name(*index)).collect();
    let name_width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(usize::from(area.width) / 3);
    let most = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let is_whole = values.iter().all(|value| value.fract() == 0.0);
    let room = usize::from(area.width).saturating_sub(name_width + 10);
    let line = |(index, name): (&usize, String)| {
        let value = values[*index];
        let number = if is_whole { format!("{value:>9.0}") } else { format!("{value:>9.4}") };
        let name: String = name.chars().take(name_width).collect();
        Line::from(vec![
            format!("{name:name_width$}{number} ").into(),
            Span::styled(bar(value.abs() / most, room), style(*index)),
        ])
    };
    shown.iter().zip(names).map(line).collect()
}

/// A bar of this share of so many columns, to an eighth of one.
fn bar(share: f32, columns: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * (columns * 8) as f32) as usize;
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

fn draw_latency(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let series = &state.latency;
    let [last, mean, most] = [series.last(), series.mean(), series.most()]
        .map(|amount| amount.map_or_else(String::new, |amount| state.clock.number(amount)));
    let words = format!("last {last}, mean {mean}, most {most}{}", state.clock.unit());
    draw_history(frame, series, area, "latency", words, Style::new().fg(Color::Cyan));
}

fn draw_drift(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let Some(drift) = state.drift else { return };
    let words = super::line(state, &super::Event::Drift(drift));
    let style = if state.has_drifted() { Style::new().fg(Color::Red) } else { Style::new().fg(Color::Green) };
    draw_history(frame, &state.drifts, area, "drift", words.trim_start_matches("drift: ").to_string(), style);
}

/// A line of words and the past below it.
fn draw_history(frame: &mut Frame<'_>, series: &Series, area: Rect, name: &str, words: String, style: Style) {
    let block = block(name.to_string());
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let [text, past] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(inside);
    frame.render_widget(Line::from(words), text);
    let most = series.most().filter(|most| *most > 0.0).unwrap_or(1.0);
    let newest = series.values().rev().take(past.width.into());
    // Any scale will do; a thousand steps are finer than any terminal.
    let mut heights: Vec<u64> = newest.map(|value| (value / most * 1000.0) as u64).collect();
    heights.reverse();
    frame.render_widget(Sparkline::default().data(heights).max(1000).style(style), past);
}

fn draw_losses(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let count = state.losses.values().len();
    let first = (state.step + 1).saturating_sub(count as u64).max(1) as f64;
    let points: Vec<(f64, f64)> = (0..).map(|index| first + f64::from(index)).zip(state.losses.values()).collect();
    let finite = |value: &f64| value.is_finite();
    let most = state.losses.values().filter(finite).fold(0.0, f64::max);
    let least = state.losses.values().filter(finite).fold(0.0, f64::min);
    let mut title = format!("loss {:.4}", state.losses.last().unwrap_or_default());
    if let Some(accuracy) = state.accuracies.last() {
        title += &format!(", accuracy {accuracy:.4} on {} samples", state.judged);
    }
    let last = first + count.saturating_sub(1) as f64;
    let x = Axis::default().bounds([first, last.max(first + 1.0)]);
    let x = x.labels([grouped(first as u64), grouped(last as u64)]).style(Style::new().dim());
    let y = Axis::default().bounds([least, if most > least { most } else { least + 1.0 }]);
    let y = y.labels([format!("{least:.2}"), format!("{most:.2}")]).style(Style::new().dim());
    let line = Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line);
    let line = line.style(Style::new().fg(Color::Yellow)).data(&points);
    frame.render_widget(Chart::new(vec![line]).block(block(title)).x_axis(x).y_axis(y), area);
}

fn draw_told(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let block = block("log");
    let inside = block.inner(area);
    let newest = state.told.iter().rev().take(inside.height.into());
    let mut lines: Vec<Line<'_>> = newest.map(told).collect();
    lines.reverse();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn told(line: &Told) -> Line<'_> {
    match line {
        Told::Note(text) => Line::from(text.as_str()).italic(),
        Told::Log(log) => {
            let color = match log.level {
                "error" => Color::Red,
                "warn" => Color::Yellow,
                "info" => Color::Green,
                _ => Color::Reset,
            };
            let place = log.place.as_ref().map(|place| Span::from(format!("  {place}")).dim());
            let mut spans = vec![Span::from(format!("{:5} ", log.level)).fg(color), log.text.as_str().into()];
            spans.extend(place);
            Line::from(spans)
        }
    }
}
