//! What must not change an adapter's bytes or gradients: the number of threads, the split of a
//! batch into micro-batches.

mod common;

use common::{base, distance, golden};
use factory::adapters::stored;
use factory::model::linear::Gradients;
use factory::training::packing::pack;
use factory::training::sft::Example;
use factory::training::trainer::loss_and_gradient;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::process::Command;

#[test]
fn the_number_of_threads_does_not_change_the_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("train.jsonl");
    let row = |i: usize| {
        format!(
            "{{\"prompt\":\"count {i} {}\",\"completion\":\"select {i};\"}}\n",
            "x".repeat(i * 9)
        )
    };
    std::fs::write(&data, (0..9).map(row).collect::<String>()).unwrap();
    let adapter = |threads: &str| {
        let out = folder.path().join(threads);
        let status = Command::new(env!("CARGO_BIN_EXE_factory"))
            .args([
                "sft", "--dora", "--steps", "4", "--batch", "5", "--lr", "0.01",
            ])
            .args(["--dropout", "0.1", "--device", "cpu", "--data"])
            .arg(&data)
            .arg("--base")
            .arg(golden("tiny-qwen3"))
            .arg("--out")
            .arg(&out)
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        assert!(status.status.success(), "{status:?}");
        std::fs::read(out.join("adapter_model.safetensors")).unwrap()
    };
    let one = adapter("1");
    for threads in ["2", "3", "8"] {
        assert!(adapter(threads) == one, "{threads} threads");
    }
}

#[test]
fn any_two_splits_of_a_batch_give_the_same_gradient() {
    let mut rng = StdRng::seed_from_u64(11);
    for (model, adapter) in [
        ("tiny-llama", "tiny-llama-dora"),
        ("tiny-qwen2", "tiny-qwen2-lora"),
        ("tiny-qwen3", "tiny-qwen3-rslora"),
    ] {
        let base = base(model);
        let adapter = stored::load(&golden(adapter), &base.decoder).unwrap();
        let (mut worst, mut shared) = (0f32, 0);
        for case in 0..12 {
            let mut tokens = |n| -> Vec<u32> { (0..n).map(|_| rng.random_range(0..256)).collect() };
            let prefix = tokens(16);
            let rows: Vec<Example> = (0..7)
                .map(|i| {
                    // Two of three begin alike, and some are nothing but that.
                    let begin = [&prefix[..], &prefix[..10], &[]][i % 3];
                    let prompt = [begin, &tokens((case * 7 + i * 5) % 23 + i % 3 / 2)].concat();
                    Example::new(&prompt, &tokens(1 + (i + case) % 4))
                })
                .collect();
            let labels = rows.iter().map(Example::labels).sum();
            let mut split = |rng: &mut StdRng| {
                let mut rows: Vec<&Example> = rows.iter().collect();
                rows.shuffle(rng);
                let (mut gradients, mut loss, mut rest) = (Gradients::default(), 0.0, &rows[..]);
                while !rest.is_empty() {
                    let (micro, left) = rest.split_at(rng.random_range(1..=rest.len()));
                    let packed = pack(micro.iter().copied(), rng.random());
                    shared += usize::from(packed.ends.contains(&None));
                    loss +=
                        loss_and_gradient(&base.decoder, &adapter, &packed, labels, &mut gradients)
                            .unwrap();
                    rest = left;
                }
                (loss, gradients)
            };
            let ((loss_a, a), (loss_b, b)) = (split(&mut rng), split(&mut rng));
            assert!((loss_a - loss_b).abs() < 1e-5, "{model} case {case}");
            for (name, g) in &a.0 {
                let d = distance(g, &b.0[name]);
                assert!(d < 2e-5, "{model} case {case} {name}: {d}");
                worst = worst.max(d);
            }
        }
        println!(
            "{model}: gradients of two splits, {shared} times with a shared prefix: {worst:.1e}"
        );
        assert!(shared > 5, "{model}: {shared}");
    }
}
