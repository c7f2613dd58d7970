//! A real pretrained model from its GGUF file against transformers: token ids, logits and greedy
//! tokens on 20 prompts. scripts/test.sh fetches the file; the numbers are scripts/goldens.py's.
//! scripts/parity.sh compares every logit of every position.

mod common;

use candle_core::{DType, Device};
use common::{greedy, ids, json, largest};
use factory::model::batch::Batch;
use factory::model::load::Base;

#[test]
#[ignore = "needs the 98 MB base that scripts/fetch_base.sh fetches; scripts/test.sh runs it"]
fn smollm2_gives_the_logits_and_tokens_of_transformers() {
    let path = std::env::var("FACTORY_BASE").expect("FACTORY_BASE names the SmolLM2 GGUF file");
    let base = Base::load(&path, DType::F32, &Device::Cpu).unwrap();
    let golden = json("smollm2.json");
    let prompts = golden["prompts"].as_array().unwrap();
    assert_eq!(prompts.len(), 20);
    let (mut differences, mut tokens) = (Vec::new(), Vec::new());
    for (i, prompt) in prompts.iter().enumerate() {
        let text = prompt["text"].as_str().unwrap();
        tokens.push(base.tokenizer.encode(text).unwrap());
        assert_eq!(tokens[i], ids(&prompt["ids"]), "prompt {i}");
        let mut batch = Batch::default();
        batch.push_sequence(&tokens[i]);
        let hidden = base.decoder.forward(&batch, None, None).unwrap();
        let logits = base.decoder.logits(&hidden).unwrap();
        let last: Vec<f32> = logits.get(batch.len() - 1).unwrap().to_vec1().unwrap();
        let expected: Vec<f32> = serde_json::from_value(prompt["logits"].clone()).unwrap();
        for (id, expected) in ids(&prompt["logit_ids"]).into_iter().zip(expected) {
            differences.push((last[id as usize] - expected).abs());
        }
    }
    let worst = largest(differences.into_iter());
    println!("largest difference of a logit: {worst:.1e}");
    assert!(worst <= 2e-3);

    let answers = greedy(&base, &tokens, 24, 8);
    for (i, (prompt, answer)) in prompts.iter().zip(&answers).enumerate() {
        let mut expected = ids(&prompt["greedy"]);
        expected.retain(|t| !base.tokenizer.is_eos(*t));
        assert_eq!(answer.tokens, expected, "prompt {i}: {:?}", answer.text);
    }
}
