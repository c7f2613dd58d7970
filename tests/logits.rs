//! No test of its own: writes the logits that scripts/parity.sh compares with transformers and PEFT.

mod common;

use candle_core::{DType, Device, Tensor};
use common::json;
use factory::adapters::stored;
use factory::model::batch::Batch;
use factory::model::linear::Delta;
use factory::model::load::Base;
use std::collections::HashMap;
use std::env::var;
use std::path::Path;

/// FACTORY_LOGITS_OUT gets `ids.{i}` `[len]` and `logits.{i}` `[len, vocab]` of every prompt of
/// smollm2.json, of the base FACTORY_BASE under the adapter FACTORY_LORA, if any.
#[test]
#[ignore = "scripts/parity.sh runs it"]
fn every_logit_of_a_base() {
    let Ok(out) = var("FACTORY_LOGITS_OUT") else {
        return;
    };
    let base = Base::load(&var("FACTORY_BASE").unwrap(), DType::F32, &Device::Cpu).unwrap();
    let adapter = var("FACTORY_LORA").ok().filter(|f| !f.is_empty());
    let adapter = adapter.map(|folder| stored::load(Path::new(&folder), &base.decoder).unwrap());
    let mut tensors = HashMap::new();
    for (i, prompt) in json("smollm2.json")["prompts"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        let ids = base.tokenizer.encode(prompt["text"].as_str().unwrap());
        let ids = ids.unwrap();
        let mut batch = Batch::default();
        batch.push_sequence(&ids);
        let delta = adapter.as_ref().map(|a| a as &dyn Delta);
        let hidden = base.decoder.forward(&batch, None, delta).unwrap();
        let logits = base.decoder.logits(&hidden).unwrap();
        tensors.insert(format!("logits.{i}"), logits);
        tensors.insert(format!("ids.{i}"), Tensor::new(ids, &Device::Cpu).unwrap());
    }
    candle_core::safetensors::save(&tensors, out).unwrap();
}
