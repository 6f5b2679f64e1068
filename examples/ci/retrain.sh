#!/usr/bin/env bash
# Retraining in any CI system: start a stack, retrain each configuration, keep what came out, stop the stack.
#
#   examples/ci/retrain.sh OUT_FOLDER CONFIG.yaml...
#
# Exit code: that of the last configuration that did not end well (docs/guide/ci.md has the table), 0 when all did.
#
# POLICYD_SERVER    asks this server instead of starting a stack.
# STACK             the stack's folder, with repository and jobs; keep it between runs to keep its champion.
# PRODUCTION        HOST:PORT of the server in production. The new version is compared with its champion, and
#                   a version that is promoted here is imported there and promoted, too.
# PRODUCTION_TOKEN  the token for it, PRODUCTION_CA its authority: roles train and admin.
set -euo pipefail
out=$1 && shift
python=${PYTHON:-.venv/bin/python}
stack=${STACK:-var}
mkdir -p "$out"

policyctl() { "$python" -m policyd "$@"; }

production() {
  POLICYD_SERVER=$PRODUCTION POLICYD_TOKEN=${PRODUCTION_TOKEN:-} POLICYD_TLS_CA=${PRODUCTION_CA:-} policyctl "$@"
}

field() { # FILE NAME: one field of a JSON document, empty if it has none
  "$python" -c 'import json, sys; print(json.load(open(sys.argv[1])).get(sys.argv[2]) or "")' "$@"
}

# The champion of production becomes the champion here, so that the gate compares with it.
take_champion() { # POLICY NAME
  [ -n "${PRODUCTION:-}" ] || return 0
  if production --json policies | "$python" -c '
import json, sys
policies = {p["name"]: p for p in json.load(sys.stdin)["policies"]}
aliases = [alias["name"] for alias in policies.get(sys.argv[1], {}).get("aliases", [])]
sys.exit("champion" not in aliases)' "$1"; then
    rm -rf "$out/$2-production"
    production export --policy "$1" --output "$out/$2-production"
    policyctl import "$out/$2-production" --alias champion
  else
    echo "production has no champion of $1 yet"
  fi
}

if [ -z "${POLICYD_SERVER:-}" ]; then
  "$python" -m examples.stack --folder "$stack" --listen 127.0.0.1:0 --trainer 127.0.0.1:0 \
    --metrics 127.0.0.1:0 --port-file "$out/server" > "$out/stack.log" 2>&1 &
  pid=$!
  trap 'kill -TERM $pid 2>/dev/null || true; wait $pid || true' EXIT
  until [ -s "$out/server" ]; do
    kill -0 $pid 2>/dev/null || { cat "$out/stack.log"; exit 1; }
    sleep 0.2
  done
  POLICYD_SERVER=$(cat "$out/server")
  export POLICYD_SERVER
fi

worst=0
for config in "$@"; do
  name=$(basename "$config" .yaml)
  policy=$("$python" -c 'import sys, yaml; print(yaml.safe_load(open(sys.argv[1]))["policy"])' "$config")
  take_champion "$policy" "$name"
  code=0
  policyctl retrain "$config" --wait --timeout "${TIMEOUT:-30m}" \
    --json "$out/$name.json" --junit "$out/$name.xml" --summary "$out/summary.md" || code=$?
  [ "$code" -eq 0 ] || worst=$code
  version=$(field "$out/$name.json" version)
  [ -n "$version" ] || continue
  rm -rf "${out:?}/$name"
  # The report is drawn after the result; the export takes it along.
  policyctl report --policy "$policy" --version "$version" --wait 3m --output "$out/$name.html" || true
  policyctl export --policy "$policy" --version "$version" --output "$out/$name"
  if [ -n "${PRODUCTION:-}" ] && [ "$code" -eq 0 ]; then production import "$out/$name" --alias champion; fi
done
exit "$worst"
