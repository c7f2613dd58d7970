//! HTML, read strictly: what the tests of a page need.

/// An element: its name and attributes.
pub type Element = (String, Vec<(String, String)>);

/// The elements of a page. Fails where they are not nested, or an attribute is not quoted.
pub fn elements(page: &str) -> Vec<Element> {
    const VOID: [&str; 5] = ["meta", "link", "input", "br", "!doctype"];
    let (mut all, mut open): (Vec<Element>, Vec<String>) = (Vec::new(), Vec::new());
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if let Some(closing) = rest.strip_prefix('/') {
            let end = closing.find('>').unwrap();
            assert_eq!(
                open.pop().as_deref(),
                Some(&closing[..end]),
                "before {}",
                &closing[..closing.len().min(80)]
            );
            rest = &closing[end + 1..];
            continue;
        }
        let end = rest
            .find(|c: char| c.is_whitespace() || c == '>' || c == '/')
            .unwrap();
        let name = rest[..end].to_lowercase();
        rest = &rest[end..];
        let mut attributes = Vec::new();
        let closed = loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix("/>") {
                rest = after;
                break true;
            }
            if let Some(after) = rest.strip_prefix('>') {
                rest = after;
                break VOID.contains(&&*name);
            }
            let end = rest
                .find(|c: char| c.is_whitespace() || "=>".contains(c))
                .unwrap();
            let key = rest[..end].to_owned();
            rest = &rest[end..];
            let mut value = String::new();
            if let Some(after) = rest.strip_prefix("=\"") {
                let end = after.find('"').unwrap();
                value = after[..end].to_owned();
                rest = &after[end + 1..];
            } else {
                assert!(!rest.starts_with('='), "{name} {key}: no quotes");
            }
            attributes.push((key, value));
        };
        if name == "script" || name == "style" {
            let end = rest.find(&format!("</{name}>")).unwrap();
            rest = &rest[end + name.len() + 3..];
        } else if !closed {
            open.push(name.clone());
        }
        all.push((name, attributes));
    }
    assert!(open.is_empty(), "{open:?}");
    all
}

pub fn attributes<'a>(all: &'a [Element], key: &str) -> Vec<&'a str> {
    let pairs = all.iter().flat_map(|(_, attributes)| attributes);
    pairs
        .filter(|(name, _)| name == key)
        .map(|(_, value)| value.as_str())
        .collect()
}

/// The page's element with this id, up to the next one of its kind.
pub fn section<'a>(page: &'a str, id: &str) -> &'a str {
    let start = page
        .find(&format!("<section id=\"{id}\""))
        .unwrap_or_else(|| panic!("no section {id}"));
    &page[start..start + page[start..].find("</section>").unwrap()]
}
