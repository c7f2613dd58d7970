//! A file that is read from its beginning to its end, hashed as it passes.

use crate::run::words::hex;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader, Error, Read};
use std::path::{Path, PathBuf};

const MARK: &[u8] = b"\xef\xbb\xbf";

/// The file.
pub struct Source {
    pub path: PathBuf,
    reader: BufReader<Hashed>,
}

struct Hashed {
    file: File,
    hash: Sha256,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

impl Source {
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)
            .with_context(|| format!("cannot open {} (check the path)", path.display()))?;
        let hash = Sha256::new();
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::new(Hashed { file, hash }),
        })
    }

    /// How it goes on, as far as it is at hand.
    pub fn begin(&mut self) -> Result<&[u8]> {
        let path = &self.path;
        self.reader
            .fill_buf()
            .with_context(|| format!("cannot read {}", path.display()))
    }

    /// Passes a UTF-8 byte order mark.
    pub fn skip_mark(&mut self) -> Result<()> {
        if self.begin()?.starts_with(MARK) {
            self.reader.consume(MARK.len());
        }
        Ok(())
    }

    /// Whether it begins as a JSON array does.
    pub fn is_array(&mut self) -> Result<bool> {
        let begin = self.begin()?;
        let begin = begin.strip_prefix(MARK).unwrap_or(begin);
        Ok(begin.trim_ascii_start().starts_with(b"["))
    }

    /// The SHA-256 of the whole file, in hexadecimal.
    pub fn sha256(mut self) -> Result<String> {
        let rest = std::io::copy(&mut self.reader, &mut std::io::sink());
        rest.with_context(|| format!("cannot read {}", self.path.display()))?;
        Ok(hex(&self.reader.into_inner().hash.finalize()))
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.reader.consume(count);
    }
}

/// A reader that gives out so many bytes at most, until whoever counts the rows sets them anew.
pub struct Limited<'a> {
    pub source: &'a mut Source,
    pub left: &'a Cell<u64>,
}

impl Read for Limited<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(Error::other("it is too long"));
        }
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let count = self.source.read(&mut buffer[..most])?;
        self.left.set(left - count as u64);
        Ok(count)
    }
}
