//! What a database declares of the tables that the role may read, by the server's catalog.

use super::connection::Connection;
use super::schema::{catalog, read};
use crate::db::declared::{Declared, declare};
use crate::sql::error::SqlError;

const FACTS: &str = "
    SELECT r.nspname::text, r.relname::text, a.attname::text, NOT a.attnotnull,
        (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = r.oid AND d.adnum = a.attnum),
        a.attgenerated::text,
        (SELECT pg_catalog.json_build_object('always', a.attidentity = 'a', 'start', s.seqstart, 'increment', s.seqincrement,
            'minvalue', s.seqmin, 'maxvalue', s.seqmax, 'cache', s.seqcache, 'cycle', s.seqcycle)::text
         FROM pg_catalog.pg_sequence s
         JOIN pg_catalog.pg_depend p ON p.objid = s.seqrelid AND p.classid = 1259 AND p.refclassid = 1259
         WHERE a.attidentity <> '' AND p.refobjid = r.oid AND p.refobjsubid = a.attnum),
        pg_catalog.col_description(r.oid, a.attnum)
    FROM readable r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND pg_catalog.has_column_privilege(r.oid, a.attnum, 'SELECT')
    UNION ALL
    SELECT nspname::text, relname::text, NULL, NULL, NULL, NULL, NULL, pg_catalog.obj_description(oid, 'pg_class') FROM readable";

impl Connection {
    /// Its tables and views that the role may read, as they were declared.
    pub fn declared(&self) -> Result<Vec<Declared>, SqlError> {
        self.with(async |session| {
            let tables = read(session).await?;
            Ok(declare(tables, catalog(session, FACTS).await?))
        })
    }
}
