//! Quantized weights on the portable path, whose products are candle's, run on the CPU: the weights are those of our own kernels, and
//! so are the answers but for the rounding of bf16.

mod common;

use candle_core::{DType, Device, Tensor};
use common::{distance, golden, ok, text};
use factory::adapters::stored;
use factory::model::batch::Batch;
use factory::model::linear::Delta;
use factory::model::load::{Base, Source};
use factory::model::ops::Path as OpsPath;
use factory::model::weight::{Held, Weight, products};

const DEVICE: Device = Device::Cpu;

fn load(name: &str, held: Held, dtype: DType) -> Base {
    Base::load_held(&text(&golden(name)), Some(held), dtype, &DEVICE).unwrap()
}

fn logits(base: &Base, lora: Option<&str>) -> Tensor {
    let mut batch = Batch::default();
    batch.push_sequence(&[115, 101, 108, 101, 99, 116]);
    batch.push_sequence(&[42]);
    let lora = lora.map(|lora| stored::load(&golden(lora), &base.decoder).unwrap());
    let delta = lora.as_ref().map(|lora| lora as &dyn Delta);
    let hidden = base.decoder.forward(&batch, None, delta).unwrap();
    base.decoder.logits(&hidden).unwrap()
}

#[test]
fn weights_are_those_of_our_own_kernels() {
    let name = "tiny-llama-mlx";
    for held in [Held::Native, Held::Q8] {
        let (own, device) = (load(name, held, DType::F32), load(name, held, DType::BF16));
        assert_eq!(device.decoder.path, OpsPath::Portable);
        for ((site, own), (_, device)) in
            own.decoder.projections().zip(device.decoder.projections())
        {
            let whole = site.to_string().ends_with("down_proj");
            assert_eq!(matches!(device, Weight::Numbers(_)), whole, "{site}");
            if whole {
                continue;
            }
            assert!(
                own.bytes().abs_diff(device.bytes()) * 10 < own.bytes(),
                "{site}"
            );
            let (own, device) = (own.numbers().unwrap(), device.numbers().unwrap());
            assert_eq!(
                own.to_vec2::<f32>().unwrap(),
                device.to_vec2::<f32>().unwrap(),
                "{site}"
            );
        }
    }
}

#[test]
fn products_are_those_of_the_numbers_but_for_rounded_activations() {
    let source = Source::open(&text(&golden("tiny-llama-mlx"))).unwrap();
    let name = "model.layers.0.self_attn.q_proj.weight";
    for held in [Held::Native, Held::Q8] {
        let weights = source.weights.as_ref();
        let weight = Weight::load(weights, name, held, DType::BF16, &DEVICE).unwrap();
        let x = Tensor::randn(0f32, 1.0, (9, 64), &DEVICE).unwrap();
        let exact = weight.exact_product(OpsPath::Portable, &x).unwrap();
        let [found] = products(OpsPath::Portable, [&weight], &x).unwrap();
        let error = distance(&found, &exact);
        assert!(error > 0.0 && error < 0.02, "{held:?}: {error}");
        let rows = weight.rows(&[5, 0]).unwrap().to_vec2::<f32>().unwrap();
        let numbers = weight.numbers().unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(rows, [numbers[5].clone(), numbers[0].clone()]);
    }
}

#[test]
fn logits_are_those_of_our_own_kernels_but_for_rounding() {
    for (name, lora) in [
        ("tiny-llama-mlx", None),
        ("tiny-llama-mlx", Some("tiny-llama-dora")),
        ("tiny-qwen3", Some("tiny-qwen3-lora")),
    ] {
        for held in [Held::Native, Held::Q8] {
            let own = logits(&load(name, held, DType::F32), lora);
            let device = logits(&load(name, held, DType::BF16), lora);
            let error = distance(&device, &own);
            assert!(error > 0.0 && error < 0.05, "{name} {held:?}: {error}");
        }
    }
}

#[test]
fn it_answers_and_says_what_is_held_how() {
    let (dir, base) = (common::workplace(), text(&golden("tiny-llama-mlx")));
    for weights in ["q8", "native"] {
        let data = text(&dir.path().join("dev.jsonl"));
        let out = text(&dir.path().join("answers.jsonl"));
        let flags = ["--dtype", "bf16", "--weights", weights, "--max-tokens", "8"];
        let output = common::factory(&common::generate(&base, &data, &out, &flags));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains("not quantized, since no blocks of 32 fit their width: down_proj"),
            "{said}"
        );
        assert_eq!(std::fs::read_to_string(&out).unwrap().lines().count(), 6);
    }
    let said = ok(&["model", "inspect", &base]);
    for part in [
        "by candle's quantized products",
        "down_proj, which stay numbers",
    ] {
        assert!(said.contains(part), "{said}");
    }
}
