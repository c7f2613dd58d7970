//! One decoder block: the same code for training, prefill and cached decode, and its gradient.

use super::attention::{self, Heads, Plan};
use super::kv::LayerCache;
use super::linear::{Delta, ExtraGradient, Gradients, Projection, Site};
use super::ops::{self, Path, Rotary};
use super::weight::{self, Weight};
use candle_core::{Result, Tensor};

/// What a pass over a batch shares between layers.
pub struct Context<'a> {
    pub path: Path,
    pub heads: Heads,
    pub eps: f64,
    pub rotary: Rotary,
    pub attention: Plan<'a>,
    /// Of the layers with a sliding window, where the batch is longer than that.
    pub windowed: Option<Plan<'a>>,
    /// Where the batch goes in the cache on the portable path (see kv::scattered).
    pub scattered: Option<Tensor>,
    /// Whether forward products are those of the weights' numbers, which backward takes in any case.
    pub exact: bool,
    pub delta: Option<&'a dyn Delta>,
}

/// The frozen weights of a block. Projections are `[out, in]`.
pub struct Block {
    pub layer: usize,
    pub input_norm: Tensor,
    pub post_attention_norm: Tensor,
    /// Norms of each query and key head (Qwen3).
    pub qk_norm: Option<(Tensor, Tensor)>,
    /// Whether queries and keys are rotated.
    pub rotated: bool,
    /// Whether a sliding window limits what a query sees.
    pub windowed: bool,
    /// By `Projection as usize`.
    pub biases: [Option<Tensor>; 7],
    /// By `Projection as usize`.
    pub projections: [Weight; 7],
}

/// Activations that a block's backward needs.
pub struct Saved {
    x: Tensor,
    /// Queries and keys before their norm; absent without one.
    raw_qk: Option<(Tensor, Tensor)>,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attention: attention::Saved,
    middle: Tensor,
    gate: Tensor,
    up: Tensor,
    deltas: [Vec<Tensor>; 7],
}

impl Block {
    /// `x` `[T, hidden]` to the block's output, with what backward needs. With a cache the new keys
    /// and values are stored first and attention reads the cache.
    pub fn forward(
        &self,
        x: &Tensor,
        c: &Context,
        cache: Option<(&mut LayerCache, &super::batch::Batch)>,
    ) -> Result<(Tensor, Saved)> {
        let mut deltas: [Vec<Tensor>; 7] = Default::default();
        let normed = ops::rms_norm(c.path, x, &self.input_norm, c.eps)?;
        let [q, k, v] = [Projection::Q, Projection::K, Projection::V];
        let [q, k, v] = self.project([q, k, v], &normed, c, &mut deltas)?;
        let raw_qk = self.qk_norm.as_ref().map(|_| (q.clone(), k.clone()));
        let (q, k) = match &self.qk_norm {
            Some((qn, kn)) => (norm_heads(&q, qn, c)?, norm_heads(&k, kn, c)?),
            None => (q, k),
        };
        let (q, k) = match self.rotated {
            true => (
                ops::rope(c.path, &q, &c.rotary)?,
                ops::rope(c.path, &k, &c.rotary)?,
            ),
            false => (q, k),
        };
        let plan = self.plan(c);
        let (out, attention) = match cache {
            Some((cache, batch)) => {
                cache.store(&k, &v, batch, c.scattered.as_ref())?;
                plan.forward(&q, &cache.k, &cache.v, &c.heads)?
            }
            None => plan.forward(&q, &k, &v, &c.heads)?,
        };
        let [o] = self.project([Projection::O], &out, c, &mut deltas)?;
        let middle = ops::add(c.path, o, x)?;
        let normed = ops::rms_norm(c.path, &middle, &self.post_attention_norm, c.eps)?;
        let [gate, up] = [Projection::Gate, Projection::Up];
        let [gate, up] = self.project([gate, up], &normed, c, &mut deltas)?;
        let act = ops::swiglu(c.path, &gate, &up)?;
        let [down] = self.project([Projection::Down], &act, c, &mut deltas)?;
        let y = ops::add(c.path, down, &middle)?;
        let saved = Saved {
            x: x.clone(),
            raw_qk,
            q,
            k,
            v,
            attention,
            middle,
            gate,
            up,
            deltas,
        };
        Ok((y, saved))
    }

    /// The gradient towards the block's input given the one towards its output; the adapters'
    /// gradients are added to `gradients`. Norms and the activation are computed again: they cost
    /// little, and holding them would not.
    pub fn backward(
        &self,
        dy: &Tensor,
        s: &Saved,
        c: &Context,
        gradients: &mut Gradients,
    ) -> Result<Tensor> {
        let mut back = |p, dy: &Tensor, x: &Tensor, into: Option<Tensor>| {
            self.project_backward(p, dy, x, &s.deltas[p as usize], c, gradients, into)
        };
        let act = ops::swiglu(c.path, &s.gate, &s.up)?;
        let d_act = back(Projection::Down, dy, &act, None)?;
        drop(act);
        let (d_gate, d_up) = ops::swiglu_backward(c.path, &d_act, &s.gate, &s.up)?;
        let normed = ops::rms_norm(c.path, &s.middle, &self.post_attention_norm, c.eps)?;
        let d = back(Projection::Gate, &d_gate, &normed, None)?;
        let d = back(Projection::Up, &d_up, &normed, Some(d))?;
        let d = ops::rms_norm_backward(c.path, &d, &s.middle, &self.post_attention_norm, c.eps)?;
        let d_middle = ops::add(c.path, d, dy)?;

        let d_out = back(Projection::O, &d_middle, &s.attention.out, None)?;
        let [dq, dk, dv] =
            self.plan(c)
                .backward(&d_out, [&s.q, &s.k, &s.v], &s.attention, &c.heads)?;
        let (dq, dk) = match self.rotated {
            true => (
                ops::rope_backward(c.path, &dq, &c.rotary)?,
                ops::rope_backward(c.path, &dk, &c.rotary)?,
            ),
            false => (dq, dk),
        };
        let (dq, dk) = match (&self.qk_norm, &s.raw_qk) {
            (Some((qn, kn)), Some((q, k))) => (
                norm_heads_backward(&dq, q, qn, c)?,
                norm_heads_backward(&dk, k, kn, c)?,
            ),
            _ => (dq, dk),
        };
        let normed = ops::rms_norm(c.path, &s.x, &self.input_norm, c.eps)?;
        let d = back(Projection::Q, &dq, &normed, None)?;
        let d = back(Projection::K, &dk, &normed, Some(d))?;
        let d = back(Projection::V, &dv, &normed, Some(d))?;
        let d = ops::rms_norm_backward(c.path, &d, &s.x, &self.input_norm, c.eps)?;
        ops::add(c.path, d, &d_middle)
    }

    fn site(&self, projection: Projection) -> Site {
        Site {
            layer: self.layer,
            projection,
        }
    }

    /// Projections of one input.
    fn project<const N: usize>(
        &self,
        of: [Projection; N],
        x: &Tensor,
        c: &Context,
        deltas: &mut [Vec<Tensor>; 7],
    ) -> Result<[Tensor; N]> {
        let mut projected = Vec::with_capacity(N);
        if c.exact {
            // One after the other: an adapter's norms look at the weight that was just used.
            for p in of {
                let wx = self.projections[p as usize].exact_product(c.path, x)?;
                projected.push(self.changed(p, x, wx, c, deltas)?);
            }
        } else {
            let weights = of.map(|p| &self.projections[p as usize]);
            let all = weight::products(c.path, weights, x)?;
            for (p, wx) in of.into_iter().zip(all) {
                projected.push(self.changed(p, x, wx, c, deltas)?);
            }
        }
        projected
            .try_into()
            .map_err(|_| unreachable!("as many results as projections"))
    }

    /// What adapters and a bias make of the product `wx`.
    fn changed(
        &self,
        p: Projection,
        x: &Tensor,
        wx: Tensor,
        c: &Context,
        deltas: &mut [Vec<Tensor>; 7],
    ) -> Result<Tensor> {
        let y = match c.delta {
            None => wx,
            Some(delta) => {
                // The residual is added to these in place, and a bias.
                let stays =
                    !matches!(p, Projection::O | Projection::Down) && self.bias(p).is_none();
                let (y, saved) = delta.forward(self.site(p), x, wx, stays)?;
                deltas[p as usize] = saved;
                y
            }
        };
        // Behind the adapter: DoRA rescales the product, not the bias.
        match self.bias(p) {
            Some(bias) => ops::add_row(c.path, y, bias),
            None => Ok(y),
        }
    }

    fn bias(&self, p: Projection) -> Option<&Tensor> {
        self.biases[p as usize].as_ref()
    }

    fn plan<'a>(&self, c: &'a Context) -> &'a Plan<'a> {
        match &c.windowed {
            Some(plan) if self.windowed => plan,
            _ => &c.attention,
        }
    }

    /// Gradient towards a projection's input, added to `into`.
    #[allow(clippy::too_many_arguments)]
    fn project_backward(
        &self,
        p: Projection,
        dy: &Tensor,
        x: &Tensor,
        saved: &[Tensor],
        c: &Context,
        gradients: &mut Gradients,
        into: Option<Tensor>,
    ) -> Result<Tensor> {
        let (d_wx, extra) = match c.delta {
            Some(delta) => delta.backward(self.site(p), dy, x, saved, gradients)?,
            None => (dy.clone(), None),
        };
        let dx = self.projections[p as usize].exact_backward(c.path, &d_wx, into)?;
        match extra {
            None => Ok(dx),
            Some(ExtraGradient {
                left,
                right,
                scale,
                mask: None,
            }) => ops::add_product(c.path, dx, &left, &right, scale),
            Some(ExtraGradient {
                left,
                right,
                scale,
                mask: Some(mask),
            }) => {
                let extra = ((ops::matmul(c.path, &left, &right)? * mask)? * scale)?;
                ops::add(c.path, extra.to_dtype(dx.dtype())?, &dx)
            }
        }
    }
}

/// Norm over each head of `x` `[T, heads · d]`.
fn norm_heads(x: &Tensor, weight: &Tensor, c: &Context) -> Result<Tensor> {
    let heads = x.reshape(((), c.heads.dim))?;
    ops::rms_norm(c.path, &heads, weight, c.eps)?.reshape(x.shape())
}

fn norm_heads_backward(dy: &Tensor, x: &Tensor, weight: &Tensor, c: &Context) -> Result<Tensor> {
    let (dy, heads) = (
        dy.reshape(((), c.heads.dim))?,
        x.reshape(((), c.heads.dim))?,
    );
    ops::rms_norm_backward(c.path, &dy, &heads, weight, c.eps)?.reshape(x.shape())
}
