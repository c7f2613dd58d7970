//! Makes DuckDB files, by the five functions of its C API that this takes.

use libloading::{Library, Symbol};
use std::ffi::{CString, c_char, c_void};
use std::path::Path;
use std::ptr::null_mut;

type Handle = *mut c_void;

/// Runs `sql` on the file, which is made where it is not there. The library is the one that FACTORY_DUCKDB_LIB names.
pub fn write(file: &Path, sql: &str) {
    let library = std::env::var("FACTORY_DUCKDB_LIB")
        .expect("scripts/fetch_duckdb.sh gives FACTORY_DUCKDB_LIB");
    let path = CString::new(file.to_str().unwrap()).unwrap();
    let sql = CString::new(sql).unwrap();
    // SAFETY: the functions have the types of duckdb.h, handles and texts live as long as they are used.
    unsafe {
        let library = Library::new(library).unwrap();
        let open: Symbol<unsafe extern "C" fn(*const c_char, *mut Handle) -> i32> =
            library.get(b"duckdb_open").unwrap();
        let connect: Symbol<unsafe extern "C" fn(Handle, *mut Handle) -> i32> =
            library.get(b"duckdb_connect").unwrap();
        let query: Symbol<unsafe extern "C" fn(Handle, *const c_char, *mut c_void) -> i32> =
            library.get(b"duckdb_query").unwrap();
        let disconnect: Symbol<unsafe extern "C" fn(*mut Handle)> =
            library.get(b"duckdb_disconnect").unwrap();
        let close: Symbol<unsafe extern "C" fn(*mut Handle)> =
            library.get(b"duckdb_close").unwrap();
        let (mut database, mut connection) = (null_mut(), null_mut());
        assert_eq!(open(path.as_ptr(), &mut database), 0);
        assert_eq!(connect(database, &mut connection), 0);
        assert_eq!(query(connection, sql.as_ptr(), null_mut()), 0, "{sql:?}");
        disconnect(&mut connection);
        close(&mut database);
        // Its threads run on: unloaded, they would be without code.
        std::mem::forget(library);
    }
}
