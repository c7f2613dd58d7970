//! Tools in chatml, as Qwen3's own template writes them: offered in the system turn, called in an answer, heard in a user's turn.

use crate::data::record::Turn;
use crate::data::template::json::dumps;
use crate::data::template::pieces::marked;
use crate::model::tokenizer::Tokenizer;
use anyhow::{Context, Result};
use serde_json::Value;

const OFFER: &str = "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function signatures within <tools></tools> XML tags:\n<tools>";
const ASK: &str = "\n</tools>\n\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call>";

/// The system text with the tools behind it. What they say of themselves is a stranger's, in which no added token is found: the text is to be cut
/// at `mark`.
pub fn offered(
    system: Option<String>,
    tools: &[Value],
    tokenizer: &Tokenizer,
    mark: char,
) -> Result<String> {
    let mut text = system.map_or(String::new(), |system| format!("{system}\n\n"));
    text += OFFER;
    for tool in tools {
        text.push('\n');
        text += &marked(tokenizer, &dumps(tool)?, false, mark);
    }
    Ok(text + ASK)
}

/// An answer's text with its calls behind it, to be cut at `mark`.
pub fn called(content: String, turn: &Turn, tokenizer: &Tokenizer, mark: char) -> Result<String> {
    let mut text = content;
    for call in &turn.tool_calls {
        let function = call.get("function").unwrap_or(call);
        let name = function.get("name").and_then(Value::as_str);
        let name = name.context("a call of a tool has no name")?;
        let arguments = match function.get("arguments") {
            // Some programs write them as JSON in a text.
            Some(Value::String(text)) => text.clone(),
            Some(arguments) => dumps(arguments)?,
            None => "{}".to_owned(),
        };
        let call = format!("{{\"name\": \"{name}\", \"arguments\": {arguments}}}");
        let apart = if text.is_empty() { "" } else { "\n" };
        let call = marked(tokenizer, &call, false, mark);
        text += &format!("{apart}<tool_call>\n{call}\n</tool_call>");
    }
    Ok(text)
}

/// What tools returned, one behind the other, as a user's text.
pub fn heard(said: &[String]) -> String {
    let said = said
        .iter()
        .map(|content| format!("<tool_response>\n{content}\n</tool_response>"));
    said.collect::<Vec<_>>().join("\n")
}

/// The texts of a row that have no turn's content.
pub fn texts(tools: &[Value], turns: &[Turn]) -> Result<Vec<String>> {
    let calls = turns.iter().flat_map(|turn| &turn.tool_calls);
    tools.iter().chain(calls).map(dumps).collect()
}

/// Of the Jinja template: where tools are offered, in an answer, and the turn in which they are heard.
pub const JINJA_OFFER: &str = r##"{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\n\n' }}
    {%- endif %}
    {{- OFFER }}
    {%- for tool in tools %}
        {{- '\n' + (tool | tojson) }}
    {%- endfor %}
    {{- ASK }}
    {{- '<|im_end|>\n' }}
{%- endif %}
"##;
pub const JINJA_CALL: &str = r#"{%- for call in message.tool_calls or [] %}
            {%- set function = call.function or call %}
            {%- if message.content or not loop.first %}
                {{- '\n' }}
            {%- endif %}
            {{- '<tool_call>\n{"name": "' + function.name + '", "arguments": ' }}
            {{- function.arguments if function.arguments is string else (function.arguments or {}) | tojson }}
            {{- '}\n</tool_call>' }}
        {%- endfor %}"#;
pub const JINJA_HEAR: &str = r"{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
            {{- '<|im_end|>\n' }}
        {%- endif %}";

/// [`JINJA_OFFER`] with its texts.
pub fn jinja_offer() -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    JINJA_OFFER
        .replace("OFFER", &quoted(OFFER))
        .replace("ASK", &quoted(ASK))
}
