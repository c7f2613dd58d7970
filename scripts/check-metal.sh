#!/usr/bin/env bash
# Type-checks the Metal build, native-metal included, on a machine without Metal; docs/METAL.md says why.
# All it makes lies in target/metal.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "check-metal: $*" >&2 && exit 1; }
[ "$(uname)" != Darwin ] || exec cargo check --locked --features metal
command -v python3 > /dev/null || fail "python3 is not installed"

# Downloads what only this build needs, and says where cargo keeps it.
host=$(rustc -vV | sed -n 's/^host: //p')
metadata=$(cargo metadata --locked --features metal --format-version 1 --filter-platform "$host") \
    || fail "cargo cannot resolve --features metal (see above)"
read -r version folder < <(python3 -c '
import json, os, sys
for p in json.load(sys.stdin)["packages"]:
    if p["name"] == "objc2-metal":
        print(p["version"], os.path.dirname(p["manifest_path"]))
' <<< "$metadata") || fail "objc2-metal is not a dependency of --features metal any more"

# rustc refuses to link a framework on other systems, so a copy does without. It is made once: a new one
# would be compiled again.
scratch=$PWD/target/metal
copy=$scratch/objc2-metal-$version
mkdir -p "$scratch/src"
if [ ! -d "$copy" ]; then
    rm -rf "$copy.part" && cp -r "$folder" "$copy.part"
    link='^#\[link(name = "Metal", kind = "framework")\]$'
    grep -q "$link" "$copy.part/src/generated/mod.rs" || fail "objc2-metal $version links Metal elsewhere than in src/generated/mod.rs"
    sed -i "/$link/d" "$copy.part/src/generated/mod.rs"
    mv "$copy.part" "$copy"
fi

# A workspace of its own, so that neither the patch nor its lock file reaches a normal build. Without
# Apple's runtime objc2 and block2 ask which other to assume; GNUstep's has the same types.
touch "$scratch/src/lib.rs"
[ "$scratch/Cargo.lock" -nt Cargo.lock ] || cp Cargo.lock "$scratch/Cargo.lock"
cat > "$scratch/Cargo.toml" << END
[workspace]
[package]
name = "check-metal"
version = "0.0.0"
edition = "2024"
[dependencies]
factory = { path = "../..", features = ["metal"] }
objc2 = { version = "*", features = ["gnustep-2-1"] }
block2 = { version = "*", features = ["gnustep-2-1"] }
[patch.crates-io]
objc2-metal = { path = "objc2-metal-$version" }
END
CARGO_TARGET_DIR=$scratch/target cargo check --quiet --manifest-path "$scratch/Cargo.toml"
echo "check-metal: the Metal build type-checks"
