//! Points over two axes as a drawing of its own: an SVG file with its own colours.

use plotters::prelude::*;

use super::curves::tidy;

/// How a group of points looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScatterKind {
    /// In the background.
    Faint,
    /// As the others.
    Plain,
    /// The one that matters.
    Strong,
}

impl ScatterKind {
    /// Colour and radius.
    const fn look(self) -> (RGBColor, i32) {
        match self {
            Self::Faint => (RGBColor(0xb8, 0xb8, 0xb8), 3),
            Self::Plain => (RGBColor(0x1f, 0x77, 0xb4), 4),
            Self::Strong => (RGBColor(0xd6, 0x4a, 0x05), 7),
        }
    }
}

/// A name, a look, and points.
type Group = (String, ScatterKind, Vec<(f64, f64)>);

/// Groups of points.
#[derive(Debug, Clone, PartialEq)]
pub struct Scatter {
    x_label: String,
    y_label: String,
    groups: Vec<Group>,
    limit: Option<(String, f64)>,
}

const SIZE: (u32, u32) = (900, 480);

impl Scatter {
    /// Axes without points.
    pub fn new(x_label: impl Into<String>, y_label: impl Into<String>) -> Self {
        Self { x_label: x_label.into(), y_label: y_label.into(), groups: Vec::new(), limit: None }
    }

    /// Adds a group; points that are not finite are left out.
    #[must_use]
    pub fn points(mut self, name: impl Into<String>, (kind, points): (ScatterKind, Vec<(f64, f64)>)) -> Self {
        let finite = points.into_iter().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
        self.groups.push((name.into(), kind, finite));
        self
    }

    /// An upright line, drawn where it is no more than twice as far as the points.
    #[must_use]
    pub fn limit(mut self, name: impl Into<String>, x: f64) -> Self {
        self.limit = Some((name.into(), x));
        self
    }

    /// The file, or `None` without a point.
    pub fn svg(&self) -> Option<String> {
        let all = || self.groups.iter().flat_map(|(.., points)| points);
        all().next()?;
        let most = |axis: fn(&(f64, f64)) -> f64| all().map(axis).fold(0.0, f64::max);
        let (right, top) = (most(|p| p.0), most(|p| p.1));
        let limit = self.limit.as_ref().filter(|(_, x)| *x > 0.0 && *x <= 2.0 * right);
        let right = limit.map_or(right, |(_, x)| right.max(*x));
        let up = |most: f64| if most > 0.0 { most * 1.05 } else { 1.0 };
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            self.draw(&area, up(right), up(top), limit).ok()?;
            area.present().ok()?;
        }
        Some(svg)
    }

    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, plotters::coord::Shift>,
        right: f64,
        top: f64,
        limit: Option<&(String, f64)>,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        area.fill(&WHITE)?;
        let text = ("sans-serif", 14).into_font().color(&RGBColor(0x33, 0x33, 0x33));
        let mut chart = ChartBuilder::on(area)
            .margin(14)
            .x_label_area_size(42)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..right, 0.0..top)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(0xe4, 0xe4, 0xe4))
            .axis_style(RGBColor(0x88, 0x88, 0x88))
            .x_label_formatter(&|x| tidy(*x))
            .y_label_formatter(&|y| tidy(*y))
            .label_style(text.clone())
            .axis_desc_style(text.clone())
            .x_desc(self.x_label.as_str())
            .y_desc(self.y_label.as_str())
            .draw()?;
        if let Some((name, x)) = limit {
            let style = RGBColor(0xa0, 0x20, 0x20).stroke_width(1);
            chart.draw_series(DashedLineSeries::new([(*x, 0.0), (*x, top)], 5, 4, style))?;
            chart.draw_series([Text::new(format!(" {name}"), (*x, top * 0.99), text.clone())])?;
        }
        for (index, (name, kind, points)) in self.groups.iter().enumerate() {
            let (colour, radius) = kind.look();
            chart.draw_series(points.iter().map(|point| Circle::new(*point, radius, colour.filled())))?;
            let (x, y) = (90 + 150 * index as i32, 6);
            area.draw(&Circle::new((x, y + 7), 4, colour.filled()))?;
            area.draw(&Text::new(name.clone(), (x + 10, y), text.clone()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_and_the_limit_are_drawn() {
        let drawing = Scatter::new("KB", "gain")
            .points("all", (ScatterKind::Plain, vec![(1.0, 0.1), (2.0, 0.9), (f64::NAN, 1.0)]))
            .points("best", (ScatterKind::Strong, vec![(2.0, 0.9)]))
            .limit("budget", 1.5);
        let svg = drawing.svg().unwrap();
        assert!(svg.starts_with("<svg ") && svg.contains("budget"));
        // Two of the first group and one of the second, and one for each in the legend.
        assert_eq!(svg.matches("<circle").count(), 5);
        assert!(!drawing.clone().limit("budget", 99.0).svg().unwrap().contains("budget"));
        assert_eq!(Scatter::new("a", "b").points("none", (ScatterKind::Plain, vec![])).svg(), None);
        assert!(Scatter::new("a", "b").points("one", (ScatterKind::Faint, vec![(0.0, 0.0)])).svg().is_some());
    }
}
