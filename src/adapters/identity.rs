//! What an adapter is by its content, whatever it is called and wherever it lies.

use super::lora::Adapter;
use anyhow::Result;
use sha2::{Digest, Sha256};

/// Of its settings and its numbers.
pub fn digest(adapter: &Adapter) -> Result<[u8; 32]> {
    let sites = adapter.modules.keys().copied();
    let mut hash = Sha256::new();
    hash.update(adapter.config.to_json(sites).to_string());
    for (name, parameter) in adapter.parameters() {
        hash.update(format!("{name} {:?}\n", parameter.dims()));
        for value in parameter.flatten_all()?.to_vec1::<f32>()? {
            hash.update(value.to_le_bytes());
        }
    }
    Ok(hash.finalize().into())
}
