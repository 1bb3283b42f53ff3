package scope_test

import (
	"fmt"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/test/cpu"
)

// many returns n grants of as many different paths, as a scope compiled from
// an API's description has them.
func many(n int) []scope.Grant {
	grants := make([]scope.Grant, n)
	for i := range grants {
		grants[i] = scope.Grant{
			Name: fmt.Sprintf("grant-%05d", i),
			HTTP: &scope.HTTP{
				Methods: []string{"GET", "HEAD"},
				Paths:   []string{fmt.Sprintf("/repos/{repo=*/*}/section-%d/{id}/item-%d", i%97, i)},
			},
			Where:   map[string]scope.Matcher{"repo": {In: []string{"acme/web", "acme/api"}}, "id": {Min: ptr("1")}},
			Query:   scope.Query{Params: map[string]scope.Matcher{"page": {Min: ptr("1"), Max: ptr("50")}}},
			Headers: map[string]scope.Matcher{"X-Tenant": {Equals: ptr("acme")}},
		}
	}
	return grants
}

// inMany is a request that one of many grants allows.
func inMany(n int) scope.Head {
	i := n / 2
	return scope.Head{
		Method: "GET",
		Target: fmt.Sprintf("/repos/Acme/web/section-%d/42/item-%d?page=2", i%97, i),
		Fields: []scope.Field{
			{Name: "Accept", Value: "application/json"}, {Name: "User-Agent", Value: "agent/1.0"},
			{Name: "Authorization", Value: "Bearer x"}, {Name: "X-Tenant", Value: "acme"}, {Name: "Accept-Encoding", Value: "gzip"},
		},
	}
}

func BenchmarkParse(b *testing.B) {
	for name, target := range map[string]string{
		"plain":   "/repos/acme/web/issues/42/comments?page=2&per_page=100",
		"escaped": "/repos/acme/web/contents/docs%2Fa%20b.md?q=is%3Aopen+label%3Abug",
	} {
		b.Run(name, func(b *testing.B) {
			h, r := scope.Head{Method: "GET", Target: target}, scope.Request{}
			b.ReportAllocs()
			cpu.Loop(b, func() {
				if err := r.Parse(&h, &github); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// BenchmarkDecide reads and judges a request that carries headers alone.
func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p, h, r := mustCompile(b, github, many(n), nil), inMany(n), scope.Request{}
			b.ReportAllocs()
			cpu.Loop(b, func() {
				if err := r.Parse(&h, &github); err != nil {
					b.Fatal(err)
				}
				if d := p.Decide(&r); d.Verdict != scope.Allow {
					b.Fatalf("%+v", d)
				}
			})
		})
	}
}

func BenchmarkDecideCeiling(b *testing.B) {
	ceiling := many(100)
	p, h, r := mustCompile(b, github, many(100), &ceiling), inMany(100), scope.Request{}
	b.ReportAllocs()
	cpu.Loop(b, func() {
		if err := r.Parse(&h, &github); err != nil {
			b.Fatal(err)
		}
		if d := p.Decide(&r); d.Verdict != scope.Allow {
			b.Fatalf("%+v", d)
		}
	})
}

func BenchmarkForward(b *testing.B) {
	p, h, r := mustCompile(b, github, many(100), nil), inMany(100), scope.Request{}
	if err := r.Parse(&h, &github); err != nil {
		b.Fatal(err)
	}
	d := p.Decide(&r)
	var target []byte
	b.ReportAllocs()
	cpu.Loop(b, func() {
		target = scope.AppendTarget(target[:0], "/api/v3", &r, &d)
		for i := range h.Fields {
			scope.Forwards(&d, h.Fields[i].Name)
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	grants := many(256)
	b.ReportAllocs()
	cpu.Loop(b, func() {
		mustCompile(b, github, grants, nil)
	})
}
