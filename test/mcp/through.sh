#!/bin/sh
# Plays the client that $CLIENT names, perhaps with arguments, behind a sidecar:
# what it is called with, a URL of a server on this host, is the upstream. $SHOW is
# what goes before the token at the end of the sidecar's URL; empty: the token
# does not go there.
set -eu
rest=${1#http://localhost:}
port=${rest%%/*}
path=${rest#"$port"}
HOME=$(mktemp -d) && export HOME path
trap 'rm -rf "$HOME"' EXIT
"$SALLYPORT" run -f "$SCOPE" --connect-to "mcp.tools.svc:80=127.0.0.1:$port" --audit-file "$AUDIT" -- \
	sh -c 'exec $CLIENT "$MCP_URL$path${SHOW:+$SHOW$MCP_TOKEN}"'
