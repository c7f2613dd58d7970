//! `factory data convert`: the layouts and files of other programs, there and back.

use crate::cli::fields::FieldArgs;
use crate::cli::{UsageError, say};
use crate::data::convert::{self, Layout, Request};
use crate::run::files::{check_apart, check_writable, write_atomic};
use clap::ValueEnum;
use clap::builder::PossibleValue;
use std::path::PathBuf;

/// Flags of `factory data convert`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rows, in the form that the file's ending says: .jsonl, .json (an array), .csv, .tsv or .parquet.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The layout of the new rows [default: each row stays as it is].
    #[arg(long, value_enum)]
    to: Option<Layout>,
    /// File the rows are written to, in the form that its ending says.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Leave a field out (repeatable).
    #[arg(long, value_name = "FIELD")]
    drop: Vec<String>,
    #[command(flatten)]
    fields: FieldArgs,
}

impl ValueEnum for Layout {
    fn value_variants<'a>() -> &'a [Self] {
        &Layout::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()).help(self.about()))
    }
}

/// Converts.
pub fn run(args: Args) -> anyhow::Result<()> {
    let Args {
        data,
        to,
        out,
        drop,
        fields,
    } = args;
    check_apart([data.as_path()], [out.as_path()]).map_err(UsageError::of)?;
    check_writable(&out)?;
    let columns = fields.columns()?;
    if to.is_none() && !fields.flags().is_empty() {
        let message = "--field says what rows mean: give --to as well";
        return Err(UsageError(message.to_owned()).into());
    }
    let rows = convert::convert(&Request {
        data: &data,
        columns: &columns,
        to,
        drop: &drop,
    })?;
    write_atomic(&out, &convert::to_bytes(&out, &rows)?)?;
    say(format_args!(
        "wrote {} ({} rows)",
        out.display(),
        rows.len()
    ))
}
