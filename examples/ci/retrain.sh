#!/usr/bin/env bash
# Retraining in any CI system: start a stack, retrain each configuration, keep what came out, stop the stack.
#
#   examples/ci/retrain.sh OUT_FOLDER CONFIG.yaml...
#
# Exit code: that of the last configuration that did not end well (README.md has the table), 0 when all did.
# STACK is the folder of the model repository and the jobs; keep it between runs, so that there is a champion to
# compare with. With POLICYD_SERVER set no stack is started: that server is asked, and the models stay with it.
set -euo pipefail
out=$1 && shift
python=${PYTHON:-.venv/bin/python}
stack=${STACK:-var}
mkdir -p "$out"

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
  "$python" -m policyctl retrain "$config" --wait --timeout "${TIMEOUT:-30m}" \
    --json "$out/$name.json" --junit "$out/$name.xml" --summary "$out/summary.md" || worst=$?
  version=$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["version_path"] or "")' "$out/$name.json")
  if [ -n "$version" ] && [ -d "$stack/repository/$version" ]; then cp -r "$stack/repository/$version" "$out/$name"; fi
done
exit "$worst"
