//! The losses of a run as a picture.

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;
use serde::Deserialize;
use std::fs;
use std::path::Path;

const SIZE: (u32, u32) = (900, 420);
/// Steps that the smooth line averages over: a fortieth of the run.
const SMOOTH: usize = 40;
/// About as many points as a line has: the picture has no more pixels, and a page with it stays small.
const POINTS: usize = 1_000;

#[derive(Deserialize)]
struct Line {
    step: usize,
    loss: f64,
    val_loss: Option<f64>,
}

/// Draws the run whose metrics lie at `path`, as SVG.
pub fn svg(path: &Path) -> Result<String> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines: Result<Vec<Line>, _> = text.lines().map(serde_json::from_str).collect();
    let lines = lines.with_context(|| path.display().to_string())?;
    let mut svg = String::new();
    draw(&mut svg, &lines).map_err(|error| anyhow!("the losses cannot be drawn: {error}"))?;
    Ok(svg)
}

fn draw(svg: &mut String, lines: &[Line]) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let losses = || {
        lines
            .iter()
            .flat_map(|line| [Some(line.loss), line.val_loss])
            .flatten()
    };
    let highest = losses().fold(0.0, f64::max) * 1.05;
    let last = lines.last().map_or(1, |line| line.step) as f64;
    let mut chart = ChartBuilder::on(&root)
        .margin(20)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..last, 0.0..highest.max(1e-3))?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("step")
        .x_label_formatter(&|step| format!("{step:.0}"))
        .y_desc("mean negative log-probability")
        .draw()?;
    let stride = lines.len().div_ceil(POINTS).max(1);
    let each = lines.iter().step_by(stride);
    let each = each.map(|line| (line.step as f64, line.loss));
    chart.draw_series(LineSeries::new(each, BLUE.mix(0.25)))?;
    let width = (lines.len() / SMOOTH).max(1);
    let smooth = lines.windows(width).step_by(stride).map(|window| {
        let mean = window.iter().map(|line| line.loss).sum::<f64>() / width as f64;
        (window[width - 1].step as f64, mean)
    });
    let label = format!("training, mean of {width} steps");
    chart
        .draw_series(LineSeries::new(smooth, BLUE.stroke_width(2)))?
        .label(label)
        .legend(|(x, y)| PathElement::new([(x, y), (x + 14, y)], BLUE.stroke_width(2)));
    let mut validation: Vec<_> = lines
        .iter()
        .filter_map(|line| Some((line.step as f64, line.val_loss?)))
        .collect();
    let stride = validation.len().div_ceil(POINTS).max(1);
    validation = validation.into_iter().step_by(stride).collect();
    if !validation.is_empty() {
        chart
            .draw_series(LineSeries::new(validation, RED.stroke_width(2)).point_size(3))?
            .label("validation")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 14, y)], RED.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .position(SeriesLabelPosition::UpperRight)
        .draw()?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_makes_no_larger_picture() {
        let line = |step| Line {
            step,
            loss: 1.0 / step as f64,
            val_loss: Some(0.5),
        };
        let size = |steps| {
            let mut svg = String::new();
            draw(&mut svg, &(1..=steps).map(line).collect::<Vec<_>>()).unwrap();
            svg.len()
        };
        let (short, long) = (size(1_000), size(100_000));
        assert!(short > 2 * size(100), "points are drawn");
        assert!(long < short + short / 4, "{short} {long}");
    }
}
