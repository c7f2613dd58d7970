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
    /// A word follows that is no name.
    Free,
    /// It ends an operand.
    Operand,
    /// A window follows.
    Over,
    /// What stands in these brackets are words that are no names.
    Frame,
}

/// Of a word behind an operand, in small letters; `None` of one that has no meaning there.
pub fn behind(word: &[u8]) -> Option<Meaning> {
    Some(match word {
        b"from" | b"join" => Meaning::Source,
        b"on" => Meaning::On,
        b"using" => Meaning::Using,
        b"where" | b"having" | b"limit" | b"union" | b"intersect" | b"except" => Meaning::Ends,
        b"group" | b"order" | b"window" => Meaning::EndsFree,
        b"as" => Meaning::As,
        b"by" | b"and" | b"or" | b"in" | b"like" | b"glob" | b"between" | b"is" | b"when"
        | b"then" | b"else" | b"escape" | b"offset" => Meaning::Begin,
        b"not" | b"left" | b"right" | b"full" | b"inner" | b"cross" | b"outer" | b"natural"
        | b"collate" | b"filter" | b"nulls" => Meaning::Free,
        b"over" => Meaning::Over,
        b"end" | b"isnull" | b"notnull" | b"null" | b"asc" | b"desc" => Meaning::Operand,
        b"rows" | b"range" | b"groups" => Meaning::Frame,
        _ => return None,
    })
}

/// Words that have a meaning behind an operand, but for those that end FROM, and those.
const BEHIND: [&[u8]; 34] = [
    b"and", b"as", b"asc", b"between", b"collate", b"cross", b"desc", b"else", b"end", b"escape",
    b"filter", b"from", b"full", b"glob", b"in", b"inner", b"is", b"isnull", b"join", b"left",
    b"like", b"natural", b"not", b"notnull", b"nulls", b"offset", b"on", b"or", b"outer", b"over",
    b"right", b"then", b"using", b"when",
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

/// Whether a word that ends FROM begins with a text.
pub fn end_begins(text: &[u8]) -> bool {
    ENDS.iter().any(|word| word.starts_with(text))
}

/// Whether another word that has a meaning behind an operand begins with a text.
pub fn behind_begins(text: &[u8]) -> bool {
    BEHIND.iter().any(|word| word.starts_with(text))
}

/// Whether a byte is one of a name without quotes.
pub fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Words that name nothing without quotes: SQLite's, as the grammar has them.
const RESERVED: &str = "add all alter and as autoincrement between case check collate commit constraint create default deferrable \
    delete distinct drop else escape except exists foreign from group having in index insert intersect into is isnull join limit not \
    nothing notnull null on or order primary references returning select set table then to transaction union unique update using \
    values when where";

/// Whether a word in small letters names nothing without quotes.
pub fn is_reserved(word: &[u8]) -> bool {
    RESERVED
        .split_ascii_whitespace()
        .any(|reserved| reserved.as_bytes() == word)
}

/// Words that may stand where an operand is due.
const OPERANDS: [&[u8]; 15] = [
    b"all",
    b"case",
    b"cast",
    b"current_date",
    b"current_time",
    b"current_timestamp",
    b"distinct",
    b"exists",
    b"false",
    b"not",
    b"null",
    b"select",
    b"true",
    b"values",
    b"when",
];

/// Whether such a word begins with a text; one that may stand at the beginning of brackets alone, where that is here.
pub fn operand_begins(text: &[u8], window: bool, open: bool) -> bool {
    let starts = |word: &&[u8]| word.starts_with(text);
    OPERANDS.iter().any(|word| starts(word))
        || open && [&b"where"[..], b"with"].iter().any(starts)
        || window && [&b"order"[..], b"partition"].iter().any(starts)
}

/// Of a word where an operand is due; `None` of one that has no meaning there.
pub fn operand(word: &[u8]) -> Option<Meaning> {
    Some(match word {
        b"current_date" | b"current_time" | b"current_timestamp" | b"false" | b"null" | b"true" => {
            Meaning::Operand
        }
        b"where" => Meaning::Begin,
        word if OPERANDS.contains(&word) => Meaning::Begin,
        _ => return None,
    })
}

/// Whether a word begins a query.
pub fn begins_query(word: &[u8]) -> bool {
    [&b"select"[..], b"values", b"with"].contains(&word)
}

/// Words that begin a query, one of which begins with a text.
pub fn query_begins(text: &[u8]) -> bool {
    [&b"select"[..], b"values", b"with"]
        .iter()
        .any(|word| word.starts_with(text))
}

/// Whether a function takes many rows to one.
pub fn is_aggregate(word: &[u8]) -> bool {
    [
        &b"avg"[..],
        b"count",
        b"group_concat",
        b"max",
        b"min",
        b"sum",
        b"total",
    ]
    .contains(&word)
}

/// Functions that are tables.
pub const TABLES: [&[u8]; 2] = [b"json_each", b"json_tree"];
