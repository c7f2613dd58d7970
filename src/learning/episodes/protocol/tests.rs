use super::*;
use crate::data::record;
use crate::db::notes::Dialect;
use crate::learning::episodes::call::{ALL_TABLES, DEFINITIONS, EXECUTE, FILTER_TABLES};
use serde_json::json;

const BOTH: [Protocol; 2] = [Protocol::Tags, Protocol::Calls];

fn every() -> [Call; 5] {
    [
        Call::new(ALL_TABLES, json!({})),
        Call::new(FILTER_TABLES, json!({"q": "boat"})),
        Call::new(DEFINITIONS, json!({"table_names": ["boats", "crews"]})),
        Call::new(
            EXECUTE,
            json!({"query": "SELECT 1 < 2\nFROM \"boats\" WHERE a = '</b>'"}),
        ),
        Call::answer("SELECT name FROM boats"),
    ]
}

/// What a model says that is to say `turn`.
fn text(turn: &Turn) -> String {
    let calls = turn.tool_calls.iter().map(|call| {
        let call = &call["function"];
        format!("<tool_call>\n{call}\n</tool_call>")
    });
    format!("{}{}", turn.content, calls.collect::<String>())
}

#[test]
fn what_is_to_be_said_is_understood() {
    for protocol in BOTH {
        for call in every() {
            let said = text(&protocol.says(&call));
            assert_eq!(protocol.call(&said, false), Ok(call.clone()), "{said}");
            let wordy = format!("Let me look.\n{said}\nand <sql>DROP</sql>");
            assert_eq!(protocol.call(&wordy, true), Ok(call), "{wordy}");
            let stops = protocol.stops();
            assert!(stops.iter().any(|stop| said.ends_with(stop)), "{said}");
        }
    }
}

#[test]
fn a_turn_that_ended_by_itself_need_not_be_closed() {
    let tags = |said| Protocol::Tags.call(said, false);
    assert_eq!(tags("<solution>SELECT 1"), Ok(Call::answer("SELECT 1")));
    assert_eq!(tags("<tables></tables>"), Ok(every()[0].clone()));
    assert_eq!(
        tags("<schema>\"boats\",\n`crews`</schema>"),
        Ok(every()[2].clone())
    );
    let calls = |said| Protocol::Calls.call(said, false);
    assert_eq!(
        calls("<tool_call>{\"name\": \"all_table_names\"}"),
        Ok(every()[0].clone())
    );
    assert_eq!(
        calls(r#"<tool_call>{"name": "filter_table_names", "arguments": "{\"q\": \"boat\"}"}"#),
        Ok(every()[1].clone())
    );
}

#[test]
fn what_is_no_call_is_told_why() {
    for (protocol, said, cut, why) in [
        (Protocol::Tags, "SELECT 1", false, "No call found"),
        (Protocol::Tags, "", false, "No call found"),
        (Protocol::Tags, "<sql>SELECT", true, "cut before </sql>"),
        (Protocol::Tags, "<sql> </sql>", false, "nothing in it"),
        (
            Protocol::Calls,
            "<sql>SELECT 1</sql>",
            false,
            "No call found",
        ),
        (Protocol::Calls, "<tool_call>{\"name\"", true, "cut before"),
        (Protocol::Calls, "<tool_call>{\"name\"", false, "no JSON"),
        (Protocol::Calls, "<tool_call>[]", false, "no name"),
        (
            Protocol::Calls,
            r#"<tool_call>{"name": "f", "arguments": 7}"#,
            false,
            "no object",
        ),
        (
            Protocol::Calls,
            r#"<tool_call>{"name": "final_answer", "arguments": {"query": "SELECT 1"}}"#,
            false,
            "needs the query",
        ),
    ] {
        let NoCall(told) = protocol.call(said, cut).unwrap_err();
        assert!(told.contains(why), "{told}");
    }
    let deep = format!("<tool_call>{}", "[".repeat(100_000));
    assert!(Protocol::Calls.call(&deep, false).is_err());
}

#[test]
fn the_model_is_told_its_tools_its_turns_and_what_is_known() {
    let setting = Setting {
        dialect: Dialect::Duckdb,
        turns: 4,
        knowledge: Some("An oar is 3 m long.\n"),
        tools: &[json!({"name": "f"})],
    };
    let asked: Conversation = record::user("How long?".to_owned());
    for protocol in BOTH {
        let begun = protocol.begin(&asked, &setting).unwrap();
        let system = &begun.turns[0];
        assert_eq!(system.role, Role::System);
        for part in ["duckdb", "4 turns", "An oar is 3 m long."] {
            assert!(system.content.contains(part), "{}", system.content);
        }
        assert_eq!(begun.turns[1..], asked.turns);
        assert_eq!(begun.tools.len(), usize::from(protocol == Protocol::Calls));
        let mut own = asked.clone();
        own.turns
            .insert(0, Turn::new(Role::System, "Be brief.".to_owned()));
        let begun = protocol.begin(&own, &setting).unwrap();
        assert!(begun.turns[0].content.starts_with("Be brief.\n\nAnswer"));
        own.tools.push(json!({"name": "g"}));
        assert!(protocol.begin(&own, &setting).is_err());
    }
}
