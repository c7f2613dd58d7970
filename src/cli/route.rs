//! `factory route`: which adapter each row should get, and fitting what decides it.

use super::fields::FieldArgs;
use super::{UsageError, say};
use crate::answering::routing::{self, Routing, prompt_text};
use crate::data::jsonl;
use crate::data::record::{self, Columns};
use crate::router::Router;
use crate::router::content::Content;
use crate::run::files::{check_apart, check_writable, json, write_atomic};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Decide which adapter each row should get, without labels.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    how: RouteArgs,
    #[command(flatten)]
    fields: FieldArgs,
    /// The router.
    #[arg(long, value_name = "FILE")]
    router: Option<PathBuf>,
    /// Rows with a prompt (JSONL).
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// File the rows are written to, with `_route`, `_route_reason` and `_route_confidence`.
    #[arg(long, value_name = "FILE")]
    routes_out: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Fit a content router from the rows that each adapter was trained on.
    Fit {
        /// An adapter's name and its training rows; at least two.
        #[arg(long, required = true, value_name = "NAME=TRAIN.jsonl")]
        adapter: Vec<String>,
        #[command(flatten)]
        fields: FieldArgs,
        /// File the router is written to.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// How decisions are settled.
#[derive(Debug, clap::Args)]
pub struct RouteArgs {
    /// Route of rows that the router is not sure of [default: none: it abstains].
    #[arg(long, value_name = "NAME")]
    pub default_route: Option<String>,
    /// Least confidence of a decision [default: 0.5].
    #[arg(long, value_name = "P")]
    pub min_confidence: Option<f64>,
    /// Take the route from this field of the row: the only way in which a label is used.
    #[arg(long, value_name = "FIELD")]
    pub trust_route_field: Option<String>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<()> {
    match (&args.command, &args.router, &args.data, &args.routes_out) {
        (
            Some(Command::Fit {
                adapter,
                fields,
                out,
            }),
            ..,
        ) => fit(adapter, &fields.columns()?, out),
        (None, Some(router), Some(data), Some(out)) => {
            route(&args.how, &args.fields.columns()?, router, data, out)
        }
        _ => {
            let message = "give --router, --data and --routes-out, or `fit`";
            Err(UsageError(message.into()).into())
        }
    }
}

fn fit(adapters: &[String], columns: &Columns, out: &Path) -> Result<()> {
    let mut named = Vec::new();
    for adapter in adapters {
        let Some((name, file)) = adapter.split_once('=').filter(|(name, _)| !name.is_empty())
        else {
            let message = format!("--adapter {adapter:?} is not NAME=TRAIN.jsonl");
            return Err(UsageError(message).into());
        };
        named.push((name.to_owned(), PathBuf::from(file)));
    }
    check_apart(named.iter().map(|(_, file)| file.as_path()), [out]).map_err(UsageError::of)?;
    check_writable(out)?;
    let mut prompts = Vec::new();
    for (name, file) in named {
        let (_, asked) = record::read_prompts(&file, columns)?;
        prompts.push((name, asked.iter().map(prompt_text).collect()));
    }
    let (content, fit) = Content::fit(&prompts)?;
    write_atomic(out, &json(&Router::Content(content))?)?;
    say(format_args!(
        "held out: accuracy={:.3} unsure={:.3} (n={})",
        fit.accuracy, fit.unsure, fit.held_out
    ))?;
    say(format_args!("router: {}", out.display()))
}

fn route(how: &RouteArgs, columns: &Columns, router: &Path, data: &Path, out: &Path) -> Result<()> {
    check_apart([data, router], [out]).map_err(UsageError::of)?;
    check_writable(out)?;
    let (router, how) = (routing::read(router)?, how.get());
    how.check(&router.routes())?;
    let (mut lines, asked) = record::read_prompts(data, columns)?;
    let decisions = how.decide(&router, data, &lines, &asked)?;
    for (line, decision) in lines.iter_mut().zip(&decisions) {
        routing::annotate(line, decision);
    }
    write_atomic(out, &jsonl::to_bytes(&lines)?)?;
    say(routing::summary(&decisions))?;
    say(format_args!(
        "wrote {} ({} rows)",
        out.display(),
        lines.len()
    ))
}

impl RouteArgs {
    /// What they say.
    pub fn get(&self) -> Routing {
        let defaults = Routing::default();
        Routing {
            default_route: self.default_route.clone(),
            min_confidence: self.min_confidence.unwrap_or(defaults.min_confidence),
            trust_route_field: self.trust_route_field.clone(),
        }
    }

    /// The words of a command line that say the same.
    pub fn flags(&self) -> Vec<String> {
        let given = self.given().into_iter();
        given
            .flat_map(|(flag, value)| [flag.to_owned(), value])
            .collect()
    }

    /// Errors where one was given: nothing is routed.
    pub fn refuse(&self) -> Result<()> {
        let given: Vec<_> = self.given().into_iter().map(|(flag, _)| flag).collect();
        match given.is_empty() {
            true => Ok(()),
            false => Err(UsageError(format!("{} needs --route", given.join(", "))).into()),
        }
    }

    fn given(&self) -> Vec<(&'static str, String)> {
        let flags = [
            ("--default-route", self.default_route.clone()),
            (
                "--min-confidence",
                self.min_confidence.map(|p| p.to_string()),
            ),
            ("--trust-route-field", self.trust_route_field.clone()),
        ];
        let given = flags
            .into_iter()
            .filter_map(|(flag, value)| Some((flag, value?)));
        given.collect()
    }
}
