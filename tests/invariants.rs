//! What must not change an answer: the cache, the batch, the packing, candle's own Qwen3.

mod common;

use candle_core::{DType, Device, Tensor};
use common::{MODELS, base, golden};
use factory::generation::engine::Engine;
use factory::generation::sampler::SamplerConfig;
use factory::generation::sequence::Answer;
use factory::generation::stop::StopConfig;
use factory::model::batch::Batch;
use factory::model::kv::KvCache;
use factory::model::load::Base;
use factory::model::ops::Path as OpsPath;

const ROWS: [&[u32]; 3] = [
    &[11, 42, 7, 99, 120, 3],
    &[5, 61],
    &[200, 13, 77, 8, 30, 31, 32, 64, 90],
];

fn logits(base: &Base, batch: &Batch, cache: Option<&mut KvCache>) -> Tensor {
    let hidden = base.decoder.forward(batch, cache, None).unwrap();
    base.decoder.logits(&hidden).unwrap()
}

fn worst(a: &Tensor, b: &Tensor) -> f32 {
    let difference = (a - b).unwrap().abs().unwrap();
    difference.max_all().unwrap().to_scalar().unwrap()
}

fn alone(base: &Base, tokens: &[u32]) -> Tensor {
    let mut batch = Batch::default();
    batch.push_sequence(tokens);
    logits(base, &batch, None)
}

#[test]
fn packed_rows_are_rows_alone() {
    for name in MODELS {
        let base = base(name);
        let mut batch = Batch::default();
        for row in ROWS {
            batch.push_sequence(row);
        }
        let packed = logits(&base, &batch, None);
        for (row, s) in ROWS.iter().zip(&batch.segments) {
            let part = packed.narrow(0, s.rows.start, row.len()).unwrap();
            let difference = worst(&part, &alone(&base, row));
            println!("{name} packed: {difference:.1e}");
            assert!(difference < 1e-4, "{name}");
        }
    }
}

#[test]
fn cached_is_uncached() {
    let paths = [OpsPath::Fused, OpsPath::Portable];
    for (name, path) in MODELS.into_iter().flat_map(|m| paths.map(|p| (m, p))) {
        let mut base = base(name);
        base.decoder.path = path;
        let mut cache = KvCache::new(&base.decoder, 3).unwrap();
        // Prefill all but the last two tokens of each row in one batch, then decode together.
        let mut batch = Batch::default();
        for (slot, row) in ROWS.iter().enumerate().filter(|(_, r)| r.len() > 2) {
            batch.push_cached(&row[..row.len() - 2], &[slot], 0);
        }
        logits(&base, &batch, Some(&mut cache));
        for back in [2, 1] {
            let mut batch = Batch::default();
            for (slot, row) in ROWS.iter().enumerate() {
                let at = row.len() - back;
                batch.push_cached(&row[at..at + 1], &[slot], at);
            }
            let step = logits(&base, &batch, Some(&mut cache));
            for (i, row) in ROWS.iter().enumerate() {
                let expected = alone(&base, row).narrow(0, row.len() - back, 1).unwrap();
                let difference = worst(&step.narrow(0, i, 1).unwrap(), &expected);
                println!("{name} {path:?} cached: {difference:.1e}");
                assert!(difference < 1e-4, "{name} {path:?} row {i}");
            }
        }
    }
}

fn generate(base: &Base, prompts: &[Vec<u32>], batch: usize, temperature: f64) -> Vec<Answer> {
    let engine = Engine {
        decoder: &base.decoder,
        tokenizer: &base.tokenizer,
        adapters: None,
        sampler: SamplerConfig {
            temperature,
            top_p: 0.9,
            seed: 5,
            ..SamplerConfig::default()
        },
        stop: StopConfig {
            max_tokens: 20,
            stop: Vec::new(),
        },
        batch,
        memory: usize::MAX,
        speculation: None,
        grammars: Vec::new(),
    };
    engine.generate(prompts).unwrap()
}

#[test]
fn a_batch_answers_as_each_row_alone() {
    for name in MODELS {
        let base = base(name);
        let prompts: Vec<Vec<u32>> = (0..11u32)
            .map(|i| (0..=i % 5).map(|j| (i * 37 + j * 11) % 256).collect())
            .collect();
        for temperature in [0.0, 0.8] {
            // Fewer slots than prompts: finished rows make room for waiting ones.
            let (one, many) = (
                generate(&base, &prompts, 1, temperature),
                generate(&base, &prompts, 4, temperature),
            );
            for (a, b) in one.iter().zip(&many) {
                assert!(
                    a.tokens == b.tokens || a.min_gap < 1e-3,
                    "{name}: {a:?} is not {b:?}"
                );
            }
        }
    }
}

#[test]
fn logits_equal_candle_transformers_qwen3() {
    use candle_transformers::models::qwen3;
    let base = base("tiny-qwen3");
    let config = std::fs::read(golden("tiny-qwen3/config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    config["attention_bias"] = false.into();
    let config: qwen3::Config = serde_json::from_value(config).unwrap();
    let weights = std::fs::read(golden("tiny-qwen3/model.safetensors")).unwrap();
    let weights =
        candle_nn::VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)
            .unwrap();
    let mut model = qwen3::ModelForCausalLM::new(&config, weights).unwrap();
    for row in ROWS {
        model.clear_kv_cache();
        let input = Tensor::new(row, &Device::Cpu)
            .unwrap()
            .unsqueeze(0)
            .unwrap();
        let expected = model.forward(&input, 0).unwrap().squeeze(0).unwrap();
        let ours = alone(&base, row).narrow(0, row.len() - 1, 1).unwrap();
        let difference = worst(&ours, &expected);
        println!("candle-transformers: {difference:.1e}");
        assert!(difference < 1e-4);
    }
}
