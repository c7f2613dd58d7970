//! Autorelease pools.

/// Runs `f` in an autorelease pool of its own.
///
/// candle's command buffers and encoders come autoreleased, and a thread without a pool keeps them
/// until it ends (huggingface/candle issue 2271): a step of training or decoding wants one each.
pub fn pooled<T>(f: impl FnOnce() -> T) -> T {
    objc2::rc::autoreleasepool(|_| f())
}
