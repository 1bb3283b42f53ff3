#!/bin/sh
# Plays the client that $CLIENT names behind a sidecar: what it is called with, a
# URL of a server on this host, is the upstream.
set -eu
rest=${1#http://localhost:}
port=${rest%%/*}
path=${rest#"$port"}
HOME=$(mktemp -d) && export HOME path
trap 'rm -rf "$HOME"' EXIT
"$SALLYPORT" run -f "$SCOPE" --connect-to "mcp.tools.svc:80=127.0.0.1:$port" --audit-file "$AUDIT" -- \
	sh -c 'exec "$CLIENT" "$MCP_URL$path?key=$MCP_TOKEN"'
