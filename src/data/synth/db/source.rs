//! Databases as they are given: what is read of them, and what of them goes into the set.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::db::connections::{Connection, Place};
use crate::db::home::Home;
use crate::db::sqlite::layout::{Layout, layout};
use crate::sql::value::Value;

use super::engine::Engine;
use super::model::{Db, identifier};
use super::{extract, import, invent, keys, profile};

/// Largest file that is taken as it is; of a larger one, or one of more rows, some rows are taken.
const WHOLE_BYTES: u64 = 16 << 20;
const WHOLE_ROWS: usize = 20_000;

/// A database that was read.
pub struct Source {
    pub db: Db,
    /// What goes into the set.
    pub content: Vec<u8>,
    /// What is worth knowing of how it was read.
    pub notes: Vec<String>,
}

/// Reads a database file. What is too large is cut to an extract in `scratch`.
pub fn file(path: &Path, scratch: &Path, engine: &mut Engine) -> Result<Source> {
    let name = name_of(path)?;
    let layouts = read(path)?;
    let counts = counts(path, &layouts, engine)?;
    let length = fs::metadata(path)
        .with_context(|| path.display().to_string())?
        .len();
    let most = counts.iter().max().copied().unwrap_or(0);
    let mut notes = Vec::new();
    let known = ["db", "sqlite", "sqlite3"];
    let ending = path
        .extension()
        .and_then(|ending| ending.to_str())
        .filter(|ending| known.contains(ending));
    let db = format!("{name}.{}", ending.unwrap_or("sqlite"));
    if length <= WHOLE_BYTES && most <= WHOLE_ROWS {
        let content = fs::read(path).with_context(|| path.display().to_string())?;
        let db = model(name, db, path.to_owned(), &layouts, counts, engine)?;
        return Ok(Source { db, content, notes });
    }
    let cut = scratch.join(&db);
    let links = model(
        name.clone(),
        db.clone(),
        path.to_owned(),
        &layouts,
        counts.clone(),
        engine,
    )?
    .links;
    extract::extract(path, &layouts, &counts, &links, &cut)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let counted = self::counts(&cut, &layouts, engine)?;
    notes.push(format!(
        "{name} is large ({length} bytes, {} rows): the set has an extract of {} rows, and every query was run on that",
        counts.iter().sum::<usize>(),
        counted.iter().sum::<usize>()
    ));
    let content = fs::read(&cut)?;
    let db = model(name, db, cut, &layouts, counted, engine)?;
    Ok(Source { db, content, notes })
}

/// Reads a database of another engine, by a SQLite copy of it in `scratch`.
pub fn other(connection: &Connection, scratch: &Path, engine: &mut Engine) -> Result<Source> {
    let name = match &connection.place {
        Place::File(file) => name_of(file)?,
        _ => connection.name.replace(|c: char| !c.is_alphanumeric(), "_"),
    };
    let folder = scratch.join("copies");
    fs::create_dir_all(&folder)?;
    let copy = folder.join(format!("{name}.sqlite"));
    ensure!(
        !copy.exists(),
        "two databases are called {name}: rename one"
    );
    let cut = import::import(&Home::Connection(connection.clone()), "", &copy)?;
    let mut source = file(&copy, scratch, engine)?;
    let cut = cut.iter().map(|cut| format!("; {cut}")).collect::<String>();
    let engine = connection.driver.id();
    source.notes.insert(
        0,
        format!(
            "{name} is of {engine}: the set has a SQLite copy, and its queries are SQLite's{cut}"
        ),
    );
    Ok(source)
}

/// Builds a database of a schema script; tables without rows get some that are made up.
pub fn schema(path: &Path, seed: u64, scratch: &Path, engine: &mut Engine) -> Result<Source> {
    let name = name_of(path)?;
    let mut script = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let db = format!("{name}.sql");
    let built = scratch.join(&db);
    fs::write(&built, &script)?;
    // Errors name the file that was given, not the copy.
    let say = |error: anyhow::Error| {
        anyhow!(
            "{}",
            format!("{error:#}").replace(&built.display().to_string(), &path.display().to_string())
        )
    };
    let layouts = read(&built).map_err(say)?;
    let mut counts = match self::counts(&built, &layouts, engine) {
        Ok(counts) => counts,
        // No table has a row.
        Err(_) => vec![0; layouts.len()],
    };
    let mut notes = Vec::new();
    if counts.iter().all(|count| *count == 0) {
        script += &invent::rows(&layouts, seed);
        let filled = scratch.join(format!("filled-{db}"));
        fs::write(&filled, &script)?;
        counts = self::counts(&filled, &layouts, engine).map_err(say)?;
        notes.push(format!(
            "{name} has no rows of its own: those in the set are made up"
        ));
        let db = model(name, db, filled, &layouts, counts, engine)?;
        return Ok(Source {
            db,
            content: script.into_bytes(),
            notes,
        });
    }
    let db = model(name, db, built, &layouts, counts, engine)?;
    Ok(Source {
        db,
        content: script.into_bytes(),
        notes,
    })
}

fn name_of(path: &Path) -> Result<String> {
    ensure!(
        !path.is_dir(),
        "{} is a folder: name the file in it",
        path.display()
    );
    let name = path.file_stem().and_then(|name| name.to_str());
    name.map(str::to_owned)
        .with_context(|| format!("{}: the file's name is no text", path.display()))
}

fn read(path: &Path) -> Result<Vec<Layout>> {
    let mut layouts = layout(path)?;
    layouts.retain(|layout| !layout.columns.is_empty());
    ensure!(
        !layouts.is_empty(),
        "{}: the database has no tables",
        path.display()
    );
    Ok(layouts)
}

/// Rows of each table.
fn counts(path: &Path, layouts: &[Layout], engine: &mut Engine) -> Result<Vec<usize>> {
    let mut counts = Vec::new();
    for layout in layouts {
        let sql = format!("select count(*) from {}", identifier(&layout.name));
        let rows = engine
            .look(path, &sql)
            .with_context(|| format!("{}: table {}", path.display(), layout.name))?;
        let count = match rows.first().and_then(|row| row.first()) {
            Some(Value::Integer(count)) => *count as usize,
            _ => 0,
        };
        counts.push(count);
    }
    if counts.iter().all(|count| *count == 0) {
        bail!(
            "{}: no table has a row, so no query returns anything",
            path.display()
        );
    }
    Ok(counts)
}

fn model(
    name: String,
    db: String,
    file: PathBuf,
    layouts: &[Layout],
    counts: Vec<usize>,
    engine: &mut Engine,
) -> Result<Db> {
    let mut tables = Vec::new();
    for (layout, count) in layouts.iter().zip(counts) {
        let sampled = engine
            .look(&file, &profile::sample(layout, count))
            .with_context(|| format!("{}: table {}", file.display(), layout.name))?;
        tables.push(profile::table(layout, count, &sampled));
    }
    let mut links = keys::declared(layouts, &tables);
    let suggested = keys::suggested(&tables, &links, |parent, column, literals| {
        let (table, column) = (&tables[parent], &tables[parent].columns[column].sql);
        let sql = format!(
            "select count(distinct {column}) from {} where {column} in ({})",
            table.sql,
            literals.join(", ")
        );
        match engine.look(&file, &sql).ok()?.first()?.first()? {
            Value::Integer(count) => Some(*count as usize),
            _ => None,
        }
    });
    // A column that leads elsewhere is no measure.
    for link in &suggested {
        tables[link.child].columns[link.column].role = super::model::Role::Key;
    }
    links.extend(suggested);
    Ok(Db {
        name,
        db,
        file,
        tables,
        links,
    })
}
