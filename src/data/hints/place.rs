//! Where a prompt has its question, and hints before it.

/// What stands before the question in a prompt.
const MARK: &str = "Question:";
/// What stands before the hints.
const HINTS: &str = "Values:";

/// The question of a prompt that marks it.
pub fn question(prompt: &str) -> Option<&str> {
    let (_, question) = prompt.rsplit_once(MARK)?;
    Some(question.trim())
}

/// The prompt without the hints that stand before its question.
pub fn without(prompt: &str, question: &str) -> String {
    let Some(at) = place(prompt, question) else {
        return prompt.to_owned();
    };
    let (before, after) = prompt.split_at(at);
    let hints = before.rsplit_once(HINTS).filter(|(start, said)| {
        let begins = start.is_empty() || start.ends_with([' ', '\n']);
        let said = said.trim();
        begins && said.contains(" = '") && said.ends_with('\'') && !said.contains('\n')
    });
    hints.map_or(prompt.to_owned(), |(start, _)| format!("{start}{after}"))
}

fn place(prompt: &str, question: &str) -> Option<usize> {
    prompt.rfind(MARK).or_else(|| prompt.rfind(question))
}

/// The prompt with hints before its question: on a line of their own where the question begins one.
pub fn insert(prompt: &str, question: &str, hints: &str) -> Option<String> {
    let at = place(prompt, question)?;
    let (before, after) = prompt.split_at(at);
    let end = match before.is_empty() || before.ends_with('\n') {
        true => '\n',
        false => ' ',
    };
    Some(format!("{before}{HINTS} {hints}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_stand_before_the_question() {
        assert_eq!(question("Schema: a(b)\nQuestion: Who? "), Some("Who?"));
        assert_eq!(question("Who?"), None);
        let insert = |prompt| insert(prompt, "Who?", "a.b = 'c'");
        let all = [
            (
                "S: a(b)\nQuestion: Who?",
                "S: a(b)\nValues: a.b = 'c'\nQuestion: Who?",
            ),
            (
                "S: a(b). Question: Who?",
                "S: a(b). Values: a.b = 'c' Question: Who?",
            ),
            (
                "a(b)\n\nWho?\nSQL:",
                "a(b)\n\nValues: a.b = 'c'\nWho?\nSQL:",
            ),
            ("Who?", "Values: a.b = 'c'\nWho?"),
        ];
        for (prompt, expected) in all {
            assert_eq!(insert(prompt).as_deref(), Some(expected));
            assert_eq!(without(expected, "Who?"), prompt);
            assert_eq!(without(prompt, "Who?"), prompt);
        }
        assert_eq!(insert("What?"), None);
        let listed = "Values: a or b\nQuestion: Who?";
        assert_eq!(without(listed, "Who?"), listed);
    }
}
