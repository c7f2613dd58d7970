//! A frozen projection and the hook through which adapters change it.

use candle_core::{Result, Tensor};
use std::collections::BTreeMap;
use std::fmt;

/// The seven projections of a decoder block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Projection {
    Q,
    K,
    V,
    O,
    Gate,
    Up,
    Down,
}

impl Projection {
    pub const ALL: [Self; 7] = [
        Self::Q,
        Self::K,
        Self::V,
        Self::O,
        Self::Gate,
        Self::Up,
        Self::Down,
    ];

    /// The module's name in checkpoints and adapter configs, such as `q_proj`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q => "q_proj",
            Self::K => "k_proj",
            Self::V => "v_proj",
            Self::O => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }

    /// The projection called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name)
    }

    fn parent(self) -> &'static str {
        match self {
            Self::Q | Self::K | Self::V | Self::O => "self_attn",
            Self::Gate | Self::Up | Self::Down => "mlp",
        }
    }
}

/// One projection of one layer. Displays as `layers.3.self_attn.q_proj`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    pub layer: usize,
    pub projection: Projection,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (parent, name) = (self.projection.parent(), self.projection.name());
        write!(f, "layers.{}.{parent}.{name}", self.layer)
    }
}

/// Gradients of adapter tensors by their name, such as `layers.0.self_attn.q_proj.lora_A`.
#[derive(Default)]
pub struct Gradients(pub BTreeMap<String, Tensor>);

impl Gradients {
    /// Adds `gradient` to what `name` has gathered so far.
    pub fn add(&mut self, name: String, gradient: Tensor) -> Result<()> {
        let sum = match self.0.remove(&name) {
            Some(g) => (g + gradient)?,
            None => gradient,
        };
        self.0.insert(name, sum);
        Ok(())
    }
}

/// What adapters implement: a change of a projection's output. The model knows no more of them.
pub trait Delta {
    /// The projection's output given its input `x` `[T, in]` and the base product `wx` `[T, out]`;
    /// beside it, tensors that [`Self::backward`] wants back. Where it `stays`, nobody changes the output in place, so that it may
    /// be one of these.
    fn forward(
        &self,
        site: Site,
        x: &Tensor,
        wx: Tensor,
        stays: bool,
    ) -> Result<(Tensor, Vec<Tensor>)>;

    /// Adds the adapter's own gradients to `gradients` and returns the gradient towards `wx`, and
    /// the one towards `x` that does not pass through `wx`. The caller applies Wᵀ to the first.
    /// Only what is trained has one.
    fn backward(
        &self,
        site: Site,
        _dy: &Tensor,
        _x: &Tensor,
        _saved: &[Tensor],
        _gradients: &mut Gradients,
    ) -> Result<(Tensor, Option<ExtraGradient>)> {
        candle_core::bail!("{site}: this change has no gradient")
    }
}

impl<D: Delta + ?Sized> Delta for &D {
    fn forward(
        &self,
        site: Site,
        x: &Tensor,
        wx: Tensor,
        stays: bool,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        (**self).forward(site, x, wx, stays)
    }
}

/// A gradient towards a projection's input in the factors it comes as: `scale · left · right`,
/// element by element times `mask`.
pub struct ExtraGradient {
    /// `[T, r]`
    pub left: Tensor,
    /// `[r, in]`
    pub right: Tensor,
    pub scale: f64,
    /// `[T, in]`
    pub mask: Option<Tensor>,
}
