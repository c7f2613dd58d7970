//! What an adapter is by its content, whatever it is called and wherever it lies.

use super::lora::Adapter;
use anyhow::Result;
use sha2::{Digest, Sha256};

/// Of its settings and its numbers.
pub fn digest(adapter: &Adapter) -> Result<[u8; 32]> {
    let sites = adapter.modules.keys().copied();
    let mut hash = Sha256::new();
    hash.update(adapter.config.to_json(sites).to_string());
    numbers(adapter, &mut hash)?;
    Ok(hash.finalize().into())
}

/// Of its numbers alone, in hexadecimal: the same in every format.
pub fn weights(adapter: &Adapter) -> Result<String> {
    let mut hash = Sha256::new();
    numbers(adapter, &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

fn numbers(adapter: &Adapter, hash: &mut Sha256) -> Result<()> {
    for (name, parameter) in adapter.parameters() {
        hash.update(format!("{name} {:?}\n", parameter.dims()));
        let values = parameter.flatten_all()?.to_vec1::<f32>()?;
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        hash.update(bytes);
    }
    Ok(())
}
