//! A CUDA device, opened as this program uses one: one stream of work, whichever thread asks for it.

use candle_core::cuda_backend::cudarc::driver::{CudaContext, result, sys};
use candle_core::cuda_backend::{CudaDevice, WrapErr};
use candle_core::{Device, Result};

/// Opens the first CUDA device.
pub fn open() -> Result<Device> {
    // candle's default is a stream for each thread, which nothing holds back until the others are done.
    let device = Device::new_cuda_with_stream(0)?;
    let cuda = device.as_cuda_device()?;
    // SAFETY: events are how streams wait for each other, and there is one. Without them a tensor is two calls of the driver less.
    unsafe { cuda.disable_event_tracking() };
    keep_freed_memory(&context(cuda))?;
    Ok(device)
}

/// The device's name and memory, in a line.
pub fn facts(device: &Device) -> Result<String> {
    let context = context(device.as_cuda_device()?);
    let (free, all) = context.mem_get_info().w()?;
    let gb = |bytes: usize| bytes as f64 / 1e9;
    Ok(format!(
        "{}, {:.1} GB, {:.1} GB free",
        context.name().w()?,
        gb(all),
        gb(free)
    ))
}

fn context(cuda: &CudaDevice) -> std::sync::Arc<CudaContext> {
    cuda.cuda_stream().context().clone()
}

/// Freed memory stays with the process: else the driver takes it back whenever the device is waited for, which is at every step.
fn keep_freed_memory(context: &CudaContext) -> Result<()> {
    if !context.has_async_alloc() {
        return Ok(());
    }
    let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    let mut all = u64::MAX;
    // SAFETY: the context's device has a pool, and the attribute is a u64, which is read before the call ends.
    unsafe {
        let pool = result::device::get_default_mem_pool(context.cu_device()).w()?;
        result::mem_pool::set_attribute(pool, threshold, (&raw mut all).cast()).w()
    }
}
