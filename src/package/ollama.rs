//! Ollama's Modelfile: a template that renders what ours renders, and settings with which it answers as we do.

use super::prompt::Prompt;
use super::request::GGUF;
use crate::data::template::Template;
use anyhow::{Result, ensure};

/// Longest context that is asked for: its keys and values are held in memory.
const MOST_CONTEXT: usize = 8192;

/// The file. Errors where a text has no place in it.
pub fn modelfile(prompt: &Prompt, template: Template) -> Result<String> {
    let mut file = format!("# Made by factory; ollama create NAME -f Modelfile\nFROM ./{GGUF}\n");
    if template == Template::Base {
        file += "# One question at a time: the base's own chat template is a program of another kind.\n";
    }
    file += &format!("TEMPLATE {}\n", quoted(&rendered(prompt, template)?)?);
    for stop in &prompt.stop {
        file += &format!("PARAMETER stop {}\n", quoted(stop)?);
    }
    file += &format!("PARAMETER temperature {}\n", prompt.temperature);
    if prompt.temperature > 0.0 {
        file += &format!("PARAMETER top_p {}\n", prompt.top_p);
    }
    // By default words that were said are made less likely.
    file += "PARAMETER repeat_penalty 1\n";
    file += &format!("PARAMETER num_predict {}\n", prompt.max_tokens);
    file += &format!("PARAMETER num_ctx {}\n", prompt.positions.min(MOST_CONTEXT));
    Ok(file)
}

/// The template in Go's language.
fn rendered(prompt: &Prompt, template: Template) -> Result<String> {
    let Prompt { before, after, .. } = prompt;
    let end = prompt.end.as_deref().unwrap_or_default();
    for text in [before, after, end] {
        ensure!(
            !text.contains("{{") && !text.contains("}}"),
            "the template has {text:?}, which means something else in Ollama's templates"
        );
    }
    Ok(match template {
        Template::Plain => format!(
            "{{{{ range .Messages }}}}{{{{ .Content }}}}{{{{ if eq .Role \"assistant\" }}}}{end}{{{{ else }}}}{after}{{{{ end }}}}{{{{ end }}}}"
        ),
        Template::Chatml => {
            let opening = after.strip_prefix("<|im_end|>\n").unwrap_or(after);
            format!(
                "{{{{ range .Messages }}}}<|im_start|>{{{{ .Role }}}}\n{{{{ .Content }}}}<|im_end|>\n{{{{ end }}}}{opening}"
            )
        }
        Template::Base => format!("{before}{{{{ .Prompt }}}}{after}"),
    })
}

/// A text in triple quotes, which know no escapes.
fn quoted(text: &str) -> Result<String> {
    ensure!(
        !text.contains("\"\"\"") && !text.ends_with('"'),
        "{text:?} cannot be quoted in a Modelfile"
    );
    Ok(format!("\"\"\"{text}\"\"\""))
}

#[cfg(test)]
mod tests {
    use super::super::prompt::Form;
    use super::*;

    fn prompt(before: &str, after: &str, end: &str) -> Prompt {
        Prompt {
            template: String::new(),
            jinja: String::new(),
            before: before.to_owned(),
            after: after.to_owned(),
            form: Form {
                prompts: 0,
                begins: String::new(),
                ends: String::new(),
                longest: 0,
            },
            stop: vec!["\n".to_owned(), ";".to_owned()],
            end: Some(end.to_owned()),
            ends: Vec::new(),
            max_tokens: 40,
            temperature: 0.0,
            top_p: 1.0,
            positions: 512,
        }
    }

    #[test]
    fn every_template_has_its_go_form() {
        let plain = modelfile(&prompt("", "\n", "<end>"), Template::Plain).unwrap();
        let expected = "FROM ./model.gguf\nTEMPLATE \"\"\"{{ range .Messages }}{{ .Content }}{{ if eq .Role \"assistant\" }}<end>{{ else }}\n{{ end }}{{ end }}\"\"\"\nPARAMETER stop \"\"\"\n\"\"\"\nPARAMETER stop \"\"\";\"\"\"\nPARAMETER temperature 0\nPARAMETER repeat_penalty 1\nPARAMETER num_predict 40\nPARAMETER num_ctx 512\n";
        assert_eq!(plain.split_once('\n').unwrap().1, expected);
        let chatml = prompt(
            "<|im_start|>user\n",
            "<|im_end|>\n<|im_start|>assistant\n",
            "<|im_end|>",
        );
        let chatml = modelfile(&chatml, Template::Chatml).unwrap();
        assert!(chatml.contains("\"\"\"{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n\"\"\""), "{chatml}");
        let base = modelfile(&prompt("[Q]", "[A]", "</s>"), Template::Base).unwrap();
        assert!(
            base.contains("TEMPLATE \"\"\"[Q]{{ .Prompt }}[A]\"\"\""),
            "{base}"
        );
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        let error = |before: &str, stop: &str| {
            let mut prompt = prompt(before, "", "");
            prompt.stop = vec![stop.to_owned()];
            modelfile(&prompt, Template::Base).unwrap_err().to_string()
        };
        assert!(error("{{", ";").contains("means something else"));
        assert!(error("", "\"\"\"").contains("cannot be quoted"));
        assert!(error("", "\"").contains("cannot be quoted"));
    }
}
