//! A base's chat template, and a row that it renders.
#![no_main]

use anyhow::Context;
use factory::data::record::{self, Columns, Content};
use factory::data::template::{Renderer, Template};
use factory::model::tokenizer::Tokenizer;
use factory_fuzz::{folder, outcome, seed};
use libfuzzer_sys::fuzz_target;

/// A template and rows, with a line of its own between them.
const BETWEEN: &str = "\n----\n";
const SEEDS: [&str; 3] = [
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m['content'] | trim }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}\n----\n{\"messages\":[{\"role\":\"user\",\"content\":\"q<|im_end|>\"},{\"role\":\"assistant\",\"content\":\"a\"}]}",
    "{%- set ns = namespace(n=0) %}{%- for m in messages[::-1] %}{%- set ns.n = ns.n + 1 %}{%- endfor %}{% generation %}{{ ns.n ~ messages[-1].content.split('</think>')[-1].lstrip('\\n') }}{% endgeneration %}<|im_end|>\n----\n{\"prompt\":\"q\",\"completion\":\"a\"}",
    "{% if tools is not none %}{{ tools | tojson(indent=2) }}{% endif %}{% for m in messages if m.content is string %}{{ m.content.upper() }}{% if not loop.last %},{% else %}<|im_end|>{% endif %}{% endfor %}\n----\n{\"text\":\"a\"}",
];

fuzz_target!(
    init: seed(SEEDS.map(|s| s.as_bytes().to_vec()).to_vec(), run),
    |bytes: &[u8]| { run(bytes); }
);

fn run(bytes: &[u8]) -> Option<()> {
    let (template, rows) = std::str::from_utf8(bytes).ok()?.split_once(BETWEEN)?;
    let (file, path) = (folder().join("tokenizer.json"), folder().join("rows.jsonl"));
    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/../goldens/tiny-qwen3/tokenizer.json");
    std::fs::copy(tiny, &file).unwrap();
    std::fs::write(&path, rows).unwrap();
    std::fs::write(folder().join("chat_template.jinja"), template).unwrap();
    let mut tokenizer = outcome(Tokenizer::from_file(&file, vec![258]), "tokenizer.json")?;
    Template::Base.prepare(&mut tokenizer);
    let renderer = Renderer::new(Template::Base, &tokenizer).context("rows.jsonl");
    let renderer = outcome(renderer, "rows.jsonl")?;
    for record in outcome(record::read(&path, &Columns::default()), "rows.jsonl")? {
        outcome(renderer.examples(&record.content).context("rows.jsonl"), "rows.jsonl");
        if let Content::Turns(conversation) = &record.content {
            outcome(renderer.prompt(conversation).context("rows.jsonl"), "rows.jsonl");
        }
    }
    Some(())
}
