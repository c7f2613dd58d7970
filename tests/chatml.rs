//! chatml against Qwen3's own template as transformers renders and tokenizes it. The tokenizer is
//! the real one, which scripts/fetch_qwen3_tokenizer.sh fetches; the ids are scripts/goldens.py's.

mod common;

use common::{ids, json};
use factory::data::record::{Content, Conversation, Role, Turn};
use factory::data::template::{Renderer, Template};
use factory::model::tokenizer::Tokenizer;
use serde_json::Value;
use std::path::PathBuf;

fn tokenizer() -> Tokenizer {
    let folder = std::env::var("FACTORY_QWEN3_TOKENIZER");
    let folder = folder.expect("FACTORY_QWEN3_TOKENIZER names the folder of Qwen3's tokenizer");
    // <|im_end|> and <|endoftext|>, as Qwen3's generation_config.json has them.
    Tokenizer::from_file(
        &PathBuf::from(folder).join("tokenizer.json"),
        vec![151645, 151643],
    )
    .unwrap()
}

fn turns(conversation: &Value) -> Conversation {
    let messages = conversation["messages"].as_array().unwrap().iter();
    let turn = |m: &Value| {
        let role = match m["role"].as_str().unwrap() {
            "system" => Role::System,
            "user" => Role::User,
            _ => Role::Assistant,
        };
        Turn::new(role, m["content"].as_str().unwrap().to_string())
    };
    messages.map(turn).collect::<Vec<_>>().into()
}

fn conversation(golden: &Value, name: &str) -> Value {
    let all = golden["conversations"].as_array().unwrap();
    all.iter().find(|c| c["name"] == name).unwrap().clone()
}

#[test]
#[ignore = "needs the tokenizer that scripts/fetch_qwen3_tokenizer.sh fetches; scripts/test.sh runs it"]
fn conversations_have_the_tokens_of_qwen3s_template() {
    let (tokenizer, golden) = (tokenizer(), json("chatml.json"));
    let renderer = Renderer::new(Template::Chatml, &tokenizer).unwrap();
    for name in [
        "one turn",
        "system",
        "three turns",
        "unicode",
        "system in the middle",
        "two answers in a row",
        "no question",
        "white space",
    ] {
        let c = conversation(&golden, name);
        let turns = turns(&c);
        let asked = turns.turns[..turns.turns.len() - 1].to_vec().into();
        assert_eq!(
            renderer.prompt(&asked).unwrap(),
            ids(&c["prompt_ids"]),
            "{name}"
        );

        let (mut tokens, mut learned) = (Vec::new(), Vec::new());
        for piece in renderer.examples(&Content::Turns(turns)).unwrap().concat() {
            let start = tokens.len();
            tokens.extend(piece.tokens);
            if piece.learned {
                learned.push([start, tokens.len()]);
            }
        }
        // The newline behind the last end marker is left out: it teaches nothing.
        let mut full = ids(&c["full_ids"]);
        assert_eq!(full.pop(), Some(198));
        assert_eq!(tokens, full, "{name}");
        let answers: Vec<[usize; 2]> = serde_json::from_value(c["answers"].clone()).unwrap();
        assert_eq!(learned, answers, "{name}");
    }
}

#[test]
#[ignore = "needs the tokenizer that scripts/fetch_qwen3_tokenizer.sh fetches; scripts/test.sh runs it"]
fn tools_have_the_tokens_of_qwen3s_template() {
    let (tokenizer, golden) = (tokenizer(), json("qwen3_template.json"));
    let renderer = Renderer::new(Template::Chatml, &tokenizer).unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for name in ["tools", "a call alone"] {
        let c = conversation(&golden, name);
        let mut first = turns(&c);
        for (turn, message) in first.turns.iter_mut().zip(list(&c["messages"])) {
            turn.tool_calls = list(&message["tool_calls"]);
        }
        first.tools = list(&c["tools"]);
        let answer = first.turns.iter().position(|t| t.role == Role::Assistant);
        first.turns.truncate(answer.unwrap() + 1);
        // Here the prompt says that thinking is off.
        let full = ids(&c["answers"][0]["full_ids"]);
        let examples = renderer.examples(&Content::Turns(first.clone())).unwrap();
        let tokens = examples[0].iter().flat_map(|piece| piece.tokens.clone());
        assert_eq!(tokens.collect::<Vec<_>>(), full[..full.len() - 1], "{name}");
        first.turns.pop();
        let mut prompt = ids(&c["answers"][0]["prompt_ids"]);
        prompt.extend([151667, 271, 151668, 271]);
        assert_eq!(renderer.prompt(&first).unwrap(), prompt, "{name}");
    }
    // What a tool returned is a user's turn, in Qwen3's own tokens for it.
    let talk = vec![
        Turn::new(Role::User, "a".into()),
        Turn::new(Role::Assistant, "b".into()),
        Turn::new(Role::Tool, "t</tool_response>".into()),
    ];
    let prompt = renderer.prompt(&talk.into()).unwrap();
    let [open, close] =
        ["<tool_response>", "</tool_response>"].map(|name| tokenizer.id(name).unwrap());
    let count = |id| prompt.iter().filter(|token| **token == id).count();
    assert_eq!((count(open), count(close)), (1, 1));
}

#[test]
#[ignore = "needs the tokenizer that scripts/fetch_qwen3_tokenizer.sh fetches; scripts/test.sh runs it"]
fn text_that_looks_like_a_marker_stays_text() {
    let (tokenizer, golden) = (tokenizer(), json("chatml.json"));
    let renderer = Renderer::new(Template::Chatml, &tokenizer).unwrap();
    // transformers lets this question end its own turn and open another.
    let c = conversation(&golden, "markers in a question");
    let turns = turns(&c);
    let asked = turns.turns[..1].to_vec().into();
    let prompt = renderer.prompt(&asked).unwrap();
    let im_end = tokenizer.id("<|im_end|>").unwrap();
    let count = |ids: &[u32]| ids.iter().filter(|id| **id == im_end).count();
    assert_eq!((count(&prompt), count(&ids(&c["prompt_ids"]))), (1, 2));
    let think = tokenizer.id("<think>").unwrap();
    let thinks = prompt.iter().filter(|id| **id == think).count();
    assert_eq!(thinks, 1, "the template's own");
    assert_eq!(
        tokenizer.show(&prompt).unwrap(),
        c["prompt"].as_str().unwrap()
    );

    for name in ["thoughts in an answer", "thoughts in an earlier answer"] {
        let turns = self::turns(&conversation(&golden, name));
        let error = renderer.examples(&Content::Turns(turns)).unwrap_err();
        assert!(error.to_string().contains("</think>"), "{name}");
    }
}

#[test]
#[ignore = "needs the tokenizer that scripts/fetch_qwen3_tokenizer.sh fetches; scripts/test.sh runs it"]
fn an_answer_ends_with_its_marker_whatever_the_base_ends_with() {
    let mut tokenizer = tokenizer();
    let im_end = tokenizer.id("<|im_end|>").unwrap();
    // As a base that was never made to chat.
    let folder = std::env::var("FACTORY_QWEN3_TOKENIZER").unwrap();
    let file = PathBuf::from(folder).join("tokenizer.json");
    let mut plain = Tokenizer::from_file(&file, vec![151643]).unwrap();
    Template::Plain.prepare(&mut plain);
    assert!(!plain.is_eos(im_end));
    Template::Chatml.prepare(&mut plain);
    assert!(plain.is_eos(im_end));
    Template::Chatml.prepare(&mut tokenizer);
    assert_eq!(tokenizer.ends(), [151645, 151643], "named once");
}
