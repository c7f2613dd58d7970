//! The tools of a server that speaks the Model Context Protocol, started anew for each database and turn of the episodes that ask it.

use super::said::{Said, Tools};
use super::spread::spread;
use crate::db::home::Home;
use crate::learning::episodes::call::{
    ALL_TABLES, ANSWER, Call, DEFINITIONS, EXECUTE, FILTER_TABLES,
};
use crate::learning::episodes::protocol::Protocol;
use crate::mcp::client::{Heard, Wanted, ask};
use anyhow::{Context, Result, bail, ensure};
use rmcp::model::{CallToolResult, ContentBlock, Tool};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

/// How long a server may take to be ready, and to end.
const START: Duration = Duration::from_secs(30);
/// Servers at work at once.
const SERVERS: usize = 4;

/// The tools.
pub struct Server {
    /// `{file}` in a word stands for a database's file, `{db}` for its name.
    words: Vec<String>,
    home: Home,
    follow_links: bool,
    /// Of a call.
    time: Duration,
    offered: Vec<Value>,
}

impl Server {
    /// Those of the server that `words` start, which is asked for them on the database called `db`. Errors where it does not come up, or where
    /// `protocol` calls by name what it has not.
    pub fn new(
        words: Vec<String>,
        home: Home,
        follow_links: bool,
        time: Duration,
        protocol: Protocol,
        db: &str,
    ) -> Result<Self> {
        let mut server = Self {
            words,
            home,
            follow_links,
            time,
            offered: Vec::new(),
        };
        let Heard::Tools(tools) = ask(&server.command(db)?, Wanted::Tools, START)? else {
            bail!("the server was asked for its tools and answered something else");
        };
        let has = |name: &str| tools.iter().any(|tool| tool.name == name);
        ensure!(
            !has(ANSWER),
            "the server has a tool {ANSWER}, which is how an episode ends"
        );
        if protocol == Protocol::Tags {
            let names = [ALL_TABLES, FILTER_TABLES, DEFINITIONS, EXECUTE];
            let lacks: Vec<&str> = names.into_iter().filter(|name| !has(name)).collect();
            ensure!(
                lacks.is_empty(),
                "the server has no {}, which <tables>, <schema> and <sql> call: --template chatml calls the tools that it has",
                lacks.join(", ")
            );
        }
        server.offered = tools.iter().map(function).collect();
        Ok(server)
    }

    /// What starts the server for a database.
    fn command(&self, db: &str) -> Result<Vec<OsString>> {
        let files = self.home.locate(db, self.follow_links)?;
        let file = files.first().map(|file| file.display().to_string());
        let file = file.unwrap_or_default();
        let words = self.words.iter();
        Ok(words
            .map(|word| word.replace("{file}", &file).replace("{db}", db).into())
            .collect())
    }

    fn of(&self, db: &str, calls: &[&Call]) -> Result<Vec<Said>> {
        let all = calls.iter();
        let wanted = Wanted::Calls {
            all: all
                .map(|call| (call.tool.clone(), call.arguments.0.clone()))
                .collect(),
            each: self.time,
        };
        let longest = START + self.time * calls.len() as u32;
        match ask(&self.command(db)?, wanted, longest)? {
            Heard::Results(all) if all.len() == calls.len() => {
                Ok(all.into_iter().map(said).collect())
            }
            _ => bail!("the server left a call out"),
        }
    }
}

impl Tools for Server {
    fn offered(&self) -> &[Value] {
        &self.offered
    }

    fn answers(&self, calls: &[(&str, &Call)]) -> Result<Vec<Said>> {
        let mut by_db: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, (db, _)) in calls.iter().enumerate() {
            by_db.entry(db).or_default().push(at);
        }
        let by_db: Vec<(&str, Vec<usize>)> = by_db.into_iter().collect();
        let found = spread(&by_db, SERVERS, |(db, places)| {
            let own: Vec<&Call> = places.iter().map(|at| calls[*at].1).collect();
            self.of(db, &own)
        });
        let mut said: BTreeMap<usize, Said> = BTreeMap::new();
        for ((db, places), found) in by_db.into_iter().zip(found) {
            let found = found.with_context(|| format!("tools of database {db}"))?;
            said.extend(places.into_iter().zip(found));
        }
        Ok(said.into_values().collect())
    }
}

fn function(tool: &Tool) -> Value {
    json!({"type": "function", "function": {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.input_schema,
    }})
}

fn said(heard: Result<CallToolResult>) -> Said {
    let result = match heard {
        Ok(result) => result,
        Err(error) => return Said::failed(format!("Error: {error:#}")),
    };
    let parts = result.content.iter().map(|block| match block {
        ContentBlock::Text(text) => text.text.as_str(),
        _ => "(no text)",
    });
    let text = parts.collect::<Vec<_>>().join("\n");
    // mcp-alchemy's own server answers with what went wrong.
    match result.is_error == Some(true) || text.starts_with("Error:") {
        true => Said::failed(text),
        false => Said::fine(text),
    }
}
