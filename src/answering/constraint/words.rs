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
        | b"collate" | b"over" | b"filter" | b"nulls" => Meaning::Free,
        b"end" | b"isnull" | b"notnull" | b"null" | b"asc" | b"desc" => Meaning::Operand,
        b"rows" | b"range" | b"groups" => Meaning::Frame,
        _ => return None,
    })
}

/// Words that may stand where an operand is due, in order.
const OPERANDS: [&[u8]; 19] = [
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
    b"order",
    b"partition",
    b"select",
    b"true",
    b"values",
    b"when",
    b"where",
    b"with",
];

/// Whether such a word begins with a text.
pub fn operand_begins(text: &[u8]) -> bool {
    OPERANDS.iter().any(|word| word.starts_with(text))
}

/// Of a word where an operand is due; `None` of one that has no meaning there.
pub fn operand(word: &[u8]) -> Option<Meaning> {
    Some(match word {
        b"current_date" | b"current_time" | b"current_timestamp" | b"false" | b"null" | b"true" => {
            Meaning::Operand
        }
        b"order" | b"partition" => Meaning::Free,
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
