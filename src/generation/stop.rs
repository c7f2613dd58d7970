//! When an answer ends, beside the end-of-sequence token.

use crate::model::config::Config;
use crate::model::tokenizer::Tokenizer;
use anyhow::Result;

/// The limits of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct StopConfig {
    /// Longest answer in tokens.
    pub max_tokens: usize,
    /// Texts that end an answer and are cut from it. A special token is shown by its name.
    pub stop: Vec<String>,
}

impl Default for StopConfig {
    fn default() -> Self {
        Self {
            max_tokens: 96,
            stop: Vec::new(),
        }
    }
}

impl StopConfig {
    /// Why a prompt of `tokens` tokens cannot be answered: with its longest answer it exceeds the model's positions.
    pub fn too_long(&self, tokens: usize, model: &Config) -> Option<String> {
        let most = model.max_position_embeddings;
        if tokens.saturating_add(self.max_tokens) <= most {
            return None;
        }
        let longest = self.max_tokens;
        let advice = match most.saturating_sub(tokens) {
            0 => "shorten it".to_owned(),
            left => format!("shorten it, or lower --max-tokens to {left}"),
        };
        Some(format!(
            "the prompt has {tokens} tokens; with an answer of {longest} it exceeds the model's {most} positions: {advice}"
        ))
    }
}

/// Stop texts, as a tokenizer sees them.
pub struct Stops {
    texts: Vec<String>,
    /// Those that name a special token, which decoded text leaves out.
    special: Vec<String>,
    /// The tokens that are a stop text by themselves, whatever a decoder makes of their names.
    ids: Vec<u32>,
}

impl Stops {
    pub fn new(texts: &[String], tokenizer: &Tokenizer) -> Self {
        let names = |text: &&String| tokenizer.names_special(text);
        let special: Vec<String> = texts.iter().filter(names).cloned().collect();
        Self {
            ids: special
                .iter()
                .filter_map(|text| tokenizer.id(text))
                .collect(),
            special,
            texts: texts.to_vec(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The text of `tokens` before the first stop text, if one occurs in them, or in them with the end-of-sequence token `end`
    /// behind them.
    pub fn cut(
        &self,
        tokenizer: &Tokenizer,
        tokens: &[u32],
        end: Option<u32>,
    ) -> Result<Option<String>> {
        let text = tokenizer.decode(tokens)?;
        let plain = first(&text, &self.texts).map(|at| text[..at].to_owned());
        if self.special.is_empty() {
            return Ok(plain);
        }
        if let Some((last, before)) = tokens.split_last()
            && self.ids.contains(last)
        {
            return Ok(Some(tokenizer.decode(before)?));
        }
        let tokens: Vec<u32> = tokens.iter().copied().chain(end).collect();
        let shown = tokenizer.show(&tokens)?;
        let special = match first(&shown, &self.special) {
            Some(at) => Some(before(tokenizer, &tokens, &shown, at)?),
            None => None,
        };
        let cuts = [plain, special].into_iter().flatten();
        Ok(cuts.min_by_key(String::len))
    }
}

/// Where the first of `stops` begins in `text`.
fn first(text: &str, stops: &[String]) -> Option<usize> {
    stops
        .iter()
        .filter_map(|stop| text.find(stop.as_str()))
        .min()
}

/// The first `at` bytes of `shown`, which `tokens` are, without special tokens.
fn before(tokenizer: &Tokenizer, tokens: &[u32], shown: &str, at: usize) -> Result<String> {
    let (mut whole, mut length) = (tokens.len(), shown.len());
    while length > at {
        whole -= 1;
        let text = tokenizer.show(&tokens[..whole])?;
        // Half a character is shown as another, until its rest comes.
        length = match shown.starts_with(&text) {
            true => text.len(),
            false => usize::MAX,
        };
    }
    let mut text = tokenizer.decode(&tokens[..whole])?;
    let next = tokenizer.show(&tokens[whole..=whole])?;
    if !tokenizer.names_special(&next) {
        text += &shown[length..at];
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config_json;
    use std::path::Path;

    /// Bytes are its tokens; 257 is `<|im_start|>`, 258 `<|im_end|>`.
    fn tokenizer() -> Tokenizer {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tiny-llama");
        Tokenizer::from_file(&path.join("tokenizer.json"), vec![256]).unwrap()
    }

    fn cut(stops: &[&str], parts: &[&str], end: Option<u32>) -> Option<String> {
        let tokenizer = tokenizer();
        let stops: Vec<String> = stops.iter().map(|stop| stop.to_string()).collect();
        let stops = Stops::new(&stops, &tokenizer);
        let tokens = parts.iter().map(|part| tokenizer.encode(part).unwrap());
        stops
            .cut(&tokenizer, &tokens.collect::<Vec<_>>().concat(), end)
            .unwrap()
    }

    #[test]
    fn the_earliest_stop_text_cuts() {
        let text = |stops: &[&str]| cut(stops, &["select 1; x\n"], None);
        assert_eq!(text(&["\n", ";"]).unwrap(), "select 1");
        assert_eq!(text(&["select 2"]), None);
    }

    #[test]
    fn special_tokens_are_seen_in_stop_texts_and_left_out_of_answers() {
        let said = ["<|im_start|>", "é 1", "\n", "<|im_end|>", "<|im_start|>"];
        for (stop, expected) in [
            ("<|im_end|>", "é 1\n"),
            ("<|im_end|><|im_start|>", "é 1\n"),
            ("\n<|im_end|>", "é 1"),
            ("1\n<|im_end|><|im", "é "),
            ("<|im_start|>é", ""),
            ("end|><|im_start|>", "é 1\n"),
        ] {
            assert_eq!(
                cut(&[stop], &said, None).as_deref(),
                Some(expected),
                "{stop}"
            );
        }
        // What is left out of the text is not met by the way.
        assert_eq!(cut(&["|im_end", " <|im_end|>"], &said, None), None);
        assert_eq!(cut(&["é 1\n<|im_start|>"], &said, None), None);
        assert_eq!(cut(&["1", "<|im_end|>"], &said, None).unwrap(), "é ");
    }

    #[test]
    fn an_end_token_may_close_a_stop_text() {
        assert_eq!(cut(&[";<|endoftext|>"], &["a;"], Some(256)).unwrap(), "a");
        assert_eq!(cut(&[";<|endoftext|>"], &["a;"], None), None);
    }

    #[test]
    fn a_prompt_that_does_not_fit_says_what_to_do() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tiny-llama");
        let (model, _) = config_json::read(&path.join("config.json")).unwrap();
        let (stop, most) = (StopConfig::default(), model.max_position_embeddings);
        assert_eq!(stop.too_long(most - 96, &model), None);
        let reason = stop.too_long(most - 10, &model).unwrap();
        assert!(reason.ends_with("or lower --max-tokens to 10"), "{reason}");
        let reason = stop.too_long(most, &model).unwrap();
        assert!(reason.ends_with("positions: shorten it"), "{reason}");
    }
}
