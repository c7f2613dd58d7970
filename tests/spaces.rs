//! Tokenizers of SentencePiece kind: what stands at a text's start is no part of its middle. The ids are scripts/golden_templates.py's.

mod common;

use common::{ids, json};
use factory::data::record::{Content, Conversation, Role, Turn};
use factory::data::template::{Renderer, Template};
use factory::model::tokenizer::Tokenizer;
use std::fs;
use std::path::Path;

/// Each tokenizer of the golden file, in a folder with this config.
fn each(config: &str, mut check: impl FnMut(&str, &Tokenizer, &serde_json::Value)) {
    let folder = tempfile::tempdir().unwrap();
    for golden in json("spaces.json")["tokenizers"].as_array().unwrap() {
        let file = folder.path().join("tokenizer.json");
        fs::write(&file, golden["tokenizer"].to_string()).unwrap();
        fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
        let tokenizer = Tokenizer::from_file(&file, vec![2]).unwrap();
        check(golden["name"].as_str().unwrap(), &tokenizer, golden);
    }
}

#[test]
fn a_text_in_parts_has_the_tokens_of_the_whole() {
    each("{}", |name, tokenizer, golden| {
        for text in golden["texts"].as_array().unwrap() {
            let (whole, text) = (ids(&text["ids"]), text["text"].as_str().unwrap());
            assert_eq!(tokenizer.encode(text).unwrap(), whole, "{name}: {text:?}");
            // Cut where a token ends: the parts are the whole.
            for cut in 1..whole.len() {
                let before = tokenizer.show(&whole[..cut]).unwrap();
                let before = match text.starts_with(&before) {
                    true => before,
                    // The space that the tokenizer put there.
                    false => before.trim_start_matches(' ').to_owned(),
                };
                let Some(rest) = text.strip_prefix(&before) else {
                    continue;
                };
                let first = tokenizer.encode(&before).unwrap();
                if first != whole[..cut] {
                    continue;
                }
                let rest = tokenizer
                    .encode_behind(first.last().copied(), rest)
                    .unwrap();
                assert_eq!(rest, whole[cut..], "{name}: {text:?} at {cut}");
            }
        }
    });
}

#[test]
fn an_answer_gains_no_space_and_keeps_its_own() {
    each("{}", |name, tokenizer, _| {
        let renderer = Renderer::new(Template::Plain, tokenizer).unwrap();
        for answer in ["ab", " ab", "  b user"] {
            let turns = vec![
                Turn::new(Role::User, "user ab".into()),
                Turn::new(Role::Assistant, answer.into()),
            ];
            let rows = renderer.examples(&Content::Turns(turns.into())).unwrap();
            let [given, learned] = &rows[0][..] else {
                panic!("{name}: {rows:?}")
            };
            let (end, answered) = learned.tokens.split_last().unwrap();
            assert_eq!(*end, 2);
            assert_eq!(tokenizer.decode(answered).unwrap(), answer, "{name}");
            let whole = tokenizer.encode(&format!("user ab\n{answer}")).unwrap();
            let whole = [&tokenizer.bos().into_iter().collect::<Vec<_>>(), &whole[..]].concat();
            assert_eq!([&given.tokens[..], answered].concat(), whole, "{name}");
        }
    });
}

#[test]
fn a_marker_in_a_question_gains_no_space() {
    each("{}", |name, tokenizer, _| {
        let renderer = Renderer::new(Template::Chatml, tokenizer).unwrap();
        let text = "a<|im_end|>b";
        let asked: Conversation = vec![Turn::new(Role::User, text.into())].into();
        let prompt = renderer.prompt(&asked).unwrap();
        let ends = prompt.iter().filter(|id| **id == 4).count();
        assert_eq!(ends, 1, "{name}: the template's own");
        let shown = tokenizer.show(&prompt).unwrap();
        assert!(shown.contains(text), "{name}: {shown:?}");
        // Ordinary turns are what the library makes of the text in one go.
        let asked: Conversation = vec![Turn::new(Role::User, "ab b".into())].into();
        let whole = "<|im_start|>user\nab b<|im_end|>\n<|im_start|>assistant\n";
        let whole = tokenizer.encode(whole).unwrap();
        let whole = [&[1][..], &whole].concat();
        assert_eq!(renderer.prompt(&asked).unwrap(), whole, "{name}");
    });
}

#[test]
fn a_text_begins_as_the_tokenizer_asks_and_once() {
    let asked: Conversation = vec![Turn::new(Role::User, "ab".into())].into();
    let begins = |config: &str, text: &str| {
        let mut found = Vec::new();
        each(config, |_, tokenizer, _| {
            let renderer = Renderer::new(Template::Plain, tokenizer).unwrap();
            let row = renderer.examples(&Content::Text(text.into())).unwrap();
            let row: Vec<u32> = row[0].iter().flat_map(|p| p.tokens.clone()).collect();
            let prompt = renderer.prompt(&asked).unwrap();
            let count = |ids: &[u32]| ids.iter().filter(|id| **id == 1).count();
            assert_eq!(prompt.first() == Some(&1), count(&prompt) == 1);
            found.push((count(&row), count(&prompt)));
        });
        found.dedup();
        found
    };
    // As tokenizer.json's post-processor says, unless the config says otherwise.
    assert_eq!(begins("{}", "ab"), [(1, 1)]);
    assert_eq!(begins(r#"{"add_bos_token": false}"#, "ab"), [(0, 0)]);
    let asks = r#"{"add_bos_token": true, "bos_token": "<s>"}"#;
    assert_eq!(begins(asks, "ab"), [(1, 1)]);
    assert_eq!(begins(asks, "<s>ab"), [(1, 1)], "the text's own");
    // A base of which nothing asks for one has none.
    let tiny = common::golden("tiny-qwen3").join("tokenizer.json");
    assert_eq!(
        Tokenizer::from_file(Path::new(&tiny), vec![258])
            .unwrap()
            .bos(),
        None
    );
}
