//! The page at `/`: it asks databases. Its files are part of the program, and it loads nothing from elsewhere.

use super::error::ApiError;
use axum::extract::Path;
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse};

/// What the page may do in a browser: no script, style or request but this server's own.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Its files by name, with their kinds.
const PARTS: [(&str, &str, &str); 7] = [
    (
        "page.css",
        "text/css; charset=utf-8",
        include_str!("page/page.css"),
    ),
    ("page.js", SCRIPT, include_str!("page/page.js")),
    ("database.js", SCRIPT, include_str!("page/database.js")),
    ("history.js", SCRIPT, include_str!("page/history.js")),
    ("sql.js", SCRIPT, include_str!("page/sql.js")),
    ("rows.js", SCRIPT, include_str!("page/rows.js")),
    ("server.js", SCRIPT, include_str!("page/server.js")),
];

/// `GET /`
pub async fn index() -> impl IntoResponse {
    (rules(), Html(include_str!("page/index.html")))
}

/// `GET /page/FILE`
pub async fn part(Path(name): Path<String>) -> Result<impl IntoResponse, ApiError> {
    let found = PARTS.iter().find(|(own, ..)| *own == name);
    let none = || ApiError::no_path(&format!("/page/{name}"));
    let (_, kind, text) = found.ok_or_else(none)?;
    Ok((rules(), [(CONTENT_TYPE, *kind)], *text))
}

fn rules() -> [(HeaderName, &'static str); 3] {
    [
        (CONTENT_SECURITY_POLICY, POLICY),
        // Another build may have another page.
        (CACHE_CONTROL, "no-cache"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
    ]
}
