//! The C functions of DuckDB that are called, declared by hand from its `duckdb.h` and looked up by name.

use std::ffi::{c_char, c_void};

/// Structs that C only ever points at.
macro_rules! opaque {
    ($($name:ident)*) => {$(
        #[repr(C)]
        pub struct $name {
            _inside: [u8; 0],
        }
    )*};
}

opaque! { RawConfig RawDatabase RawConnection RawExtracted RawPrepared RawType RawChunk RawVector }

/// C's `duckdb_result`, which is handed around by value: three counts, two pointers nobody may use, and what it holds.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RawResult {
    counts: [u64; 3],
    unused: [*mut c_void; 2],
    inside: *mut c_void,
}

impl RawResult {
    /// One to be filled in.
    pub const EMPTY: Self = Self {
        counts: [0; 3],
        unused: [std::ptr::null_mut(); 2],
        inside: std::ptr::null_mut(),
    };
}

/// C's `duckdb_state`: zero is success.
pub type State = u32;

/// What `prepared_statement_type` says of a query.
pub const SELECT: u32 = 1;
/// What it says of a query's plan.
pub const EXPLAIN: u32 = 4;

/// A struct of the functions, and how it is filled from a library.
macro_rules! functions {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// Function pointers, each named as in C without `duckdb_`.
        pub struct Api {
            $(pub $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Api {
            /// Looks all of them up; an error names the first that is missing.
            ///
            /// # Safety
            /// The library is DuckDB's, so that what these names stand for has these types, and stays loaded.
            pub unsafe fn load(library: &libloading::Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    // SAFETY: the caller's promise.
                    $($name: *unsafe { library.get(concat!("duckdb_", stringify!($name), "\0"))? },)*
                })
            }
        }
    };
}

functions! {
    library_version() -> *const c_char;
    free(*mut c_void);

    create_config(*mut *mut RawConfig) -> State;
    set_config(*mut RawConfig, *const c_char, *const c_char) -> State;
    destroy_config(*mut *mut RawConfig);
    open_ext(*const c_char, *mut *mut RawDatabase, *mut RawConfig, *mut *mut c_char) -> State;
    close(*mut *mut RawDatabase);
    connect(*mut RawDatabase, *mut *mut RawConnection) -> State;
    disconnect(*mut *mut RawConnection);

    extract_statements(*mut RawConnection, *const c_char, *mut *mut RawExtracted) -> u64;
    extract_statements_error(*mut RawExtracted) -> *const c_char;
    destroy_extracted(*mut *mut RawExtracted);
    prepare_extracted_statement(*mut RawConnection, *mut RawExtracted, u64, *mut *mut RawPrepared) -> State;
    prepare_error(*mut RawPrepared) -> *const c_char;
    destroy_prepare(*mut *mut RawPrepared);
    prepared_statement_type(*mut RawPrepared) -> u32;
    nparams(*mut RawPrepared) -> u64;
    prepared_statement_column_count(*mut RawPrepared) -> u64;
    prepared_statement_column_name(*mut RawPrepared, u64) -> *mut c_char;
    prepared_statement_column_logical_type(*mut RawPrepared, u64) -> *mut RawType;

    execute_prepared_streaming(*mut RawPrepared, *mut RawResult) -> State;
    result_error(*mut RawResult) -> *const c_char;
    destroy_result(*mut RawResult);
    column_count(*mut RawResult) -> u64;
    column_name(*mut RawResult, u64) -> *const c_char;
    column_logical_type(*mut RawResult, u64) -> *mut RawType;
    fetch_chunk(RawResult) -> *mut RawChunk;
    destroy_data_chunk(*mut *mut RawChunk);
    data_chunk_get_size(*mut RawChunk) -> u64;
    data_chunk_get_vector(*mut RawChunk, u64) -> *mut RawVector;

    vector_get_data(*mut RawVector) -> *mut c_void;
    vector_get_validity(*mut RawVector) -> *mut u64;
    list_vector_get_child(*mut RawVector) -> *mut RawVector;
    list_vector_get_size(*mut RawVector) -> u64;
    array_vector_get_child(*mut RawVector) -> *mut RawVector;
    struct_vector_get_child(*mut RawVector, u64) -> *mut RawVector;

    get_type_id(*mut RawType) -> u32;
    logical_type_get_alias(*mut RawType) -> *mut c_char;
    destroy_logical_type(*mut *mut RawType);
    decimal_width(*mut RawType) -> u8;
    decimal_scale(*mut RawType) -> u8;
    enum_internal_type(*mut RawType) -> u32;
    enum_dictionary_size(*mut RawType) -> u32;
    enum_dictionary_value(*mut RawType, u64) -> *mut c_char;
    list_type_child_type(*mut RawType) -> *mut RawType;
    array_type_child_type(*mut RawType) -> *mut RawType;
    array_type_array_size(*mut RawType) -> u64;
    struct_type_child_count(*mut RawType) -> u64;
    struct_type_child_name(*mut RawType, u64) -> *mut c_char;
    struct_type_child_type(*mut RawType, u64) -> *mut RawType;
    union_type_member_count(*mut RawType) -> u64;
    union_type_member_name(*mut RawType, u64) -> *mut c_char;
    union_type_member_type(*mut RawType, u64) -> *mut RawType;
}
