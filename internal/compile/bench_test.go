package compile

import (
	"fmt"
	"testing"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/test/cpu"
)

// BenchmarkCredential256 compiles and proves a scope of 256 grants, each with
// two paths, a set of eight repositories, two names of the query and a body,
// under a ceiling, beside four entries of never.
func BenchmarkCredential256(b *testing.B) {
	up := upstreamOf(b, upstreamText+`
  ceiling:
    sets: [{name: org, glob: "acme/*", fold: ASCII}]
    grants:
    - name: read
      http: {endpoint: rest, methods: [GET, HEAD], paths: ["/repos/{repo=*/*}/{rest...}"]}
      where: {repo: {set: org}}
      query: {unlisted: Allow}
      body: {media: Opaque}
    - name: write
      http: {endpoint: rest, methods: [POST, PATCH], paths: ["/repos/{repo=*/*}/{rest...}"]}
      where: {repo: {set: org}}
      query: {unlisted: Allow}
      body: {media: Opaque}
`)
	sc := credentialOf(b, `
metadata: {name: notes, namespace: agents}
spec:
  upstream: {namespace: platform, name: github}
  holders: {serviceAccounts: [agent]}
  never:
  - {http: {methods: [DELETE]}}
  - {http: {paths: ["/repos/{repo=*/*}/hooks/{rest...}", "/repos/{repo=*/*}/keys", "/user/{rest...}"]}}
  - {http: {paths: ["/repos/{repo=*/*}/{rest...}"]}, where: {repo: {in: [acme/payments, acme/identity], fold: ASCII}}}
  - {http: {}, query: {params: {force: {equals: "true"}}}}
`)
	resources := []string{"issues", "pulls", "labels", "milestones", "releases", "commits", "branches", "tags", "git/refs/heads", "contents", "comments", "reviews", "checks", "statuses", "deployments", "environments"}
	for i := range 32 {
		set := v1alpha1.NamedSet{Name: fmt.Sprintf("set-%d", i), Constraint: v1alpha1.Constraint{Fold: v1alpha1.FoldASCII}}
		for k := range 8 {
			set.In = append(set.In, fmt.Sprintf("acme/service-%d", (i*3+k)%40))
		}
		sc.Spec.Sets = append(sc.Spec.Sets, set)
	}
	for i := range 256 {
		path := "/repos/{repo=*/*}/" + resources[i%len(resources)]
		sc.Spec.Grants = append(sc.Spec.Grants, v1alpha1.Grant{
			Name:  fmt.Sprintf("grant-%d", i),
			HTTP:  &v1alpha1.HTTPGrant{Endpoint: "rest", Methods: []v1alpha1.Method{"GET", "POST"}, Paths: []string{path, path + "/{rest...}"}},
			Where: map[string]v1alpha1.Matcher{"repo": {Set: fmt.Sprintf("set-%d", i/8)}},
			Query: &v1alpha1.Query{Params: map[string]v1alpha1.Matcher{
				"page":  {Constraint: v1alpha1.Constraint{Min: "1", Max: "100"}},
				"state": {Constraint: v1alpha1.Constraint{In: []string{"open", "closed"}}},
			}},
			Body: &v1alpha1.Body{Media: v1alpha1.BodyOpaque},
		})
	}
	b.ReportAllocs()
	cpu.Loop(b, func() {
		if _, err := Credential(sc, up); err != nil {
			b.Fatal(err)
		}
	})
}
