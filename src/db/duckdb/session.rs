//! A file that is open.

use super::api::{Api, RawConnection, RawDatabase};
use super::library::Library;
use super::message;
use super::owned::{Owned, taken};
use std::ffi::CString;
use std::path::Path;
use std::rc::Rc;

/// One connection to one file, closed when the last of its clones is dropped, and all that was made of them.
#[derive(Clone)]
pub struct Session<'l> {
    library: &'l Library,
    open: Rc<Open>,
}

struct Open {
    // Dropped in this order.
    connection: Owned<RawConnection>,
    _database: Owned<RawDatabase>,
}

impl<'l> Session<'l> {
    /// What it was opened by.
    pub fn library(&self) -> &'l Library {
        self.library
    }

    /// Opens a file with these settings, set one after another. An error is DuckDB's message.
    pub fn open(
        library: &'l Library,
        file: &Path,
        settings: &[(&str, &str)],
    ) -> Result<Self, String> {
        let api = &library.api;
        let text = |text: &str| CString::new(text).map_err(|_| "a NUL character".to_owned());
        // SAFETY: what is made is destroyed by the function for it.
        let (config, _) =
            unsafe { Owned::made(api.destroy_config, |place| (api.create_config)(place)) };
        for (name, value) in settings {
            let (c_name, c_value) = (text(name)?, text(value)?);
            // SAFETY: the configuration lives or is null, which DuckDB refuses, and the texts end with a zero.
            let state =
                unsafe { (api.set_config)(config.raw(), c_name.as_ptr(), c_value.as_ptr()) };
            if state != 0 {
                return Err(format!("no setting {name} = '{value}'"));
            }
        }
        let path = text(file.to_str().ok_or("a path that is not UTF-8")?)?;
        let mut error = std::ptr::null_mut();
        // SAFETY: path and configuration live, and what is made is destroyed by the function for it.
        let (database, state) = unsafe {
            Owned::made(api.close, |place| {
                (api.open_ext)(path.as_ptr(), place, config.raw(), &mut error)
            })
        };
        // SAFETY: the error is null or ours to free.
        let error = unsafe { taken(api, error) };
        if state != 0 {
            return Err(message::line(&error.unwrap_or_default()));
        }
        // SAFETY: the database is open, and what is made is destroyed by the function for it.
        let (connection, state) =
            unsafe { Owned::made(api.disconnect, |place| (api.connect)(database.raw(), place)) };
        match state {
            0 => Ok(Self {
                library,
                open: Rc::new(Open {
                    connection,
                    _database: database,
                }),
            }),
            _ => Err("no connection".to_owned()),
        }
    }

    pub fn api(&self) -> &'l Api {
        &self.library.api
    }

    /// The connection for a call; good while a clone of this lives.
    pub fn raw(&self) -> *mut RawConnection {
        self.open.connection.raw()
    }
}
