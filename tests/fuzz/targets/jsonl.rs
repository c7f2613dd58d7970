//! JSON Lines and what rows mean.
#![no_main]

use factory::data::jsonl;
use factory::data::record::{self, Columns};
use factory_fuzz::{folder, outcome, seed};
use libfuzzer_sys::fuzz_target;

const SEEDS: [&str; 4] = [
    "\u{feff}{\"instruction\":\"a\",\"response\":\"b\"}\r\n\n{\"id\":1,\"prompt\":\"q\\u00e9\",\"completion\":\"a\"}",
    "{\"prompt\":\"q\",\"completion\":\"a\",\"x\":[[1.5e3,null],{\"y\":true}]}\n",
    "{\"tools\":[{\"name\":\"f\"}],\"conversations\":[{\"from\":\"human\",\"value\":\"q\",\"weight\":0},{\"from\":\"gpt\",\"value\":[{\"type\":\"text\",\"text\":\"a\"}],\"thinking\":\"t\",\"tool_calls\":[{\"name\":\"f\"}]}]}\n",
    "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a\"}]}\n{\"text\":\"a\",\"prompt\":null}\n",
];

fuzz_target!(
    init: seed(SEEDS.map(|s| s.as_bytes().to_vec()).to_vec(), run),
    |bytes: &[u8]| { run(bytes); }
);

fn run(bytes: &[u8]) -> Option<()> {
    let path = folder().join("rows.jsonl");
    std::fs::write(&path, bytes).unwrap();
    let columns = Columns::default();
    for line in outcome(jsonl::read(&path), "rows.jsonl")? {
        outcome(record::prompts(&path, &[line], &columns), "rows.jsonl");
    }
    outcome(record::read(&path, &columns), "rows.jsonl").map(|_| ())
}
