#!/usr/bin/env bash
# Fuzzes every reader of untrusted files (tests/fuzz) for SECONDS each and prints runs and findings.
# Seeds are made by the targets; corpora and findings stay under target/fuzz. Needs the nightly toolchain.
#   scripts/fuzz.sh [SECONDS=60] [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
out=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
command -v cargo-fuzz > /dev/null || cargo install --locked cargo-fuzz
cp Cargo.lock tests/fuzz/Cargo.lock # the versions that are shipped; cargo adds the fuzzer's own
fuzz() { cargo +nightly fuzz "$1" --fuzz-dir tests/fuzz "${@:2}"; }
fuzz build --target-dir "$out"
# Freed memory kept by the sanitizer would count against the limit below.
export ASAN_OPTIONS=quarantine_size_mb=8 RAYON_NUM_THREADS=1
[ ! -d /dev/shm ] || export TMPDIR=/dev/shm

failed=0
for target in $([ $# -gt 1 ] && echo "${@:2}" || fuzz list); do
  corpus=$out/corpus/$target found=$out/found/$target
  mkdir -p "$corpus" "$found"
  # Inputs are at most 64 KiB: 64 MiB at once or 512 in all is a bomb, ten seconds a hang.
  FUZZ_SEEDS=$corpus fuzz run --target-dir "$out" "$target" "$corpus" -- -artifact_prefix="$found/" \
    -max_total_time="$seconds" -max_len=65536 -timeout=10 -malloc_limit_mb=64 -rss_limit_mb=512 \
    -print_final_stats=1 > "$found/log" 2>&1 || failed=1
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$found/log")
  findings=$(find "$found" -type f ! -name log | wc -l)
  echo "$target: ${runs:-0} runs, $findings findings"
  [ "$findings" = 0 ] || sed -n '/panicked at\|ERROR:\|error: /{p;n;p}' "$found/log"
done
exit $failed
