//! Where the files of a download lie.

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// The benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Benchmark {
    Spider,
    Bird,
}

impl Benchmark {
    /// The name in ids and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spider => "spider",
            Self::Bird => "bird",
        }
    }

    /// The way of scoring that is the benchmark's own.
    pub fn mode(self) -> &'static str {
        match self {
            Self::Spider => "spider-ts",
            Self::Bird => "bird-ex",
        }
    }

    /// What is to be downloaded.
    pub fn origin(self) -> &'static str {
        match self {
            Self::Spider => "they are in spider_data.zip of https://yale-lily.github.io/spider",
            Self::Bird => {
                "they are in train.zip and dev.zip of https://bird-bench.github.io, each with a zip of its databases inside"
            }
        }
    }

    /// Names of the rows, the tables and the databases of a split, and the folders of the download that may hold them.
    fn official(self, split: &str) -> ([&'static str; 3], &'static [&'static str]) {
        match (self, split) {
            (Self::Spider, "train") => (
                ["train_spider.json", "tables.json", "database"],
                &["", "spider_data", "spider"],
            ),
            (Self::Spider, _) => (
                ["dev.json", "tables.json", "database"],
                &["", "spider_data", "spider"],
            ),
            (Self::Bird, "train") => (
                ["train.json", "train_tables.json", "train_databases"],
                &["", "train"],
            ),
            (Self::Bird, _) => (
                ["dev.json", "dev_tables.json", "dev_databases"],
                &["", "dev", "dev_20240627"],
            ),
        }
    }
}

/// The files of a split.
#[derive(Debug)]
pub struct Files {
    pub rows: PathBuf,
    pub tables: PathBuf,
    /// Holds `NAME/NAME.sqlite`.
    pub databases: PathBuf,
}

impl Files {
    /// Finds them in the download or one of its folders.
    pub fn find(benchmark: Benchmark, split: &str, from: &Path) -> Result<Self> {
        let (names, folders) = benchmark.official(split);
        if !from.is_dir() {
            bail!(
                "{} is no folder: give the one that the download was unpacked to",
                from.display()
            );
        }
        let all = |folder: &&str| {
            names
                .iter()
                .filter(|name| from.join(folder).join(name).exists())
                .count()
        };
        let folder = folders
            .iter()
            .rev()
            .max_by_key(|folder| all(folder))
            .copied()
            .unwrap_or_default();
        let missing: Vec<&str> = names
            .into_iter()
            .filter(|name| !from.join(folder).join(name).exists())
            .collect();
        if !missing.is_empty() {
            let without = match split {
                "train" => "--train 0 makes a set without training rows",
                _ => "--dev 0 makes a set without held-out rows",
            };
            bail!(
                "{} has no {} ({}); {without}",
                from.join(folder).display(),
                missing.join(", no "),
                benchmark.origin()
            );
        }
        let [rows, tables, databases] = names.map(|name| from.join(folder).join(name));
        // BIRD's archive has a folder of the same name in it.
        let inner = databases.join(names[2]);
        Ok(Self {
            rows,
            tables,
            databases: if inner.is_dir() { inner } else { databases },
        })
    }
}
