//! The decoder: embedding, blocks, final norm and head; forward, cached forward and backward.

use super::attention::Plan;
use super::batch::Batch;
use super::block::{self, Block, Context};
use super::config::{Config, Family};
use super::kv::KvCache;
use super::linear::{Delta, Gradients, Projection, Site};
use super::mismatch::describe;
use super::ops::{self, Path, Rotary};
use anyhow::{Result, bail};
use candle_core::{Device, Tensor};

/// Where weights come from: tensors by their transformers name, as f32.
pub trait Weights {
    /// Shape of the tensor; `None` when there is none of that name.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;
    /// The tensor as f32 on `device`.
    fn tensor(&self, name: &str, device: &Device) -> Result<Tensor>;
}

/// A frozen decoder-only transformer.
pub struct Decoder {
    pub config: Config,
    /// Which implementation of the operations runs.
    pub path: Path,
    pub device: Device,
    embedding: Tensor,
    blocks: Vec<Block>,
    norm: Tensor,
    /// `[vocab, hidden]`; the embedding itself when tied.
    head: Tensor,
}

/// What a training forward pass leaves for backward.
pub struct Tape {
    blocks: Vec<block::Saved>,
}

impl Decoder {
    /// Loads every tensor; all missing and misshapen ones are named in one error.
    pub fn new(config: Config, weights: &dyn Weights, device: &Device) -> Result<Self> {
        let mut wrong = Vec::new();
        let mut load = |name: String, shape: &[usize]| {
            match weights.shape(&name) {
                Some(found) if found == shape => return weights.tensor(&name, device).map(Some),
                Some(found) => wrong.push(format!("{name} is {found:?}, expected {shape:?}")),
                None => wrong.push(format!("{name} is missing")),
            }
            Ok::<_, anyhow::Error>(None)
        };
        let (hidden, vocab) = (config.hidden_size, config.vocab_size);
        let embedding = load("model.embed_tokens.weight".into(), &[vocab, hidden])?;
        let norm = load("model.norm.weight".into(), &[hidden])?;
        let head = match config.tie_word_embeddings {
            true => embedding.clone(),
            false => load("lm_head.weight".into(), &[vocab, hidden])?,
        };
        let mut blocks = Vec::new();
        for layer in 0..config.num_hidden_layers {
            blocks.push(load_block(&config, layer, &mut load)?);
        }
        let complete = blocks.into_iter().collect::<Option<Vec<_>>>();
        let (Some(embedding), Some(norm), Some(head), Some(blocks)) =
            (embedding, norm, head, complete)
        else {
            bail!("the weights do not fit the config: {}", describe(&wrong))
        };
        Ok(Self {
            config,
            path: Path::of(device),
            device: device.clone(),
            embedding,
            blocks,
            norm,
            head,
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
        let context = self.context(batch, delta)?;
        let mut x = self.embed(batch)?;
        for block in &self.blocks {
            let layer = cache.as_mut().map(|c| (&mut c.layers[block.layer], batch));
            x = block.forward(&x, &context, layer)?.0;
        }
        Ok(x)
    }

    /// [`Self::forward`] that keeps what [`Self::backward`] needs.
    pub fn forward_train(&self, batch: &Batch, delta: &dyn Delta) -> Result<(Tensor, Tape)> {
        let context = self.context(batch, Some(delta))?;
        let mut x = self.embed(batch)?;
        let mut saved = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let (y, s) = block.forward(&x, &context, None)?;
            x = y;
            saved.push(s);
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
        let context = self.context(batch, Some(delta))?;
        let mut d = d_hidden;
        for (block, saved) in self.blocks.iter().zip(tape.blocks).rev() {
            d = block.backward(&d, &saved, &context, gradients)?;
        }
        Ok(())
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

    /// Logits `[N, vocab]` of hidden rows `[N, hidden]` that come from [`Self::forward`].
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let normed = self.final_norm(hidden)?;
        Ok(ops::matmul(self.path, &normed, &self.head.t()?)?)
    }

    /// The head's weight `[vocab, hidden]`.
    pub fn head(&self) -> &Tensor {
        &self.head
    }

    /// Every projection with its weight `[out, in]`.
    pub fn projections(&self) -> impl Iterator<Item = (Site, &Tensor)> {
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
        let ids = Tensor::new(batch.tokens.as_slice(), &self.device)?;
        Ok(self.embedding.index_select(&ids, 0)?)
    }

    fn context<'a>(&self, batch: &'a Batch, delta: Option<&'a dyn Delta>) -> Result<Context<'a>> {
        Ok(Context {
            path: self.path,
            heads: self.config.heads(),
            eps: self.config.rms_norm_eps,
            rotary: self.rotary(&batch.positions)?,
            attention: Plan::new(self.path, batch, &self.device)?,
            delta,
        })
    }

    fn rotary(&self, positions: &[u32]) -> Result<Rotary> {
        let (d, theta) = (self.config.head_dim, self.config.rope_theta);
        let half = d / 2;
        // transformers computes frequencies and angles in f32; so do we.
        let frequency = |i: usize| 1.0 / (theta as f32).powf((2 * i) as f32 / d as f32);
        let frequencies: Vec<f32> = (0..half).map(frequency).collect();
        let angles = positions
            .iter()
            .flat_map(|&p| frequencies.iter().map(move |f| p as f32 * f));
        let (sin, cos) = angles.map(f32::sin_cos).unzip();
        let tensor = |v: Vec<f32>| Tensor::from_vec(v, (positions.len(), half), &self.device);
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

fn load_block(
    config: &Config,
    layer: usize,
    load: &mut impl FnMut(String, &[usize]) -> Result<Option<Tensor>>,
) -> Result<Option<Block>> {
    let mut norm =
        |name: &str, width| load(format!("model.layers.{layer}.{name}.weight"), &[width]);
    let input_norm = norm("input_layernorm", config.hidden_size)?;
    let post_attention_norm = norm("post_attention_layernorm", config.hidden_size)?;
    let qk_norm = match config.family {
        Family::Llama => Some(None),
        Family::Qwen3 => {
            let q = norm("self_attn.q_norm", config.head_dim)?;
            let k = norm("self_attn.k_norm", config.head_dim)?;
            q.zip(k).map(Some)
        }
    };
    let mut projections = Vec::new();
    for projection in Projection::ALL {
        let site = Site { layer, projection };
        let shape = projection_shape(config, projection);
        projections.push(load(format!("model.{site}.weight"), &shape)?);
    }
    let projections: Option<Vec<Tensor>> = projections.into_iter().collect();
    let (Some(input_norm), Some(post_attention_norm), Some(qk_norm), Some(projections)) =
        (input_norm, post_attention_norm, qk_norm, projections)
    else {
        return Ok(None);
    };
    let Ok(projections) = projections.try_into() else {
        unreachable!("one tensor for each of Projection::ALL")
    };
    Ok(Some(Block {
        layer,
        input_norm,
        post_attention_norm,
        qk_norm,
        projections,
    }))
}
