//! The tools, one file each.

mod ask_database;
mod connection_list;
mod dictionary_search;
mod discover_data;
mod entity_details;
mod sql_dialect_notes;
mod sql_execution;
mod words;

use super::alchemy;
use super::desk::Desk;
use super::tool::Tool;

/// All that are offered: a question is answered only where there is a model.
pub fn all(desk: &Desk) -> Vec<Tool> {
    let mut tools = vec![
        connection_list::tool(),
        entity_details::tool(),
        sql_execution::tool(),
        sql_dialect_notes::tool(),
        dictionary_search::tool(),
        discover_data::tool(),
    ];
    if desk.specialist.is_some() {
        tools.push(ask_database::tool());
    }
    tools.extend(alchemy::tools(desk));
    tools
}
