#!/usr/bin/env bash
# Runs other people's tools against Kalends: a server of its own on this machine, with a database that is gone afterwards.
# Start it from anywhere; it needs the Python environment, Node 20.19 or newer, and npm for the first run.
set -euo pipefail
cd "$(dirname "$0")/.."

kalends=${KALENDS:-.venv/bin/kalends}
here=conformance
tools=$here/node_modules/.bin
work=$(mktemp -d)
server=
failed=0
rows=()

finish() {
  if [[ -n $server ]]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

die() {
  echo "conformance: $1" >&2
  exit 1
}

check() { # NAME COMMAND...; the last line that the command prints is its result
  local name=$1 log=$work/check.log began=$SECONDS state=pass result
  shift
  "$@" >"$log" 2>&1 || state=FAIL
  result=$(grep -v '^[[:space:]]*$' "$log" | tail -n 1 | cut -c1-80) || true
  if [[ $state == FAIL ]]; then
    failed=1 result="see above"
    printf -- '--- %s\n%s\n\n' "$name" "$(cat "$log")"
  fi
  rows+=("$(printf '%-5s %-26s %3ds  %s' "$state" "$name" $((SECONDS - began)) "$result")")
}

# Each of these runs as a condition, where bash does not stop at an error: hence the &&.
lint_eslint() {
  "$tools/eslint" --no-inline-config --config "$here/eslint.config.js" --max-warnings 0 schema.graphql "$here/typescript/operations" &&
    echo "0 findings in the schema and in the operations"
}

lint_schema() {
  "$tools/graphql-schema-linter" --config-directory "$here" schema.graphql && echo "0 findings"
}

generate() {
  rm -rf "$here/typescript/generated"
  (cd "$here" && node_modules/.bin/graphql-codegen --config codegen.js) &&
    echo "a client from schema.graphql and $(cat "$here"/typescript/operations/*.graphql | grep -cE '^(query|mutation) ') operations"
}

command -v node >/dev/null && command -v npm >/dev/null || die "needs Node 20.19 or newer, with npm"
[[ -x $kalends ]] || die "$kalends is not there: make the environment first, or name the command in KALENDS"

if ! cmp -s "$here/package-lock.json" "$here/node_modules/.installed"; then
  npm ci --prefix "$here"
  cp "$here/package-lock.json" "$here/node_modules/.installed"
fi

# No setting counts but these.
unset "${!KALENDS_@}"
touch "$work/kalends.toml"
export KALENDS_CONFIG="$work/kalends.toml" KALENDS_MODE=development KALENDS_GRAPHQL_GET=true
export KALENDS_DATABASE_URL="sqlite:///$work/kalends.sqlite3"
KALENDS_TOKEN=$("$kalends" app create Conformance --json | node -e 'process.stdout.write(JSON.parse(require("fs").readFileSync(0)).token)')
# Gateways and audits send no credential.
KALENDS_ANONYMOUS_KEY=$KALENDS_TOKEN "$kalends" serve --host 127.0.0.1 --port 0 >"$work/server.log" 2>"$work/server.err" &
server=$!
url=
for _ in {1..300}; do
  url=$(grep -om1 'http://[^ ]*/graphql' "$work/server.log" || true)
  [[ -n $url ]] && break
  kill -0 "$server" 2>/dev/null || break
  sleep 0.1
done
[[ -n $url ]] || die "the server did not start: $(cat "$work/server.err")"
export KALENDS_TOKEN

check "GraphQL over HTTP" node "$here/checks/http.js" "$url"
check "Federation" node "$here/checks/federation.js" "$url" schema.graphql
check "graphql-eslint" lint_eslint
check "graphql-schema-linter" lint_schema
check "graphql-codegen" generate
check "TypeScript, strict" node "$here/checks/types.js" "$work/example"
check "TypeScript, at the server" node "$here/checks/example.js" "$url" "$work/example"

printf '%s\n' "${rows[@]}"
exit "$failed"
