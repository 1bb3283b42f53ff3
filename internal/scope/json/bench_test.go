package json_test

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope/json"
	"github.com/sallyport-dev/sallyport/test/cpu"
)

// chat is a text of about 4 KiB as language models are asked with: long
// strings, a few of them with escapes.
func chat() []byte {
	var b strings.Builder
	b.WriteString(`{"model":"small-1","max_tokens":256,"temperature":0.7,"stream":true,"messages":[`)
	for i := 0; b.Len() < 3900; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"role":"user","content":"message %d: please read the report of last week,\nand tell me \"what\" has changed since then in the three repositories."}`, i)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

// records is a text of about 4 KiB as other APIs are asked with: many short
// keys and values.
func records() []byte {
	var b strings.Builder
	b.WriteString(`{"items":[`)
	for i := 0; b.Len() < 4000; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id": %d, "name": "item-%d", "labels": ["bug", "urgent"], "open": true, "weight": 1.5, "parent": null}`, i, i)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

// upload is a text of 4 KiB without white space between its tokens, as programs
// write it, and the one of hack/bench.
func upload() []byte {
	const size = 4 << 10
	text := []byte(`{"records":[`)
	for i := 0; len(text) < size-100; i++ {
		text = fmt.Appendf(text, `{"id":%d,"title":"a record of some length","done":false},`, i)
	}
	text = append(bytes.TrimSuffix(text, []byte(",")), "]}"...)
	return append(text, bytes.Repeat([]byte(" "), size-len(text))...)
}

// letters is a text of about 4 KiB in a script beyond ASCII.
func letters() []byte {
	var b strings.Builder
	b.WriteString(`{"model":"small-1","messages":[{"role":"user","content":"`)
	for b.Len() < 4000 {
		b.WriteString("Прочитайте отчёт за прошлую неделю и скажите, что изменилось. 请阅读上周的报告。 ")
	}
	b.WriteString(`"}]}`)
	return []byte(b.String())
}

var texts = map[string][]byte{"letters": letters(), "chat": chat(), "records": records(), "upload": upload()}

func BenchmarkParse(b *testing.B) {
	for name, text := range texts {
		b.Run(name, func(b *testing.B) {
			var d json.Document
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			cpu.Loop(b, func() {
				if err := d.Parse(text); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// BenchmarkValid checks the same texts with the standard library, which records
// nothing and lets keys be there twice.
func BenchmarkValid(b *testing.B) {
	for name, text := range texts {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			cpu.Loop(b, func() {
				if !stdjson.Valid(text) {
					b.Fatal("not JSON")
				}
			})
		})
	}
}

// BenchmarkYardstick reads the same texts with the standard library.
func BenchmarkYardstick(b *testing.B) {
	for name, text := range texts {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			cpu.Loop(b, func() {
				var m map[string]any
				if err := stdjson.Unmarshal(text, &m); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}
