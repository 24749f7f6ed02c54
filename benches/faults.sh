#!/usr/bin/env bash
# The long form of the test that disturbs workers: 30 are killed with -9 while 20 videos are indexed, and
# Postgres is restarted twice without a shutdown. Then, as root, a disk
# that is full. A server of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=$([ "$(id -u)" = 0 ] && echo /var/cache || echo "${XDG_CACHE_HOME:-$HOME/.cache}")
export HEIMDEX_POSTGRES_RUN=$cache/heimdex/postgres/faults
# A crash is survived by what is on the disk.
export HEIMDEX_POSTGRES_OPTIONS="-c fsync=on"
trap 'dev/postgres remove' EXIT
DATABASE_URL=$(dev/postgres)
export DATABASE_URL
HEIMDEX_TEST_KILLS=${1:-30} HEIMDEX_TEST_RESTART="$PWD/dev/postgres restart" HEIMDEX_REQUIRE_POSTGRES=1 \
    cargo nextest run --workspace --features heimdex/full -E 'package(heimdex) & binary(jobs) & test(killed_workers)'

if [ "$(id -u)" = 0 ]; then
    small=$HEIMDEX_POSTGRES_RUN/small
    mkdir -p "$small"
    mount -t tmpfs -o size=64m,mode=700,uid=65534 none "$small"
    trap 'umount "$small"; dev/postgres remove' EXIT
    HEIMDEX_TEST_SMALL_DISK=$small cargo nextest run --workspace --features heimdex/full --run-ignored only \
        -E 'test(a_full_disk_is_named)'
    dev/postgres stop
else
    echo "a full disk needs root, to make a small one" >&2
fi
