package sdk

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/net/websocket"

	"github.com/sallyport-dev/sallyport/test/npm"
)

const events = `
apiVersion: v1
kind: Secret
metadata: {name: events, namespace: agents}
stringData: {key: ` + key + `}
---
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: events, namespace: agents}
spec:
  endpoints:
  - {name: rt, url: "https://events.example", inject: {bearer: {}}}
  source: {secretRef: {name: events, key: key}}
---
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: events, namespace: agents}
spec:
  upstream: {name: events}
  holders: {serviceAccounts: [agent]}
  client: {env: [{name: EVENTS_URL, value: "{url:rt}"}, {name: TOKEN, value: "{token}"}]}
  grants:
  - name: socket
    websocket:
      path: /socket
      messages:
        media: JSON
        fields: {type: {required: true, in: [ping]}, text: {type: String}}
`

// TestWebSocket: the WebSocket of Node.js works with a server of another library,
// with messages of any length, and ends with the first that is not granted. The
// server does not hear of that.
func TestWebSocket(t *testing.T) {
	node, err := npm.Node()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var strange []string
	echo := websocket.Server{Handler: func(c *websocket.Conn) {
		for {
			var text string
			if websocket.Message.Receive(c, &text) != nil {
				return
			}
			var m struct{ Type, Text string }
			if json.Unmarshal([]byte(text), &m) != nil || m.Type != "ping" {
				mu.Lock()
				strange = append(strange, text)
				mu.Unlock()
			}
			if websocket.Message.Send(c, text) != nil {
				return
			}
		}
	}}
	s := &seen{}
	flags := serve(t, "events.example", s.record(http.HandlerFunc(echo.ServeHTTP)))
	got := play(t, "openai", "websocket.mjs", events, flags, fmt.Sprintf("export PATH=%q:$PATH;", filepath.Dir(node)))
	refusal := 1008.0
	holds(t, got, map[string]any{
		"granted": []any{`{"type":"ping","text":"grüße 𝄞"}`, `{"type":"ping","text":""}`}, "long": []any{125.0, 126.0, 65535.0, 65536.0, 200000.0},
		"many": true, "no JSON": []any{refusal}, "binary": []any{refusal}, "another token": true, "another type": got["another type"],
	})
	// What was granted before it may have been answered, or not any more.
	ended, _ := got["another type"].([]any)
	if len(ended) == 0 || len(ended) > 2 || ended[len(ended)-1] != refusal || len(ended) == 2 && ended[0] != `{"type":"ping","text":"a"}` {
		t.Errorf("another type: heard %v", ended)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(strange) > 0 {
		t.Errorf("the server heard %q", strange)
	}
	s.has(t, "GET /socket", "GET /socket", "GET /socket", "GET /socket", "GET /socket", "GET /socket")
}
