//! Training over a base that is held otherwise than as f32: the same bits as over the numbers that it stands for.

mod common;

use candle_core::{DType, Device, Tensor};
use common::{factory, golden, ok, text};
use factory::adapters::config::AdapterConfig;
use factory::adapters::lora::Adapter;
use factory::model::batch::Batch;
use factory::model::decoder::{Decoder, Weights};
use factory::model::head::Label;
use factory::model::linear::Gradients;
use factory::model::load::Source;
use factory::model::weight::Held;
use std::collections::BTreeMap;

const DEVICE: Device = Device::Cpu;

/// The weights of a file, some of them others.
struct Replaced {
    file: Box<dyn Weights>,
    others: BTreeMap<String, Tensor>,
}

impl Weights for Replaced {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.file.shape(name)
    }

    fn tensor(&self, name: &str, dtype: DType, device: &Device) -> anyhow::Result<Tensor> {
        match self.others.get(name) {
            Some(tensor) => Ok(tensor.clone()),
            None => self.file.tensor(name, dtype, device),
        }
    }
}

/// What passes are made of: an adapter in training, a batch and its labels.
fn setting(decoder: &Decoder, dora: bool) -> (Adapter, Batch, [Label; 3]) {
    let config = AdapterConfig {
        dora,
        ..AdapterConfig::new(4, 8.0)
    };
    let mut adapter = Adapter::init(config, decoder, 3).unwrap();
    for (name, p) in adapter.parameters_mut() {
        if name.ends_with("lora_B") {
            *p = (p.ones_like().unwrap() * 0.01).unwrap();
        }
    }
    adapter.begin_training(decoder);
    let mut batch = Batch::default();
    batch.push_sequence(&[5, 9, 200, 31, 7]);
    batch.push_sequence(&[11, 3, 90]);
    let label = |row, target| Label {
        row,
        target,
        sequence: 0,
    };
    (adapter, batch, [label(2, 31), label(3, 7), label(6, 90)])
}

/// Log-probabilities without a gradient, as answers have them.
fn answered(decoder: &Decoder, dora: bool) -> Vec<f32> {
    let (adapter, batch, labels) = setting(decoder, dora);
    let hidden = decoder.forward(&batch, None, Some(&adapter)).unwrap();
    decoder.label_log_probabilities(&hidden, &labels).unwrap()
}

/// Log-probabilities and gradients of one pass.
fn pass(decoder: &Decoder, dora: bool) -> (Vec<f32>, BTreeMap<String, Vec<f32>>) {
    let (adapter, batch, labels) = setting(decoder, dora);
    let (hidden, tape) = decoder.forward_train(&batch, &adapter).unwrap();
    let (log_p, d) = decoder
        .label_gradient(&hidden, &labels, &[1.0, 0.5, -2.0])
        .unwrap();
    let mut gradients = Gradients::default();
    decoder
        .backward(&batch, d, tape, &adapter, &mut gradients)
        .unwrap();
    let all = gradients.0.into_iter().map(|(name, gradient)| {
        let values = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        (name, values)
    });
    (log_p, all.collect())
}

#[test]
fn gradients_are_those_of_the_numbers() {
    gradients_of("tiny-llama", Held::Native);
}

#[test]
fn gradients_over_a_folder_of_mlx_are_those_of_the_numbers() {
    gradients_of("tiny-llama-mlx", Held::Q8);
}

/// `rounds` is a way of holding that rounds some of the weights beside q8.
fn gradients_of(base: &str, rounds: Held) {
    let path = golden(base);
    let open = || Source::open(path.to_str().unwrap()).unwrap();
    let load = |weights: &dyn Weights, held| {
        Decoder::new(open().config, weights, held, DType::F32, &DEVICE).unwrap()
    };
    let plain = load(open().weights.as_ref(), Held::Numbers);
    for held in [Held::Bf16, Held::Q8, Held::Native] {
        let decoder = load(open().weights.as_ref(), held);
        assert!(decoder.bytes() != plain.bytes());
        let projections = decoder.projections();
        let mut others: BTreeMap<String, Tensor> = projections
            .map(|(site, weight)| (format!("model.{site}.weight"), weight.numbers().unwrap()))
            .collect();
        // This base's head is its embedding.
        let head = decoder.head().numbers().unwrap();
        others.insert("model.embed_tokens.weight".to_owned(), head);
        let file = open().weights;
        let numbers = load(&Replaced { file, others }, Held::Numbers);
        for dora in [false, true] {
            let (found, expected) = (pass(&decoder, dora), pass(&numbers, dora));
            assert_eq!(found, expected, "{held:?}");
            if [Held::Q8, rounds].contains(&held) {
                assert_ne!(found.0, pass(&plain, dora).0, "{held:?} is rounded");
            }
        }
    }
}

#[test]
fn as_answered_log_probabilities_are_those_of_answering_and_gradients_near_those_of_the_numbers() {
    answered_like(&text(&golden("tiny-llama")), 0.998);
}

#[test]
#[ignore = "needs the 98 MB base that scripts/fetch_base.sh fetches; scripts/test.sh runs it"]
fn the_same_of_a_published_base() {
    answered_like(
        &std::env::var("FACTORY_BASE").expect("FACTORY_BASE names the SmolLM2 GGUF file"),
        0.98,
    );
}

/// `least` is the cosine that the two gradients have at least.
fn answered_like(base: &str, least: f64) {
    let source = Source::open(base).unwrap();
    let weights = source.weights.as_ref();
    let mut decoder = Decoder::new(
        source.config.clone(),
        weights,
        Held::Q8,
        DType::F32,
        &DEVICE,
    )
    .unwrap();
    for dora in [false, true] {
        decoder.as_answered = false;
        let (exact, by_numbers) = pass(&decoder, dora);
        decoder.as_answered = true;
        let (log_p, gradients) = pass(&decoder, dora);
        assert_ne!(log_p, exact, "activations are rounded too");
        decoder.recompute = true;
        assert_eq!(pass(&decoder, dora), (log_p.clone(), gradients.clone()));
        decoder.recompute = false;
        // The sums over the vocabulary are not of one order.
        for (a, b) in log_p.iter().zip(answered(&decoder, dora)) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
        let all = |of: &BTreeMap<String, Vec<f32>>| -> Vec<f64> {
            of.values().flatten().map(|x| f64::from(*x)).collect()
        };
        let (a, b) = (all(&gradients), all(&by_numbers));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let cosine = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
        assert!(cosine > least, "{cosine}");
    }
}

#[test]
fn an_adapter_says_over_what_it_was_trained() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&folder.path().join(name));
    let rows = "{\"prompt\": \"count\", \"response\": \"select 1\"}\n".repeat(4);
    std::fs::write(path("rows.jsonl"), rows).unwrap();
    let (base, data, out) = (text(&golden("tiny-llama")), path("rows.jsonl"), path("q8"));
    let train = ["sft", "--base", &base, "--data", &data, "--device", "cpu"];
    let how = ["--base-weights", "q8", "--steps", "2", "--out", &out];
    ok(&[&train[..], &how].concat());
    let said = std::fs::read_to_string(path("q8/config.toml")).unwrap();
    assert!(said.contains("base_weights = \"q8\""), "{said}");
    let answers = path("answers.jsonl");
    for (weights, remarks) in [("f32", true), ("q8", false)] {
        let flags = ["--lora", &out, "--weights", weights, "--out", &answers];
        let all = [
            "generate",
            "--data",
            &data,
            "--device",
            "cpu",
            "--max-tokens",
            "4",
        ];
        let output = factory(&[&all[..], &flags].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let remark = format!("trained over other weights than these, which are {weights}: ");
        assert_eq!(said.contains(&remark), remarks, "{said}");
    }
}
