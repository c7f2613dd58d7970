//! What DuckDB hands out and wants back, as values that give it back.

use super::api::Api;
use std::ffi::{CStr, c_char};
use std::ptr;

/// A thing that DuckDB made, destroyed by DuckDB when this is dropped.
pub struct Owned<T> {
    raw: *mut T,
    destroy: unsafe extern "C" fn(*mut *mut T),
}

impl<T> Owned<T> {
    /// # Safety
    /// `raw` is null or a thing that `destroy` destroys and that nothing else will.
    pub unsafe fn new(raw: *mut T, destroy: unsafe extern "C" fn(*mut *mut T)) -> Self {
        Self { raw, destroy }
    }

    /// What `make` puts into the pointer that it is given, and what `make` returned.
    ///
    /// # Safety
    /// As for [`Self::new`].
    pub unsafe fn made<R>(
        destroy: unsafe extern "C" fn(*mut *mut T),
        make: impl FnOnce(*mut *mut T) -> R,
    ) -> (Self, R) {
        let mut raw = ptr::null_mut();
        let returned = make(&mut raw);
        (Self { raw, destroy }, returned)
    }

    /// The pointer for a call; null if nothing was made. Good while this lives.
    pub fn raw(&self) -> *mut T {
        self.raw
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `raw` is null, which DuckDB lets pass, or a thing that only this destroys (the promise to `new`).
        unsafe { (self.destroy)(&mut self.raw) }
    }
}

/// A text that stays DuckDB's; empty for null.
///
/// # Safety
/// `text` is null or ends with a zero, and lives during the call.
pub unsafe fn borrowed(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}

/// A text that DuckDB gave away, given back to it; `None` for null.
///
/// # Safety
/// `text` is null or ends with a zero, and is freed by nothing else.
pub unsafe fn taken(api: &Api, text: *mut c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let taken = unsafe { borrowed(text) };
    // SAFETY: likewise; it is not used again.
    unsafe { (api.free)(text.cast()) };
    Some(taken)
}
