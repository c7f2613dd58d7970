#!/usr/bin/env bash
# The page at / in headless Chromium, against the server. playwright-core is fetched once, into target/page; Chromium is the machine's own, or is
# installed where that can be done (Debian, as root).
#   scripts/page_check.sh [BINARY] [FOLDER]        FOLDER keeps pictures of the page
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${1:-}" ] || cargo build --quiet
binary=${1:-target/debug/factory}
browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
if ! browser >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes chromium; } >/dev/null
fi
browser >/dev/null || { echo "page_check: needs chromium" >&2; exit 2; }
page=target/page
if [ ! -e "$page/done" ]; then
    rm -rf "$page"
    mkdir -p "$page"
    npm install --loglevel=error --prefix "$page" playwright-core@1.64.1 >/dev/null
    touch "$page/done"
fi
NODE_PATH="$PWD/$page/node_modules" CHROMIUM=$(browser) node scripts/page_check.cjs "$binary" "${2:-}"
