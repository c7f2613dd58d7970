//! LoRA and DoRA on the projections of a decoder.
//!
//! LoRA: y = Wx + s·B·A·x. DoRA: y = (m/n) ∘ (Wx + s·B·A·x) with n = ‖W + s·B·A‖ per row, through
//! which no gradient flows, as PEFT computes it. With dropout, A sees x∘mask and W sees x; adapters
//! are f32 whatever the activations are.

use super::config::AdapterConfig;
pub use super::dropout::Dropout;
use crate::model::decoder::Decoder;
use crate::model::linear::{Delta, ExtraGradient, Gradients, Site};
use crate::model::ops::{self, Path};
use crate::model::weight::Weight;
use candle_core::{D, DType, Device, Result, Tensor};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;

/// The parameters on one projection.
#[derive(Clone)]
pub struct Module {
    /// `[r, in]`
    pub a: Tensor,
    /// `[out, r]`
    pub b: Tensor,
    pub dora: Option<Magnitude>,
}

/// DoRA's magnitude and what follows from it, A, B and W; see [`Adapter::refresh`].
#[derive(Clone)]
pub struct Magnitude {
    /// m `[out]`
    pub m: Tensor,
    /// Squared row norms of the frozen weight.
    weight_squares: Tensor,
    /// n = ‖W + s·B·A‖ `[out]`
    norm: Tensor,
    /// m/n `[out]`
    gain: Tensor,
}

impl Magnitude {
    /// m/n `[out]`, what multiplies Wx + s·B·A·x.
    pub fn gain(&self) -> &Tensor {
        &self.gain
    }

    /// A magnitude for the weight `[out, in]`: `m`, or the row norms of the weight.
    pub fn new(m: Option<Tensor>, weight: &Tensor) -> Result<Self> {
        let weight_squares = weight.to_dtype(DType::F32)?.sqr()?.sum(D::Minus1)?;
        let norm = weight_squares.sqrt()?;
        Ok(Self {
            m: m.unwrap_or_else(|| norm.clone()),
            gain: norm.ones_like()?,
            weight_squares,
            norm,
        })
    }

    /// n and m/n for these A and B over this weight: ‖w + s·b·A‖² = ‖w‖² + 2s·b·(A·w) + s²·b·(A·Aᵀ)·bᵀ for each row, so that
    /// B·A is never formed.
    fn of(&self, path: Path, [a, b, weight]: [&Tensor; 3], scale: f64) -> Result<(Tensor, Tensor)> {
        let wa = ops::matmul(path, &weight.to_dtype(DType::F32)?, &a.t()?)?;
        let gram = ops::matmul(path, a, &a.t()?)?;
        let norm = ops::row_norms(path, &self.weight_squares, [&wa, &gram, b], scale)?;
        let gain = (&self.m / &norm)?;
        Ok((norm, gain))
    }
}

/// Outputs scaled by less could not be told from nothing.
const LEAST_GAIN: f32 = 1e-20;

/// One adapter: modules by site, in a fixed order. A clone shares its tensors, which nothing changes in place.
#[derive(Clone)]
pub struct Adapter {
    pub config: AdapterConfig,
    pub modules: BTreeMap<Site, Module>,
    /// What the next passes drop; nothing outside training.
    pub dropout: Option<Dropout>,
    /// The weights of DoRA's sites while A and B change from pass to pass: norms are then computed in the pass, right after the
    /// base product, while the weight is still in the cache. Without them they are what [`Self::refresh`] found.
    weights: BTreeMap<Site, Weight>,
    path: Path,
}

impl Adapter {
    /// An adapter of given modules; call [`Self::refresh`] before its first use.
    pub fn new(config: AdapterConfig, modules: BTreeMap<Site, Module>, path: Path) -> Self {
        Self {
            config,
            modules,
            dropout: None,
            weights: BTreeMap::new(),
            path,
        }
    }

    /// From now on the parameters may change from pass to pass.
    pub fn begin_training(&mut self, decoder: &Decoder) {
        if self.config.dora {
            let weights = decoder.projections();
            self.weights = weights
                .map(|(site, weight)| (site, weight.clone()))
                .collect();
        }
    }

    /// The parameters stay as they are.
    pub fn end_training(&mut self, decoder: &Decoder) -> Result<()> {
        self.weights.clear();
        self.dropout = None;
        self.refresh(decoder)
    }

    /// A fresh adapter that changes nothing yet: A ~ U(±1/√in), B = 0, m = ‖W‖.
    pub fn init(config: AdapterConfig, decoder: &Decoder, seed: u64) -> Result<Self> {
        // The order of rows draws from the same seed's first stream.
        let mut rng = StdRng::seed_from_u64(seed);
        rng = StdRng::from_rng(&mut rng);
        let mut modules = BTreeMap::new();
        for (site, weight) in decoder.projections() {
            if !config.targets.contains(&site.projection) {
                continue;
            }
            let (out, width) = weight.dims()?;
            let bound = 1.0 / (width as f32).sqrt();
            let rank = config.rank_of(site);
            let a: Vec<f32> = (0..rank * width)
                .map(|_| rng.random_range(-bound..bound))
                .collect();
            let device: &Device = weight.device();
            let module = Module {
                a: Tensor::from_vec(a, (rank, width), device)?,
                b: Tensor::zeros((out, rank), DType::F32, device)?,
                dora: match config.dora {
                    true => Some(Magnitude::new(None, &weight.numbers()?)?),
                    false => None,
                },
            };
            modules.insert(site, module);
        }
        let mut adapter = Self::new(config, modules, decoder.path);
        adapter.refresh(decoder)?;
        Ok(adapter)
    }

    /// The operations that it computes with.
    pub fn path(&self) -> Path {
        self.path
    }

    /// Recomputes what follows from the parameters; needed after a change of them, unless in training.
    pub fn refresh(&mut self, decoder: &Decoder) -> Result<()> {
        if !self.config.dora {
            return Ok(());
        }
        for (site, weight) in decoder.projections() {
            if let Some(m) = self.modules.get_mut(&site)
                && let Some(dora) = &mut m.dora
            {
                let scale = self.config.scale_of(site);
                (dora.norm, dora.gain) =
                    dora.of(self.path, [&m.a, &m.b, &weight.numbers()?], scale)?;
            }
        }
        Ok(())
    }

    /// Parameters by name, such as `layers.0.self_attn.q_proj.lora_A`, in a fixed order.
    pub fn parameters(&self) -> impl Iterator<Item = (String, &Tensor)> {
        self.modules.iter().flat_map(|(site, m)| {
            let dora = m.dora.as_ref();
            let m_name = format!("{site}.lora_magnitude_vector");
            [
                (format!("{site}.lora_A"), &m.a),
                (format!("{site}.lora_B"), &m.b),
            ]
            .into_iter()
            .chain(dora.map(|d| (m_name, &d.m)))
        })
    }

    /// The same, to be changed in place; [`Self::refresh`] must follow.
    pub fn parameters_mut(&mut self) -> impl Iterator<Item = (String, &mut Tensor)> {
        self.modules.iter_mut().flat_map(|(site, m)| {
            let m_name = format!("{site}.lora_magnitude_vector");
            let dora = m.dora.as_mut();
            [
                (format!("{site}.lora_A"), &mut m.a),
                (format!("{site}.lora_B"), &mut m.b),
            ]
            .into_iter()
            .chain(dora.map(|d| (m_name, &mut d.m)))
        })
    }
}

impl Adapter {
    /// `x` as A sees it, in f32, and the mask it was multiplied by.
    fn dropped(&self, site: Site, x: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        let x = x.to_dtype(DType::F32)?;
        match &self.dropout {
            None => Ok((x, None)),
            Some(dropout) => {
                let mask = dropout.mask(site, x.dims2()?, x.device())?;
                Ok(((x * &mask)?, Some(mask)))
            }
        }
    }
}

impl Delta for Adapter {
    fn forward(
        &self,
        site: Site,
        x: &Tensor,
        wx: Tensor,
        stays: bool,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let Some(m) = self.modules.get(&site) else {
            return Ok((wx, Vec::new()));
        };
        let (x, _) = self.dropped(site, x)?;
        let u = ops::matmul(self.path, &x, &m.a.t()?)?;
        let scale = self.config.scale_of(site);
        let Some(dora) = &m.dora else {
            let y = ops::add_product(self.path, wx, &u, &m.b.t()?, scale)?;
            return Ok((y, vec![u]));
        };
        let (norm, gain) = match self.weights.get(&site) {
            Some(weight) => dora.of(self.path, [&m.a, &m.b, &weight.numbers()?], scale)?,
            None => (dora.norm.clone(), dora.gain.clone()),
        };
        let z = ops::add_product(self.path, wx, &u, &m.b.t()?, scale)?;
        // The magnitudes' gradient is Σ dy·z / ‖·‖, and, as y = z·m/‖·‖, Σ dy·y / m: an output that stays need not be there twice.
        // What a magnitude of zero has wiped out is not in y; elsewhere than on the CPU the device would be waited for to know.
        let in_place = stays
            && self.path == Path::Fused
            && gain
                .to_vec1::<f32>()?
                .iter()
                .all(|gain| gain.abs() > LEAST_GAIN);
        if in_place {
            let y = ops::scale_columns_in_place(self.path, z, &gain)?;
            return Ok((y.clone(), vec![u, y, dora.m.clone(), gain]));
        }
        let y = ops::scale_columns(self.path, &z, &gain)?;
        Ok((y, vec![u, z, norm, gain]))
    }

    fn backward(
        &self,
        site: Site,
        dy: &Tensor,
        x: &Tensor,
        saved: &[Tensor],
        gradients: &mut Gradients,
    ) -> Result<(Tensor, Option<ExtraGradient>)> {
        let Some(m) = self.modules.get(&site) else {
            return Ok((dy.clone(), None));
        };
        let scale = self.config.scale_of(site);
        let (x, mask) = self.dropped(site, x)?;
        let dz = match &m.dora {
            None => dy.clone(),
            Some(_) => {
                let (kept, divisor, gain) = (&saved[1], &saved[2], &saved[3]);
                let [dz, dot] = ops::scale_columns_backward(self.path, dy, kept, gain)?;
                gradients.add(format!("{site}.lora_magnitude_vector"), (dot / divisor)?)?;
                dz
            }
        };
        let wide = dz.to_dtype(DType::F32)?;
        let [du, da, db] = ops::low_rank_gradient(self.path, &wide, [&x, &saved[0]], &m.b, scale)?;
        gradients.add(format!("{site}.lora_A"), da)?;
        gradients.add(format!("{site}.lora_B"), db)?;
        let extra = ExtraGradient {
            left: du,
            right: m.a.clone(),
            scale,
            mask,
        };
        Ok((dz, Some(extra)))
    }
}
