#!/usr/bin/env bash
# Fetch DuckDB's library (MIT, 1.5.5) out of an npm package and print its path.
#   scripts/fetch_duckdb.sh [FOLDER]        default: .duckdb; needs npm and python3
# Without FACTORY_DUCKDB_LIB the program finds it beside itself and in ~/.local/share/factory/lib.
set -euo pipefail
here=$(dirname "$0")
dir=${1:-.duckdb}
version=1.5.5-r.5

case $(uname -sm) in
"Linux x86_64")
    platform=linux-x64 file=libduckdb.so
    package=86d2bda909785550e8a14a57a8a4584827aff0e268d8f1a58c3fd48559f7020e
    library=fc23f12e376c47be520f75221288281906e7942e8fd6f6ce4849198ba60d0405
    ;;
"Linux aarch64")
    platform=linux-arm64 file=libduckdb.so
    package=3b85f3ea438f7dc3691d7b5e6e4222ffe9127fd17885f96ca72e0c99925c348e
    library=d00d007f3f7ca1f2896a5e4b89c2ce141bf0508506a9d6d56f9598b8e59d074e
    ;;
"Darwin arm64")
    platform=darwin-arm64 file=libduckdb.dylib
    package=08b3cfd7d4d620a5fb67ef49db28551b767107266af3a8e2600e49d99ee59456
    library=b9027d18ef3e8d960568f77e946a83ca68009cb22d71cf7f94de842afdd094d8
    ;;
"Darwin x86_64")
    platform=darwin-x64 file=libduckdb.dylib
    package=1266f62ac7c02f7971554a2b0b2c4c19923a97258bfdf1b203873e174e7a28c4
    library=b9027d18ef3e8d960568f77e946a83ca68009cb22d71cf7f94de842afdd094d8
    ;;
*) echo "fetch_duckdb: no library for $(uname -sm)" >&2; exit 2 ;;
esac

if ! python3 "$here/intact.py" "$dir/$file" "$library"; then
    command -v npm >/dev/null || { echo "fetch_duckdb: needs npm" >&2; exit 2; }
    mkdir -p "$dir"
    scratch=$(mktemp -d "$dir/fetch.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    npm pack --loglevel=error --pack-destination "$scratch" "@duckdb/node-bindings-$platform@$version" >/dev/null
    tarball=$scratch/duckdb-node-bindings-$platform-$version.tgz
    python3 "$here/intact.py" "$tarball" "$package" || { echo "fetch_duckdb: the package does not have the expected sha256 $package" >&2; exit 1; }
    tar -xzf "$tarball" -C "$scratch" "package/$file"
    mv "$scratch/package/$file" "$dir/$file"
fi
echo "$dir/$file"
