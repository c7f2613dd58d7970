//! A model behind an OpenAI-compatible endpoint, asked one thing at a time.

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use ureq::{Agent, RequestBuilder};

/// Longest that connecting, and an answer, may take.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(120);
/// Most bytes of an answer that are read.
const MOST: u64 = 1 << 20;
/// Most characters of an answer that an error shows.
const SHOWN: usize = 200;
/// How often a call is made before it is given up, and the wait before the second; each further wait is twice as long.
const TRIES: u32 = 3;
const WAIT: Duration = Duration::from_secs(1);

/// An endpoint and a model of it.
pub struct Chat {
    agent: Agent,
    url: String,
    key: Option<String>,
    model: String,
}

impl Chat {
    /// The endpoint at `url`, such as `http://localhost:8080/v1`; without a model, the first that it lists. A key is sent where
    /// `OPENAI_API_KEY` has one.
    ///
    /// # Errors
    /// When it is not there, or lists no model.
    pub fn at(url: &str, model: Option<&str>) -> Result<Self> {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // A question and a key go to nobody else.
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(ANSWER))
            .build();
        let key = std::env::var("OPENAI_API_KEY").ok();
        let mut chat = Self {
            agent: agent.into(),
            url: url.trim_end_matches('/').to_owned(),
            key: key
                .map(|key| key.trim().to_owned())
                .filter(|key| !key.is_empty()),
            model: String::new(),
        };
        chat.model = match model {
            Some(model) => printable(model),
            None => {
                let listed = chat.call("models", None)?;
                let first = listed["data"][0]["id"].as_str();
                first
                    .map(printable)
                    .with_context(|| format!("{url} lists no model: name one"))?
            }
        };
        Ok(chat)
    }

    /// The model's name.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// What the model says to `message`, in at most `tokens` tokens; it may be nothing.
    ///
    /// # Errors
    /// When the endpoint is gone, too slow, or refuses, after some tries.
    pub fn ask(&self, message: &str, tokens: usize, seed: u64) -> Result<String> {
        let body = json!({
            "model": self.model,
            "messages": [{"role": "user", "content": message}],
            "temperature": 0.7,
            "max_tokens": tokens,
            "seed": seed,
        });
        let answer = self.call("chat/completions", Some(&body))?;
        let said = answer["choices"][0]["message"].get("content");
        let said = said.filter(|said| said.is_string() || said.is_null());
        let said = said.with_context(|| {
            format!("{}: the answer has no choices[0].message.content", self.url)
        })?;
        Ok(said.as_str().unwrap_or_default().to_owned())
    }

    fn call(&self, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut wait = WAIT;
        for _ in 1..TRIES {
            match self.once(path, body) {
                Err((true, _)) => std::thread::sleep(wait),
                other => return other.map_err(|(_, error)| error),
            }
            wait *= 2;
        }
        self.once(path, body).map_err(|(_, error)| error)
    }

    fn with_key<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.key {
            Some(key) => request.header("Authorization", format!("Bearer {key}")),
            None => request,
        }
    }

    /// An error says whether another try may help.
    fn once(&self, path: &str, body: Option<&Value>) -> Result<Value, (bool, anyhow::Error)> {
        let url = format!("{}/{path}", self.url);
        let answer = match body {
            Some(body) => self.with_key(self.agent.post(&url)).send_json(body),
            None => self.with_key(self.agent.get(&url)).call(),
        };
        let mut answer =
            answer.map_err(|error| (true, anyhow!("{url} does not answer: {error}")))?;
        let status = answer.status();
        let text = answer
            .body_mut()
            .with_config()
            .limit(MOST)
            .read_to_string()
            .map_err(|error| (true, anyhow!("{url}: the answer breaks off: {error}")))?;
        if status.is_redirection() {
            let other = answer.headers().get("location");
            let other = other
                .and_then(|other| other.to_str().ok())
                .unwrap_or("elsewhere");
            let other = other.escape_debug();
            return Err((
                false,
                anyhow!("{url} leads to {other}, which is not followed: give the address itself"),
            ));
        }
        if !status.is_success() {
            let said = text.trim().replace(char::is_control, " ");
            let said: String = said.chars().take(SHOWN).collect();
            let again = status.as_u16() == 429 || status.is_server_error();
            return Err((again, anyhow!("{url}: {status}: {said}")));
        }
        serde_json::from_str(&text).map_err(|error| {
            let error = match text.trim_start().starts_with('<') {
                true => anyhow!("{url}: the answer is a web page: give the address of the API, such as http://localhost:8080/v1"),
                false => anyhow!("{url}: the answer is no JSON: {error}"),
            };
            (false, error)
        })
    }
}

/// Refuses what is no address of an endpoint.
pub fn check(url: &str) -> Result<()> {
    ensure!(
        url.starts_with("http://") || url.starts_with("https://"),
        "{} is no address: give one such as http://localhost:8080/v1",
        url.escape_debug()
    );
    Ok(())
}

/// A name without what moves a terminal's cursor or colours its text.
fn printable(name: &str) -> String {
    let mut parts = name.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
    // The letter that ends a sequence.
    let rest = rest.map(|part| part.get(1..).unwrap_or_default());
    (first + &rest.collect::<String>()).replace(char::is_control, " ")
}
