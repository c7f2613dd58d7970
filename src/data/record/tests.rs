use super::*;
use serde_json::json;

fn line(json: &str) -> Line {
    Line::parse(3, json).unwrap()
}

fn columns(texts: &[&str]) -> Result<Columns> {
    let texts: Vec<String> = texts.iter().map(|text| text.to_string()).collect();
    Columns::parse(&texts)
}

fn parse(json: &str) -> Result<Content> {
    mapped(json, &[])
}

fn mapped(json: &str, fields: &[&str]) -> Result<Content> {
    let columns = columns(fields)?;
    format::learned(&Row::new(Path::new("t.jsonl"), &line(json), &columns)?)
}

fn asked(json: &str) -> Result<Conversation> {
    let columns = Columns::default();
    Ok(prompts(Path::new("t.jsonl"), &[line(json)], &columns)?.remove(0))
}

fn conversation(json: &str) -> Conversation {
    match parse(json).unwrap() {
        Content::Turns(conversation) => conversation,
        text => panic!("{text:?}"),
    }
}

/// `(role, content, learned)` of each turn.
fn said(conversation: &Conversation) -> Vec<(&'static str, &str, bool)> {
    let turns = conversation.turns.iter();
    turns
        .map(|turn| (turn.role.name(), turn.content.as_str(), turn.learned))
        .collect()
}

#[test]
fn every_format_is_read() {
    for json in [
        r#"{"instruction":"q","response":"a"}"#,
        r#"{"id":1,"prompt":"q","completion":"a","text":null,"source":"s"}"#,
        r#"{"prompt":null,"completion":null,"instruction":"q","output":"a","input":" "}"#,
        r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}"#,
        r#"{"messages":[{"role":"User","content":[{"type":"text","text":"q"}]},{"role":"ASSISTANT","content":"a"}]}"#,
        r#"{"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]}"#,
        r#"{"prompt":[{"role":"user","content":"q"}],"completion":[{"role":"assistant","content":"a"}]}"#,
    ] {
        let found = conversation(json);
        assert_eq!(
            said(&found),
            [("user", "q", false), ("assistant", "a", true)],
            "{json}"
        );
        let asks = asked(json).unwrap();
        assert_eq!(said(&asks), [("user", "q", false)], "{json}");
    }
    assert_eq!(
        parse(r#"{"text":"once"}"#).unwrap(),
        Content::Text("once".into())
    );
}

#[test]
fn what_stands_beside_a_question_counts() {
    let row = r#"{"instruction":"Say it in Latin.","input":"good day","output":"salve","system":"Be brief."}"#;
    let expected = [
        ("system", "Be brief.", false),
        ("user", "Say it in Latin.\n\ngood day", false),
        ("assistant", "salve", true),
    ];
    assert_eq!(said(&conversation(row)), expected);
    assert_eq!(said(&asked(row).unwrap()), expected[..2]);
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    for offered in [tools.clone(), tools.to_string().into()] {
        let row = json!({"tools": offered, "prompt": "q", "completion": "a"}).to_string();
        assert_eq!(conversation(&row).tools, *tools.as_array().unwrap());
        assert_eq!(asked(&row).unwrap().tools.len(), 1);
    }
}

#[test]
fn thoughts_and_tools_are_kept() {
    let row = r#"{"messages":[{"role":"user","content":"q"},
        {"role":"assistant","thinking":"hm","content":null,"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"1","content":"3"},{"role":"assistant","reasoning_content":"so","content":"a"}]}"#;
    let turns = conversation(row).turns;
    let thoughts: Vec<_> = turns.iter().map(|turn| turn.reasoning.as_deref()).collect();
    assert_eq!(thoughts, [None, Some("hm"), None, Some("so")]);
    assert_eq!(turns[1].tool_calls[0]["function"]["name"], "f");
    assert_eq!((turns[1].content.as_str(), turns[2].role), ("", Role::Tool));
    assert_eq!(turns[2].answers["tool_call_id"], "1");
    assert_eq!(asked(row).unwrap().turns, {
        let mut before = turns[..3].to_vec();
        before[1].learned = false;
        before
    });
    let pair = r#"{"prompt":"q","completion":"a","reasoning":"r"}"#;
    assert_eq!(conversation(pair).turns[1].reasoning.as_deref(), Some("r"));
}

#[test]
fn turns_of_weight_0_are_not_learned() {
    let chat = |first: &str, second: &str| {
        format!(
            r#"{{"messages":[{{"role":"user","content":"q"}},{{"role":"assistant","content":"a"{first}}},
                {{"role":"user","content":"r"}},{{"role":"assistant","content":"b"{second}}}]}}"#
        )
    };
    let learned = |json: &str| {
        let turns = conversation(json).turns;
        turns.iter().map(|turn| turn.learned).collect::<Vec<_>>()
    };
    for off in [
        r#","weight":0"#,
        r#","train":false"#,
        r#","loss":false"#,
        r#","training":0.0"#,
    ] {
        assert_eq!(
            learned(&chat(off, "")),
            [false, false, false, true],
            "{off}"
        );
        assert_eq!(
            learned(&chat("", off)),
            [false, true, false, false],
            "{off}"
        );
        let none = parse(&chat(off, off)).unwrap_err().to_string();
        assert!(none.contains("no answer with a loss"), "{none}");
    }
    assert_eq!(
        learned(&chat(r#","weight":1"#, r#","train":true"#)),
        [false, true, false, true]
    );
    // What an assistant said in the question is given.
    let row = r#"{"prompt":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"user","content":"r"}],
        "completion":[{"role":"assistant","content":"b"}]}"#;
    assert_eq!(learned(row), [false, false, false, true]);
}

#[test]
fn what_would_be_dropped_is_refused_by_name() {
    let chat = r#""messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]"#;
    let pair = r#""prompt":"q","completion":"a""#;
    for (row, expected) in [
        (format!(r#"{{{pair},"context":"c"}}"#), "\"context\" is not read, and changes what the row means: --field input=context"),
        (format!(r#"{{{chat},"context":"c"}}"#), "\"context\" is not read"),
        (r#"{"messages":[{"role":"user","name":"Bo","content":"q"},{"role":"assistant","content":"a"}]}"#.into(), "name is not read"),
        (format!(r#"{{{pair},"system_prompt":"c"}}"#), "--field system=system_prompt"),
        (format!(r#"{{{pair},"history":[["a","b"]]}}"#), "\"history\" is not read"),
        (format!(r#"{{{pair},"images":["a.png"]}}"#), "only text is read"),
        (format!(r#"{{{pair},"weight":0.5}}"#), "\"weight\" is not 1"),
        (format!(r#"{{{pair},"train":false}}"#), "\"train\" is not 1"),
        (format!(r#"{{{pair},"label":false}}"#), "\"label\" is false"),
        (format!(r#"{{{chat},"input":"x"}}"#), "\"input\" belongs to an instruction"),
        (format!(r#"{{{chat},"reasoning":"x"}}"#), "\"reasoning\" belongs into the message"),
        (format!(r#"{{{pair},{chat}}}"#), "\"prompt\" and completion, messages say two things"),
        (r#"{"prompt":"q","text":"t"}"#.into(), "\"prompt\" and text say two things"),
        (r#"{"prompt":"q","instruction":"r","response":"a"}"#.into(), "\"instruction\" and prompt, response say two things"),
        (r#"{"prompt":"q","response":"a","output":"b"}"#.into(), "\"prompt\" and response, output say two things"),
        (r#"{"text":"t","system":"s"}"#.into(), "\"system\" belongs to a conversation"),
        (r#"{"text":"t","tools":[{"name":"f"}]}"#.into(), "\"tools\" belongs to a conversation"),
        (r#"{"prompt":"q","chosen":"a","rejected":"b"}"#.into(), "a preference row"),
        (format!(r#"{{{chat},"tools":7}}"#), "\"tools\" must be a list of objects"),
        (r#"{"prompt":"q","prompt":"r","completion":"a"}"#.into(), "\"prompt\" is there twice"),
        (r#"{"messages":[{"role":"user","role":"user","content":"q"}]}"#.into(), "\"messages\" has the key \"role\" twice"),
        (r#"{"system":"s","messages":[{"role":"system","content":"t"},{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}"#.into(), "\"system\" says what the system turn"),
        (r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"user","content":"r"}]}"#.into(), "ends with a user turn that nothing answers"),
        (r#"{"prompt":"q","completion":[{"role":"assistant","content":"a"}]}"#.into(), "\"completion\" and prompt must both be"),
        (r#"{"prompt":"q","completion":"a","reasoning":"r","thinking":"s"}"#.into(), "keep one"),
    ] {
        let error = parse(&row).unwrap_err().to_string();
        assert!(error.starts_with("t.jsonl:3: field \""), "{row}: {error}");
        assert!(error.contains(expected), "{row}: {error}");
    }
    // Empty, they say nothing.
    for blank in ["null", "\"\"", "[]"] {
        let row = format!(r#"{{{pair},"context":{blank},"history":{blank},"tools":{blank}}}"#);
        assert!(parse(&row).is_ok(), "{row}");
    }
    // Answers do not matter to who asks.
    let row = r#"{"prompt":"q","response":"a","output":"b","chosen":"c","weight":0,"label":false}"#;
    assert_eq!(said(&asked(row).unwrap()), [("user", "q", false)]);
}

#[test]
fn errors_name_place_field_and_message() {
    let message =
        |message: &str| format!(r#"{{"messages":[{{"role":"user","content":"q"}},{message}]}}"#);
    for (row, expected) in [
        (r#"{"question":"q"}"#.to_owned(), "no known format"),
        (r#"{"output":"q"}"#.into(), "no known format"),
        (
            r#"{"instruction":"q","response":null}"#.into(),
            "\"response\" is null",
        ),
        (
            r#"{"instruction":"q"}"#.into(),
            "no answer: field \"response\"",
        ),
        (
            r#"{"prompt":"q","completion":7}"#.into(),
            "\"completion\" must be a string, found number",
        ),
        (
            r#"{"prompt":7,"completion":"a"}"#.into(),
            "\"prompt\" must be a string, found number",
        ),
        (
            r#"{"prompt":" ","completion":"a"}"#.into(),
            "\"prompt\" is empty",
        ),
        (
            r#"{"prompt":"q","completion":""}"#.into(),
            "\"completion\" is empty",
        ),
        (r#"{"text":3}"#.into(), "\"text\" must be a string"),
        (r#"{"messages":[]}"#.into(), "has no messages"),
        (
            r#"{"messages":"[{}]"}"#.into(),
            "found JSON inside of a string",
        ),
        (r#"{"messages":{"role":"user"}}"#.into(), "found object"),
        (
            r#"{"messages":[{"role":"system","content":"s"}]}"#.into(),
            "no assistant turn",
        ),
        (message("3"), "message 1: must be an object"),
        (message(r#"{"content":"a"}"#), "message 1: has no role"),
        (
            message(r#"{"role":"assistant"}"#),
            "message 1: has no content",
        ),
        (
            message(r#"{"role":"assistant","content":null}"#),
            "message 1: content is null",
        ),
        (
            message(r#"{"role":"assistant","content":" "}"#),
            "message 1: content is empty",
        ),
        (
            message(r#"{"role":"assistant","content":{"a":1}}"#),
            "content must be a string, found object",
        ),
        (
            message(r#"{"role":"assistant","content":[{"type":"image_url"}]}"#),
            "a part of type \"image_url\"",
        ),
        (
            message(r#"{"role":"developer","content":"x"}"#),
            "write \"system\"",
        ),
        (
            message(r#"{"role":"model","content":"x"}"#),
            "write \"assistant\"",
        ),
        (
            message(r#"{"role":"robot","content":"x"}"#),
            "role \"robot\" is not",
        ),
        (
            message(r#"{"role":"assistant","from":"gpt","content":"x"}"#),
            "both role and from",
        ),
        (
            message(r#"{"role":"assistant","content":"x","weight":0.5}"#),
            "weight is 0.5",
        ),
        (
            message(r#"{"role":"assistant","content":"x","weight":1,"train":false}"#),
            "do not agree",
        ),
        (
            message(r#"{"role":"user","content":"x","train":true}"#),
            "only what the assistant says",
        ),
        (
            message(r#"{"role":"user","content":"x","reasoning_content":"y"}"#),
            "only the assistant",
        ),
        (
            message(r#"{"role":"assistant","content":"x","reasoning":"y","thinking":"z"}"#),
            "both reasoning and thinking",
        ),
        (
            message(r#"{"role":"assistant","content":null,"tool_calls":[{"id":"1"}]}"#),
            "no function name",
        ),
        (
            message(r#"{"role":"assistant","content":"x","function_call":{"name":"f"}}"#),
            "function_call is not read",
        ),
    ] {
        let error = parse(&row).unwrap_err().to_string();
        assert!(error.starts_with("t.jsonl:3: "), "{row}: {error}");
        assert!(error.contains(expected), "{row}: {error}");
    }
    for (row, expected) in [
        (r#"{"text":"x"}"#, "t.jsonl:3: field \"prompt\""),
        (
            r#"{"question":"x"}"#,
            "found fields: question (--field prompt=COLUMN",
        ),
        (r#"{"prompt":""}"#, "\"prompt\" is empty"),
        (r#"{"prompt":"q","context":"c"}"#, "\"context\" is not read"),
        (
            r#"{"messages":[{"role":"assistant","content":"a"}]}"#,
            "nothing to answer",
        ),
        (
            r#"{"messages":[{"role":"system","content":"a"}]}"#,
            "nothing to answer",
        ),
    ] {
        let error = asked(row).unwrap_err().to_string();
        assert!(error.contains(expected), "{row}: {error}");
    }
}

#[test]
fn columns_of_other_names_are_read() {
    let row = r#"{"question":"q","context":"c","sql":"a","prompt":"mine"}"#;
    let found = mapped(row, &["prompt=question", "input=context", "completion=sql"]).unwrap();
    let Content::Turns(found) = found else {
        panic!("{found:?}")
    };
    assert_eq!(
        said(&found),
        [("user", "q\n\nc", false), ("assistant", "a", true)]
    );
    let chosen = r#"{"prompt":"q","chosen":"a","rejected":"b"}"#;
    assert!(mapped(chosen, &["response=chosen"]).is_ok());
    // A column that stands for another field is not that field too.
    assert!(mapped(r#"{"input":"q","output":"a"}"#, &["prompt=input"]).is_ok());
    let named = mapped(r#"{"q":7,"completion":"a"}"#, &["prompt=q"]).unwrap_err();
    assert_eq!(
        named.to_string(),
        "t.jsonl:3: field \"q\" must be a string, found number"
    );
    for (text, expected) in [
        (&["question"][..], "is not FIELD=COLUMN"),
        (&["prompt="], "is not FIELD=COLUMN"),
        (&["promt=question"], "no format has a field \"promt\""),
        (&["prompt=a", "prompt=b"], "prompt=a is given too"),
        (&["prompt=a", "text=a"], "prompt=a is given too"),
    ] {
        let error = columns(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_column_that_no_row_has_and_all_bad_rows_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.jsonl");
    let rows = "{\"prompt\":\"a\",\"completion\":\"\"}\n{\"prompt\":\"b\",\"completion\":\"c\"}\n{\"prompt\":\"d\"}\nnot json\n";
    std::fs::write(&path, rows).unwrap();
    let error = read(&path, &Columns::default()).unwrap_err().to_string();
    assert!(error.starts_with("3 rows are wrong: "), "{error}");
    for part in [
        ":1: field \"completion\" is empty",
        ":3: no answer",
        ":4: not JSON",
    ] {
        assert!(error.contains(part), "{error}");
    }
    let columns = columns(&["prompt=question"]).unwrap();
    let error = read(&path, &columns).unwrap_err().to_string();
    assert!(
        error.ends_with("t.jsonl: no row has the column \"question\" (--field prompt=question)"),
        "{error}"
    );
    let missing = read(&folder.path().join("none"), &columns).unwrap_err();
    assert!(missing.to_string().contains("cannot open"), "{missing}");
}

#[test]
fn an_end_token_in_an_answer_is_taken_off() {
    let record = |content| Record {
        place: "t.jsonl:1".into(),
        content,
    };
    let ends = ["<end>".to_owned(), "<eos>".to_owned()];
    let pair = |answer: &str| {
        let turns = vec![
            Turn::new(Role::User, "q<end>".into()),
            Turn::new(Role::Assistant, answer.into()),
        ];
        record(Content::Turns(turns.into()))
    };
    let mut rows = [
        pair("a<end>\n"),
        pair("a <eos><end>"),
        pair("<end> a"),
        record(Content::Text("t<end>".into())),
    ];
    assert_eq!(strip_ends(&mut rows, &ends).unwrap().len(), 3);
    assert_eq!(
        rows,
        [
            pair("a"),
            pair("a "),
            pair("<end> a"),
            record(Content::Text("t".into()))
        ]
    );
    let nothing = strip_ends(&mut [pair("<end>")], &ends).unwrap_err();
    assert!(
        nothing.to_string().contains("nothing but the end token"),
        "{nothing}"
    );
}
