//! What GGUF metadata says of a tokenizer.

mod common;

use candle_core::quantized::gguf_file::{Content, Value, VersionedMagic};
use common::{ids, json};
use factory::model::tokenizer::Tokenizer;
use std::collections::HashMap;

fn texts(values: &[&str]) -> Value {
    let values = values.iter().map(|text| Value::String(text.to_string()));
    Value::Array(values.collect())
}

/// Byte-level tokens: digits, letters, their merges, and five that are no text of their own.
const TOKENS: [&str; 12] = [
    "1", "2", "3", "4", "a", "b", "12", "<s>", "</s>", "<|eot|>", "<|eom|>", "<|mine|>",
];
const TYPES: [i32; 12] = [1, 1, 1, 1, 1, 1, 1, 3, 3, 3, 3, 4];

fn content(more: &[(&str, Value)]) -> Content {
    let mut metadata: HashMap<String, Value> = [
        ("tokenizer.ggml.model", Value::String("gpt2".into())),
        ("tokenizer.ggml.pre", Value::String("gpt-2".into())),
        ("tokenizer.ggml.tokens", texts(&TOKENS)),
        (
            "tokenizer.ggml.token_type",
            Value::Array(TYPES.map(Value::I32).to_vec()),
        ),
        ("tokenizer.ggml.merges", texts(&["1 2"])),
        ("tokenizer.ggml.bos_token_id", Value::U32(7)),
        ("tokenizer.ggml.eos_token_id", Value::U32(8)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    for (key, value) in more {
        metadata.insert(format!("tokenizer.{key}"), value.clone());
    }
    Content {
        magic: VersionedMagic::GgufV3,
        metadata,
        tensor_infos: HashMap::new(),
        tensor_data_offset: 0,
    }
}

fn read(more: &[(&str, Value)]) -> Tokenizer {
    Tokenizer::from_gguf(&content(more), vec![8]).unwrap()
}

fn pre(name: &str) -> (&'static str, Value) {
    ("ggml.pre", Value::String(name.into()))
}

#[test]
fn the_user_s_tokens_are_text_and_special_ones_are_not() {
    let tokenizer = read(&[]);
    let tokens = tokenizer.encode("a<|mine|>b</s>").unwrap();
    assert_eq!(tokens, [4, 11, 5, 8]);
    assert_eq!(tokenizer.decode(&tokens).unwrap(), "a<|mine|>b");
    assert_eq!(tokenizer.show(&tokens).unwrap(), "a<|mine|>b</s>");
    // Also where it has a role.
    let tokenizer = read(&[("ggml.bos_token_id", Value::U32(11))]);
    assert_eq!(tokenizer.decode(&tokens).unwrap(), "a<|mine|>b");
}

#[test]
fn every_end_ends() {
    assert_eq!(read(&[]).ends(), [8]);
    let more = [
        ("ggml.eot_token_id", Value::U32(9)),
        ("ggml.eom_token_id", Value::U32(10)),
    ];
    assert_eq!(read(&more).ends(), [8, 9, 10]);
}

#[test]
fn a_text_begins_as_the_file_asks() {
    assert_eq!(read(&[]).bos(), None);
    let asks = |asks| ("ggml.add_bos_token", Value::Bool(asks));
    assert_eq!(read(&[asks(true)]).bos(), Some(7));
    // Llama 3's texts begin with one, where its file does not say.
    assert_eq!(read(&[pre("llama-bpe")]).bos(), Some(7));
    assert_eq!(read(&[pre("llama-bpe"), asks(false)]).bos(), None);
}

#[test]
fn digits_are_split_as_the_file_says() {
    for (kind, digits) in [
        ("gpt-2", [vec![6], vec![2, 3, 6]]),
        ("llama-bpe", [vec![6], vec![2, 3, 0, 1]]),
        ("qwen2", [vec![0, 1], vec![2, 3, 0, 1]]),
        ("smollm", [vec![0, 1], vec![2, 3, 0, 1]]),
    ] {
        let tokenizer = read(&[pre(kind)]);
        let found = ["12", "3412"].map(|text| tokenizer.encode(text).unwrap());
        assert_eq!(found, digits, "{kind}");
    }
}

#[test]
fn a_file_that_does_not_say_how_text_is_split_is_refused_by_name() {
    let mut silent = content(&[]);
    silent.metadata.remove("tokenizer.ggml.pre");
    for (content, said) in [
        (silent, "tokenizer.ggml.pre is missing"),
        (content(&[pre("other")]), "tokenizer.ggml.pre \"other\""),
        (
            content(&[("ggml.model", Value::String("bert".into()))]),
            "tokenizer.ggml.model \"bert\"",
        ),
        (
            content(&[("ggml.model", Value::String("llama".into()))]),
            "tokenizer.ggml.scores",
        ),
    ] {
        let error = Tokenizer::from_gguf(&content, vec![8]).err().unwrap();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn chat_templates_are_read() {
    let text = |text: &str| Value::String(text.into());
    let tokenizer = read(&[
        ("chat_template", text("one")),
        ("chat_template.tool_use", text("two")),
    ]);
    let templates: Vec<_> = tokenizer.chat().templates.iter().collect();
    let expected = [("default", "one"), ("tool_use", "two")];
    assert!(
        templates
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .eq(expected)
    );
    assert_eq!(tokenizer.chat().tokens["eos_token"], "</s>");
}

/// The golden tokenizer's pieces, the better ones with higher scores, as llama.cpp's converter writes them.
#[test]
fn sentencepiece_files_have_the_library_s_tokens() {
    let goldens = json("spaces.json");
    let all = goldens["tokenizers"].as_array().unwrap();
    for (kind, space) in [("prepend", true), ("none", false)] {
        let golden = all.iter().find(|golden| golden["name"] == kind).unwrap();
        let vocabulary = golden["tokenizer"]["model"]["vocab"].as_object().unwrap();
        let mut tokens = vec![""; vocabulary.len()];
        for (token, id) in vocabulary {
            tokens[id.as_u64().unwrap() as usize] = token;
        }
        let merges = golden["tokenizer"]["model"]["merges"].as_array().unwrap();
        let rank = |token: &str| {
            let makes = |merge: &serde_json::Value| {
                [&merge[0], &merge[1]]
                    .map(|part| part.as_str().unwrap())
                    .concat()
                    == token
            };
            merges.iter().position(makes).unwrap_or(merges.len())
        };
        let scores = tokens.iter().map(|token| Value::F32(-(rank(token) as f32)));
        let types = tokens.iter().enumerate().map(|(id, token)| {
            Value::I32(match (id, token.starts_with("<0x")) {
                (0, _) => 2,
                (1..5, _) => 3,
                (_, true) => 6,
                _ => 1,
            })
        });
        let tokenizer = read(&[
            ("ggml.model", Value::String("llama".into())),
            ("ggml.tokens", texts(&tokens)),
            ("ggml.scores", Value::Array(scores.collect())),
            ("ggml.token_type", Value::Array(types.collect())),
            ("ggml.add_space_prefix", Value::Bool(space)),
            ("ggml.bos_token_id", Value::U32(1)),
            ("ggml.eos_token_id", Value::U32(2)),
        ]);
        assert_eq!(tokenizer.bos(), Some(1), "{kind}");
        for text in golden["texts"].as_array().unwrap() {
            let (tokens, text) = (ids(&text["ids"]), text["text"].as_str().unwrap());
            assert_eq!(tokenizer.encode(text).unwrap(), tokens, "{kind}: {text:?}");
        }
    }
}

/// Written as metadata and read again, `tokenizer` reads texts as before.
fn check_written(tokenizer: &Tokenizer, ends: &[u32], vocabulary: usize) {
    let mut said = tokenizer.to_gguf(vocabulary).unwrap();
    said.extend(tokenizer.ends_to_gguf(None).unwrap());
    let mut content = content(&[]);
    content.metadata = said.into_iter().collect();
    let again = Tokenizer::from_gguf(&content, ends.to_vec()).unwrap();
    assert_eq!(again.ends(), tokenizer.ends());
    assert_eq!(again.bos(), tokenizer.bos());
    for text in [
        "SELECT name FROM people WHERE born > 1984 AND pay = 10.5;\n",
        "  Wie viele Größen?\r\n\tcafé e\u{301} 日本 🎉 it's",
        "<|im_start|>user\nx<|im_end|>\n<|endoftext|>",
    ] {
        let tokens = tokenizer.encode(text).unwrap();
        assert_eq!(again.encode(text).unwrap(), tokens, "{text}");
        assert_eq!(
            again.show(&tokens).unwrap(),
            tokenizer.show(&tokens).unwrap()
        );
    }
}

#[test]
fn a_folder_s_tokenizer_is_written_as_it_is() {
    let file = common::golden("tiny-llama/tokenizer.json");
    let tokenizer = Tokenizer::from_file(&file, vec![258, 256]).unwrap();
    check_written(&tokenizer, &[258, 256], 259);
}

#[test]
#[ignore = "needs FACTORY_QWEN3_TOKENIZER"]
fn qwen3_s_tokenizer_is_written_as_it_is() {
    let folder = std::env::var("FACTORY_QWEN3_TOKENIZER");
    let folder = folder.expect("FACTORY_QWEN3_TOKENIZER names the folder of Qwen3's tokenizer");
    let file = std::path::Path::new(&folder).join("tokenizer.json");
    let tokenizer = Tokenizer::from_file(&file, vec![151645, 151643]).unwrap();
    check_written(&tokenizer, &[151645, 151643], 151936);
}
