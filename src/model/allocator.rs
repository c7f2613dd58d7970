//! Freed memory stays with the process while it trains or answers.

/// Steps allocate the same tensors again and again. glibc gives each over 32 MB back to the
/// system when it is freed, which then clears the pages of the next one: a fifth of a training step of
/// 8,192 tokens, a tenth of the time that prompts take. Kept, they are used again as they are. (Not those over 64 MB: only the main
/// thread's heap takes them.)
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep_freed_memory() {
    // Sound at any time: mallopt takes numbers, and what it refuses stays as it was.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}

/// Other allocators keep what is freed, or have no such setting.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_freed_memory() {}

/// glibc gives each thread that allocates beside another a heap of its own, up to eight a core, and what is free in one is no use to
/// another: a server, whose requests are read on dozens of threads, grew from 0.7 to 1.1 GB in five minutes. Two are enough for the engine
/// and the rest.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn share_heaps() {
    // Sound as above.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Other allocators share what is free, or have no such setting.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn share_heaps() {}
