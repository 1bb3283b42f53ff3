package sdk

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func tlsOf(certificate tls.Certificate) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
}

const llm = `
apiVersion: v1
kind: Secret
metadata: {name: openai, namespace: agents}
stringData: {key: ` + key + `}
---
apiVersion: sallyport.dev/v1alpha1
kind: UpstreamSecret
metadata: {name: openai, namespace: agents}
spec:
  endpoints:
  - {name: api, url: "https://api.openai.com", profile: openai, inject: {bearer: {}}}
  source: {secretRef: {name: openai, key: key}}
---
apiVersion: sallyport.dev/v1alpha1
kind: ScopedCredential
metadata: {name: llm, namespace: agents}
spec:
  upstream: {name: openai}
  holders: {serviceAccounts: [agent]}
  grants:
  - name: chat
    http: {methods: [POST], paths: [/v1/chat/completions]}
    body:
      fields:
        model: {required: true, in: [gpt-small]}
        max_tokens: {required: true, type: Integer, min: 1, max: 256}
        stream: {type: Boolean}
        messages: {required: true, type: Array, maxItems: 20}
        "messages[].role": {required: true, in: [system, user, assistant]}
        "messages[].content": {required: true, maxLength: 10000}
`

// TestOpenAI: OpenAI's library works with two variables in its environment, and
// streams.
func TestOpenAI(t *testing.T) {
	s := &seen{}
	flags := serve(t, "api.openai.com", s.record(http.HandlerFunc(chat)))
	got := play(t, "openai", "openai.mjs", llm, flags, "MODEL=gpt-small")
	refused := func(reason string, words ...string) []string {
		return append(words, "403 ", `"reason":"`+reason+`"`, `"detail":"`)
	}
	holds(t, got, map[string]any{
		"chat": "Hello there.", "stream": []any{"Hello", " there", "."},
		"another model": refused("ParameterRefused", "model"), "too many tokens": refused("ParameterRefused", "max_tokens"),
		"tools": refused("ParameterRefused", "tools"), "files": refused("OutOfScope"),
	})
	s.has(t, "POST /v1/chat/completions", "POST /v1/chat/completions")
}

// chat answers as the service does: whole, or in events.
func chat(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(string(body), `"stream":true`) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-small","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":3,"total_tokens":6}}`)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	chunk := func(delta, finish string) {
		_, _ = fmt.Fprintf(w, "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-small\",\"choices\":[{\"index\":0,\"delta\":%s,\"logprobs\":null,\"finish_reason\":%s}]}\n\n", delta, finish)
		_ = http.NewResponseController(w).Flush()
	}
	chunk(`{"role":"assistant","content":""}`, "null")
	for _, word := range []string{"Hello", " there", "."} {
		chunk(`{"content":"`+word+`"}`, "null")
	}
	chunk(`{}`, `"stop"`)
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}
