//! Questions in a model's words: rewritten by an endpoint, and kept only with everything in them that a query needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::data::chat::Chat;
use crate::data::set::{flat, rank};
use crate::sql::tokens::{Kind, tokens};

use super::pool::Made;

/// Questions that are asked for at once.
const AT_ONCE: usize = 4;
/// Rewrites of one question before it stays as it is.
const TRIES: u64 = 2;
/// Questions of which one after another gets no answer before all is given up; the first must get one.
const FAILED: usize = 5;
/// Most tokens of a rewrite.
const TOKENS: usize = 200;

/// Who rewrites, and what became of the questions.
#[derive(Serialize)]
pub struct Paraphrased {
    model: String,
    rewritten: usize,
    /// Questions that stay as they were, by what their last rewrite lacked.
    kept: BTreeMap<&'static str, usize>,
}

impl Paraphrased {
    /// One line.
    pub fn summary(&self) -> String {
        let kept: Vec<String> = self
            .kept
            .iter()
            .map(|(why, count)| format!("{count} {why}"))
            .collect();
        match kept.is_empty() {
            true => format!("{} rewrote all {} questions", self.model, self.rewritten),
            false => format!(
                "{} rewrote {} questions; of the others, which stay as they were, the rewrites: {}",
                self.model,
                self.rewritten,
                kept.join(", ")
            ),
        }
    }
}

/// Rewrites the questions at some places of the pool. Those whose rewrite lost something stay.
///
/// # Errors
/// When the endpoint fails at first or again and again, or most rewrites are no good.
pub fn rewrite(chat: &Chat, pool: &mut [Made], places: &[usize], seed: u64) -> Result<Paraphrased> {
    let rewrites = all(chat, pool, places, seed)?;
    let mut said: BTreeSet<String> = pool.iter().map(|made| flat(&made.question)).collect();
    let mut done = Paraphrased {
        model: chat.model().to_owned(),
        rewritten: 0,
        kept: BTreeMap::new(),
    };
    for (&at, rewrite) in places.iter().zip(rewrites) {
        match rewrite {
            // A question is asked once.
            Ok(text) if said.insert(flat(&text)) => {
                pool[at].question = text;
                done.rewritten += 1;
            }
            Ok(_) => *done.kept.entry("are another question").or_default() += 1,
            Err(why) => *done.kept.entry(why).or_default() += 1,
        }
    }
    ensure!(
        done.rewritten * 2 >= places.len(),
        "{}: most rewrites are of no use, so try another model",
        done.summary()
    );
    Ok(done)
}

type Rewrite = Result<String, &'static str>;

/// The rewrites in the order of the places, some asked for at once.
fn all(chat: &Chat, pool: &[Made], places: &[usize], seed: u64) -> Result<Vec<Rewrite>> {
    let (stop, answered) = (AtomicBool::new(false), AtomicBool::new(false));
    let failed = AtomicUsize::new(0);
    let part = places.len().div_ceil(AT_ONCE).max(1);
    let work = |part: &[usize]| {
        let mut done = Vec::new();
        for &at in part {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            match one(chat, &pool[at], seed) {
                Ok(rewrite) => {
                    answered.store(true, Ordering::Relaxed);
                    failed.store(0, Ordering::Relaxed);
                    done.push(rewrite);
                }
                Err(error) => {
                    let times = failed.fetch_add(1, Ordering::Relaxed) + 1;
                    if times >= FAILED || !answered.load(Ordering::Relaxed) {
                        stop.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                    done.push(Err("did not come"));
                }
            }
        }
        anyhow::Ok(done)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = places
            .chunks(part)
            .map(|part| scope.spawn(move || work(part)))
            .collect();
        let mut done = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok(part) => done.extend(part?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(done)
    })
}

fn one(chat: &Chat, made: &Made, seed: u64) -> Result<Rewrite> {
    let message = format!(
        "Rewrite the question in other words. It must ask exactly what the query answers. Keep names, values and numbers as they are \
         written. Reply with the question alone, on one line.\nQuery: {}\nQuestion: {}",
        made.sql, made.question
    );
    let mut last = Err("are empty");
    for again in 0..TRIES {
        let seed = rank(seed, &["paraphrase", &made.question, &again.to_string()]) >> 33;
        last = fit(made, &chat.ask(&message, TOKENS, seed)?);
        if last.is_ok() {
            break;
        }
    }
    Ok(last)
}

/// The question in a reply, if it has everything that the query needs; else what is wrong with it.
fn fit(made: &Made, reply: &str) -> Rewrite {
    // Some models think aloud before they answer.
    let reply = reply.rsplit("</think>").next().unwrap_or("").trim();
    let reply = reply.strip_prefix("Question:").unwrap_or(reply).trim();
    let quoted = |mark: char| reply.strip_prefix(mark)?.strip_suffix(mark);
    let text = quoted('"').or_else(|| quoted('\'')).unwrap_or(reply).trim();
    if text.is_empty() {
        return Err("are empty");
    }
    if text.contains('\n') || text.chars().count() > 2 * made.question.chars().count() + 80 {
        return Err("are more than a question");
    }
    if flat(text) == flat(&made.question) {
        return Err("change nothing");
    }
    if REFUSALS
        .iter()
        .any(|word| says(text, word) && !says(&made.question, word))
    {
        return Err("refuse");
    }
    let asked: Vec<String> = telling(&made.question).collect();
    if !asked.is_empty() && !telling(text).any(|word| asked.contains(&word)) {
        return Err("ask for something else");
    }
    if numbers(text) != numbers(&made.question) {
        return Err("change a number");
    }
    let lost = tokens(&made.sql).iter().any(|token| {
        let value = match token.kind {
            Kind::Text => token.text[1..token.text.len() - 1].replace("''", "'"),
            _ => return false,
        };
        let value = value.trim_matches('%');
        made.question.contains(value) && !text.contains(value)
    });
    match lost {
        true => Err("lose a value"),
        false => Ok(text.to_owned()),
    }
}

/// Words of an answer that is none.
const REFUSALS: [&str; 7] = [
    "sorry",
    "cannot",
    "can't",
    "can’t",
    "unable",
    "apologize",
    "assist",
];

fn says(text: &str, word: &str) -> bool {
    let text = text.to_lowercase();
    let inside = |c: char| c.is_alphanumeric() || "'’".contains(c);
    text.split(|c| !inside(c)).any(|own| own == word)
}

/// The words of a text that are not in every question, cut to what their forms have in common.
fn telling(text: &str) -> impl Iterator<Item = String> {
    let text = text.to_lowercase();
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() > 2 && word.chars().all(char::is_alphabetic))
        .filter(|word| !COMMON.contains(word))
        .map(|word| word.chars().take(4).collect())
        .collect();
    words.into_iter()
}

/// Words of any question.
const COMMON: [&str; 40] = [
    "all", "and", "any", "are", "can", "count", "did", "does", "each", "every", "find", "for",
    "from", "get", "give", "has", "have", "how", "list", "many", "name", "not", "number", "show",
    "than", "that", "the", "their", "them", "there", "this", "was", "were", "what", "which", "who",
    "whose", "with", "you", "your",
];

/// The numbers of a text, in order of size of text: digits and what stands between them.
fn numbers(text: &str) -> Vec<&str> {
    let inside = |c: char| c.is_ascii_digit() || c == '.' || c == ',';
    let found = text
        .split(|c| !inside(c))
        .map(|part| part.trim_matches(['.', ',']));
    let mut found: Vec<&str> = found.filter(|part| !part.is_empty()).collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::super::patterns::Kind as Asked;
    use super::*;

    #[test]
    fn rewrites_keep_values_and_numbers() {
        let made = Made {
            database: 0,
            kind: Asked::Filter,
            question: "Which boats from O'Hare have more than 1,200 tons?".to_owned(),
            sql: "select name from boats where port = 'O''Hare' and tons > 1200;".to_owned(),
            shape: String::new(),
            value: String::new(),
            tables: Vec::new(),
        };
        let good = "List the boats from O'Hare above 1,200 tons.";
        for reply in [
            good,
            &format!("<think>Hm.\nSo?</think>\n\"{good}\""),
            &format!("Question: {good}"),
        ] {
            assert_eq!(fit(&made, reply).as_deref(), Ok(good));
        }
        for (reply, why) in [
            ("", "are empty"),
            ("<think>Hm.</think>", "are empty"),
            (
                "Sure!\nBoats from O'Hare above 1,200 tons?",
                "are more than a question",
            ),
            (&"O'Hare 1,200 ".repeat(20), "are more than a question"),
            (
                "which boats from O'Hare have more than 1,200  tons?",
                "change nothing",
            ),
            ("Boats from O'Hare above 1,300 tons?", "change a number"),
            (
                "Top 5 boats from O'Hare above 1,200 tons?",
                "change a number",
            ),
            ("Boats from Ohare above 1,200 tons?", "lose a value"),
            ("Which ships carry 1,200?", "ask for something else"),
            ("I cannot list boats from O'Hare.", "refuse"),
            ("Sorry, no boats today.", "refuse"),
        ] {
            assert_eq!(fit(&made, reply), Err(why), "{reply}");
        }
    }
}
