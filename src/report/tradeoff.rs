//! A sweep as a picture: a line for each gate over the points, its minimum dashed, the Pareto set filled.

use crate::eval::gates::Gate;
use crate::eval::sweep::{Found, Outcome};
use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const WIDTH: u32 = 900;
const HEIGHT: u32 = 480;
/// Room for the legend above the largest share.
const TOP: f64 = 1.2;

/// The picture as SVG.
pub fn svg(outcome: &Outcome, gates: &[Gate]) -> Result<String> {
    let mut text = String::new();
    let drawn = draw(&mut text, outcome, gates);
    drawn.map_err(|error| anyhow!("the plot cannot be drawn: {error}"))?;
    Ok(text)
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(text: &mut String, outcome: &Outcome, gates: &[Gate]) -> Drawn {
    let root = SVGBackend::with_string(text, (WIDTH, HEIGHT)).into_drawing_area();
    root.fill(&WHITE)?;
    let last = outcome.found.len() as f64 - 1.0;
    let mut chart = ChartBuilder::on(&root)
        .margin(20)
        .x_label_area_size(70)
        .y_label_area_size(50)
        .build_cartesian_2d(-0.5..last + 0.5, 0.0..TOP)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .light_line_style(WHITE)
        .y_desc("share of rows that pass")
        .draw()?;
    for (at, gate) in gates.iter().enumerate() {
        let color = Palette99::pick(at).to_rgba();
        let points: Vec<(f64, f64, bool)> = outcome
            .found
            .iter()
            .enumerate()
            .map(|(i, found)| (i as f64, found.shares[at].value, found.front))
            .collect();
        let label = format!("{}: {}", gate.spec.name, gate.spec.metric);
        // Points between which a weight moves to another adapter; the base and routing stand alone.
        let mut first = 0;
        for run in outcome.found.chunk_by(|a, b| sum(a) == sum(b)) {
            let line = points[first..].iter().take(run.len());
            let drawn = chart.draw_series(LineSeries::new(
                line.map(|&(x, y, _)| (x, y)),
                color.stroke_width(2),
            ))?;
            if first == 0 {
                drawn.label(label.clone()).legend(move |(x, y)| {
                    Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled())
                });
            }
            first += run.len();
        }
        if let Some(least) = outcome.least(at) {
            let line = [(-0.5, least), (last + 0.5, least)];
            chart.draw_series(DashedLineSeries::new(line, 6, 4, color.stroke_width(1)))?;
        }
        chart.draw_series(points.into_iter().map(|(x, y, front)| {
            let style = match front {
                true => color.filled(),
                false => color.stroke_width(2),
            };
            Circle::new((x, y), 6, style)
        }))?;
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .position(SeriesLabelPosition::UpperLeft)
        .draw()?;
    let style = ("sans-serif", 13).into_font().color(&BLACK);
    let style = style.pos(Pos::new(HPos::Center, VPos::Top));
    for (i, found) in outcome.found.iter().enumerate() {
        let (x, y) = chart.backend_coord(&(i as f64, 0.0));
        for (line, part) in found.point.name.split(" + ").enumerate() {
            root.draw_text(part, &style, (x, y + 10 + 16 * line as i32))?;
        }
    }
    let note = ("sans-serif", 12).into_font().color(&BLACK.mix(0.7));
    root.draw_text(
        "filled: Pareto set; dashed: least that passes",
        &note,
        (20, HEIGHT as i32 - 20),
    )?;
    root.present()?;
    Ok(())
}

/// The weights' sum in thousandths; routing has none.
fn sum(found: &Found) -> Option<i64> {
    let weights = found.point.weights.as_ref()?;
    Some((weights.iter().sum::<f64>() * 1000.0).round() as i64)
}
