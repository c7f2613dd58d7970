//! The types of columns: read from the library once a result, so that values can be read by them, and written as DuckDB writes
//! them.

use super::api::{Api, RawType};
use super::owned::{Owned, taken};
use std::ffi::c_char;
use std::fmt;

/// Levels of types in types; a deeper one is not read. As JSON a level takes up to three of the 128 that its reader allows.
const DEEPEST: usize = 32;
/// Values of an ENUM; a larger one is not read.
const LARGEST_ENUM: u32 = 1 << 20;
/// Values of an ENUM that its type names.
const NAMED: usize = 64;

/// A type.
#[derive(Debug)]
pub enum Type {
    Plain(Plain),
    Decimal {
        width: u8,
        scale: u8,
    },
    /// `bytes` hold the place of a value.
    Enum {
        values: Vec<String>,
        bytes: usize,
    },
    List(Box<Type>),
    Array(Box<Type>, usize),
    Struct(Vec<(String, Type)>),
    /// A list of structs of `key` and `value`.
    Map(Box<Type>),
    Union(Vec<(String, Type)>),
    /// One that goes by a name of its own, such as JSON.
    Named(String, Box<Type>),
    /// One whose values are not read, by its name.
    Unread(String),
}

/// A type that its name says all of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    Boolean,
    TinyInt,
    SmallInt,
    Integer,
    BigInt,
    UTinyInt,
    USmallInt,
    UInteger,
    UBigInt,
    HugeInt,
    UHugeInt,
    Float,
    Double,
    Varchar,
    Blob,
    Bit,
    Uuid,
    Date,
    Time,
    TimeNs,
    TimeTz,
    Timestamp,
    TimestampS,
    TimestampMs,
    TimestampNs,
    TimestampTz,
    Interval,
    Null,
}

/// Their numbers in C and their names.
const PLAIN: [(u32, Plain, &str); 28] = [
    (1, Plain::Boolean, "BOOLEAN"),
    (2, Plain::TinyInt, "TINYINT"),
    (3, Plain::SmallInt, "SMALLINT"),
    (4, Plain::Integer, "INTEGER"),
    (5, Plain::BigInt, "BIGINT"),
    (6, Plain::UTinyInt, "UTINYINT"),
    (7, Plain::USmallInt, "USMALLINT"),
    (8, Plain::UInteger, "UINTEGER"),
    (9, Plain::UBigInt, "UBIGINT"),
    (10, Plain::Float, "FLOAT"),
    (11, Plain::Double, "DOUBLE"),
    (12, Plain::Timestamp, "TIMESTAMP"),
    (13, Plain::Date, "DATE"),
    (14, Plain::Time, "TIME"),
    (15, Plain::Interval, "INTERVAL"),
    (16, Plain::HugeInt, "HUGEINT"),
    (17, Plain::Varchar, "VARCHAR"),
    (18, Plain::Blob, "BLOB"),
    (20, Plain::TimestampS, "TIMESTAMP_S"),
    (21, Plain::TimestampMs, "TIMESTAMP_MS"),
    (22, Plain::TimestampNs, "TIMESTAMP_NS"),
    (27, Plain::Uuid, "UUID"),
    (29, Plain::Bit, "BIT"),
    (30, Plain::TimeTz, "TIME WITH TIME ZONE"),
    (31, Plain::TimestampTz, "TIMESTAMP WITH TIME ZONE"),
    (32, Plain::UHugeInt, "UHUGEINT"),
    (36, Plain::Null, "\"NULL\""),
    (39, Plain::TimeNs, "TIME_NS"),
];

/// Numbers and names of types whose values the C API hands out in forms of the engine's own.
const UNREAD: [(u32, &str); 3] = [(35, "BIGNUM"), (40, "GEOMETRY"), (41, "VARIANT")];

/// The other numbers.
const DECIMAL: u32 = 19;
const ENUM: u32 = 23;
const LIST: u32 = 24;
const STRUCT: u32 = 25;
const MAP: u32 = 26;
const UNION: u32 = 28;
const ARRAY: u32 = 33;

/// Functions of a type with parts: a part and its name, by its place.
type Part = unsafe extern "C" fn(*mut RawType, u64) -> *mut RawType;
type PartName = unsafe extern "C" fn(*mut RawType, u64) -> *mut c_char;

impl Type {
    /// Reads a type that DuckDB gave away, and gives it back.
    ///
    /// # Safety
    /// `raw` is null or a type that nothing else destroys.
    pub unsafe fn new(api: &Api, raw: *mut RawType) -> Self {
        // SAFETY: the caller's promise.
        unsafe { read(api, raw, DEEPEST) }
    }

    /// The name of a type in it whose values are not read.
    pub fn unread(&self) -> Option<&str> {
        match self {
            Type::Unread(name) => Some(name),
            Type::List(inner)
            | Type::Array(inner, _)
            | Type::Map(inner)
            | Type::Named(_, inner) => inner.unread(),
            Type::Struct(parts) | Type::Union(parts) => {
                parts.iter().find_map(|(_, part)| part.unread())
            }
            Type::Plain(_) | Type::Decimal { .. } | Type::Enum { .. } => None,
        }
    }
}

/// # Safety
/// As for [`Type::new`].
unsafe fn read(api: &Api, raw: *mut RawType, deep: usize) -> Type {
    // SAFETY: the caller's promise.
    let owned = unsafe { Owned::new(raw, api.destroy_logical_type) };
    let raw = owned.raw();
    // SAFETY: the type lives until the end of this function, and DuckDB answers both for any type, null too.
    let (number, alias) = unsafe {
        let alias = (api.logical_type_get_alias)(raw);
        ((api.get_type_id)(raw), taken(api, alias))
    };
    // SAFETY: the type lives.
    let structure = unsafe { structure(api, raw, number, deep) };
    match alias {
        Some(alias) if !alias.is_empty() => Type::Named(alias, Box::new(structure)),
        _ => structure,
    }
}

/// # Safety
/// `raw` is a type that lives during the call, and `number` is what DuckDB says it is.
unsafe fn structure(api: &Api, raw: *mut RawType, number: u32, deep: usize) -> Type {
    if let Some((_, plain, _)) = PLAIN.iter().find(|(known, ..)| *known == number) {
        return Type::Plain(*plain);
    }
    if let Some((_, name)) = UNREAD.iter().find(|(known, _)| *known == number) {
        return Type::Unread((*name).to_owned());
    }
    if deep == 0 {
        return Type::Unread(format!("a type of more than {DEEPEST} levels"));
    }
    // SAFETY: DuckDB gave the part away.
    let inner = |part: *mut RawType| Box::new(unsafe { read(api, part, deep - 1) });
    let parts = |count: u64, name: PartName, part: Part| {
        let one = |place| {
            // SAFETY: `place` is below the count that DuckDB gave for this type; the name is given away, and so is the part.
            unsafe {
                let name = taken(api, name(raw, place)).unwrap_or_default();
                (name, read(api, part(raw, place), deep - 1))
            }
        };
        (0..count).map(one).collect()
    };
    // SAFETY: the type lives, and each function is called for the kind of type that it is for.
    unsafe {
        match number {
            DECIMAL => Type::Decimal {
                width: (api.decimal_width)(raw),
                scale: (api.decimal_scale)(raw),
            },
            ENUM => enumeration(api, raw),
            LIST => Type::List(inner((api.list_type_child_type)(raw))),
            MAP => Type::Map(inner((api.list_type_child_type)(raw))),
            ARRAY => Type::Array(
                inner((api.array_type_child_type)(raw)),
                (api.array_type_array_size)(raw) as usize,
            ),
            STRUCT => Type::Struct(parts(
                (api.struct_type_child_count)(raw),
                api.struct_type_child_name,
                api.struct_type_child_type,
            )),
            UNION => Type::Union(parts(
                (api.union_type_member_count)(raw),
                api.union_type_member_name,
                api.union_type_member_type,
            )),
            _ => Type::Unread(format!("type {number}")),
        }
    }
}

/// # Safety
/// `raw` is an ENUM that lives during the call.
unsafe fn enumeration(api: &Api, raw: *mut RawType) -> Type {
    // SAFETY: the type lives and is an ENUM.
    let (number, size) = unsafe {
        (
            (api.enum_internal_type)(raw),
            (api.enum_dictionary_size)(raw),
        )
    };
    let bytes = match PLAIN.iter().find(|(known, ..)| *known == number) {
        Some((_, Plain::UTinyInt, _)) => 1,
        Some((_, Plain::USmallInt, _)) => 2,
        Some((_, Plain::UInteger, _)) => 4,
        _ => return Type::Unread(format!("an ENUM of type {number}")),
    };
    if size > LARGEST_ENUM {
        return Type::Unread(format!("an ENUM of {size} values"));
    }
    let value = |place| {
        // SAFETY: `place` is below the size; the text is ours to free.
        let text = unsafe { taken(api, (api.enum_dictionary_value)(raw, place)) };
        text.unwrap_or_default()
    };
    Type::Enum {
        values: (0..size.into()).map(value).collect(),
        bytes,
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Type::Plain(plain) => {
                let known = PLAIN.iter().find(|(_, known, _)| known == plain);
                f.write_str(known.map_or("", |(_, _, name)| name))
            }
            Type::Decimal { width, scale } => write!(f, "DECIMAL({width},{scale})"),
            Type::Enum { values, .. } if values.len() > NAMED => {
                write!(f, "ENUM({} values)", values.len())
            }
            Type::Enum { values, .. } => {
                let quoted: Vec<_> = values.iter().map(|v| quoted(v, '\'')).collect();
                write!(f, "ENUM({})", quoted.join(", "))
            }
            Type::List(inner) => write!(f, "{inner}[]"),
            Type::Array(inner, size) => write!(f, "{inner}[{size}]"),
            Type::Struct(parts) => write!(f, "STRUCT({})", written(parts)),
            Type::Union(parts) => write!(f, "UNION({})", written(parts)),
            Type::Map(entry) => match entry.as_ref() {
                Type::Struct(parts) => {
                    let types: Vec<_> = parts.iter().map(|(_, part)| part.to_string()).collect();
                    write!(f, "MAP({})", types.join(", "))
                }
                other => write!(f, "MAP({other})"),
            },
            Type::Named(name, _) | Type::Unread(name) => f.write_str(name),
        }
    }
}

fn written(parts: &[(String, Type)]) -> String {
    let part = |(name, part): &(String, Type)| match name.is_empty() {
        true => part.to_string(),
        false => format!("{} {part}", identifier(name)),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(", ")
}

/// A name, in quotes where it needs them for its letters.
fn identifier(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        true => name.to_owned(),
        false => quoted(name, '"'),
    }
}

fn quoted(text: &str, quote: char) -> String {
    let doubled = text.replace(quote, &format!("{quote}{quote}"));
    format!("{quote}{doubled}{quote}")
}
