package graphql_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
	reader "github.com/sallyport-dev/sallyport/sidecar/graphql"
)

// BenchmarkDecision judges a request whose document was read before: what a
// client sends again and again.
func BenchmarkDecision(b *testing.B) {
	for name, body := range map[string]string{
		"read":      asked("query Q($n:Int){"+web+"{name issues(first:$n){nodes{title}}}}", `,"variables":{"n":5}`),
		"literals":  asked("{"+web+"{name issues(first:5){nodes{title}}}}", ""),
		"mutation":  asked("mutation{"+commit+"{oid}}", ""),
		"variables": asked("mutation($i:I!){commit(input:$i){oid}}", `,"variables":{"i":{"branch":{"repo":"acme/docs","name":"agent/x"}}}`),
		"refused":   asked("{viewer{login}}", ""),
	} {
		b.Run(name, func(b *testing.B) {
			policy := policyOf(b, code())
			var r scope.Request
			head := scope.Head{Method: "POST", Target: "/graphql", Fields: []scope.Field{{Name: "Content-Type", Value: "application/json"}}, HasBody: true}
			if err := r.Parse(&head, nil); err != nil {
				b.Fatal(err)
			}
			content := scope.Content{Data: []byte(body), Whole: true, GraphQL: documents.Read}
			b.ReportAllocs()
			for b.Loop() {
				policy.DecideBody(&r, content)
			}
		})
	}
}

// BenchmarkUnseen reads a document each time.
func BenchmarkUnseen(b *testing.B) {
	policy := policyOf(b, code())
	var r scope.Request
	head := scope.Head{Method: "POST", Target: "/graphql", Fields: []scope.Field{{Name: "Content-Type", Value: "application/json"}}, HasBody: true}
	if err := r.Parse(&head, nil); err != nil {
		b.Fatal(err)
	}
	body := []byte(asked("query Q($n:Int){"+web+"{name issues(first:$n){nodes{title}}}}", `,"variables":{"n":5}`))
	b.ReportAllocs()
	for b.Loop() {
		documents := new(reader.Reader)
		policy.DecideBody(&r, scope.Content{Data: body, Whole: true, GraphQL: documents.Read})
	}
}
