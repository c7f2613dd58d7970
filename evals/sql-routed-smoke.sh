#!/usr/bin/env bash
# Routes the rows of evals/sql-mixed, nothing else: by the hand-written rules, and by a content router that is fitted here from
# the two training sets and sees prompts alone. Every row must get its expected route, and at least nine of ten prompts of neither
# family (neither.jsonl: chat, code, other schema notations) none.
# FACTORY names a built binary; without it the release build is used.
set -euo pipefail
cd "$(dirname "$0")/.."
factory=${FACTORY:-cargo run --release --quiet --}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
rows=evals/sql-mixed/mixed.jsonl

# check NAME ROUTED: compares the routes with what was expected, and prints how sure they are
check() {
    python3 - "$1" "$2" "$rows" <<'EOF'
import json
import sys

name, routed, expected = sys.argv[1:]
read = lambda path: [json.loads(line) for line in open(path)]
rows = list(zip(read(routed), read(expected), strict=True))
wrong = [want["id"] for got, want in rows if got["_route"] != want["expected_route"]]
least = min(got["_route_confidence"] for got, _ in rows)
if wrong:
    sys.exit(f"{name}: {len(wrong)} of {len(rows)} rows got another route: {', '.join(wrong)}")
print(f"{name}: {len(rows)} of {len(rows)} rows right, least confidence {least:.3f}")
EOF
}

$factory route --router evals/sql-mixed/rules.json --data $rows --routes-out "$out/rules.jsonl"
check rules "$out/rules.jsonl"
python3 -c '
import json, sys
for line in sys.stdin:
    print(json.dumps({"prompt": json.loads(line)["prompt"]}))' <$rows >"$out/prompts.jsonl"
$factory route fit --adapter expanded=evals/sql-expanded/train.jsonl --adapter created=evals/sql-mixed/created-train.jsonl \
    --out "$out/router.json"
$factory route --router "$out/router.json" --data "$out/prompts.jsonl" --routes-out "$out/content.jsonl"
check content "$out/content.jsonl"
$factory route --router "$out/router.json" --data evals/sql-mixed/neither.jsonl --routes-out "$out/neither.jsonl"
python3 - "$out/neither.jsonl" <<'EOF'
import json
import sys

rows = [json.loads(line) for line in open(sys.argv[1])]
left = sum(row["_route"] is None for row in rows)
if left < 0.9 * len(rows):
    sys.exit(f"neither: only {left} of {len(rows)} prompts are left to the base")
print(f"neither: {left} of {len(rows)} prompts left to the base, highest confidence {max(r['_route_confidence'] for r in rows):.3f}")
EOF
