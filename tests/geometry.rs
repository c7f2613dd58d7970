//! `factory adapter inspect --geometry` against NumPy's SVD of the whole change that PEFT makes (scripts/golden_geometry.py).

mod common;

use common::{factory, fails, golden, json, ok, text};
use serde_json::Value;

/// Every number of every module, within `most` of the golden one.
fn compare(found: &Value, expected: &Value, most: f64) {
    let modules = found["modules"].as_array().unwrap();
    assert_eq!(modules.len(), expected.as_object().unwrap().len());
    for module in modules {
        let name = module["module"].as_str().unwrap();
        for (key, expected) in expected[name].as_object().unwrap() {
            let (found, expected) = (module[key].as_f64().unwrap(), expected.as_f64().unwrap());
            assert!(
                (found - expected).abs() <= most * expected,
                "{name}: {key}: {found} {expected}"
            );
        }
    }
}

fn geometry(adapter: &str, more: &[&str]) -> Value {
    let adapter = text(&golden(adapter));
    let args = ["adapter", "inspect", &adapter, "--geometry", "--json"];
    serde_json::from_str(&ok(&[&args[..], more].concat())).unwrap()
}

#[test]
fn every_module_is_as_numpy_finds_it() {
    let goldens = json("geometry.json");
    for (adapter, expected) in goldens["adapters"].as_object().unwrap() {
        let found = geometry(adapter, &[]);
        assert_eq!(found["of"], "s·B·A");
        compare(&found, &expected["factors"], 1e-4);
        let base = text(&golden(if adapter.contains("qwen3") {
            "tiny-qwen3"
        } else {
            "tiny-llama"
        }));
        let found = geometry(adapter, &["--base", &base]);
        assert_eq!(found["of"], "change of the weight");
        // PEFT merges in f32.
        compare(&found, &expected["weights"], 1e-3);
    }
}

#[test]
fn groups_add_up_and_ranks_follow_the_patterns() {
    let found = geometry("tiny-llama-patterns", &[]);
    let sum = |groups: &str, key: &str| -> f64 {
        let groups = found[groups].as_array().unwrap().iter();
        groups.map(|group| group[key].as_f64().unwrap()).sum()
    };
    for groups in ["by_type", "by_layer", "modules"] {
        assert!((sum(groups, "share") - 1.0).abs() < 1e-9, "{groups}");
    }
    let modules = found["modules"].as_array().unwrap();
    assert_eq!(sum("by_type", "modules"), modules.len() as f64);
    let types: Vec<_> = found["by_type"].as_array().unwrap().iter().collect();
    assert_eq!(
        types.iter().map(|t| &t["name"]).collect::<Vec<_>>(),
        ["q_proj", "k_proj", "o_proj", "down_proj"]
    );
    let down = modules
        .iter()
        .find(|m| m["module"] == "layers.1.mlp.down_proj")
        .unwrap();
    assert_eq!((&down["rank"], &down["layer"]), (&5.into(), &1.into()));
    for module in modules {
        let (stable, effective) = (&module["stable_rank"], &module["effective_rank"]);
        let rank = module["rank"].as_f64().unwrap();
        assert!(stable.as_f64().unwrap() <= effective.as_f64().unwrap() * 1.0001);
        assert!(effective.as_f64().unwrap() <= rank * 1.0001);
    }
}

#[test]
fn it_is_a_table_too() {
    let adapter = text(&golden("tiny-llama-lora"));
    let args = ["adapter", "inspect", &adapter, "--geometry"];
    let said = ok(&args);
    for part in [
        "norm of the s·B·A: ",
        "q_proj     2 ",
        "layers.1.mlp.down_proj",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let alone = factory(&["adapter", "inspect", &adapter, "--json"]);
    assert_eq!(alone.status.code(), Some(2));
    let other = text(&golden("tiny-qwen3"));
    fails(
        &[&args[..], &["--base", &other]].concat(),
        1,
        &["tiny-llama-lora"],
    );
}
