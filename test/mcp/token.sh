#!/bin/sh
# An MCP client that shows the token of the sidecar to the server at a URL, and
# knows nothing of OAuth.
printf '{"do":"connect"}\n{"do":"tools"}\n{"do":"call","name":"test-tool"}\n' | MCP_URL=$1 "$GOSDK"
