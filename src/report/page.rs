//! Templates to pages. Every text from a file of the run is escaped where it is put in, whatever template puts it there.

use super::say::visible;
use crate::run::words::hex;
use anyhow::{Context, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, Output, State, Value, context};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// What the pages have in common stands before each.
macro_rules! page {
    ($name:literal) => {
        concat!(
            include_str!("templates/parts.html"),
            include_str!(concat!("templates/", $name))
        )
    };
}

/// The page of a run, and its text.
pub const REPORT: &str = page!("report.html");
pub const REPORT_TEXT: &str = include_str!("templates/report.md");
/// The page of several runs, and its text.
pub const OVERVIEW: &str = page!("overview.html");
pub const OVERVIEW_TEXT: &str = include_str!("templates/overview.md");
/// The page of an episode with tools.
pub const EPISODE: &str = page!("episode.html");

const STYLE: &str = include_str!("templates/style.css");
const SCRIPT: &str = include_str!("templates/script.js");
const MARKDOWN: AutoEscape = AutoEscape::Custom(Cow::Borrowed("markdown"));

/// `content` as an HTML page that loads nothing and runs no script but its own.
pub fn html(template: &str, content: &impl Serialize) -> Result<String> {
    // No text of the run can name a number that depends on all of them.
    let hash = Sha256::digest(serde_json::to_vec(content)?);
    let script = Value::from_safe_string(SCRIPT.to_owned());
    let style = Value::from_safe_string(STYLE.to_owned());
    let nonce = &hex(&hash)[..32];
    let content = context! { r => Value::from(Serde(content)), script, style, nonce };
    render("page.html", template, content)
}

/// `content` as Markdown.
pub fn markdown(template: &str, content: &impl Serialize) -> Result<String> {
    let content = context! { r => Value::from(Serde(content)) };
    render("page.md", template, content)
}

fn render(name: &str, template: &str, content: Value) -> Result<String> {
    let mut environment = Environment::new();
    let mut syntax = SyntaxConfig::builder();
    syntax
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true);
    environment.set_syntax(syntax.build()?);
    environment.set_auto_escape_callback(|name| match name.ends_with(".md") {
        true => MARKDOWN,
        false => AutoEscape::Html,
    });
    environment.set_formatter(put);
    environment.add_filter("code", |text: &str| Value::from_safe_string(code(text)));
    environment.add_filter("fenced", |text: &str, word: &str| {
        Value::from_safe_string(fenced(text, word))
    });
    // Of a picture that this program drew.
    environment.add_filter("drawn", |text: String| Value::from_safe_string(text));
    environment.add_template(name, template)?;
    let page = environment.get_template(name)?.render(content);
    page.context("the report cannot be written")
}

/// Writes a value, escaped for where it is written.
fn put(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if value.is_none() || value.is_undefined() {
        return Ok(());
    }
    let text = value.to_string();
    let text = match state.auto_escape() {
        _ if value.is_safe() => text,
        AutoEscape::Custom(_) => inline(&text),
        _ => escaped(&text),
    };
    out.write_str(&text).map_err(Error::from)
}

/// For HTML, in text and in attributes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// For Markdown: on one line, nothing in it means anything, also in a table.
fn inline(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '\n' | '\t' => safe.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '&' | '!' | '~' | '$' => {
                safe.extend(['\\', c]);
            }
            c => safe.push(c),
        }
    }
    safe
}

/// As code on one line, also in a table.
fn code(text: &str) -> String {
    let text = visible(text).replace(['\n', '\t'], " ").replace('|', "\\|");
    let fence = "`".repeat(longest(&text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    match text.is_empty() {
        true => text,
        false => format!("{fence}{pad}{text}{pad}{fence}"),
    }
}

/// A block of code whose fence is longer than any inside it.
fn fenced(text: &str, word: &str) -> String {
    let text = visible(text);
    let fence = "`".repeat((longest(&text) + 1).max(3));
    format!("{fence}{word}\n{}\n{fence}", text.trim_end_matches('\n'))
}

/// The longest run of backticks.
fn longest(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_in_html() {
        let hostile = "</script><b a='\"'>&\u{2028}\u{202e}\0";
        let page = render(
            "a.html",
            "<p title=\"{{ r }}\">{{ r }}</p>",
            context! { r => hostile },
        )
        .unwrap();
        let safe = "&lt;/script&gt;&lt;b a=&#39;&quot;&#39;&gt;&amp;‹U+2028›‹U+202E›␀";
        assert_eq!(page, format!("<p title=\"{safe}\">{safe}</p>"));
        // A macro's own marks are not escaped again.
        let page = render(
            "a.html",
            "{% macro b(x) %}<b>{{ x }}</b>{% endmacro %}{{ b(r) }}{{ none }}",
            context! { r => "<" },
        );
        assert_eq!(page.unwrap(), "<b>&lt;</b>");
    }

    #[test]
    fn text_stays_text_in_markdown() {
        let of = |template, text: &str| render("a.md", template, context! { r => text }).unwrap();
        assert_eq!(
            of("- {{ r }}\n", "a|b\n# <b>[x](y) `c`"),
            "- a\\|b \\# \\<b\\>\\[x\\](y) \\`c\\`\n"
        );
        assert_eq!(of("{{ r|code }}", "a|`b\n"), "``a\\|`b ``");
        assert_eq!(of("{{ r|code }}", "`"), "`` ` ``");
        assert_eq!(of("{{ r|fenced('sh') }}", "a ```\n"), "````sh\na ```\n````");
    }
}
