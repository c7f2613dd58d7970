//! Where a training step's time goes, beside the rate of this machine: the phases of a step, and the same products with the base's
//! weights alone, interleaved, medians.
//!     FACTORY_BASE="$(scripts/fetch_base.sh)" cargo bench --bench phases

mod median;

use candle_core::{DType, Device, Tensor};
use factory::adapters::config::AdapterConfig;
use factory::adapters::lora::Adapter;
use factory::model::allocator;
use factory::model::decoder::Decoder;
use factory::model::linear::{Gradients, Projection};
use factory::model::load::Base;
use factory::model::ops;
use factory::training::optim::Optimizer;
use factory::training::packing::{Packed, pack};
use factory::training::sft::Example;
use median::median;
use std::hint::black_box;
use std::time::Instant;

const ROWS: [usize; 3] = [1, 8, 32];
/// A row of the b1 training set: 93 tokens, 21 of them learned.
const PROMPT: usize = 72;
const ANSWER: usize = 21;
const REPEATS: usize = 5;

fn main() {
    let Ok(path) = std::env::var("FACTORY_BASE") else {
        println!("FACTORY_BASE names no base: nothing measured");
        return;
    };
    allocator::keep_freed_memory();
    let base = Base::load(&path, DType::F32, &Device::Cpu).unwrap();
    for dora in [false, true] {
        for rows in ROWS {
            // As the program does: among the pool's own threads, which need not be woken.
            rayon::scope(|_| measure(&base.decoder, rows, dora));
        }
    }
}

/// Prints a table of the phases; the work counted is that of the products with the base's weights.
fn measure(decoder: &Decoder, rows: usize, dora: bool) {
    let config = AdapterConfig {
        dora,
        ..AdapterConfig::new(8, 16.0)
    };
    let mut adapter = Adapter::init(config, decoder, 0).unwrap();
    adapter.begin_training(decoder);
    let mut optimizer = Optimizer::new(decoder.path, 0.01);
    let examples: Vec<Example> = (0..rows as u32)
        .map(|row| {
            let tokens = |n: usize, step: u32| -> Vec<u32> {
                (0..n as u32).map(|i| 100 + row * 7 + i * step).collect()
            };
            Example::new(&tokens(PROMPT, 13), &tokens(ANSWER, 17))
        })
        .collect();
    let packed = pack(&examples, false);
    let (tokens, labels) = (packed.batch.len(), packed.labels.len());
    let mut times: [Vec<f64>; 7] = Default::default();
    for _ in 0..REPEATS {
        let step = step(decoder, &mut adapter, &mut optimizer, &packed);
        let products = products(decoder, tokens, labels);
        for (all, seconds) in times.iter_mut().zip(step.into_iter().chain(products)) {
            all.push(seconds);
        }
    }
    let [forward, head, backward, optimize, ahead, over, back] = times.map(median);
    let weights: usize = decoder
        .projections()
        .map(|(_, w)| w.numbers().unwrap().elem_count())
        .sum();
    let each = 2e-9 * (weights * tokens) as f64;
    let all = forward + head + backward + optimize;
    let kind = if dora { "DoRA" } else { "LoRA" };
    println!("\n{kind} rank 8, {rows} rows, {tokens} tokens: {all:.3} s\n");
    println!(
        "| phase | s | share | GFLOP/s | of the rate of its products alone |\n|---|---|---|---|---|"
    );
    let (vocab, width) = decoder.head().dims().unwrap();
    let head_work = 4e-9 * (vocab * width * labels) as f64;
    for (name, seconds, work, alone) in [
        ("forward", forward, each, ahead),
        ("head", head, head_work, over),
        ("backward", backward, each, back),
        ("optimizer", optimize, 0.0, 0.0),
        ("step", all, 2.0 * each + head_work, ahead + over + back),
    ] {
        println!(
            "| {name} | {seconds:.3} | {:.2} | {:.0} | {:.2} |",
            seconds / all,
            work / seconds,
            alone / seconds,
        );
    }
}

/// Seconds of forward, head, backward and optimizer.
fn step(
    decoder: &Decoder,
    adapter: &mut Adapter,
    optimizer: &mut Optimizer,
    Packed { batch, labels, .. }: &Packed,
) -> [f64; 4] {
    let coefficients = vec![-1.0 / labels.len() as f32; labels.len()];
    let mut gradients = Gradients::default();
    let (forward, (hidden, tape)) = timed(|| decoder.forward_train(batch, adapter).unwrap());
    let (head, d_hidden) = timed(|| {
        let result = decoder.label_gradient(&hidden, labels, &coefficients);
        result.unwrap().1
    });
    drop(hidden);
    let (backward, ()) = timed(|| {
        let result = decoder.backward(batch, d_hidden, tape, adapter, &mut gradients);
        result.unwrap()
    });
    let (optimize, _) = timed(|| optimizer.step(adapter, &gradients, 1e-4, 1.0).unwrap());
    [forward, head, backward, optimize]
}

/// Seconds of the products of forward, head and backward, each weight once, as they follow each other in a step.
fn products(decoder: &Decoder, tokens: usize, labels: usize) -> [f64; 3] {
    let path = decoder.path;
    let ones = |rows, width| Tensor::ones((rows, width), DType::F32, &Device::Cpu).unwrap();
    let operands = |dim| -> Vec<Tensor> {
        let block = decoder.projections().take(Projection::ALL.len());
        block
            .map(|(_, w)| ones(tokens, w.numbers().unwrap().dim(dim).unwrap()))
            .collect()
    };
    let (input, output) = (operands(1), operands(0));
    let (ahead, ()) = timed(|| {
        for ((_, w), x) in decoder.projections().zip(input.iter().cycle()) {
            black_box(ops::matmul(path, x, &w.numbers().unwrap().t().unwrap()).unwrap());
        }
    });
    let (head, x) = (
        decoder.head().numbers().unwrap(),
        ones(labels, decoder.config.hidden_size),
    );
    let (over, ()) = timed(|| {
        let logits = ops::matmul(path, &x, &head.t().unwrap()).unwrap();
        black_box(ops::matmul(path, &logits, &head).unwrap());
    });
    let (back, ()) = timed(|| {
        for ((_, w), dy) in decoder.projections().zip(output.iter().cycle()) {
            black_box(ops::matmul(path, dy, &w.numbers().unwrap()).unwrap());
        }
    });
    [ahead, over, back]
}

fn timed<T>(f: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let result = f();
    (start.elapsed().as_secs_f64(), result)
}
