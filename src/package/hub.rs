//! Uploads a package to a Hugging Face hub, by its documented HTTP API: large files as LFS objects, then all of them in one commit.

use super::lock::{self, Lock};
use crate::run::observer::Observer;
use crate::run::words::{plain, size};
use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::time::Duration;
use ureq::http::Response;
use ureq::{Agent, Body};

/// Where the hub is when `HF_ENDPOINT` does not say it.
const ENDPOINT: &str = "https://huggingface.co";
/// Bytes of a file from which the hub decides how it is stored.
const SAMPLE: u64 = 512;
/// Most bytes of an object that is sent in one piece.
const MOST: u64 = 5_000_000_000;
/// Most characters of an answer that an error shows.
const SHOWN: usize = 300;
/// Longest that connecting, and waiting for an answer, may take.
const CONNECT: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(300);
const LFS: &str = "application/vnd.git-lfs+json";

/// A repository on a hub, and who may write it.
pub struct Hub {
    agent: Agent,
    endpoint: String,
    token: String,
    repo: String,
}

impl Hub {
    /// The model repository `repo` (`OWNER/NAME`) of the hub that the environment names, with its token: `HF_TOKEN`, or the one that
    /// `hf auth login` keeps. Errors where there is none.
    pub fn of(repo: &str) -> Result<Self> {
        let set = |name: &str| {
            std::env::var(name)
                .ok()
                .filter(|value| !value.trim().is_empty())
        };
        ensure!(
            crate::model::load::looks_like_id(repo),
            "{} is no repository of a hub: give OWNER/NAME",
            plain(repo)
        );
        ensure!(
            set("HF_HUB_OFFLINE").is_none_or(|value| value == "0"),
            "HF_HUB_OFFLINE is set: unset it to upload"
        );
        let kept = || hf_hub::Cache::from_env().token();
        let token = set("HF_TOKEN").or_else(kept);
        let token =
            token.context("no token for the hub: set HF_TOKEN, or log in with hf auth login")?;
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .build();
        Ok(Self {
            agent: agent.into(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: token.trim().to_owned(),
            repo: repo.to_owned(),
        })
    }

    /// Uploads the files of the package in `folder` as one commit; the repository is made where it is missing. Returns where the commit is.
    ///
    /// Errors where the package is not as its lock says, and where the hub refuses: then nothing is committed.
    pub fn upload(&self, folder: &Path, observer: &dyn Observer) -> Result<String> {
        let mut files = Lock::read(folder)?.files;
        files.insert(
            lock::FILE.to_owned(),
            lock::entry(&folder.join(lock::FILE))?,
        );
        self.create()?;
        let large = self.large(folder, &files)?;
        let mut lines = vec![
            json!({"key": "header", "value": {"summary": "Upload package", "description": ""}}),
        ];
        for (name, entry) in &files {
            let path = folder.join(name);
            if large.contains(name) {
                self.store(&path, name, entry, observer)?;
                let object = json!({"path": name, "algo": "sha256", "oid": entry.sha256, "size": entry.bytes});
                lines.push(json!({"key": "lfsFile", "value": object}));
            } else {
                let content =
                    fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let file = json!({"path": name, "encoding": "base64", "content": STANDARD.encode(content)});
                lines.push(json!({"key": "file", "value": file}));
            }
        }
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let url = format!("{}/api/models/{}/commit/main", self.endpoint, self.repo);
        let request = self.agent.post(&url).header("Authorization", self.bearer());
        let answer = request
            .header("Content-Type", "application/x-ndjson")
            .send(&lines);
        #[derive(Deserialize)]
        struct Committed {
            #[serde(rename = "commitUrl")]
            commit_url: Option<String>,
        }
        let committed: Committed = self.json("commit", answer)?;
        Ok(committed
            .commit_url
            .unwrap_or_else(|| format!("{}/{}", self.endpoint, self.repo)))
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// Makes the repository; one that is there already is fine.
    fn create(&self) -> Result<()> {
        let (owner, name) = self
            .repo
            .split_once('/')
            .context("a repository is OWNER/NAME")?;
        let url = format!("{}/api/repos/create", self.endpoint);
        let wanted = json!({"type": "model", "name": name, "organization": owner});
        let request = self.agent.post(&url).header("Authorization", self.bearer());
        let answer = request.send_json(&wanted);
        match answer {
            Ok(answer) if answer.status() == 409 => Ok(()),
            answer => self.json::<Value>("make the repository", answer).map(drop),
        }
    }

    /// The names of the files that the hub wants as LFS objects.
    fn large(&self, folder: &Path, files: &BTreeMap<String, lock::Entry>) -> Result<Vec<String>> {
        let mut asked = Vec::new();
        for (name, entry) in files {
            let path = folder.join(name);
            let mut sample = Vec::new();
            let read =
                File::open(&path).and_then(|file| file.take(SAMPLE).read_to_end(&mut sample));
            read.with_context(|| format!("cannot read {}", path.display()))?;
            asked.push(
                json!({"path": name, "size": entry.bytes, "sample": STANDARD.encode(sample)}),
            );
        }
        #[derive(Deserialize)]
        struct Answer {
            files: Vec<Mode>,
        }
        #[derive(Deserialize)]
        struct Mode {
            path: String,
            #[serde(rename = "uploadMode")]
            mode: String,
        }
        let url = format!("{}/api/models/{}/preupload/main", self.endpoint, self.repo);
        let request = self.agent.post(&url).header("Authorization", self.bearer());
        let answer: Answer = self.json(
            "ask how files are stored",
            request.send_json(json!({"files": asked})),
        )?;
        let large = answer.files.into_iter().filter(|file| file.mode == "lfs");
        Ok(large.map(|file| file.path).collect())
    }

    /// Sends one LFS object, unless the hub has it.
    fn store(
        &self,
        path: &Path,
        name: &str,
        entry: &lock::Entry,
        observer: &dyn Observer,
    ) -> Result<()> {
        ensure!(
            entry.bytes <= MOST,
            "{name} has {}, more than is sent in one piece: upload the package with hf upload",
            size(entry.bytes as usize)
        );
        let object = Object {
            oid: &entry.sha256,
            size: entry.bytes,
        };
        let wanted = json!({"operation": "upload", "transfers": ["basic"], "hash_algo": "sha256", "objects": [object]});
        #[derive(Deserialize)]
        struct Batch {
            objects: Vec<Known>,
        }
        #[derive(Deserialize)]
        struct Known {
            error: Option<Value>,
            #[serde(default)]
            actions: BTreeMap<String, Action>,
        }
        let url = format!("{}/{}.git/info/lfs/objects/batch", self.endpoint, self.repo);
        let request = self.agent.post(&url).header("Authorization", self.bearer());
        let answer = request
            .header("Accept", LFS)
            .header("Content-Type", LFS)
            .send_json(wanted);
        let batch: Batch = self.json(&format!("ask where {name} goes"), answer)?;
        let known = batch.objects.into_iter().next();
        let mut known = known.with_context(|| format!("the hub says nothing of {name}"))?;
        if let Some(error) = known.error {
            bail!("the hub refuses {name}: {}", plain(&error.to_string()));
        }
        let Some(upload) = known.actions.remove("upload") else {
            return Ok(());
        };
        observer.note(format_args!(
            "uploading {name} ({})",
            size(entry.bytes as usize)
        ));
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut request = self.agent.put(&upload.href);
        for (key, value) in &upload.header {
            request = request.header(key, value);
        }
        // The address itself says who may write there.
        let answer = request.send(&file);
        self.fine(&format!("store {name}"), answer)?;
        let Some(verify) = known.actions.remove("verify") else {
            return Ok(());
        };
        let mut request = self.agent.post(&verify.href).header("Content-Type", LFS);
        if self.is_own(&verify.href) {
            request = request.header("Authorization", self.bearer());
        }
        for (key, value) in &verify.header {
            request = request.header(key, value);
        }
        let answer = request.send_json(json!(object));
        self.fine(&format!("verify {name}"), answer).map(drop)
    }

    /// Whether an address is one of this hub's, which alone gets the token.
    fn is_own(&self, url: &str) -> bool {
        let rest = url.strip_prefix(&self.endpoint);
        rest.is_some_and(|rest| rest.starts_with('/'))
    }

    fn json<T: DeserializeOwned>(
        &self,
        what: &str,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<T> {
        let mut answer = self.fine(what, answer)?;
        let read = answer.body_mut().read_json();
        read.with_context(|| format!("{}: {what}: the answer is not understood", self.endpoint))
    }

    /// Errors where the hub refuses.
    fn fine(
        &self,
        what: &str,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>> {
        let place = format!("{}: cannot {what} of {}", self.endpoint, self.repo);
        let mut answer = answer.with_context(|| place.clone())?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let said = answer.body_mut().read_to_string().unwrap_or_default();
        let said: String = plain(said.trim()).chars().take(SHOWN).collect();
        let advice = match status.as_u16() {
            401 | 403 => " (the token may not write there)",
            _ => "",
        };
        bail!("{place}: {status}{advice}: {said}")
    }
}

#[derive(Clone, Copy, Serialize)]
struct Object<'a> {
    oid: &'a str,
    size: u64,
}

/// Where something is done, and with which headers.
#[derive(Deserialize)]
struct Action {
    href: String,
    #[serde(default)]
    header: BTreeMap<String, String>,
}
