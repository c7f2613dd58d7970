//! What people look at: the page of a run, the same in text, several runs beside each other. All of it is made from the files of
//! run folders, so that it can be made again; the same files give the same bytes.

mod compare;
pub mod curve;
mod data;
mod decision;
mod fact;
mod failures;
mod folder;
mod gates;
mod made;
pub mod overview;
pub mod page;
mod points;
mod rows;
mod say;
mod slices;
pub mod tradeoff;
mod training;
mod view;

use anyhow::Result;
use folder::Folder;
use std::path::Path;
use view::Report;

/// Largest page, in bytes: a mail takes it, a phone opens it.
pub const MAX_PAGE: usize = 2_000_000;

/// The run in `folder` as one page that needs nothing else, below [`MAX_PAGE`]. What the folder lacks is named on it.
///
/// Errors where `folder` is no run folder.
pub fn html(folder: &Path) -> Result<String> {
    let mut report = Report::read(&mut Folder::open(folder)?);
    for most in rows::most() {
        report.rows.limit(&most);
        let page = page::html(page::REPORT, &report)?;
        if page.len() < MAX_PAGE || most.is_least() {
            return Ok(page);
        }
    }
    // The last of them is the least.
    unreachable!("there is no least")
}

/// The run in `folder` as Markdown: the same without the rows' texts, so that it can be published where they cannot.
///
/// Errors where `folder` is no run folder.
pub fn markdown(folder: &Path) -> Result<String> {
    let report = Report::read(&mut Folder::open(folder)?);
    page::markdown(page::REPORT_TEXT, &report)
}
