//! The losses of a run as a picture, and what else its metrics have to follow: rewards, execution accuracy, how chosen answers fare.

use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// Of a panel.
const SIZE: (u32, u32) = (900, 420);
/// Of letters.
const FONT: u32 = 15;
/// Steps that the smooth line averages over: a fortieth of the run.
const SMOOTH: usize = 40;
/// About as many points as a line has: the picture has no more pixels, and a page with it stays small.
const POINTS: usize = 1_000;

#[derive(Deserialize)]
struct Line {
    step: usize,
    loss: f64,
    val_loss: Option<f64>,
    /// Of rows that the adapter answered.
    execution_accuracy: Option<f64>,
    execution_accuracy_at_start: Option<f64>,
    /// The mean reward of answers that were drawn.
    reward: Option<f64>,
    /// The share of pairs whose chosen answer gained more.
    #[serde(rename = "rewards/accuracies")]
    preferred: Option<f64>,
    #[serde(rename = "logps/chosen_minus_reference")]
    chosen: Option<f64>,
}

/// A number of steps, by the step.
type Points = Vec<(f64, f64)>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Draws the run whose metrics lie at `path`, as SVG: its losses, and what else there is to follow.
pub fn svg(path: &Path) -> Result<String> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines: Result<Vec<Line>, _> = text.lines().map(serde_json::from_str).collect();
    let lines = lines.with_context(|| path.display().to_string())?;
    let mut svg = String::new();
    draw(&mut svg, &lines).map_err(|error| anyhow!("the metrics cannot be drawn: {error}"))?;
    Ok(svg)
}

fn draw(svg: &mut String, lines: &[Line]) -> Drawn {
    let points = |of: &dyn Fn(&Line) -> Option<f64>| -> Points {
        let all = lines
            .iter()
            .filter_map(|line| Some((line.step as f64, of(line)?)));
        all.collect()
    };
    // Panels of numbers that can be compared, each line with its name; thin ones are smoothed.
    let mut panels = vec![(
        "loss",
        vec![
            ("training", points(&|line| Some(line.loss)), BLUE),
            ("validation", points(&|line| line.val_loss), RED),
        ],
    )];
    let at_start = lines
        .iter()
        .filter_map(|line| line.execution_accuracy_at_start);
    let at_start = at_start.map(|accuracy| (0.0, accuracy));
    let accuracy = at_start.chain(points(&|line| line.execution_accuracy));
    let rewards = points(&|line| line.reward);
    let share = match rewards.is_empty() {
        true => "share",
        false => "reward, share",
    };
    let shares = vec![
        ("reward", rewards, BLUE),
        ("pairs preferred", points(&|line| line.preferred), BLUE),
        ("execution accuracy", accuracy.collect(), RED),
    ];
    let chosen = vec![(
        "chosen − reference, nats a token",
        points(&|line| line.chosen),
        BLUE,
    )];
    for (name, lines) in [(share, shares), ("log p", chosen)] {
        if lines.iter().any(|(_, points, _)| !points.is_empty()) {
            panels.push((name, lines));
        }
    }
    let (width, height) = SIZE;
    let root = SVGBackend::with_string(svg, (width, height * panels.len() as u32));
    let root = root.into_drawing_area();
    root.fill(&WHITE)?;
    let last = lines.last().map_or(1, |line| line.step) as f64;
    let areas = root.split_evenly((panels.len(), 1));
    for (area, (name, lines)) in areas.iter().zip(&panels) {
        panel(area, name, lines, last)?;
    }
    root.present()?;
    Ok(())
}

fn panel(
    area: &DrawingArea<SVGBackend, Shift>,
    name: &str,
    lines: &[(&str, Points, RGBColor)],
    last: f64,
) -> Drawn {
    let values = |from: f64| {
        let all = lines.iter().flat_map(|(_, points, _)| points.iter());
        all.filter(move |(x, _)| *x >= from).map(|(_, y)| *y)
    };
    let lowest = values(0.0).fold(0.0, f64::min) * 1.05;
    let highest = values(0.0).fold(0.0, f64::max);
    // The names of the lines stand above those that end high up.
    let late = values(0.6 * last).fold(0.0, f64::max);
    let highest = highest * if late > 0.7 * highest { 1.3 } else { 1.05 };
    let mut chart = ChartBuilder::on(area)
        .margin(20)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..last, lowest..highest.max(lowest + 1e-3))?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("step")
        // Between two steps there is none.
        .x_labels((last as usize + 1).min(11))
        .x_label_formatter(&|step| format!("{step:.0}"))
        .y_desc(name)
        .label_style(("sans-serif", FONT))
        .draw()?;
    for (name, points, color) in lines.iter().filter(|(_, points, _)| !points.is_empty()) {
        let stride = points.len().div_ceil(POINTS).max(1);
        let each = points.iter().step_by(stride).copied();
        // What is measured now and then is drawn as it is.
        let every_step = points.len() as f64 > last / 2.0;
        let width = (points.len() / SMOOTH).max(1);
        let (line, label) = match every_step && width > 1 {
            true => {
                chart.draw_series(LineSeries::new(each, color.mix(0.25)))?;
                let smooth = points.windows(width).step_by(stride).map(|window| {
                    let mean = window.iter().map(|(_, y)| y).sum::<f64>() / width as f64;
                    (window[width - 1].0, mean)
                });
                let smooth = LineSeries::new(smooth, color.stroke_width(2));
                (smooth, format!("{name}, mean of {width} steps"))
            }
            false => {
                let line = LineSeries::new(each, color.stroke_width(2));
                let size = if every_step { 0 } else { 3 };
                (line.point_size(size), (*name).to_owned())
            }
        };
        let color = *color;
        chart
            .draw_series(line)?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .label_font(("sans-serif", FONT))
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .position(SeriesLabelPosition::UpperRight)
        .draw()?;
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
            execution_accuracy: None,
            execution_accuracy_at_start: None,
            reward: None,
            preferred: None,
            chosen: None,
        };
        let size = |steps| {
            let mut svg = String::new();
            draw(&mut svg, &(1..=steps).map(line).collect::<Vec<_>>()).unwrap();
            svg.len()
        };
        let (short, long) = (size(1_000), size(100_000));
        assert!(short > size(100), "points are drawn");
        assert!(long < short + short / 4, "{short} {long}");
    }
}
