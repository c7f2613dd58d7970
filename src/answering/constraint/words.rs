//! What SQLite's words mean to names.

/// What a word between or behind operands does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// A table follows.
    Source,
    /// A condition of a join follows.
    On,
    Using,
    /// No more tables follow.
    Ends,
    /// The same, and a word follows that is no name.
    EndsFree,
    /// A new name follows.
    As,
    /// An operand follows.
    Begin,
    Is,
    Not,
    Distinct,
    /// A word follows that is no name.
    Free,
    /// It ends an operand.
    Operand,
    /// A window follows.
    Over,
    /// A condition in brackets follows.
    Filter,
    Case,
    CaseEnd,
    /// Another SELECT follows, and no more tables.
    Set,
    /// What stands in these brackets are words that are no names.
    Frame,
}

/// Of a word behind an operand, in small letters; `None` of one that has no meaning there.
pub fn behind(word: &[u8]) -> Option<Meaning> {
    Some(match word {
        b"from" | b"join" => Meaning::Source,
        b"on" => Meaning::On,
        b"using" => Meaning::Using,
        b"where" | b"having" | b"limit" => Meaning::Ends,
        b"union" | b"intersect" | b"except" => Meaning::Set,
        b"group" | b"order" | b"window" => Meaning::EndsFree,
        b"as" => Meaning::As,
        b"by" | b"and" | b"or" | b"in" | b"like" | b"glob" | b"regexp" | b"match" | b"between"
        | b"when" | b"then" | b"else" | b"escape" | b"offset" => Meaning::Begin,
        b"is" => Meaning::Is,
        b"not" | b"left" | b"right" | b"full" | b"inner" | b"cross" | b"outer" | b"natural"
        | b"collate" | b"nulls" => Meaning::Free,
        b"filter" => Meaning::Filter,
        b"over" => Meaning::Over,
        b"end" => Meaning::CaseEnd,
        b"isnull" | b"notnull" | b"null" | b"asc" | b"desc" => Meaning::Operand,
        b"rows" | b"range" | b"groups" => Meaning::Frame,
        _ => return None,
    })
}

/// Words behind an operand, those of CASE, those behind a table, and those that end FROM.
const OPERATORS: [&[u8]; 18] = [
    b"and", b"as", b"between", b"collate", b"escape", b"filter", b"from", b"glob", b"in", b"is",
    b"isnull", b"like", b"match", b"not", b"notnull", b"or", b"over", b"regexp",
];
const OF_CASE: [&[u8]; 4] = [b"else", b"end", b"then", b"when"];
const JOINS: [&[u8]; 9] = [
    b"cross", b"full", b"inner", b"join", b"left", b"natural", b"on", b"right", b"using",
];
const ENDS: [&[u8]; 9] = [
    b"except",
    b"group",
    b"having",
    b"intersect",
    b"limit",
    b"order",
    b"union",
    b"where",
    b"window",
];

fn one_begins(words: &[&[u8]], text: &[u8]) -> bool {
    words.iter().any(|word| word.starts_with(text))
}

/// Whether a word that ends FROM begins with a text.
pub fn end_begins(text: &[u8]) -> bool {
    one_begins(&ENDS, text)
}

/// Whether a word that stands behind an operand begins with a text, in CASE or outside.
pub fn operator_begins(text: &[u8], in_case: bool) -> bool {
    one_begins(&OPERATORS, text) || in_case && one_begins(&OF_CASE, text)
}

/// Whether a word that stands behind a table begins with a text; in front of its other name, too, where it has none yet.
pub fn join_begins(text: &[u8], named: bool) -> bool {
    one_begins(&JOINS, text) || !named && b"as".starts_with(text)
}

/// Whether a byte is one of a name without quotes.
pub fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Words that name nothing without quotes: SQLite's, as the grammar has them.
const RESERVED: &str = "add all alter and as autoincrement between case cast check collate commit constraint create default deferrable \
    delete distinct drop else escape except exists foreign from group having in index insert intersect into is isnull join limit not \
    nothing notnull null on or order primary references returning select set table then to transaction union unique update using \
    values when where with";

/// Whether a word in small letters names nothing without quotes.
pub fn is_reserved(word: &[u8]) -> bool {
    RESERVED
        .split_ascii_whitespace()
        .any(|reserved| reserved.as_bytes() == word)
}

/// Words that may stand wherever an operand is due.
const OPERANDS: [&[u8]; 9] = [
    b"case",
    b"cast",
    b"current_date",
    b"current_time",
    b"current_timestamp",
    b"exists",
    b"false",
    b"null",
    b"true",
];
/// Words that may at a certain place alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Behind a sign.
    Sign,
    Anywhere,
    /// Behind SELECT.
    Select,
    /// Behind UNION and the like.
    Set,
    /// At the beginning of a function's brackets.
    Call,
    /// Behind CASE.
    Case,
    /// Behind IS or IS NOT.
    Is,
    /// At the beginning of brackets that may hold a query, or of all.
    Query,
    /// At the beginning of FILTER's brackets.
    Filter,
    /// At the beginning of a window's brackets.
    Window,
}

/// Whether such a word begins with a text.
pub fn operand_begins(text: &[u8], place: Place) -> bool {
    let own: &[&[u8]] = match place {
        Place::Sign | Place::Anywhere => &[],
        Place::Select => &[b"all", b"distinct"],
        Place::Set => &[b"all", b"select", b"values"],
        Place::Call => &[b"distinct"],
        Place::Case => &[b"when"],
        Place::Is => &[b"distinct"],
        Place::Query => &[b"select", b"values", b"with"],
        Place::Filter => &[b"where"],
        Place::Window => &[b"order", b"partition"],
    };
    one_begins(&OPERANDS, text)
        || place != Place::Sign && b"not".starts_with(text)
        || one_begins(own, text)
}

/// Of a word where an operand is due; `None` of one that has no meaning there.
pub fn operand(word: &[u8]) -> Option<Meaning> {
    Some(match word {
        b"current_date" | b"current_time" | b"current_timestamp" | b"false" | b"null" | b"true" => {
            Meaning::Operand
        }
        b"case" => Meaning::Case,
        b"not" => Meaning::Not,
        b"distinct" => Meaning::Distinct,
        b"cast" | b"exists" | b"all" | b"when" | b"where" => Meaning::Begin,
        _ => return None,
    })
}

/// Whether a word begins a query.
pub fn begins_query(word: &[u8]) -> bool {
    [&b"select"[..], b"values", b"with"].contains(&word)
}

/// Whether a word that begins a query begins with a text.
pub fn query_begins(text: &[u8]) -> bool {
    one_begins(&[b"select", b"values", b"with"], text)
}

/// The name of the database that a query reads, before the names of its tables.
pub const MAIN: &[u8] = b"main";

/// What a string of bytes begins with, right before its quote.
pub const BLOB: &[u8] = b"x";

/// Functions that are tables.
pub const TABLES: [&[u8]; 2] = [b"json_each", b"json_tree"];
