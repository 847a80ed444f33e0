//! Curves over epochs or steps, as SVG in the page.
//!
//! plotters draws with fixed colours; the page's style sheet maps these stand-ins to the colours of
//! the light or dark theme (`[stroke="#0000C0"]` and its neighbours in `style.css`).

use plotters::prelude::*;

use super::{escape, put};

/// Which values the upright axis shows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Range {
    /// From 0 (or the least value below it) to the largest.
    #[default]
    FromZero,
    /// From a little below the least to 1: accuracies.
    UpToOne,
}

/// Lines over a common axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    x_label: String,
    y_label: String,
    range: Range,
    series: Vec<(String, Vec<(f64, f64)>)>,
    marks: Vec<(String, f64)>,
}

/// Size of the drawing across the page, and beside another one. About the size it has on the
/// screen, so that its text looks like the text around it.
const FULL: (u32, u32) = (980, 320);
const HALF: (u32, u32) = (500, 280);
/// plotters rounds to whole pixels; drawing that much larger keeps the lines smooth.
const FINE: u32 = 4;
/// More points than that per line cannot be told apart.
const POINTS: usize = 1500;
/// How many line colours the style sheet has.
const COLOURS: usize = 6;

impl Curves {
    /// Axes without lines.
    pub fn new(x_label: impl Into<String>, y_label: impl Into<String>) -> Self {
        Self {
            x_label: x_label.into(),
            y_label: y_label.into(),
            range: Range::default(),
            series: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Sets what the upright axis shows.
    #[must_use]
    pub fn range(mut self, range: Range) -> Self {
        self.range = range;
        self
    }

    /// Adds a line; points that are not finite are left out.
    #[must_use]
    pub fn series(mut self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let points = points.into_iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        self.series.push((name.into(), points.collect()));
        self
    }

    /// Adds a dashed upright line: something happened here.
    #[must_use]
    pub fn mark(mut self, name: impl Into<String>, x: f64) -> Self {
        if x.is_finite() {
            self.marks.push((name.into(), x));
        }
        self
    }

    pub(super) fn render(&self, full: bool, html: &mut String) {
        let Some(svg) = self.svg(if full { FULL } else { HALF }) else {
            html.push_str("<p class=\"note\">no points</p>\n");
            return;
        };
        html.push_str("<figure>\n<ul class=\"legend\">");
        for (index, (name, points)) in self.series.iter().enumerate() {
            let last = points.last().map_or_else(String::new, |(_, y)| tidy(*y));
            put(html, format_args!("<li><i class=\"c{}\"></i>{} <b>{last}</b></li>", index % COLOURS, escape(name)));
        }
        for (name, x) in &self.marks {
            put(
                html,
                format_args!(
                    "<li><i class=\"mark\"></i>{} at {} {}</li>",
                    escape(name),
                    escape(&self.x_label),
                    tidy(*x)
                ),
            );
        }
        put(html, format_args!("</ul>\n{svg}\n</figure>\n"));
    }

    /// The drawing, or `None` without a point.
    fn svg(&self, size: (u32, u32)) -> Option<String> {
        let all = || self.series.iter().flat_map(|(_, points)| points);
        let span = |values: &mut dyn Iterator<Item = f64>| {
            values
                .fold(None, |span: Option<(f64, f64)>, v| Some(span.map_or((v, v), |(lo, hi)| (lo.min(v), hi.max(v)))))
        };
        let marks = self.marks.iter().map(|(_, x)| *x);
        let (left, right) = span(&mut all().map(|p| p.0).chain(marks))?;
        let (least, largest) = span(&mut all().map(|p| p.1))?;
        let right = if right > left { right } else { left + 1.0 };
        let (bottom, top) = match self.range {
            Range::FromZero => (least.min(0.0), largest),
            Range::UpToOne => ((least - (1.0 - least) * 0.08).max(least.min(0.0)), largest.max(1.0)),
        };
        let top = if top > bottom { top + (top - bottom) * 0.03 } else { bottom + 1.0 };

        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (size.0 * FINE, size.1 * FINE)).into_drawing_area();
            self.draw(&area, left..right, bottom..top).ok()?;
            area.present().ok()?;
        }
        // Only the element: an XML declaration has no place inside HTML.
        let label =
            format!("<svg role=\"img\" aria-label=\"{} over {}\" ", escape(&self.y_label), escape(&self.x_label));
        let start = svg.find("<svg ")?;
        Some(svg[start..].replacen("<svg ", &label, 1))
    }

    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, plotters::coord::Shift>,
        x: std::ops::Range<f64>,
        y: std::ops::Range<f64>,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        // Epochs and steps are counted: no ticks between them.
        let counted = self.series.iter().flat_map(|(_, points)| points).all(|(x, _)| x.fract() == 0.0);
        let ticks = if counted { ((x.end - x.start) as usize + 1).clamp(2, 8) } else { 8 };
        let text = ("sans-serif", 13 * FINE).into_font().color(&RGBColor(0, 0, 0xA0));
        let mut chart = ChartBuilder::on(area)
            .margin_top(8 * FINE)
            .margin_right(16 * FINE)
            .margin_left(4 * FINE)
            .x_label_area_size(40 * FINE)
            .y_label_area_size(62 * FINE)
            .build_cartesian_2d(x, y.clone())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .set_all_tick_mark_size(5 * FINE)
            .bold_line_style(RGBColor(0, 0, 0xB0).stroke_width(FINE))
            .light_line_style(TRANSPARENT)
            .axis_style(RGBColor(0, 0, 0xB1).stroke_width(FINE))
            .x_labels(ticks)
            .y_labels(8)
            .x_label_formatter(&|x| tidy(*x))
            .y_label_formatter(&|y| tidy(*y))
            .label_style(text.clone())
            .axis_desc_style(text)
            .x_desc(self.x_label.as_str())
            .y_desc(self.y_label.as_str())
            .draw()?;
        for (_, x) in &self.marks {
            let line = [(*x, y.start), (*x, y.end)];
            let style = RGBColor(0, 0, 0xB2).stroke_width(FINE);
            chart.draw_series(DashedLineSeries::new(line, 4 * FINE, 4 * FINE, style))?;
        }
        for (index, (_, points)) in self.series.iter().enumerate() {
            let style = RGBColor(0, 0, 0xC0 + (index % COLOURS) as u8).stroke_width(2 * FINE);
            let points = thinned(points);
            if points.len() == 1 {
                chart.draw_series(points.iter().map(|&point| Circle::new(point, 3 * FINE as i32, style.filled())))?;
            }
            chart.draw_series(LineSeries::new(points, style))?;
        }
        Ok(())
    }
}

/// At most [`POINTS`] points, the last always among them.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let stride = points.len().div_ceil(POINTS).max(1);
    let mut kept: Vec<_> = points.iter().copied().step_by(stride).collect();
    if !points.len().saturating_sub(1).is_multiple_of(stride) {
        kept.extend(points.last());
    }
    kept
}

/// A number with three or four digits that say something.
pub(super) fn tidy(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        _ if size != 0.0 && !(1e-3..1e6).contains(&size) => return format!("{value:.2e}"),
        _ if size >= 100.0 => format!("{value:.0}"),
        _ if size >= 10.0 => format!("{value:.1}"),
        _ if size >= 0.1 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.96667, "0.967"),
            (0.012345, "0.0123"),
            (12.34, "12.3"),
            (1500.0, "1500"),
            (0.00001, "1.00e-5"),
            (-0.25, "-0.25"),
            (3e7, "3.00e7"),
        ] {
            assert_eq!(tidy(value), text);
        }
    }

    #[test]
    fn odd_data_draw_or_say_so() {
        let empty = Curves::new("x", "y").series("a", [(f64::NAN, 1.0), (1.0, f64::INFINITY)]);
        assert_eq!(empty.svg(HALF), None);
        for points in [vec![(1.0, 0.0)], vec![(1.0, 5.0), (2.0, 5.0)], vec![(0.0, -1e30), (1.0, 1e30)]] {
            for range in [Range::FromZero, Range::UpToOne] {
                assert!(Curves::new("x", "y").range(range).series("a", points.clone()).svg(HALF).is_some());
            }
        }
    }

    #[test]
    fn many_points_are_thinned_to_the_last() {
        let points: Vec<_> = (0..10_000).map(|i| (f64::from(i), 0.0)).collect();
        let kept = thinned(&points);
        assert!(kept.len() <= POINTS + 1);
        assert_eq!(kept.last(), points.last());
        assert_eq!(thinned(&points[..3]), points[..3]);
        assert!(thinned(&[]).is_empty());
    }
}
