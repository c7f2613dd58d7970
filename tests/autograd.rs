//! The explicit backward pass against candle's autograd: the same model written row by row in plain
//! differentiable operations, for LoRA and DoRA, with and without a shared prefix.

mod common;

use candle_core::{D, DType, Device, Result, Tensor, Var};
use common::{MODELS, base, distance, golden};
use factory::adapters::config::AdapterConfig;
use factory::adapters::lora::{Adapter, Dropout};
use factory::model::batch::Batch;
use factory::model::config::Config;
use factory::model::head::Label;
use factory::model::linear::Gradients;
use factory::model::load::Base;
use factory::model::ops::Path as OpsPath;
use factory::training::packing::pack;
use factory::training::sft::Example;
use std::collections::{BTreeMap, HashMap};

const DEV: Device = Device::Cpu;

/// The oracle: weights, adapter variables by name, the adapter's scale, and masks of its inputs.
struct Oracle {
    config: Config,
    weights: HashMap<String, Tensor>,
    vars: BTreeMap<String, Var>,
    scale: f64,
    masks: BTreeMap<String, Tensor>,
}

impl Oracle {
    fn new(base: &Base, name: &str, adapter: &Adapter) -> Self {
        let mut weights = HashMap::new();
        for entry in std::fs::read_dir(golden(name)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "safetensors") {
                weights.extend(candle_core::safetensors::load(path, &DEV).unwrap());
            }
        }
        for w in weights.values_mut() {
            *w = w.to_dtype(DType::F32).unwrap();
        }
        let vars = adapter
            .parameters()
            .map(|(n, t)| (n, Var::from_tensor(t).unwrap()));
        Self {
            config: base.decoder.config.clone(),
            weights,
            vars: vars.collect(),
            scale: adapter.config.alpha / adapter.config.rank as f64,
            masks: BTreeMap::new(),
        }
    }

    fn norm(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let rms = (x.sqr()?.mean_keepdim(D::Minus1)? + self.config.rms_norm_eps)?.sqrt()?;
        x.broadcast_div(&rms)?.broadcast_mul(&self.weights[name])
    }

    fn project(&self, site: &str, x: &Tensor) -> Result<Tensor> {
        let w = &self.weights[&format!("model.{site}.weight")];
        let var = |part: &str| self.vars.get(&format!("{site}.{part}"));
        let (a, b) = (var("lora_A").unwrap(), var("lora_B").unwrap());
        let ba = (b.matmul(a.as_tensor())? * self.scale)?;
        let dropped = match self.masks.get(site) {
            Some(mask) => (x * mask)?,
            None => x.clone(),
        };
        let y = (x.matmul(&w.t()?)? + dropped.matmul(&ba.t()?)?)?;
        let y = match var("lora_magnitude_vector") {
            None => y,
            Some(m) => {
                let norm = (w + ba)?.sqr()?.sum(1)?.sqrt()?.detach();
                y.broadcast_mul(&(m.as_tensor() / norm)?)?
            }
        };
        match self.weights.get(&format!("model.{site}.bias")) {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }

    fn rope(&self, x: &Tensor) -> Result<Tensor> {
        let (t, d) = x.dims2()?;
        let angle =
            |p: usize, i: usize| p as f64 / self.config.rope.theta.powf(2.0 * i as f64 / d as f64);
        let angles: Vec<f32> = (0..t)
            .flat_map(|p| (0..d / 2).map(move |i| angle(p, i) as f32))
            .collect();
        let angles = Tensor::from_vec(angles, (t, d / 2), &DEV)?;
        let (cos, sin) = (angles.cos()?, angles.sin()?);
        let (a, b) = (x.narrow(1, 0, d / 2)?, x.narrow(1, d / 2, d / 2)?);
        let first = ((&a * &cos)? - (&b * &sin)?)?;
        let second = ((&b * &cos)? + (&a * &sin)?)?;
        Tensor::cat(&[first, second], 1)
    }

    fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        let (t, d) = q.dims2()?;
        let mask: Vec<f32> = (0..t * t)
            .map(|i| if i % t > i / t { -1e9 } else { 0.0 })
            .collect();
        let scores = (q.matmul(&k.t()?)? / (d as f64).sqrt())?;
        let scores = (scores + Tensor::from_vec(mask, (t, t), &DEV)?)?;
        softmax(&scores)?.matmul(v)
    }

    /// Σ −log p of `labels`, (row, target) pairs, of one whole row.
    fn loss(&self, tokens: &[u32], labels: &[(u32, u32)]) -> Result<Tensor> {
        let c = &self.config;
        let mut x = self.weights["model.embed_tokens.weight"]
            .index_select(&Tensor::new(tokens, &DEV)?, 0)?;
        for layer in 0..c.num_hidden_layers {
            let at = format!("layers.{layer}");
            let n = self.norm(&x, &format!("model.{at}.input_layernorm.weight"))?;
            let project =
                |name: &str, x: &Tensor| self.project(&format!("{at}.self_attn.{name}"), x);
            let (q, k, v) = (
                project("q_proj", &n)?,
                project("k_proj", &n)?,
                project("v_proj", &n)?,
            );
            let mut heads = Vec::new();
            for h in 0..c.num_attention_heads {
                let kv = h / (c.num_attention_heads / c.num_key_value_heads);
                let head = |x: &Tensor, h: usize, norm: &str| {
                    let x = x.narrow(1, h * c.head_dim, c.head_dim)?;
                    let name = format!("model.{at}.self_attn.{norm}.weight");
                    match self.weights.contains_key(&name) {
                        true => self.norm(&x, &name),
                        false => Ok(x),
                    }
                };
                let (q, k) = (
                    self.rope(&head(&q, h, "q_norm")?)?,
                    self.rope(&head(&k, kv, "k_norm")?)?,
                );
                heads.push(self.attend(&q, &k, &head(&v, kv, "")?)?);
            }
            x = (x + project("o_proj", &Tensor::cat(&heads, 1)?)?)?;
            let n = self.norm(&x, &format!("model.{at}.post_attention_layernorm.weight"))?;
            let project = |name: &str, x: &Tensor| self.project(&format!("{at}.mlp.{name}"), x);
            let act = (project("gate_proj", &n)?.silu()? * project("up_proj", &n)?)?;
            x = (x + project("down_proj", &act)?)?;
        }
        let rows: Vec<u32> = labels.iter().map(|l| l.0).collect();
        let targets: Vec<u32> = labels.iter().map(|l| l.1).collect();
        let x = self.norm(
            &x.index_select(&Tensor::new(rows, &DEV)?, 0)?,
            "model.norm.weight",
        )?;
        let head = self
            .weights
            .get("lm_head.weight")
            .unwrap_or(&self.weights["model.embed_tokens.weight"]);
        let p = softmax(&x.matmul(&head.t()?)?)?;
        let at_targets = p.gather(&Tensor::new(targets, &DEV)?.unsqueeze(1)?, 1)?;
        at_targets.log()?.sum_all()?.neg()
    }
}

fn softmax(x: &Tensor) -> Result<Tensor> {
    let e = x
        .broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?
        .exp()?;
    e.broadcast_div(&e.sum_keepdim(D::Minus1)?)
}

/// An adapter with alpha ≠ rank, B ≠ 0 and, for DoRA, magnitudes moved from the norms, one of them to zero.
fn adapter(base: &Base, dora: bool) -> Adapter {
    let config = AdapterConfig {
        dora,
        ..AdapterConfig::new(3, 7.0)
    };
    let mut adapter = Adapter::init(config, &base.decoder, 1).unwrap();
    for (i, (name, p)) in adapter.parameters_mut().enumerate() {
        let n = p.elem_count();
        let noise: Vec<f32> = (0..n)
            .map(|j| ((i * 31 + j * 7) as f32).sin() * 0.1)
            .collect();
        *p = (&*p + Tensor::from_vec(noise, p.shape(), &DEV).unwrap()).unwrap();
        if name == "layers.0.mlp.gate_proj.lora_magnitude_vector" {
            let mut kept = vec![1f32; n];
            kept[2] = 0.0;
            *p = (&*p * Tensor::new(kept, &DEV).unwrap()).unwrap();
        }
    }
    adapter.refresh(&base.decoder).unwrap();
    adapter
}

/// Longer than a block of queries of the attention kernel.
const PREFIX: [u32; 70] = prefix();
const ANSWERS: [&[u32]; 3] = [&[5, 61, 9], &[77, 8], &[30, 31, 32, 258]];

const fn prefix() -> [u32; 70] {
    let mut tokens = [0; 70];
    let mut i = 0;
    while i < tokens.len() {
        tokens[i] = (i * i * 7 + 11) as u32 % 256;
        i += 1;
    }
    tokens
}

/// The three rows as separate sequences, or as children of one prefix. The first answer token's
/// label stands on the last prompt row, which the children share.
fn packed(shared: bool) -> (Batch, Vec<Label>) {
    let (mut batch, mut labels) = (Batch::default(), Vec::new());
    let parent = shared.then(|| batch.push_sequence(&PREFIX));
    for (sequence, answer) in ANSWERS.iter().enumerate() {
        let start = batch.len();
        let (first, answer_start) = match parent {
            Some(p) => {
                batch.push_child(p, answer);
                (PREFIX.len() - 1, start)
            }
            None => {
                batch.push_sequence(&[&PREFIX, *answer].concat());
                (start + PREFIX.len() - 1, start + PREFIX.len())
            }
        };
        for (i, &target) in answer.iter().enumerate() {
            let row = if i == 0 { first } else { answer_start + i - 1 };
            labels.push(Label {
                row: row as u32,
                target,
                sequence: sequence as u32,
            });
        }
    }
    (batch, labels)
}

/// Asserts that a pass over `batch` has the oracle's loss and gradients.
fn assert_same(
    what: &str,
    base: &Base,
    adapter: &Adapter,
    oracle: &Oracle,
    (batch, labels): (Batch, Vec<Label>),
    loss: &Tensor,
) {
    let expected = loss.backward().unwrap();
    let loss = loss.to_scalar::<f32>().unwrap();
    let (hidden, tape) = base.decoder.forward_train(&batch, adapter).unwrap();
    let coefficients = vec![-1.0; labels.len()];
    let (log_p, d) = base
        .decoder
        .label_gradient(&hidden, &labels, &coefficients)
        .unwrap();
    let mut gradients = Gradients::default();
    base.decoder
        .backward(&batch, d, tape, adapter, &mut gradients)
        .unwrap();
    assert!((log_p.iter().sum::<f32>() + loss).abs() < 1e-3, "{what}");
    let alone = base.decoder.label_log_probabilities(&hidden, &labels);
    for (a, b) in log_p.iter().zip(alone.unwrap()) {
        assert!((a - b).abs() < 1e-4, "{what}: {a} is not {b}");
    }
    assert_eq!(gradients.0.len(), oracle.vars.len());
    let mut worst = 0f32;
    for (tensor, var) in &oracle.vars {
        let d = distance(&gradients.0[tensor], expected.get(var.as_tensor()).unwrap());
        assert!(d < 1e-4, "{what} {tensor}: {d}");
        worst = worst.max(d);
    }
    println!("{what}: gradients {worst:.1e}");
}

#[test]
fn adapter_gradients_equal_autograd() {
    let cases = MODELS.into_iter().flat_map(|m| [(m, false), (m, true)]);
    for ((name, dora), path) in cases.flat_map(|c| [(c, OpsPath::Fused), (c, OpsPath::Portable)]) {
        let mut base = base(name);
        base.decoder.path = path;
        let adapter = adapter(&base, dora);
        let oracle = Oracle::new(&base, name, &adapter);
        let mut loss = Tensor::zeros((), DType::F32, &DEV).unwrap();
        for answer in ANSWERS {
            let labels: Vec<(u32, u32)> = (PREFIX.len() as u32 - 1..)
                .zip(answer.iter().copied())
                .collect();
            loss = (loss + oracle.loss(&[&PREFIX, answer].concat(), &labels).unwrap()).unwrap();
        }
        for shared in [false, true] {
            let what = format!("{name} {path:?} dora {dora} shared {shared}");
            assert_same(&what, &base, &adapter, &oracle, packed(shared), &loss);
        }
    }
}

#[test]
fn gradients_through_dropout_equal_autograd() {
    for dora in [false, true] {
        let base = base("tiny-qwen2");
        let mut adapter = adapter(&base, dora);
        let dropout = Dropout {
            p: 0.3,
            seed: 5,
            pass: 2,
        };
        adapter.dropout = Some(dropout);
        let mut oracle = Oracle::new(&base, "tiny-qwen2", &adapter);
        let row = Example::new(&PREFIX, ANSWERS[0]);
        for (site, module) in &adapter.modules {
            let shape = (row.len(), module.a.dim(1).unwrap());
            let mask = dropout.mask(*site, shape, &DEV).unwrap();
            oracle.masks.insert(site.to_string(), mask);
        }
        let labels = row.learned[0].clone();
        let labels: Vec<(u32, u32)> = labels.map(|i| (i as u32 - 1, row.tokens[i])).collect();
        let loss = oracle.loss(&row.tokens, &labels).unwrap();
        let what = format!("dropout, dora {dora}");
        let packed = pack([&row], true);
        let packed = (packed.batch, packed.labels);
        assert_same(&what, &base, &adapter, &oracle, packed, &loss);
    }
}
