//! GGUF files: header, metadata, tokenizer, tensor table, every quantization, and a few tokens from it.
#![no_main]

use candle_core::quantized::GgmlDType::{self, *};
use factory_fuzz::{folder, generate, gguf, load, seed};
use libfuzzer_sys::fuzz_target;

const SMALL: [GgmlDType; 8] = [F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0];
const BIG: [GgmlDType; 5] = [Q2K, Q3K, Q4K, Q5K, Q6K];

fuzz_target!(init: seed(seeds(), run), |bytes: &[u8]| { run(bytes); });

fn seeds() -> Vec<Vec<u8>> {
    let small = SMALL.map(|dtype| gguf::file("llama", "smollm", dtype, 32));
    let big = BIG.map(|dtype| gguf::file("llama", "gpt-2", dtype, 256));
    let qwen3 = gguf::file("qwen3", "qwen2", F32, 4);
    small.into_iter().chain(big).chain([qwen3]).collect()
}

fn run(bytes: &[u8]) -> Option<()> {
    let path = folder().join("fuzzed.gguf");
    std::fs::write(&path, bytes).unwrap();
    let base = load(&path, "fuzzed.gguf")?;
    // NaN in the weights is an error of the sampler, which knows no file.
    generate(&base, None).ok()
}
