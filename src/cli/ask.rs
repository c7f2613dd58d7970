//! `factory ask`: questions to a database.

use super::answering::AnsweringArgs;
use super::data::databases::at;
use super::db::connection::ConnectionsArgs;
use super::terminal::Terminal;
use super::{UsageError, lines, note, say};
use crate::answering::constraint::Kind;
use crate::ask::{Answer, Asker, Config, MOST_SAMPLES, SAMPLES, SURE, TEMPERATURE, sampling};
use crate::data::asking::Notation;
use crate::data::prompt::Prompt;
use crate::db::connections;
use crate::db::home::Home;
use crate::eval::session::Rules;
use crate::eval::table::Table;
use crate::run::words::plain;
use anyhow::{Context, Result, bail, ensure};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde_json::Value;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

/// Ask a database a question; without one, a prompt stays for several.
///
/// The schema is written as the adapter saw schemas in training. Several answers are drawn, each query runs confined and read-only, and the
/// result that most of them agree on is the answer.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The question, in plain words.
    question: Option<String>,
    /// The database: a file of SQLite or DuckDB, a .sql script that makes one, a connection's name, or the URL of a server.
    #[arg(long, value_name = "DB")]
    db: String,
    /// On a server: the schema to ask [default: those that the role looks into by itself].
    #[arg(long, value_name = "NAME")]
    db_schema: Option<String>,
    #[command(flatten)]
    connections: ConnectionsArgs,
    /// Show the model this table alone (repeatable) [default: all].
    #[arg(long = "table", value_name = "NAME")]
    tables: Vec<String>,
    #[command(flatten)]
    answering: AnsweringArgs,
    /// How a question is put: a text with {schema} and {question} in it [default: as the adapter was asked in training].
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// How the schema is written [default: as the adapter saw it in training].
    #[arg(long, value_enum)]
    notation: Option<Notation>,
    /// Put the notes on the database's dialect (see db notes) before the question, as for an adapter that was trained with them.
    #[arg(long)]
    dialect_notes: bool,
    /// Answers that are drawn, the first without chance.
    #[arg(long, value_name = "K", default_value_t = SAMPLES as u64, value_parser = clap::value_parser!(u64).range(1..=MOST_SAMPLES as u64))]
    samples: u64,
    /// Temperature of the drawn ones.
    #[arg(long, default_value_t = TEMPERATURE)]
    temperature: f64,
    /// Seed of the drawn ones.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// What answers are held to: nothing, one query, or one with the database's own names, which cannot fail for a name.
    #[arg(long, value_enum, default_value_t = Kind::Schema)]
    constrain: Kind,
    /// Say that an answer is not sure where fewer of the drawn ones agree, as a share.
    #[arg(long, value_name = "P", default_value_t = SURE)]
    sure: f64,
    /// Processor time that a query may use, in milliseconds.
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    timeout_ms: u64,
    /// Print the query alone.
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    sql_only: bool,
    /// Print all that is known as one line of JSON.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print the rows as CSV.
    #[arg(long)]
    csv: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result<()> {
    if let Some(prompt) = &args.prompt {
        Prompt::parse(prompt, &["schema", "question"]).map_err(UsageError::of)?;
    }
    if !(0.0..=1.0).contains(&args.sure) {
        let message = format!("--sure {} is not from 0 to 1", args.sure);
        return Err(UsageError(message).into());
    }
    let samples = args.samples as usize;
    let sampler = sampling(samples, args.temperature, args.seed);
    sampler.check().map_err(UsageError::of)?;
    let mut answering = args.answering.config()?;
    if answering.routing.trust_route_field.is_some() {
        let message = "--trust-route-field is for rows of a file: a question has no such fields";
        return Err(UsageError(message.into()).into());
    }
    let (home, db) = args.database()?;
    if args.dialect_notes {
        answering.notes = Some(home.dialect(&db)?);
    }
    let timeout = Duration::from_millis(args.timeout_ms);
    let databases = at(home, timeout, Rules::default())?;
    let config = Config {
        db,
        tables: args.tables.clone(),
        prompt: args.prompt.clone(),
        notation: args.notation,
        sampler,
        constrain: args.constrain,
        sure: args.sure,
    };
    let place = args.answering.place()?;
    let terminal = Terminal::default();
    let asker = Asker::load(config, &answering, &place, databases, &terminal)?;
    match &args.question {
        Some(question) => {
            let answer = asker.ask(question, &terminal)?;
            args.print(&answer)?;
            ran(&answer)
        }
        None => args.stay(&asker),
    }
}

impl Args {
    /// Where the database is, and its name there.
    fn database(&self) -> Result<(Home, String)> {
        let file = Path::new(&self.db);
        let is_file = file.is_file() || connections::of_file_name(file).is_some();
        if is_file && !self.db.contains("://") {
            if self.db_schema.is_some() {
                let message = format!("--db-schema is for a server: {} is a file", self.db);
                return Err(UsageError(message).into());
            }
            let whole = file.canonicalize();
            let whole = whole.with_context(|| format!("cannot open {}", self.db))?;
            let name = whole.file_name().context("the path names no file")?;
            let name = name.to_string_lossy().into_owned();
            let folder = whole.parent().unwrap_or(Path::new("/"));
            return Ok((Home::Folder(folder.to_owned()), name));
        }
        let connection = self.connections.read()?.get(&self.db)?;
        let schema = self.db_schema.clone().unwrap_or_default();
        Ok((Home::Connection(connection), schema))
    }

    /// Asks for questions until there are no more.
    fn stay(&self, asker: &Asker) -> Result<()> {
        let terminal = Terminal::default();
        let mut failed = 0;
        lines::each(
            "Ask in plain words; Ctrl-D ends.",
            |question| match question.trim().is_empty() {
                true => Ok(()),
                false => {
                    let answer = asker.ask(question, &terminal)?;
                    self.print(&answer)?;
                    // The next question may fare better.
                    if let Err(error) = ran(&answer) {
                        note(error);
                        failed += 1;
                    }
                    Ok(())
                }
            },
        )?;
        // A person has seen it.
        ensure!(
            failed == 0 || std::io::stdin().is_terminal(),
            "the queries of {failed} answers fail"
        );
        Ok(())
    }

    fn print(&self, answer: &Answer) -> Result<()> {
        let picked = &answer.picked;
        let query = picked.sql.as_deref().unwrap_or(&picked.answer);
        if self.json {
            return say(serde_json::to_string(answer)?);
        }
        if self.sql_only {
            if let Some(query) = &picked.sql {
                say(plain(query))?;
            }
        } else if self.csv {
            if let Ok(table) = &picked.result {
                print_csv(table)?;
            }
        } else {
            say(plain(query))?;
            if let Ok(table) = &picked.result {
                print_table(table)?;
            }
        }
        self.remarks(answer);
        Ok(())
    }

    /// What one should know of the answer, on stderr.
    fn remarks(&self, answer: &Answer) {
        let picked = &answer.picked;
        let cut = |table: &&Table| table.rows.len() < table.total && !self.sql_only;
        if let Some(table) = picked.result.as_ref().ok().filter(cut) {
            let (rows, total) = (table.rows.len(), table.total);
            note(format_args!("{rows} of {total} rows shown"));
        }
        let confidence = picked.confidence.unwrap_or(0.0);
        if let Some(route) = &answer.route {
            let name = route.route.as_deref().unwrap_or("the base");
            note(format_args!(
                "answered by {}: {}",
                plain(name),
                plain(&route.reason)
            ));
        }
        if !picked.sure {
            let samples = picked.samples;
            let why = match samples {
                1 => format!("its tokens have a mean likelihood of {confidence:.2}"),
                _ => format!(
                    "{:.0} of {samples} answers agree",
                    confidence * samples as f64
                ),
            };
            let none = picked.result.as_ref().is_ok_and(|table| table.total == 0);
            let none = if none { ", and it returns no rows" } else { "" };
            note(format_args!("not sure: {why}{none}"));
        }
    }
}

/// An error where the query of the answer does not run.
fn ran(answer: &Answer) -> Result<()> {
    match &answer.picked.result {
        Ok(_) => Ok(()),
        Err(error) => bail!("the query fails: {}", plain(&error.to_string())),
    }
}

fn text(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        other => other.to_string(),
    }
}

fn print_table(table: &Table) -> Result<()> {
    let mut shown = comfy_table::Table::new();
    shown.load_style(UTF8_FULL_CONDENSED);
    shown.set_header(table.columns.iter().map(|name| plain(name)));
    for row in &table.rows {
        shown.add_row(row.iter().map(|cell| match cell {
            Value::Null => "NULL".to_owned(),
            cell => text(cell),
        }));
    }
    say(shown)
}

fn print_csv(table: &Table) -> Result<()> {
    let mut writer = csv::Writer::from_writer(std::io::stdout());
    writer.write_record(&table.columns)?;
    for row in &table.rows {
        let cells = row.iter().map(|cell| match cell {
            Value::String(text) => text.clone(),
            cell => text(cell),
        });
        writer.write_record(cells)?;
    }
    Ok(writer.flush()?)
}
