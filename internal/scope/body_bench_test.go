package scope_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/test/cpu"
)

// chatGrant bounds what a language model may be asked.
func chatGrant() scope.Grant {
	return scope.Grant{
		Name: "chat", HTTP: &scope.HTTP{Methods: []string{"POST"}, Paths: []string{"/v1/chat/completions"}},
		Body: &scope.Body{Media: scope.JSON, MaxBytes: 1 << 20, Fields: map[string]scope.Matcher{
			"model":              {Required: true, In: []string{"small-1", "small-2"}},
			"max_tokens":         {Required: true, Type: scope.Integer, Min: ptr("1"), Max: ptr("1024")},
			"stream":             {Type: scope.Boolean},
			"temperature":        {Type: scope.Number, Min: ptr("0"), Max: ptr("2")},
			"messages":           {Required: true, Type: scope.Array},
			"messages[].role":    {In: []string{"system", "user", "assistant", "tool"}},
			"messages[].content": {Type: scope.String},
			"tools[].type":       {In: []string{"function"}},
			"tools[].function":   {Type: scope.Any},
		}},
	}
}

// chatBody is a body of about 4 KiB with a few long texts.
func chatBody() []byte {
	var b strings.Builder
	b.WriteString(`{"model":"small-1","max_tokens":256,"temperature":0.7,"stream":true,"messages":[`)
	for i := 0; b.Len() < 3900; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"role":"user","content":"message %d: please read the report of last week,\nand tell me \"what\" has changed since then in the three repositories."}`, i)
	}
	return []byte(b.String() + `]}`)
}

// recordsGrant bounds a list of many small values.
func recordsGrant() scope.Grant {
	return scope.Grant{
		Name: "records", HTTP: &scope.HTTP{Methods: []string{"POST"}, Paths: []string{"/v1/records"}},
		Body: &scope.Body{Media: scope.JSON, MaxBytes: 1 << 20, Fields: map[string]scope.Matcher{
			"items":          {Required: true, MaxItems: ptr(100)},
			"items[].id":     {Required: true, Min: ptr("0")},
			"items[].name":   {Glob: ptr("item-*")},
			"items[].labels": {MaxItems: ptr(5)}, "items[].labels[]": {In: []string{"bug", "urgent"}},
			"items[].open":   {Type: scope.Boolean},
			"items[].weight": {Type: scope.Number, Max: ptr("10")},
			"items[].parent": {Type: scope.Any},
		}},
	}
}

func recordsBody() []byte {
	var b strings.Builder
	b.WriteString(`{"items":[`)
	for i := 0; b.Len() < 4000; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id": %d, "name": "item-%d", "labels": ["bug", "urgent"], "open": true, "weight": 1.5, "parent": null}`, i, i)
	}
	return []byte(b.String() + `]}`)
}

// uploadGrant lets any JSON pass: it is read, and nothing of it is asked for.
func uploadGrant() scope.Grant {
	return scope.Grant{
		Name: "upload", HTTP: &scope.HTTP{Methods: []string{"POST"}, Paths: []string{"/v1/uploads"}},
		Body: &scope.Body{Media: scope.JSON, MaxBytes: 1 << 20, UnlistedAllow: true},
	}
}

// uploadBody is the body that hack/bench sends.
func uploadBody() []byte {
	var b strings.Builder
	b.WriteString(`{"records":[`)
	for i := 0; b.Len() < 4000; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"title":"a record of some length","done":false}`, i)
	}
	return []byte(b.String() + `]}`)
}

var bodyBenches = map[string]struct {
	grant  scope.Grant
	target string
	body   []byte
}{
	"chat":    {chatGrant(), "/v1/chat/completions", chatBody()},
	"records": {recordsGrant(), "/v1/records", recordsBody()},
	"upload":  {uploadGrant(), "/v1/uploads", uploadBody()},
}

// BenchmarkDecideBody reads and judges a request by its head and then by its
// body of 4 KiB; BenchmarkYardstick reads the same body into a map with the
// standard library, and judges nothing.
func BenchmarkDecideBody(b *testing.B) {
	for name, bench := range bodyBenches {
		b.Run(name, func(b *testing.B) {
			p := mustCompile(b, scope.Profile{}, []scope.Grant{bench.grant}, nil)
			h := scope.Head{Method: "POST", Target: bench.target, HasBody: true, Fields: []scope.Field{{Name: "Content-Type", Value: "application/json"}}}
			var r scope.Request
			b.SetBytes(int64(len(bench.body)))
			b.ReportAllocs()
			cpu.Loop(b, func() {
				if err := r.Parse(&h, nil); err != nil {
					b.Fatal(err)
				}
				if d := p.Decide(&r); d.Verdict != scope.Undecided {
					b.Fatalf("%+v", d)
				}
				if d := p.DecideBody(&r, scope.Content{Data: bench.body, Whole: true}); d.Verdict != scope.Allow {
					b.Fatalf("%+v", d)
				}
			})
		})
	}
}

func BenchmarkYardstick(b *testing.B) {
	for name, bench := range bodyBenches {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.body)))
			b.ReportAllocs()
			cpu.Loop(b, func() {
				var m map[string]any
				if err := json.Unmarshal(bench.body, &m); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}
