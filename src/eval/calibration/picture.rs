//! A reliability diagram: how often answers of a confidence are right, beside how often they should be.

use super::Calibration;
use anyhow::{Result, anyhow};
use plotters::prelude::*;

const SIZE: (u32, u32) = (560, 560);

/// Draws a point a bin, as large as it has rows, with the 95% interval of its accuracy, and the line where confidence and accuracy are one, as SVG.
pub fn svg(calibration: &Calibration) -> Result<String> {
    let mut svg = String::new();
    let drawn = draw(&mut svg, calibration);
    drawn.map_err(|error| anyhow!("the calibration cannot be drawn: {error}"))?;
    Ok(svg)
}

fn draw(svg: &mut String, calibration: &Calibration) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(20)
        .x_label_area_size(45)
        .y_label_area_size(50)
        .build_cartesian_2d(0.0..1.0, 0.0..1.05)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc(format!(
            "{}, {} rows; expected calibration error {:.3}",
            calibration.field, calibration.rows, calibration.expected_calibration_error
        ))
        .y_desc("share that is right (95% interval)")
        .draw()?;
    let ideal = [(0.0, 0.0), (1.0, 1.0)];
    chart.draw_series(DashedLineSeries::new(
        ideal,
        6,
        4,
        BLACK.mix(0.4).stroke_width(1),
    ))?;
    let bins = || calibration.reliability.iter();
    chart.draw_series(bins().map(|bin| {
        let [low, high] = bin.accuracy.wilson95;
        let ends = [(bin.mean_confidence, low), (bin.mean_confidence, high)];
        PathElement::new(ends, BLUE.mix(0.5).stroke_width(2))
    }))?;
    // As large as they have rows: those of votes differ.
    let size = |rows: usize| 3.0 + 10.0 * (rows as f64 / calibration.rows.max(1) as f64).sqrt();
    chart.draw_series(bins().map(|bin| {
        let point = (bin.mean_confidence, bin.accuracy.value);
        Circle::new(point, size(bin.accuracy.n) as i32, BLUE.mix(0.8).filled())
    }))?;
    root.present()?;
    Ok(())
}
