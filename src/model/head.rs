//! Log-probabilities of labels and their gradient: the head runs only where a label stands, in
//! chunks, and the softmax gradient overwrites the logits.

use super::cpu::{logit_gradient, view};
use super::decoder::Decoder;
use super::ops::{self, Path};
use super::portable;
use super::weight::{self, Direction};
use anyhow::{Result, ensure};
use candle_core::{DType, Tensor};

/// Labels whose logits are held at once.
pub const CHUNK: usize = 128;

/// One thing the model should have said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Batch row whose hidden state predicts it.
    pub row: u32,
    /// The token that should follow.
    pub target: u32,
    /// The sequence it belongs to, counted by the objective.
    pub sequence: u32,
}

impl Decoder {
    /// Log-probability of every label, and the gradient of Σ coefficient · log p towards `hidden`
    /// `[T, hidden_size]`, the hidden states before the final norm.
    pub fn label_gradient(
        &self,
        hidden: &Tensor,
        labels: &[Label],
        coefficients: &[f32],
    ) -> Result<(Vec<f32>, Tensor)> {
        ensure!(
            labels.len() == coefficients.len(),
            "one coefficient a label"
        );
        let (rows, at_labels) = self.at_labels(hidden, labels)?;
        let (log_p, d) = self.normed_gradient(&at_labels, labels, coefficients)?;
        Ok((log_p, self.towards(hidden, &rows, &at_labels, &d)?))
    }

    /// [`Self::label_gradient`] where the coefficients follow from the log-probabilities. A gradient is linear in its label's
    /// coefficient, so the head runs once: with coefficients of 1, by which its rows are scaled.
    pub fn label_gradient_by(
        &self,
        hidden: &Tensor,
        labels: &[Label],
        coefficients: impl FnOnce(&[f32]) -> Result<Vec<f32>>,
    ) -> Result<Tensor> {
        let (rows, at_labels) = self.at_labels(hidden, labels)?;
        let ones = vec![1.0; labels.len()];
        let (log_p, d) = self.normed_gradient(&at_labels, labels, &ones)?;
        let coefficients = coefficients(&log_p)?;
        let column = Tensor::from_vec(coefficients, (labels.len(), 1), &self.device)?;
        let d = d.broadcast_mul(&column.to_dtype(d.dtype())?)?;
        self.towards(hidden, &rows, &at_labels, &d)
    }

    /// Log-probability of every label, and the gradients towards the normed states of their rows `[labels, hidden_size]`.
    fn normed_gradient(
        &self,
        at_labels: &Tensor,
        labels: &[Label],
        coefficients: &[f32],
    ) -> Result<(Vec<f32>, Tensor)> {
        // Logits are linear in it.
        let normed = self.over_temperature(self.final_norm(at_labels)?)?;
        // Elsewhere than on the fused path it is needed whole.
        let whole = match self.path {
            Path::Portable => Some(self.head().numbers()?),
            Path::Fused => None,
        };
        let (mut log_p, mut gradients) = (Vec::new(), Vec::new());
        for (i, chunk) in labels.chunks(CHUNK).enumerate() {
            let targets: Vec<u32> = chunk.iter().map(|l| l.target).collect();
            let x = normed.narrow(0, i * CHUNK, chunk.len())?;
            let coefficients = &coefficients[i * CHUNK..][..chunk.len()];
            let (p, d) = match &whole {
                Some(head) => {
                    let logits = match self.as_answered {
                        true => {
                            let [logits] = weight::products(self.path, [self.head()], &x)?;
                            logits.to_dtype(DType::F32)?
                        }
                        false => portable::matmul(&x, &head.t()?)?,
                    };
                    let (p, d) = ops::log_probability_gradient(&logits, &targets, coefficients)?;
                    (p, portable::matmul(&d.to_dtype(head.dtype())?, head)?)
                }
                None => self.chunk_gradient(&x, &targets, coefficients)?,
            };
            log_p.push(p);
            gradients.push(d);
        }
        // One readback for all chunks: each makes a device wait.
        let log_p = Tensor::cat(&log_p, 0)?.to_vec1()?;
        let gradients = self.over_temperature(Tensor::cat(&gradients, 0)?)?;
        Ok((log_p, gradients))
    }

    /// `x` divided by [`Self::temperature`].
    fn over_temperature(&self, x: Tensor) -> Result<Tensor> {
        match self.temperature == 1.0 {
            true => Ok(x),
            false => Ok((x / self.temperature)?),
        }
    }

    /// The gradient towards `hidden` of what [`Self::normed_gradient`] gives for its `rows`.
    fn towards(
        &self,
        hidden: &Tensor,
        rows: &Tensor,
        at_labels: &Tensor,
        d: &Tensor,
    ) -> Result<Tensor> {
        let d = self.final_norm_backward(d, at_labels)?;
        // Labels may share a row; their sum is in f32.
        let zeros = Tensor::zeros(hidden.shape(), DType::F32, &self.device)?;
        let d = zeros.index_add(rows, &d.to_dtype(DType::F32)?, 0)?;
        Ok(d.to_dtype(hidden.dtype())?)
    }

    /// Log-probability of every label alone.
    pub fn label_log_probabilities(&self, hidden: &Tensor, labels: &[Label]) -> Result<Vec<f32>> {
        let (_, at_labels) = self.at_labels(hidden, labels)?;
        let mut log_p = Vec::with_capacity(labels.len());
        for (i, chunk) in labels.chunks(CHUNK).enumerate() {
            let targets: Vec<u32> = chunk.iter().map(|l| l.target).collect();
            let logits = self.logits(&at_labels.narrow(0, i * CHUNK, chunk.len())?)?;
            let logits = self.over_temperature(logits)?;
            log_p.extend(ops::log_probability(&logits, &targets)?);
        }
        Ok(log_p)
    }

    /// The labels' rows as a tensor, and the hidden states there.
    fn at_labels(&self, hidden: &Tensor, labels: &[Label]) -> Result<(Tensor, Tensor)> {
        let vocab = self.config.vocab_size;
        ensure!(
            labels.iter().all(|l| (l.target as usize) < vocab),
            "a label is no token"
        );
        ensure!(
            hidden.dim(1)? == self.config.hidden_size,
            "hidden states of another width"
        );
        let rows: Vec<u32> = labels.iter().map(|l| l.row).collect();
        let rows = Tensor::new(rows, &self.device)?;
        let at_labels = portable::rows(hidden, &rows)?;
        Ok((rows, at_labels))
    }

    /// Log p and the gradient for one chunk of normed rows `[n, hidden]`, on the fused path.
    fn chunk_gradient(
        &self,
        x: &Tensor,
        targets: &[u32],
        coefficients: &[f32],
    ) -> Result<(Tensor, Tensor)> {
        let head = self.head();
        let (n, (vocab, hidden)) = (targets.len(), head.dims()?);
        let mut logits = match self.as_answered {
            true => head.answered_product(&view(x)?)?,
            false => head.product(&view(x)?)?,
        };
        let log_p = logit_gradient(&mut logits, vocab, targets, coefficients);
        let mut dx = vec![0f32; n * hidden];
        head.multiply(Direction::Backward, &logits, &mut dx)?;
        let log_p = Tensor::from_vec(log_p, n, &self.device)?;
        Ok((log_p, Tensor::from_vec(dx, x.shape(), &self.device)?))
    }
}
