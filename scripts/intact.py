"""Succeeds if a file is there and has a sha256:   intact.py FILE SHA256"""
import hashlib
import sys
from pathlib import Path

path, expected = sys.argv[1:]
digest = hashlib.sha256()
if Path(path).is_file():
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
sys.exit(digest.hexdigest() != expected)
