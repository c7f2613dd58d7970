//! `factory doctor`: does this machine compute what it should? The first thing to run on a new one,
//! and what a bug report holds.

mod engines;
mod model;
mod operations;
mod side;

use super::device::DeviceArg;
use super::say;
use crate::model::place;
use anyhow::{Result, bail};
use candle_core::{DType, Tensor};
use side::Side;
use std::time::Instant;

/// Compare the device's operations, forward and backward pass, an optimizer step and decoding with the CPU's.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Device to examine.
    #[arg(long, value_enum, default_value_t = DeviceArg::Auto)]
    device: DeviceArg,
}

/// One comparison: what is computed on a side.
struct Check {
    name: &'static str,
    compute: fn(&Side) -> Result<Vec<Tensor>>,
}

/// Largest relative difference that passes, by type of the activations.
const TOLERANCE: [(DType, f32); 2] = [(DType::F32, 1e-3), (DType::BF16, 5e-2)];

/// Prints the report; fails when a check does.
pub fn run(args: Args) -> Result<()> {
    let start = Instant::now();
    let device = args.device.open()?;
    say(format_args!(
        "factory {} on {} {}, {} threads",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        candle_core::utils::get_num_threads()
    ))?;
    engines::run()?;
    let name = place::name(&device);
    say(format_args!(
        "{name}: {:.0} GFLOP/s f32 product (512x1024x1024)",
        side::product_rate(&device)?
    ))?;
    say(format_args!(
        "\nportable path on {name} against the fused kernels on cpu: relative difference, limits {:e} (f32) and {:e} (bf16)\n",
        TOLERANCE[0].1, TOLERANCE[1].1
    ))?;
    say(format_args!("{:<34} {:>9} {:>9}", "", "f32", "bf16"))?;
    let mut failed = Vec::new();
    for check in operations::CHECKS.iter().chain(&model::CHECKS) {
        let mut cells = Vec::new();
        for (dtype, limit) in TOLERANCE {
            let cell = match compare(check, &Side::portable(&device, dtype)) {
                Ok(d) if d <= limit => format!("{d:.1e}"),
                Ok(d) => {
                    failed.push(format!("{} ({dtype:?}: {d:.1e})", check.name));
                    format!("{d:.1e} !")
                }
                Err(e) => {
                    failed.push(format!("{} ({dtype:?}: {e:#})", check.name));
                    "error !".to_string()
                }
            };
            cells.push(cell);
        }
        say(format_args!(
            "{:<34} {:>9} {:>9}",
            check.name, cells[0], cells[1]
        ))?;
    }
    let [f32_same, bf16_same] = TOLERANCE.map(|(dtype, _)| {
        model::same_tokens(&Side::portable(&device, dtype)).map_err(|e| format!("{e:#}"))
    });
    let show = |r: &Result<usize, String>| match r {
        Ok(n) => format!("{n}/{}", model::TOKENS),
        Err(_) => "error !".to_string(),
    };
    say(format_args!(
        "{:<34} {:>9} {:>9}",
        "greedy tokens that agree",
        show(&f32_same),
        show(&bf16_same)
    ))?;
    // Rounding to bf16 may turn a choice, and all that follow it.
    if f32_same != Ok(model::TOKENS) {
        failed.push(format!("greedy tokens (f32: {})", show(&f32_same)));
    }
    if let Err(e) = bf16_same {
        failed.push(format!("greedy tokens (bf16: {e})"));
    }
    say(format_args!("\n{:.1} s", start.elapsed().as_secs_f64()))?;
    if !failed.is_empty() {
        bail!("{} failed: {}", failed.len(), failed.join("; "));
    }
    say("all checks passed")
}

/// Largest ‖a − b‖ / ‖b‖ of a check's tensors between `side` and the fused kernels.
fn compare(check: &Check, side: &Side) -> Result<f32> {
    let (ours, expected) = ((check.compute)(side)?, (check.compute)(&Side::reference())?);
    let mut worst = 0f32;
    for (a, b) in ours.iter().zip(&expected) {
        let a = a.to_dtype(DType::F32)?.to_device(b.device())?;
        let norm = |t: &Tensor| t.sqr()?.sum_all()?.sqrt()?.to_scalar::<f32>();
        let d = norm(&(a - b)?)? / norm(b)?;
        // NaN must not pass for small.
        worst = if d.is_nan() {
            f32::INFINITY
        } else {
            worst.max(d)
        };
    }
    Ok(worst)
}
