//! GGUF files: weights dequantized to f32 under transformers' names, tokenizer from the metadata.

use super::config::{Config, Family};
use super::decoder::Weights;
use super::gguf_parts::Parts;
use super::linear::Projection;
use super::load::{Source, count};
use super::tokenizer::Tokenizer;
use super::weight::Blocks;
use super::{gguf_check, gguf_config};
use anyhow::{Result, anyhow};
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::{DType, Device, Tensor};
use std::io::{BufRead, Seek};
use std::path::Path;

/// Opens a GGUF file, with the other parts of a split one: reads metadata and tables of tensors.
pub fn open(path: &Path) -> Result<Source> {
    let parts = Parts::open(path)?;
    let config = gguf_config::config(&parts)?;
    let stored = parts.tensors().map(|(_, t)| {
        let dtype = t.ggml_dtype;
        let blocks = t.shape.elem_count() / dtype.block_size();
        (format!("{dtype:?}"), blocks * dtype.type_size())
    });
    Ok(Source {
        tokenizer: Tokenizer::from_gguf(parts.first(), config.eos_token_ids.clone())?,
        stored: count(stored),
        config: config.clone(),
        weights: Box::new(Gguf { parts, config }),
    })
}

/// Reads and checks the metadata and the table of tensors of a file of `length` bytes.
pub fn content(file: &mut (impl BufRead + Seek), length: u64) -> Result<Content> {
    gguf_check::metadata(file)?;
    let content = Content::read(file)
        .map_err(|e| anyhow!("not a complete GGUF file with supported types: {e}"))?;
    gguf_check::tensors(&content, length)?;
    Ok(content)
}

/// A text of a file's metadata, where it can be read and has it.
pub fn text(path: &Path, key: &str) -> Option<String> {
    let parts = Parts::open(path).ok()?;
    parts.metadata(key)?.to_string().ok().cloned()
}

/// A number of any type.
pub fn number(v: &Value) -> Option<f64> {
    Some(match v {
        Value::U8(x) => f64::from(*x),
        Value::I8(x) => f64::from(*x),
        Value::U16(x) => f64::from(*x),
        Value::I16(x) => f64::from(*x),
        Value::U32(x) => f64::from(*x),
        Value::I32(x) => f64::from(*x),
        Value::U64(x) => *x as f64,
        Value::I64(x) => *x as f64,
        Value::F32(x) => f64::from(*x),
        Value::F64(x) => *x,
        _ => return None,
    })
}

struct Gguf {
    parts: Parts,
    config: Config,
}

impl Weights for Gguf {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        Some(self.parts.shape(&gguf_name(name))?.to_vec())
    }

    fn tensor(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let tensor = self.parts.tensor(&gguf_name(name))?;
        let tensor = match weight_heads(&self.config, name) {
            Some(heads) => unpermute(&tensor, heads)?,
            None => tensor,
        };
        Ok(tensor.to_dtype(dtype)?.to_device(device)?)
    }

    fn blocks(&self, name: &str, of: &[GgmlDType]) -> Result<Option<Blocks>> {
        let own = gguf_name(name);
        if !self.parts.kind(&own).is_some_and(|kind| of.contains(&kind)) {
            return Ok(None);
        }
        let stored = self.parts.quantized(&own)?;
        let kind = stored.dtype();
        let (rows, width) = stored.shape().dims2()?;
        if width % kind.block_size() != 0 {
            return Ok(None);
        }
        let data = stored.data()?;
        let row = width / kind.block_size() * kind.type_size();
        let bytes = match weight_heads(&self.config, name) {
            None => data.into_owned(),
            // As `unpermute` does, row by row.
            Some(heads) => {
                let half = rows / heads / 2;
                let places = (0..rows).map(|at| {
                    let (head, at) = (at / (2 * half), at % (2 * half));
                    head * 2 * half + at % half * 2 + at / half
                });
                places
                    .flat_map(|at| &data[at * row..][..row])
                    .copied()
                    .collect()
            }
        };
        Ok(Some(Blocks {
            kind,
            bytes,
            rows,
            width,
        }))
    }
}

/// How many heads the rows of a projection are, if files of this base's architecture store them with each head's halves
/// interleaved: q and k of Llama and its kin.
pub fn permuted_heads(base: &Config, projection: Projection) -> Option<usize> {
    match (base.family, projection) {
        (Family::Qwen2 | Family::Qwen3, _) => None,
        (_, Projection::Q) => Some(base.num_attention_heads),
        (_, Projection::K) => Some(base.num_key_value_heads),
        _ => None,
    }
}

/// [`permuted_heads`] of the projection whose weight has the transformers name `name`.
pub(super) fn weight_heads(base: &Config, name: &str) -> Option<usize> {
    let module = name.strip_suffix(".weight")?.rsplit('.').next()?;
    permuted_heads(base, Projection::from_name(module)?)
}

/// Undoes the interleaving: row `2i + half` of a head in the file is row `half · d/2 + i`.
pub fn unpermute(w: &Tensor, heads: usize) -> Result<Tensor> {
    let (rows, columns) = w.dims2()?;
    let w = w
        .reshape((heads, rows / heads / 2, 2, columns))?
        .transpose(1, 2)?
        .contiguous()?;
    Ok(w.reshape((rows, columns))?)
}

/// Interleaves each head's halves: what [`unpermute`] undoes.
pub fn permute(w: &Tensor, heads: usize) -> Result<Tensor> {
    let (rows, columns) = w.dims2()?;
    let w = w
        .reshape((heads, 2, rows / heads / 2, columns))?
        .transpose(1, 2)?
        .contiguous()?;
    Ok(w.reshape((rows, columns))?)
}

/// What a projection is called in a file.
pub fn projection_name(projection: Projection) -> &'static str {
    match projection {
        Projection::Q => "attn_q",
        Projection::K => "attn_k",
        Projection::V => "attn_v",
        Projection::O => "attn_output",
        Projection::Gate => "ffn_gate",
        Projection::Up => "ffn_up",
        Projection::Down => "ffn_down",
    }
}

/// The GGUF name of a transformers tensor.
pub(super) fn gguf_name(name: &str) -> String {
    let fixed = match name {
        "model.embed_tokens.weight" => Some("token_embd.weight"),
        "model.norm.weight" => Some("output_norm.weight"),
        "lm_head.weight" => Some("output.weight"),
        _ => None,
    };
    if let Some(fixed) = fixed {
        return fixed.to_string();
    }
    let mut parts = name.split('.').skip(2);
    let layer = parts.next().unwrap_or_default();
    let (module, kind) = match name.strip_suffix(".bias") {
        Some(module) => (module, "bias"),
        None => (name.trim_end_matches(".weight"), "weight"),
    };
    let module = module.rsplit('.').next().unwrap_or_default();
    let gguf = match Projection::from_name(module) {
        Some(projection) => projection_name(projection),
        None => match module {
            "input_layernorm" => "attn_norm",
            "post_attention_layernorm" => "ffn_norm",
            "q_norm" => "attn_q_norm",
            "k_norm" => "attn_k_norm",
            other => other,
        },
    };
    format!("blk.{layer}.{gguf}.{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_llama_cpp() {
        for (hf, gguf) in [
            (
                "model.layers.3.self_attn.o_proj.weight",
                "blk.3.attn_output.weight",
            ),
            (
                "model.layers.0.post_attention_layernorm.weight",
                "blk.0.ffn_norm.weight",
            ),
            (
                "model.layers.27.self_attn.q_norm.weight",
                "blk.27.attn_q_norm.weight",
            ),
            ("lm_head.weight", "output.weight"),
        ] {
            assert_eq!(gguf_name(hf), gguf);
        }
    }

    #[test]
    fn unpermute_restores_halves() {
        // One head of d = 4, rows stored as 0 2 1 3 (first half, second half interleaved).
        let stored = Tensor::new(&[[0f32], [2.], [1.], [3.]], &Device::Cpu).unwrap();
        let rows = unpermute(&stored, 1).unwrap();
        let values = |t: &Tensor| t.to_vec2::<f32>().unwrap();
        assert_eq!(values(&permute(&rows, 1).unwrap()), values(&stored));
        assert_eq!(
            rows.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            [0., 1., 2., 3.]
        );
    }
}
