//! A hub on this machine: the calls of an upload, answered.

use super::http::{Answer, Asked, Server};
use serde_json::{Value, json};

/// Answers for the token `right`; other callers are refused. `lfs` says which files are stored as objects.
pub fn start(lfs: fn(&str) -> bool) -> Server {
    Server::start(move |asked, own| answer(asked, own, lfs))
}

fn answer(asked: &Asked, own: &str, lfs: fn(&str) -> bool) -> Answer {
    let body = || serde_json::from_slice::<Value>(&asked.body).unwrap();
    let known = asked
        .headers
        .get("authorization")
        .is_some_and(|a| a == "Bearer right");
    match asked.line.as_str() {
        // The address is signed.
        "PUT /store/object" => ("200 OK", json!({})),
        _ if !known => ("401 Unauthorized", json!({"error": "Invalid credentials"})),
        "POST /api/repos/create" => (
            "409 Conflict",
            json!({"error": "You already created this model repo"}),
        ),
        "POST /api/models/me/desk/preupload/main" => {
            let files = body()["files"].as_array().unwrap().clone();
            let mode = |file: &Value| {
                let path = file["path"].as_str().unwrap();
                json!({"path": path, "uploadMode": if lfs(path) { "lfs" } else { "regular" }, "shouldIgnore": false})
            };
            (
                "200 OK",
                json!({"files": files.iter().map(mode).collect::<Vec<_>>()}),
            )
        }
        "POST /me/desk.git/info/lfs/objects/batch" => {
            let object = body()["objects"][0].clone();
            let upload =
                json!({"href": format!("{own}/store/object"), "header": {"x-signed": "yes"}});
            let verify = json!({"href": format!("{own}/verify/object")});
            let object = json!({"oid": object["oid"], "size": object["size"], "actions": {"upload": upload, "verify": verify}});
            ("200 OK", json!({"transfer": "basic", "objects": [object]}))
        }
        "POST /verify/object" => ("200 OK", json!({})),
        "POST /api/models/me/desk/commit/main" => (
            "200 OK",
            json!({"success": true, "commitOid": "c0", "commitUrl": format!("{own}/me/desk/commit/c0")}),
        ),
        other => ("404 Not Found", json!({"error": other})),
    }
}
