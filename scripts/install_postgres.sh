#!/usr/bin/env bash
# Installs a PostgreSQL server for the tests, where there is none: by apt-get, as root. Nothing is started.
set -euo pipefail
if command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "PostgreSQL is not installed: install its server (apt-get install postgresql as root, brew install postgresql), so that initdb is on the PATH or under /usr/lib/postgresql" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y --no-install-recommends postgresql-common >/dev/null
# The tests start servers of their own; no other is wanted.
sed -i 's/^#* *create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
apt-get install -qq -y --no-install-recommends postgresql >/dev/null
