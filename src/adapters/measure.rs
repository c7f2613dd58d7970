//! How large the change s·B·A of an adapter is, and how far two are apart, without forming B·A.

use super::parts::StoredModule;
use super::stored::Stored;
use crate::model::linear::Site;
use anyhow::{Result, ensure};
use candle_core::{DType, Tensor};

/// The inner product of the changes that two modules make, each with its scale:
/// Σ (s₁B₁A₁) ∘ (s₂B₂A₂) = s₁s₂ Σ (B₁ᵀB₂) ∘ (A₁A₂ᵀ).
fn inner(one: (&StoredModule, f64), other: (&StoredModule, f64)) -> Result<f64> {
    let wide = |tensor: &Tensor| tensor.to_dtype(DType::F64);
    let a = wide(&one.0.a)?.matmul(&wide(&other.0.a)?.t()?)?;
    let b = wide(&one.0.b)?.t()?.matmul(&wide(&other.0.b)?)?;
    Ok((a * b)?.sum_all()?.to_scalar::<f64>()? * one.1 * other.1)
}

/// ‖s·B·A‖ of a site's module, 0 where there is none. For DoRA this is what is added before the magnitudes rescale.
pub fn change(adapter: &Stored, site: Site) -> Result<f64> {
    Ok(square(adapter, site)?.sqrt())
}

fn square(adapter: &Stored, site: Site) -> Result<f64> {
    let Some(module) = adapter.modules.get(&site) else {
        return Ok(0.0);
    };
    let scaled = (module, adapter.config.scale_of(site));
    // Rounding may leave less than nothing.
    Ok(inner(scaled, scaled)?.max(0.0))
}

/// Squares of the norms of two changes, and of the part that they share, summed over sites.
#[derive(Debug, Clone, Copy, Default)]
pub struct Distance {
    one: f64,
    other: f64,
    inner: f64,
}

impl Distance {
    /// Adds a site. Errors where both have it in different shapes: then they are for different bases.
    pub fn add(&mut self, one: &Stored, other: &Stored, site: Site) -> Result<()> {
        self.one += square(one, site)?;
        self.other += square(other, site)?;
        if let (Some(a), Some(b)) = (one.modules.get(&site), other.modules.get(&site)) {
            let shape = |m: &StoredModule| Ok::<_, anyhow::Error>((m.b.dim(0)?, m.a.dim(1)?));
            let (a_shape, b_shape) = (shape(a)?, shape(b)?);
            ensure!(
                a_shape == b_shape,
                "{site} is {a_shape:?} in one and {b_shape:?} in the other: they are for different bases"
            );
            let scales = (one.config.scale_of(site), other.config.scale_of(site));
            self.inner += inner((a, scales.0), (b, scales.1))?;
        }
        Ok(())
    }

    /// The norms of the two changes.
    pub fn norms(&self) -> (f64, f64) {
        (self.one.sqrt(), self.other.sqrt())
    }

    /// The norm of their difference.
    pub fn apart(&self) -> f64 {
        (self.one + self.other - 2.0 * self.inner).max(0.0).sqrt()
    }

    /// The cosine between them; 0 where one changes nothing.
    pub fn cosine(&self) -> f64 {
        let norms = (self.one * self.other).sqrt();
        if norms > 0.0 { self.inner / norms } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::config::AdapterConfig;
    use crate::adapters::stored::Format;
    use crate::model::linear::Projection;
    use candle_core::Device;

    const SITE: Site = Site {
        layer: 0,
        projection: Projection::Q,
    };

    fn stored(rank: usize, alpha: f64) -> Stored {
        let random = |shape| Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap();
        let module = StoredModule {
            a: random((rank, 7)),
            b: random((5, rank)),
            m: None,
        };
        Stored {
            format: Format::Peft,
            config: AdapterConfig::new(rank, alpha),
            modules: [(SITE, module)].into(),
            architecture: None,
            selection: None,
        }
    }

    #[test]
    fn norms_are_those_of_the_product() {
        let (one, other) = (stored(2, 6.0), stored(3, 1.5));
        let product = |adapter: &Stored| {
            let module = &adapter.modules[&SITE];
            let product = module.b.matmul(&module.a).unwrap();
            (product * adapter.config.scale_of(SITE)).unwrap()
        };
        let norm = |t: &Tensor| -> f64 {
            let squares = t.sqr().unwrap().sum_all().unwrap();
            f64::from(squares.to_scalar::<f32>().unwrap()).sqrt()
        };
        let (a, b) = (product(&one), product(&other));
        let near = |found: f64, expected: f64| {
            assert!(
                (found - expected).abs() < 1e-4 * expected,
                "{found} {expected}"
            );
        };
        near(change(&one, SITE).unwrap(), norm(&a));
        let mut distance = Distance::default();
        distance.add(&one, &other, SITE).unwrap();
        near(distance.norms().1, norm(&b));
        near(distance.apart(), norm(&(&a - &b).unwrap()));
        let cosine = (a * &b)
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        let expected = f64::from(cosine) / distance.norms().0 / distance.norms().1;
        assert!((distance.cosine() - expected).abs() < 1e-5);
    }
}
