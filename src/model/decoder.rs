//! The decoder: embedding, blocks, final norm and head; forward, cached forward and backward.

use super::attention::Plan;
use super::batch::Batch;
use super::block::{self, Block, Context};
use super::config::Config;
use super::kv::{self, KvCache};
use super::linear::{Delta, Gradients, Projection, Site};
use super::mismatch::describe;
use super::ops::{self, Path, Rotary};
use super::weight::{self, Blocks, Held, Weight};
use anyhow::{Result, bail, ensure};
use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};

/// Where weights come from: tensors by their transformers name.
pub trait Weights {
    /// Shape of the tensor; `None` when there is none of that name.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;
    /// The tensor as `dtype` on `device`.
    fn tensor(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor>;
    /// The tensor's own blocks, where it is stored in such of these kinds.
    fn blocks(&self, _name: &str, _of: &[GgmlDType]) -> Result<Option<Blocks>> {
        Ok(None)
    }
}

/// A frozen decoder-only transformer.
pub struct Decoder {
    pub config: Config,
    /// Which implementation of the operations runs.
    pub path: Path,
    pub device: Device,
    /// Of weights and activations: f32, or bf16 on the portable path. Norm weights are f32 always.
    pub dtype: DType,
    /// How the weights are held.
    pub held: Held,
    embedding: Weight,
    blocks: Vec<Block>,
    norm: Tensor,
    /// `[vocab, hidden]`; the embedding itself when tied.
    head: Weight,
    /// Whether a training pass keeps only what enters a block, and backward computes the rest again: less memory, a third more
    /// products, the same bits.
    pub recompute: bool,
    /// Whether a training pass multiplies quantized weights as [`Self::forward`] does, activations in 8 bits too: its log-probabilities are
    /// then those of answering, and it is faster. The gradient is that of the weights' numbers all the same.
    pub as_answered: bool,
    /// What logits are divided by where labels' log-probabilities are computed: as answers are drawn that are learned from. Decoding does not
    /// heed it.
    pub temperature: f64,
    /// Runs after every block, forward and backward: where a device's memory is checked.
    pub after_block: Option<AfterBlock>,
}

/// See [`Decoder::after_block`].
pub type AfterBlock = Box<dyn Fn() -> candle_core::Result<()> + Send + Sync>;

/// What a training forward pass leaves for backward.
pub struct Tape {
    blocks: Vec<Kept>,
}

/// What a tape holds of a block.
enum Kept {
    All(Box<block::Saved>),
    /// What entered it, `[T, hidden]`.
    Input(Tensor),
}

impl Decoder {
    /// Loads every tensor; all missing and misshapen ones are named in one error.
    pub fn new(
        config: Config,
        weights: &dyn Weights,
        held: Held,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        check(&config, weights)?;
        let load = |name: &str| {
            let dtype = match name.ends_with("norm.weight") {
                true => DType::F32,
                false => dtype,
            };
            weights.tensor(name, dtype, device)
        };
        let matrix = |name: &str| Weight::load(weights, name, held, dtype, device);
        let embedding = matrix(EMBEDDING)?;
        Ok(Self {
            path: Path::of(device, dtype),
            device: device.clone(),
            dtype,
            held,
            norm: load(FINAL_NORM)?,
            head: match config.tie_word_embeddings {
                true => embedding.clone(),
                false => matrix(HEAD)?,
            },
            embedding,
            blocks: (0..config.num_hidden_layers)
                .map(|layer| load_block(&config, layer, &load, &matrix))
                .collect::<Result<_>>()?,
            config,
            recompute: false,
            as_answered: false,
            temperature: 1.0,
            after_block: None,
        })
    }

    /// Hidden states `[T, hidden]` before the final norm. With a cache, the batch's segments must
    /// come from [`Batch::push_cached`].
    pub fn forward(
        &self,
        batch: &Batch,
        mut cache: Option<&mut KvCache>,
        delta: Option<&dyn Delta>,
    ) -> Result<Tensor> {
        let mut context = self.context(batch, cache.is_some(), delta, false)?;
        if cache.is_some() && self.path == Path::Portable {
            let width = self.config.heads().kv_width();
            context.scattered = Some(kv::scattered(batch, width, &self.device)?);
        }
        let mut x = self.embed(batch)?;
        for block in &self.blocks {
            let layer = cache.as_mut().map(|c| (&mut c.layers[block.layer], batch));
            x = block.forward(&x, &context, layer)?.0;
            self.block_done()?;
        }
        Ok(x)
    }

    /// [`Self::forward`] that keeps what [`Self::backward`] needs.
    pub fn forward_train(&self, batch: &Batch, delta: &dyn Delta) -> Result<(Tensor, Tape)> {
        let context = self.context(batch, false, Some(delta), !self.as_answered)?;
        let mut x = self.embed(batch)?;
        let mut saved = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let (y, all) = block.forward(&x, &context, None)?;
            saved.push(match self.recompute {
                true => Kept::Input(x),
                false => Kept::All(Box::new(all)),
            });
            x = y;
            self.block_done()?;
        }
        Ok((x, Tape { blocks: saved }))
    }

    /// Adapter gradients given the gradient towards [`Self::forward_train`]'s result. The tape is
    /// freed block by block.
    pub fn backward(
        &self,
        batch: &Batch,
        d_hidden: Tensor,
        tape: Tape,
        delta: &dyn Delta,
        gradients: &mut Gradients,
    ) -> Result<()> {
        let context = self.context(batch, false, Some(delta), !self.as_answered)?;
        let mut d = d_hidden;
        for (block, kept) in self.blocks.iter().zip(tape.blocks).rev() {
            let saved = match kept {
                Kept::All(saved) => *saved,
                Kept::Input(x) => block.forward(&x, &context, None)?.1,
            };
            d = block.backward(&d, &saved, &context, gradients)?;
            drop(saved);
            self.block_done()?;
        }
        Ok(())
    }

    fn block_done(&self) -> Result<()> {
        match &self.after_block {
            Some(f) => Ok(f()?),
            None => Ok(()),
        }
    }

    /// The final norm of `hidden` rows.
    pub fn final_norm(&self, hidden: &Tensor) -> Result<Tensor> {
        Ok(ops::rms_norm(
            self.path,
            hidden,
            &self.norm,
            self.config.rms_norm_eps,
        )?)
    }

    /// Gradient of [`Self::final_norm`] towards `hidden`.
    pub fn final_norm_backward(&self, dy: &Tensor, hidden: &Tensor) -> Result<Tensor> {
        Ok(ops::rms_norm_backward(
            self.path,
            dy,
            hidden,
            &self.norm,
            self.config.rms_norm_eps,
        )?)
    }

    /// Logits `[N, vocab]`, as f32, of hidden rows `[N, hidden]` that come from [`Self::forward`].
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let normed = self.final_norm(hidden)?;
        let [logits] = weight::products(self.path, [&self.head], &normed)?;
        Ok(logits.to_dtype(DType::F32)?)
    }

    /// The head's weight `[vocab, hidden]`.
    pub fn head(&self) -> &Weight {
        &self.head
    }

    /// Bytes of the matrices, and of the most numbers that are made at once where they are held otherwise.
    pub fn bytes(&self) -> usize {
        let own = match self.config.tie_word_embeddings {
            true => self.embedding.bytes(),
            false => self.embedding.bytes() + self.head.bytes(),
        };
        let c = &self.config;
        let head = match (self.held, self.path) {
            (Held::Numbers, _) => 0,
            (_, Path::Portable) => c.vocab_size * c.hidden_size,
            (Held::Bf16, Path::Fused) => (c.vocab_size * c.hidden_size).min(weight::PART),
            // Products make no more of them than a thread multiplies at once; DoRA's norms need a projection whole.
            (Held::Q8 | Held::Native, Path::Fused) => 0,
        };
        let projection = match self.held {
            Held::Numbers => 0,
            _ => c.hidden_size * c.intermediate_size.max(c.heads().q_width()),
        };
        let numbers = head.max(projection) * self.dtype.size_in_bytes();
        own + numbers + self.projections().map(|(_, w)| w.bytes()).sum::<usize>()
    }

    /// The bytes of a row of each projection as f32, by which bases are told apart: merging an adapter changes all.
    pub fn sample(&self) -> candle_core::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for (_, weight) in self.projections() {
            let row = weight.rows(&[0])?.to_dtype(DType::F32)?;
            for value in row.flatten_all()?.to_vec1::<f32>()? {
                bytes.extend(value.to_le_bytes());
            }
        }
        Ok(bytes)
    }

    /// Every projection with its weight `[out, in]`.
    pub fn projections(&self) -> impl Iterator<Item = (Site, &Weight)> {
        self.blocks.iter().flat_map(|b| {
            Projection::ALL.into_iter().map(|projection| {
                let site = Site {
                    layer: b.layer,
                    projection,
                };
                (site, &b.projections[projection as usize])
            })
        })
    }

    fn embed(&self, batch: &Batch) -> Result<Tensor> {
        Ok(self.embedding.rows(&batch.tokens)?.to_dtype(self.dtype)?)
    }

    fn context<'a>(
        &self,
        batch: &'a Batch,
        cached: bool,
        delta: Option<&'a dyn Delta>,
        exact: bool,
    ) -> Result<Context<'a>> {
        let plan = |window| Plan::new(self.path, batch, window, cached, &self.device);
        Ok(Context {
            path: self.path,
            heads: self.config.heads(),
            eps: self.config.rms_norm_eps,
            rotary: self.rotary(&batch.positions)?,
            attention: plan(None)?,
            windowed: match &self.config.window {
                Some(window) if window.size < batch.longest() => Some(plan(Some(window.size))?),
                _ => None,
            },
            scattered: None,
            exact,
            delta,
        })
    }

    fn rotary(&self, positions: &[u32]) -> Result<Rotary> {
        // transformers computes frequencies and angles in f32; so do we.
        let frequencies = self.config.rope.frequencies(self.config.head_dim);
        let scale = self.config.rope.attention_factor as f32;
        let angles = positions
            .iter()
            .flat_map(|&p| frequencies.iter().map(move |f| p as f32 * f));
        let (sin, cos) = angles
            .map(|angle| {
                let (sin, cos) = angle.sin_cos();
                (sin * scale, cos * scale)
            })
            .unzip();
        let shape = (positions.len(), frequencies.len());
        let tensor = |v: Vec<f32>| Tensor::from_vec(v, shape, &self.device);
        Ok(Rotary {
            cos: tensor(cos)?,
            sin: tensor(sin)?,
        })
    }
}

/// Weight shape `[out, in]` of a projection.
pub fn projection_shape(config: &Config, p: Projection) -> [usize; 2] {
    let (hidden, mlp, heads) = (config.hidden_size, config.intermediate_size, config.heads());
    match p {
        Projection::Q => [heads.q_width(), hidden],
        Projection::K | Projection::V => [heads.kv_width(), hidden],
        Projection::O => [hidden, heads.q_width()],
        Projection::Gate | Projection::Up => [mlp, hidden],
        Projection::Down => [hidden, mlp],
    }
}

/// Name and shape of every tensor of a decoder.
pub fn tensors(config: &Config) -> Vec<(String, Vec<usize>)> {
    let (hidden, vocab) = (config.hidden_size, config.vocab_size);
    let mut all = vec![
        (EMBEDDING.to_string(), vec![vocab, hidden]),
        (FINAL_NORM.to_string(), vec![hidden]),
    ];
    if !config.tie_word_embeddings {
        all.push((HEAD.to_string(), vec![vocab, hidden]));
    }
    for layer in 0..config.num_hidden_layers {
        for norm in [INPUT_NORM, POST_ATTENTION_NORM] {
            all.push((norm_name(layer, norm), vec![hidden]));
        }
        if config.qk_norm {
            for norm in QK_NORM {
                all.push((norm_name(layer, norm), vec![config.head_dim]));
            }
        }
        for projection in Projection::ALL {
            let site = Site { layer, projection };
            let shape = projection_shape(config, projection);
            if config.biased(projection) {
                all.push((format!("model.{site}.bias"), vec![shape[0]]));
            }
            all.push((format!("model.{site}.weight"), shape.to_vec()));
        }
    }
    all
}

const EMBEDDING: &str = "model.embed_tokens.weight";
const FINAL_NORM: &str = "model.norm.weight";
const HEAD: &str = "lm_head.weight";
const INPUT_NORM: &str = "input_layernorm";
const POST_ATTENTION_NORM: &str = "post_attention_layernorm";
const QK_NORM: [&str; 2] = ["self_attn.q_norm", "self_attn.k_norm"];
/// What quantizing programs store beside a weight or instead of it.
const QUANTIZED: [&str; 7] = [
    "scales",
    "qweight",
    "weight_packed",
    "weight_scale",
    "weight_scale_inv",
    "weight.absmax",
    "SCB",
];

fn norm_name(layer: usize, norm: &str) -> String {
    format!("model.layers.{layer}.{norm}.weight")
}

/// Refuses weights that lack a tensor or have one of another shape.
pub fn check(config: &Config, weights: &dyn Weights) -> Result<()> {
    let mut wrong = Vec::new();
    for (name, shape) in tensors(config) {
        let module = name.trim_end_matches(".weight");
        let beside = QUANTIZED.map(|part| format!("{module}.{part}"));
        if let Some(part) = beside.iter().find(|part| weights.shape(part).is_some()) {
            bail!(
                "the weights are quantized ({part} is there), and adapters here are trained on whole ones: give the model \
                 that was quantized, or a GGUF file of it"
            );
        }
        match weights.shape(&name) {
            Some(found) if found == shape => {}
            Some(found) => wrong.push(format!("{name} is {found:?}, expected {shape:?}")),
            None => wrong.push(format!("{name} is missing")),
        }
    }
    for layer in 0..config.num_hidden_layers {
        for projection in Projection::ALL.into_iter().filter(|p| !config.biased(*p)) {
            let bias = format!("model.{}.bias", Site { layer, projection });
            if weights.shape(&bias).is_some() {
                wrong.push(format!("{bias} is not supported"));
            }
        }
    }
    ensure!(
        wrong.is_empty(),
        "the weights do not fit the config: {}",
        describe(&wrong)
    );
    Ok(())
}

fn load_block(
    config: &Config,
    layer: usize,
    load: &impl Fn(&str) -> Result<Tensor>,
    matrix: &impl Fn(&str) -> Result<Weight>,
) -> Result<Block> {
    let norm = |name: &str| load(&norm_name(layer, name));
    let site = |projection| Site { layer, projection };
    let weight = |p| matrix(&format!("model.{}.weight", site(p)));
    let bias = |p| match config.biased(p) {
        true => Ok(Some(load(&format!("model.{}.bias", site(p)))?)),
        false => Ok(None),
    };
    let [q_norm, k_norm] = QK_NORM;
    Ok(Block {
        layer,
        input_norm: norm(INPUT_NORM)?,
        post_attention_norm: norm(POST_ATTENTION_NORM)?,
        qk_norm: match config.qk_norm {
            true => Some((norm(q_norm)?, norm(k_norm)?)),
            false => None,
        },
        rotated: !config.without_rope.contains(&layer),
        windowed: config
            .window
            .as_ref()
            .is_some_and(|window| window.layers.contains(&layer)),
        biases: collect(Projection::ALL.map(bias))?,
        projections: collect(Projection::ALL.map(weight))?,
    })
}

/// All of them, or the first error.
fn collect<T, const N: usize>(results: [Result<T>; N]) -> Result<[T; N]> {
    let all: Vec<T> = results.into_iter().collect::<Result<_>>()?;
    all.try_into()
        .map_err(|_| unreachable!("as many values as results"))
}
