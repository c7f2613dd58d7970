//! One thing that is wrong with a row, or may be.

use serde::Serialize;

/// What kind of thing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Refused,
    Exact,
    Near,
    Literals,
    Shapes,
    Databases,
    Duplicates,
    Contradictions,
    Long,
    Secrets,
    Personal,
    References,
}

impl Kind {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 12] = [
        Self::Refused,
        Self::Exact,
        Self::Near,
        Self::Literals,
        Self::Shapes,
        Self::Databases,
        Self::Duplicates,
        Self::Contradictions,
        Self::Long,
        Self::Secrets,
        Self::Personal,
        Self::References,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Exact => "exact",
            Self::Near => "near",
            Self::Literals => "literals",
            Self::Shapes => "shapes",
            Self::Databases => "databases",
            Self::Duplicates => "duplicates",
            Self::Contradictions => "contradictions",
            Self::Long => "long",
            Self::Secrets => "secrets",
            Self::Personal => "personal",
            Self::References => "references",
        }
    }

    /// What its findings are, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Refused => "rows that training or generation refuses",
            Self::Exact => "held-out rows that ask what a training row asks",
            Self::Near => "held-out rows that ask nearly what a training row asks",
            Self::Literals => {
                "held-out queries that differ from a training query in literals at most"
            }
            Self::Shapes => "held-out queries with the shape of a training query",
            Self::Databases => "databases that training and held-out rows share",
            Self::Duplicates => "rows that say what a row before them says",
            Self::Contradictions => "rows that answer otherwise what a row before them asks",
            Self::Long => "rows with more tokens than --max-seq",
            Self::Secrets => "secrets: keys, tokens, passwords",
            Self::Personal => "personal data: e-mail, phone, card and account numbers",
            Self::References => "queries that fail, return nothing or are not determined",
        }
    }

    /// Whether any number of them is fine unless the user says otherwise: they are how many sets are meant to be.
    pub fn informs(self) -> bool {
        matches!(self, Self::Literals | Self::Shapes | Self::Databases)
    }
}

/// One finding. It holds no text of a row but what is masked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    pub kind: Kind,
    /// `file:line`
    pub place: String,
    /// The row that it has to do with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
    /// Where in the row: `messages[1].content`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// In words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Finding {
    /// About one row.
    pub fn new(kind: Kind, place: &str, detail: impl Into<String>) -> Self {
        Self {
            kind,
            place: place.to_owned(),
            other: None,
            field: None,
            detail: detail.into(),
        }
    }

    /// About two.
    pub fn pair(kind: Kind, place: &str, other: &str, detail: impl Into<String>) -> Self {
        Self {
            other: Some(other.to_owned()),
            ..Self::new(kind, place, detail)
        }
    }
}

/// An error about a row without the row's place, which a finding says.
pub fn reason(place: &str, error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    match text.strip_prefix(place) {
        Some(rest) => rest.trim_start_matches(": ").to_owned(),
        None => text,
    }
}
