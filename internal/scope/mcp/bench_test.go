package mcp

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope/body"
	"github.com/sallyport-dev/sallyport/test/cpu"
)

// BenchmarkCall judges a call as the proxy does: the text is read, and held to
// the grant with the headers that mirror it.
func BenchmarkCall(b *testing.B) {
	j := compiled(b, &spec)
	var h body.Header
	h.Add("Content-Type", "application/json")
	of := body.OfJSON(1<<20, j)
	headers := fields("Host: tools.example", "Content-Type: application/json", "MCP-Protocol-Version: 2026-07-28",
		"Mcp-Method: tools/call", "Mcp-Name: search_docs")
	text := []byte(call("," + meta))
	b.ReportAllocs()
	cpu.Loop(b, func() {
		r := body.Read(body.Content{Data: text, Whole: true}, headers)
		if why := of.Judge(&h, r); why.Reason != body.Passes {
			b.Fatal(why)
		}
		r.Release()
	})
}
