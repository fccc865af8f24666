#!/bin/sh
# Generates the passwords that docker-compose.yml needs, once: infra/docker/secrets.env, readable by its owner alone.
# A password that exists is kept, so running it again is harmless; delete the file (and the volumes) to start anew.
set -eu

file=${1:-$(dirname "$0")/secrets.env}
umask 077
touch "$file"
chmod 600 "$file"

for name in \
    POSTGRES_SUPERUSER_PASSWORD \
    MARKETSTREAM_POSTGRES__OWNER_PASSWORD \
    MARKETSTREAM_POSTGRES__WRITER_PASSWORD \
    MARKETSTREAM_POSTGRES__READER_PASSWORD \
    MARKETSTREAM_POSTGRES__ACCESS_PASSWORD \
    MARKETSTREAM_REDIS__PASSWORD \
    MARKETSTREAM_INFLUX__TOKEN \
    MARKETSTREAM_ACCESS__PEPPER \
    INFLUXDB_ADMIN_PASSWORD \
    GRAFANA_ADMIN_PASSWORD; do
    grep -q "^$name=" "$file" || printf '%s=%s\n' "$name" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" >>"$file"
done
