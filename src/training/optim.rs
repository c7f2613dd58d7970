//! AdamW over an adapter's parameters, with moments that can be read and restored.

use crate::adapters::lora::Adapter;
use crate::model::linear::Gradients;
use crate::model::ops::{self, AdamW, Path};
use anyhow::{Context, Result};
use candle_core::Tensor;
use std::collections::BTreeMap;

/// Optimizer state: the step count and both moments of every parameter.
pub struct Optimizer {
    path: Path,
    weight_decay: f64,
    step: usize,
    moments: BTreeMap<String, [Tensor; 2]>,
}

impl Optimizer {
    /// An optimizer that has not stepped.
    pub fn new(path: Path, weight_decay: f64) -> Self {
        Self {
            path,
            weight_decay,
            step: 0,
            moments: BTreeMap::new(),
        }
    }

    /// An optimizer that has done `step` steps and ended with these moments.
    pub fn restored(
        path: Path,
        weight_decay: f64,
        step: usize,
        moments: BTreeMap<String, [Tensor; 2]>,
    ) -> Self {
        Self {
            path,
            weight_decay,
            step,
            moments,
        }
    }

    /// Steps done.
    pub fn steps(&self) -> usize {
        self.step
    }

    /// Counts a step that has nothing to learn from.
    pub fn pass_over(&mut self) {
        self.step += 1;
    }

    /// Both moments of a parameter, once there was a step.
    pub fn moments(&self, parameter: &str) -> Option<&[Tensor; 2]> {
        self.moments.get(parameter)
    }

    /// One step with gradients clipped to the norm `clip` (0: not at all). Returns the norm before
    /// clipping; when it is not finite nothing was changed.
    pub fn step(
        &mut self,
        adapter: &mut Adapter,
        gradients: &Gradients,
        lr: f64,
        clip: f64,
    ) -> Result<f64> {
        let norm = ops::norm(self.path, gradients.0.values())?;
        if !norm.is_finite() {
            return Ok(norm);
        }
        // torch's clip_grad_norm_ adds 1e-6 to the norm.
        let scale = match clip > 0.0 {
            true => (clip / (norm + 1e-6)).min(1.0),
            false => 1.0,
        };
        self.step += 1;
        let constants = AdamW {
            lr,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: self.weight_decay,
            step: self.step,
        };
        let mut names = Vec::new();
        let mut parameters = Vec::new();
        for (name, parameter) in adapter.parameters() {
            let gradient = gradients
                .0
                .get(&name)
                .with_context(|| format!("no gradient for {name}"))?;
            let [m, v] = match self.moments.get(&name) {
                Some([m, v]) => [m.clone(), v.clone()],
                None => [gradient.zeros_like()?, gradient.zeros_like()?],
            };
            parameters.push([parameter.clone(), gradient.clone(), m, v]);
            names.push(name);
        }
        let refs: Vec<[&Tensor; 4]> = parameters.iter().map(|[p, g, m, v]| [p, g, m, v]).collect();
        let stepped = ops::adamw(self.path, &constants, &refs, scale)?;
        let places = adapter.parameters_mut();
        for (((_, place), name), [p, m, v]) in places.zip(names).zip(stepped) {
            *place = p;
            self.moments.insert(name, [m, v]);
        }
        Ok(norm)
    }
}
