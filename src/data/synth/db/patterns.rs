//! Kinds of questions, and the patterns of each.

use serde::Serialize;

use super::draft::{Desk, Draft};

mod count;
mod group;
mod grouping;
mod linked;
mod list;
mod measure;
mod nested;
mod sets;
mod top;

/// What makes a question's query more than a list of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Projection,
    Filter,
    Count,
    Aggregate,
    Group,
    Having,
    Order,
    Distinct,
    Join,
    Set,
    Subquery,
    Date,
    Null,
    Pattern,
}

impl Kind {
    pub const ALL: [Self; 14] = [
        Self::Projection,
        Self::Filter,
        Self::Count,
        Self::Aggregate,
        Self::Group,
        Self::Having,
        Self::Order,
        Self::Distinct,
        Self::Join,
        Self::Set,
        Self::Subquery,
        Self::Date,
        Self::Null,
        Self::Pattern,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Projection => "projection",
            Self::Filter => "filter",
            Self::Count => "count",
            Self::Aggregate => "aggregate",
            Self::Group => "group",
            Self::Having => "having",
            Self::Order => "order",
            Self::Distinct => "distinct",
            Self::Join => "join",
            Self::Set => "set",
            Self::Subquery => "subquery",
            Self::Date => "date",
            Self::Null => "null",
            Self::Pattern => "pattern",
        }
    }

    /// How often it is asked where nobody says otherwise: about as people ask.
    pub fn weight(self) -> usize {
        match self {
            Self::Filter => 16,
            Self::Count | Self::Aggregate | Self::Order | Self::Join => 14,
            Self::Group => 12,
            Self::Having | Self::Subquery => 7,
            Self::Distinct => 6,
            Self::Projection => 4,
            Self::Date | Self::Pattern => 4,
            Self::Set => 3,
            Self::Null => 2,
        }
    }
}

/// A draft of a question of a kind; none where the choices do not go together.
pub fn draft(desk: &mut Desk, kind: Kind) -> Option<Draft> {
    use super::conditions::Want;
    match kind {
        Kind::Projection => list::plain(desk),
        Kind::Filter => list::filtered(desk, Want::Any),
        Kind::Count => count::rows(desk),
        Kind::Aggregate => measure::aggregate(desk),
        Kind::Group => group::each(desk),
        Kind::Having => group::having(desk),
        Kind::Order => top::ordered(desk),
        Kind::Distinct => count::different(desk),
        Kind::Join => linked::parents(desk),
        Kind::Set => sets::two(desk),
        Kind::Subquery => nested::draft(desk),
        Kind::Date => list::filtered(desk, Want::Date),
        Kind::Null => list::filtered(desk, Want::Null),
        Kind::Pattern => list::filtered(desk, Want::Pattern),
    }
}
