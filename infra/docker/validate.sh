#!/bin/sh
# Checks the compose files with the real compose tool, layer by layer, with throw-away secrets; needs no container engine.
# The tool: `docker compose` where it is installed, else built once from its Go module into the cache (2 to 3 minutes).
# Exit code 0: valid. 77: neither tool nor Go is here. Anything else: the tool's complaint is above.
set -eu

compose_version=2.40.3
root=$(cd "$(dirname "$0")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/marketstream/docker-compose-$compose_version
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

build() (
    mkdir -p "$cache" "$scratch/build"
    cd "$scratch/build"
    printf 'module compose\n\ngo 1.24\n' >go.mod
    printf '//go:build tools\n\npackage tools\n\nimport _ "github.com/docker/compose/v2/cmd"\n' >tools.go
    export GOFLAGS=-mod=mod
    go get "github.com/docker/compose/v2@v$compose_version"
    go mod tidy
    go build -trimpath -o "$cache/building.$$" github.com/docker/compose/v2/cmd
    mv "$cache/building.$$" "$cache/docker-compose"
)

if docker compose version >/dev/null 2>&1; then
    compose() { docker compose "$@"; }
else
    if ! [ -x "$cache/docker-compose" ]; then
        if ! command -v go >/dev/null; then
            echo "compose files not checked: install docker compose or Go" >&2
            exit 77
        fi
        echo "building docker compose $compose_version (once)" >&2
        build >&2
    fi
    compose() { "$cache/docker-compose" "$@"; }
fi

# A copy, so that neither the checkout's own secrets nor a user's .env decide.
mkdir -p "$scratch/checkout/infra"
cp "$root/docker-compose.yml" "$scratch/checkout"
cp -R "$root/infra/." "$scratch/checkout/infra"
cp -R "$root/grafana" "$scratch/checkout"
rm -f "$scratch/checkout/infra/docker/secrets.env"
cd "$scratch/checkout"

touch infra/docker/secrets.env
if compose config --quiet 2>"$scratch/complaint"; then
    echo "the platform would start without passwords" >&2
    exit 1
fi
grep -q "run infra/docker/make-secrets.sh first" "$scratch/complaint"
echo "without passwords: refused"
infra/docker/make-secrets.sh

compose config --quiet
echo "all layers: valid, $(compose config --services | wc -l) services"
for layers in "core" "core spark" "core observability"; do
    {
        echo "include:"
        for layer in $layers; do
            echo "  - path: infra/docker/$layer.yml"
            echo "    project_directory: ."
            echo "    env_file: [infra/docker/versions.env, infra/docker/secrets.env]"
        done
    } >some-layers.yml
    compose --file some-layers.yml --project-name marketstream config --quiet
    echo "$layers: valid, $(compose --file some-layers.yml --project-name marketstream config --services | wc -l) services"
done
