//! Cuts a reply into its parts: thinking, turns, fences, answers.

use super::prose::regex;
use regex::Regex;
use std::borrow::Cow;
use std::sync::LazyLock;

/// The reply without the model's thinking, and without what follows the end of its turn.
pub fn spoken(reply: &str) -> Cow<'_, str> {
    static THINKING: LazyLock<Regex> = LazyLock::new(|| {
        regex(r"(?i)<(/?)(?:think|thinking|thoughts?|reasoning|reflection|scratchpad|analysis)>")
    });
    static FINAL: &str = "<|channel|>final<|message|>";
    let reply = reply.rsplit_once(FINAL).map_or(reply, |(_, said)| said);
    let mut said = String::new();
    let (mut from, mut thinking) = (0, false);
    for tag in THINKING.captures_iter(reply) {
        let whole = tag.get_match();
        if is_text(reply, whole.start()) {
            continue;
        }
        match (&tag[1] == "/", thinking) {
            (false, false) => {
                said += &reply[from..whole.start()];
                said.push('\n');
                thinking = true;
            }
            (true, true) => (thinking, from) = (false, whole.end()),
            // Thinking began in the prompt.
            (true, false) => {
                said.clear();
                from = whole.end();
            }
            (false, true) => {}
        }
    }
    let said = match (from, thinking) {
        (0, false) => Cow::Borrowed(reply),
        (_, true) => Cow::Owned(said),
        _ => Cow::Owned(said + &reply[from..]),
    };
    match end_of_turn(&said) {
        Some(end) => Cow::Owned(said[..end].to_owned()),
        None => said,
    }
}

fn end_of_turn(text: &str) -> Option<usize> {
    static END: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r"(?i)</s>|<\|(?:im_end|endoftext|end_of_text|eot_id|eom_id|end|end_of_turn|return|eos)\|>|<(?:end_of_turn|eos)>|<｜end▁of▁sentence｜>",
        )
    });
    let said = text.find(char::is_alphanumeric)?;
    let mut ends = END.find_iter(text).map(|end| end.start());
    ends.find(|&end| end > said && !is_text(text, end))
}

/// Whether what stands there is part of a literal.
fn is_text(text: &str, at: usize) -> bool {
    text[..at].ends_with(['\'', '"', '`', '%'])
}

/// Where a model goes on with another question.
pub fn next_turn(text: &str) -> Option<usize> {
    static NEXT: LazyLock<Regex> = LazyLock::new(|| {
        let turn = r"(?:question|q|user|human|check)[ \t]*:|test case|#{1,6}[ \t]*(?:question|instruction|input)|<\|im_start\|>";
        regex(&format!(r"(?i)\n[ \t*]*(?:{turn})"))
    });
    NEXT.find(text).map(|found| found.start())
}

/// A fenced block's content, or what stands between two.
pub struct Part<'a> {
    pub fenced: bool,
    pub text: &'a str,
}

/// The parts in their order. A fence that is not closed ends with the text.
pub fn parts(text: &str) -> Vec<Part<'_>> {
    static FENCE: LazyLock<Regex> = LazyLock::new(|| regex(r"(?m)`{3,}|^[ \t>]*~{3,}"));
    let mut parts = Vec::new();
    let mut open: Option<&str> = None;
    let mut from = 0;
    for fence in FENCE.find_iter(text) {
        let run = fence.as_str().trim_start_matches([' ', '\t', '>']);
        let before = &text[from..fence.start()];
        match open {
            None => {
                parts.push(Part {
                    fenced: false,
                    text: before,
                });
                open = Some(run);
            }
            Some(opening) if run.starts_with(opening) => {
                parts.push(Part {
                    fenced: true,
                    text: body(before),
                });
                // Only an opening fence names a language.
                let at_line = before.ends_with('\n');
                let named = text[fence.end()..].starts_with(|c: char| c.is_ascii_alphabetic());
                open = (at_line && named).then_some(run);
            }
            Some(_) => continue,
        }
        from = fence.end();
    }
    let (fenced, rest) = (open.is_some(), &text[from..]);
    parts.push(Part {
        fenced,
        text: if fenced { body(rest) } else { rest },
    });
    parts
}

/// A fence's content without what names its language.
fn body(content: &str) -> &str {
    static STARTS: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r#"(?i)^[ \t]*(?:\(|--|/\*|[\{\["]\s*["\{]|(?:select|with|explain|insert|update|delete|create|drop)\b)"#,
        )
    });
    let line = content.find('\n').unwrap_or(content.len());
    let first = &content[..line];
    if first.starts_with([' ', '\t']) || STARTS.is_match(first) {
        return content;
    }
    let word = first.find(char::is_whitespace).unwrap_or(first.len());
    match STARTS.is_match(&first[word..]) {
        true => &content[word..],
        false => &content[line..],
    }
}

/// How much a marker promises.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// None stands before the text.
    None,
    /// Such as `Answer:`.
    Answer,
    /// Such as `Final answer:` or `<answer>`.
    Final,
}

/// Text up to the next answer marker.
pub struct Section<'a> {
    pub strength: Strength,
    pub text: &'a str,
}

/// The text before the first answer marker and behind each.
pub fn sections(text: &str) -> Vec<Section<'_>> {
    static MARKER: LazyLock<Regex> = LazyLock::new(|| {
        let tag = r"<(?:final_?answer|answer|sql|sql_?query|query|response|output|result)>|\[(?:sql|answer)\]";
        let line = r"^[ \t>#*_-]*(?:the[ \t]+)?";
        let last = r"(?:final|corrected|revised|improved)[ \t]+(?:sql[ \t]+)?(?:answer|sql|query|statement)";
        let plain =
            r"(?:sql[ _]?query|sql[ _]?result|sql|query|answer|response|output|solution|result)";
        regex(&format!(
            r"(?im)({tag}|{line}{last}[ \t*_]*:)|{line}{plain}[ \t*_]*:"
        ))
    });
    let mut sections = Vec::new();
    let (mut strength, mut from) = (Strength::None, 0);
    for marker in MARKER.captures_iter(text) {
        let whole = marker.get_match();
        sections.push(Section {
            strength,
            text: &text[from..whole.start()],
        });
        strength = match marker.get(1) {
            Some(_) => Strength::Final,
            None => Strength::Answer,
        };
        from = whole.end();
        // The end of bold type.
        if whole.as_str().contains("**") && text[from..].starts_with("**") {
            from += 2;
        }
    }
    sections.push(Section {
        strength,
        text: &text[from..],
    });
    sections
}
