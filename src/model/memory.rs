//! Memory: what is free, and what keys, values and activations take, counted from shapes.

use super::config::Config;
use std::hint::black_box;
use sysinfo::System;

/// Share of the free memory that may be planned with.
pub const SHARE: f64 = 0.8;

/// A reservation is found to so many bytes.
const GRAIN: usize = 1 << 20;

/// Bytes that this process can still take: free on the machine, within the limits of a control group and its own.
pub fn free() -> usize {
    let mut system = System::new();
    system.refresh_memory();
    // What a group uses counts its page cache, which makes room.
    let group = system.cgroup_limits();
    let group = group.map(|limits| limits.total_memory.saturating_sub(limits.rss));
    let machine = system.available_memory().min(group.unwrap_or(u64::MAX));
    granted(machine.try_into().unwrap_or(usize::MAX))
}

/// How much of `wanted` bytes the process would get: limits such as `ulimit -v` are seen by asking, and asking touches nothing.
fn granted(wanted: usize) -> usize {
    let grants = |bytes: usize| {
        let mut buffer = Vec::<u8>::new();
        let granted = buffer.try_reserve_exact(bytes).is_ok();
        // Else the compiler may leave the reservation out.
        black_box(&buffer);
        granted
    };
    if grants(wanted) {
        return wanted;
    }
    let (mut some, mut refused) = (0, wanted);
    while refused - some > GRAIN {
        let middle = some + (refused - some) / 2;
        match grants(middle) {
            true => some = middle,
            false => refused = middle,
        }
    }
    some
}

/// Elements of the keys and values of a token.
pub fn cached(config: &Config) -> usize {
    2 * config.num_hidden_layers * config.heads().kv_width()
}

/// Elements of a token while it passes through a block.
pub fn passing(config: &Config) -> usize {
    block(config) + config.intermediate_size + 3 * config.hidden_size
}

/// Elements that a block keeps of a token for backward: x and middle, q and the attention's output, k and v, gate and up
/// (block::Saved).
pub fn block(config: &Config) -> usize {
    let heads = config.heads();
    let (q, kv) = (heads.q_width(), heads.kv_width());
    let raw_qk = if config.qk_norm { q + kv } else { 0 };
    2 * (config.hidden_size + q + kv + config.intermediate_size) + raw_qk
}

#[cfg(test)]
mod tests {
    use super::granted;

    #[test]
    fn what_no_machine_has_is_not_granted() {
        assert_eq!(granted(1 << 20), 1 << 20);
        let most = granted(usize::MAX);
        assert!((1 << 20..usize::MAX / 2).contains(&most), "{most}");
    }
}
