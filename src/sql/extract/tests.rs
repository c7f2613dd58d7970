use super::*;

fn found(reply: &str) -> Found {
    Extraction::Statement.find(reply)
}

fn query(reply: &str) -> Option<String> {
    found(reply).query().map(str::to_owned)
}
