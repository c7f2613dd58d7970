//! The columns of a statement: their names, their types, and how their values are read.

use super::message;
use super::session::{Session, Value};
use super::values::Form;
use crate::db::answer::Column;
use crate::sql::error::SqlError;
use std::collections::BTreeMap;
use tokio_postgres::Statement;
use tokio_postgres::types::{Kind, Type};

/// What a statement would give, and how it is read.
pub async fn of(
    session: &Session,
    statement: &Statement,
) -> Result<(Vec<Column>, Vec<Form>), SqlError> {
    const DECLARED: &str = "
        SELECT pg_catalog.format_type(c.type, c.modifier)
        FROM ROWS FROM (pg_catalog.unnest($1::oid[]), pg_catalog.unnest($2::int4[])) WITH ORDINALITY AS c(type, modifier, place)
        ORDER BY c.place";
    let types: Vec<_> = statement
        .columns()
        .iter()
        .map(|column| column.type_().oid())
        .collect();
    let modifiers: Vec<_> = statement
        .columns()
        .iter()
        .map(|column| column.type_modifier())
        .collect();
    let values: [Value; 2] = [(&types, Type::OID_ARRAY), (&modifiers, Type::INT4_ARRAY)];
    let declared = session.catalog(DECLARED, &values).await?;
    let delimiters = delimiters(session, statement).await?;
    let (mut columns, mut forms) = (Vec::new(), Vec::new());
    for (column, declared) in statement.columns().iter().zip(&declared) {
        let (name, declared) = (column.name().to_owned(), session.value(declared, 0)?);
        let Some(form) = Form::new(column.type_(), &delimiters) else {
            let name = message::line(&name);
            return Err(SqlError::Refused(format!(
                "column {name:?} is {declared}, of types in types too deep to be read: cast it to text"
            )));
        };
        columns.push(Column { name, declared });
        forms.push(form);
    }
    Ok((columns, forms))
}

/// What stands between the values of arrays, where it is no comma: by the number of the values' type.
async fn delimiters(
    session: &Session,
    statement: &Statement,
) -> Result<BTreeMap<u32, u8>, SqlError> {
    const DELIMITERS: &str = "
        SELECT t.oid, t.typdelim FROM pg_catalog.pg_type t WHERE t.oid = ANY ($1::oid[]) AND t.typdelim <> ','";
    let mut elements = Vec::new();
    for column in statement.columns() {
        add_elements(column.type_(), &mut elements);
    }
    if elements.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = session
        .catalog(DELIMITERS, &[(&elements, Type::OID_ARRAY)])
        .await?;
    let delimiter = |row| {
        let delimiter: i8 = session.value(row, 1)?;
        Ok((session.value(row, 0)?, delimiter as u8))
    };
    rows.iter().map(delimiter).collect()
}

/// The types of which there are arrays in a type.
fn add_elements(kind: &Type, elements: &mut Vec<u32>) {
    match kind.kind() {
        Kind::Array(of) => {
            elements.push(of.oid());
            add_elements(of, elements);
        }
        Kind::Domain(of) => add_elements(of, elements),
        Kind::Composite(fields) => {
            for field in fields {
                add_elements(field.type_(), elements);
            }
        }
        _ => {}
    }
}
