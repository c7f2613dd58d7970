//! The values of a chunk of a result, read where DuckDB has them.

use super::api::{Api, RawVector};
use super::moments::{self, MICROS};
use super::types::{Plain, Type};
use crate::db::cell::{Cell, Kind};
use crate::db::room::{Room, Unread};
use std::slice;

/// Where the values of one column of a chunk lie, or of a part of a column. It looks into the chunk.
pub struct View<'t> {
    kind: &'t Type,
    rows: usize,
    data: *const u8,
    /// A bit a row, set where there is a value; null where all are.
    validity: *const u64,
    children: Vec<View<'t>>,
}

/// What a union has before its members: the place of the one that it holds.
const TAG: Type = Type::Plain(Plain::UTinyInt);

impl<'t> View<'t> {
    /// # Safety
    /// `vector` is a vector of type `kind` with so many rows, of a chunk that outlives the view.
    pub unsafe fn new(api: &Api, vector: *mut RawVector, kind: &'t Type, rows: usize) -> Self {
        if let Type::Named(_, kind) = kind {
            // SAFETY: a name changes nothing of how values lie.
            return unsafe { Self::new(api, vector, kind, rows) };
        }
        // SAFETY: DuckDB keeps to the layout of duckdb.h: a child has the type that the parent's type names, a list's child as
        // many rows as `list_vector_get_size` says, an array's a multiple of its own, a struct's as many.
        let children = unsafe {
            let part = |place: usize, kind, rows| {
                let child = (api.struct_vector_get_child)(vector, place as u64);
                Self::new(api, child, kind, rows)
            };
            match kind {
                Type::List(inner) | Type::Map(inner) => {
                    let size = (api.list_vector_get_size)(vector) as usize;
                    let child = (api.list_vector_get_child)(vector);
                    vec![Self::new(api, child, inner, size)]
                }
                Type::Array(inner, size) => {
                    let child = (api.array_vector_get_child)(vector);
                    vec![Self::new(api, child, inner, rows * size)]
                }
                Type::Struct(parts) => {
                    let parts = parts.iter().enumerate();
                    parts
                        .map(|(place, (_, kind))| part(place, kind, rows))
                        .collect()
                }
                Type::Union(members) => {
                    let kinds = members.iter().map(|(_, kind)| kind);
                    let parts = std::iter::once(&TAG).chain(kinds).enumerate();
                    parts.map(|(place, kind)| part(place, kind, rows)).collect()
                }
                _ => Vec::new(),
            }
        };
        Self {
            kind,
            rows,
            // SAFETY: the vector lives.
            data: unsafe { (api.vector_get_data)(vector) }.cast(),
            // SAFETY: the vector lives.
            validity: unsafe { (api.vector_get_validity)(vector) },
            children,
        }
    }

    /// The value of a row, if there is room for it.
    pub fn cell(&self, row: usize, room: &mut Room) -> Result<Cell, Unread> {
        room.take(size_of::<Cell>())?;
        if row >= self.rows {
            return Err(Unread::Strange);
        }
        if self.is_null(row) {
            return Ok(Cell::Null);
        }
        match self.kind {
            Type::Plain(plain) => self.plain(*plain, row, room),
            Type::Decimal { width, scale } => {
                let unscaled = self.unscaled(*width, row);
                held(decimal(unscaled, *scale), room, Cell::Decimal)
            }
            Type::Enum { values, bytes } => {
                let place = match bytes {
                    1 => self.at::<u8>(row).into(),
                    2 => self.at::<u16>(row).into(),
                    _ => self.at::<u32>(row),
                };
                let value = values.get(place as usize).ok_or(Unread::Strange)?;
                room.take(value.len())?;
                Ok(Cell::Text(value.clone()))
            }
            Type::List(_) | Type::Map(_) => {
                let [offset, length] = self.at::<[u64; 2]>(row);
                self.list(offset as usize, length as usize, room)
            }
            Type::Array(_, size) => self.list(row * size, *size, room),
            Type::Struct(parts) => {
                let fields = parts.iter().zip(&self.children);
                let field =
                    |((name, _), child): (&(String, _), &View)| field(name, child, row, room);
                fields
                    .map(field)
                    .collect::<Result<_, _>>()
                    .map(Cell::Struct)
            }
            Type::Union(members) => {
                let tag: usize = self.children[0].at::<u8>(row).into();
                let (name, _) = members.get(tag).ok_or(Unread::Strange)?;
                let field = field(name, &self.children[tag + 1], row, room)?;
                Ok(Cell::Struct(vec![field]))
            }
            Type::Named(..) | Type::Unread(_) => Err(Unread::Strange),
        }
    }

    fn is_null(&self, row: usize) -> bool {
        if self.validity.is_null() {
            return false;
        }
        // SAFETY: there is a bit for each row, 64 to a word, and `row` is one of them.
        let word = unsafe { self.validity.add(row / 64).read() };
        word >> (row % 64) & 1 == 0
    }

    /// What lies at a row's place, which must be below `rows`.
    fn at<T: Copy>(&self, row: usize) -> T {
        // SAFETY: each caller asks for the type of which the vector has one a row, by duckdb.h.
        unsafe { self.data.cast::<T>().add(row).read_unaligned() }
    }

    fn plain(&self, plain: Plain, row: usize, room: &mut Room) -> Result<Cell, Unread> {
        let moment = |kind, text: String, room: &mut Room| {
            held(text, room, |text| Cell::Moment { kind, text })
        };
        let stamp = |a_second, room: &mut Room| {
            let text = moments::timestamp(self.at(row), a_second);
            moment(Kind::Timestamp, text, room)
        };
        match plain {
            Plain::Null => Ok(Cell::Null),
            Plain::Boolean => Ok(Cell::Boolean(self.at::<u8>(row) != 0)),
            Plain::TinyInt => Ok(Cell::Integer(self.at::<i8>(row).into())),
            Plain::SmallInt => Ok(Cell::Integer(self.at::<i16>(row).into())),
            Plain::Integer => Ok(Cell::Integer(self.at::<i32>(row).into())),
            Plain::BigInt => Ok(Cell::Integer(self.at(row))),
            Plain::UTinyInt => Ok(Cell::Integer(self.at::<u8>(row).into())),
            Plain::USmallInt => Ok(Cell::Integer(self.at::<u16>(row).into())),
            Plain::UInteger => Ok(Cell::Integer(self.at::<u32>(row).into())),
            Plain::UBigInt => integer(self.at::<u64>(row), room),
            Plain::HugeInt => integer(self.at::<i128>(row), room),
            Plain::UHugeInt => integer(self.at::<u128>(row), room),
            Plain::Float => Ok(Cell::Real(self.at::<f32>(row).into())),
            Plain::Double => Ok(Cell::Real(self.at(row))),
            Plain::Varchar => {
                let bytes = copied(self.bytes(row), room)?;
                Ok(
                    String::from_utf8(bytes)
                        .map_or_else(|e| Cell::Blob(e.into_bytes()), Cell::Text),
                )
            }
            Plain::Blob => copied(self.bytes(row), room).map(Cell::Blob),
            Plain::Bit => bits(self.bytes(row), room).map(Cell::Text),
            Plain::Uuid => held(uuid(self.at(row)), room, Cell::Text),
            Plain::Date => moment(Kind::Date, moments::date(self.at(row)), room),
            Plain::Time => moment(Kind::Time, moments::time(self.at(row), MICROS), room),
            Plain::TimeNs => moment(
                Kind::Time,
                moments::time(self.at(row), 1_000 * MICROS),
                room,
            ),
            Plain::TimeTz => moment(Kind::TimeTz, moments::time_tz(self.at(row)), room),
            Plain::Timestamp => stamp(MICROS, room),
            Plain::TimestampS => stamp(1, room),
            Plain::TimestampMs => stamp(1_000, room),
            Plain::TimestampNs => stamp(1_000 * MICROS, room),
            Plain::TimestampTz => {
                let text = moments::timestamp_tz(self.at(row));
                moment(Kind::TimestampTz, text, room)
            }
            Plain::Interval => {
                let interval: RawInterval = self.at(row);
                let RawInterval {
                    months,
                    days,
                    micros,
                } = interval;
                moment(
                    Kind::Interval,
                    moments::interval(months, days, micros),
                    room,
                )
            }
        }
    }

    /// The digits of a decimal, which lie in the smallest integer that holds its width.
    fn unscaled(&self, width: u8, row: usize) -> i128 {
        match width {
            ..=4 => self.at::<i16>(row).into(),
            5..=9 => self.at::<i32>(row).into(),
            10..=18 => self.at::<i64>(row).into(),
            _ => self.at(row),
        }
    }

    /// A text or blob.
    fn bytes(&self, row: usize) -> &[u8] {
        const INLINE: usize = 12;
        // SAFETY: a row's 16 bytes are its length in four and then the bytes themselves, or, if they are more than twelve, four
        // of them and a pointer to all, which the chunk keeps.
        unsafe {
            let place = self.data.add(16 * row);
            let length = place.cast::<u32>().read_unaligned() as usize;
            let bytes = match length <= INLINE {
                true => place.add(4),
                false => place.add(8).cast::<*const u8>().read_unaligned(),
            };
            slice::from_raw_parts(bytes, length)
        }
    }

    fn list(&self, offset: usize, length: usize, room: &mut Room) -> Result<Cell, Unread> {
        let end = offset.checked_add(length).ok_or(Unread::Strange)?;
        let cells = (offset..end).map(|row| self.children[0].cell(row, room));
        cells.collect::<Result<_, _>>().map(Cell::List)
    }
}

/// C's `duckdb_interval`.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawInterval {
    months: i32,
    days: i32,
    micros: i64,
}

fn field(name: &str, child: &View, row: usize, room: &mut Room) -> Result<(String, Cell), Unread> {
    room.take(size_of::<String>() + name.len())?;
    Ok((name.to_owned(), child.cell(row, room)?))
}

/// A cell of a text, if there is room for it.
fn held(text: String, room: &mut Room, cell: impl FnOnce(String) -> Cell) -> Result<Cell, Unread> {
    room.take(text.len())?;
    Ok(cell(text))
}

fn integer<T: TryInto<i64> + ToString + Copy>(value: T, room: &mut Room) -> Result<Cell, Unread> {
    match value.try_into() {
        Ok(integer) => Ok(Cell::Integer(integer)),
        Err(_) => held(value.to_string(), room, Cell::Decimal),
    }
}

/// Digits with a point before the last `scale` of them.
fn decimal(unscaled: i128, scale: u8) -> String {
    let scale: usize = scale.into();
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    match fraction {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

fn copied(bytes: &[u8], room: &mut Room) -> Result<Vec<u8>, Unread> {
    room.take(bytes.len())?;
    Ok(bytes.to_vec())
}

/// Zeros and ones: the first byte counts the bits of the second that are not used.
fn bits(bytes: &[u8], room: &mut Room) -> Result<String, Unread> {
    let (unused, bytes) = bytes.split_first().ok_or(Unread::Strange)?;
    let count = (8 * bytes.len()).checked_sub((*unused).into());
    let count = count.ok_or(Unread::Strange)?;
    room.take(count)?;
    let bit = |place: usize| match bytes[place / 8] >> (7 - place % 8) & 1 {
        0 => '0',
        _ => '1',
    };
    Ok((8 * bytes.len() - count..8 * bytes.len())
        .map(bit)
        .collect())
}

/// DuckDB turns the first bit, so that signed integers sort like the texts.
fn uuid(value: u128) -> String {
    let hex = format!("{:032x}", value ^ 1 << 127);
    let group = |from: usize, to: usize| &hex[from..to];
    [
        group(0, 8),
        group(8, 12),
        group(12, 16),
        group(16, 20),
        group(20, 32),
    ]
    .join("-")
}
