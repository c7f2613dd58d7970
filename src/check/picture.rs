//! The token lengths of training rows as a picture.

use super::lengths::Summary;
use anyhow::{Result, anyhow};
use plotters::prelude::*;

const SIZE: (u32, u32) = (900, 420);
const BARS: usize = 60;

/// Draws how many rows have how many tokens, with a line at the longest that is trained on, as SVG.
pub fn svg(lengths: &Summary) -> Result<String> {
    let mut svg = String::new();
    draw(&mut svg, lengths).map_err(|error| anyhow!("the lengths cannot be drawn: {error}"))?;
    Ok(svg)
}

fn draw(svg: &mut String, lengths: &Summary) -> Result<(), Box<dyn std::error::Error>> {
    let width = (lengths.longest + 1).div_ceil(BARS);
    let mut bars = [0usize; BARS];
    for length in &lengths.all {
        bars[length / width] += 1;
    }
    let highest = bars.iter().max().map_or(1, |most| *most);
    let right = (lengths.longest + 1).max(lengths.max_seq + width);
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(20)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0..right, 0..highest + highest.div_ceil(20))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .x_desc(format!("tokens (line: --max-seq {})", lengths.max_seq))
        .y_desc("training rows")
        .draw()?;
    let filled = bars.iter().enumerate().filter(|(_, rows)| **rows > 0);
    chart.draw_series(filled.map(|(at, rows)| {
        let corners = [(at * width, 0), ((at + 1) * width, *rows)];
        Rectangle::new(corners, BLUE.mix(0.5).filled())
    }))?;
    let line = [(lengths.max_seq, 0), (lengths.max_seq, highest)];
    chart.draw_series(LineSeries::new(line, RED.stroke_width(2)))?;
    root.present()?;
    Ok(())
}
