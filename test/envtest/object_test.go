package envtest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

const (
	immutable     = "upstream cannot change: create another ScopedCredential and let pods ask for it"
	conditionTime = "write lastTransitionTime as 2030-12-31T00:00:00Z"
)

// named returns the smallest object under a name of its own.
func named(t *testing.T, kind, name string) manifest {
	t.Helper()
	return smallest(t, kind).with(t, "/metadata/name", `"`+name+`"`)
}

// TestUpstreamIsImmutable holds a scope to the key that it was reviewed for.
func TestUpstreamIsImmutable(t *testing.T) {
	m := named(t, "ScopedCredential", "immutable").with(t, "/spec/upstream", `{"namespace": "vault", "name": "small"}`)
	stored := read(t, create(t, m))
	for _, value := range []string{`{"namespace": "vault", "name": "other"}`, `{"namespace": "other", "name": "small"}`, `{"name": "small"}`} {
		_, err := update(t, stored.with(t, "/spec/upstream", value), "")
		if err == nil || !strings.Contains(err.Error(), immutable) {
			t.Errorf("changing upstream to %s: %v, want %q", value, err, immutable)
		}
	}
	if _, err := update(t, stored.with(t, "/spec/suspend", `true`), ""); err != nil {
		t.Errorf("changing something else: %v", err)
	}
}

// TestStatus writes every field of the status apart from the spec.
func TestStatus(t *testing.T) {
	complete := full(t)
	for kind, file := range map[string]string{
		"ScopedCredential": "scopedcredential.yaml ScopedCredential release-notes",
		"UpstreamSecret":   "upstreamsecret.yaml UpstreamSecret github-acme",
	} {
		t.Run(kind, func(t *testing.T) {
			status := complete[file]["status"]
			m := named(t, kind, "status")
			m["status"] = status
			stored := read(t, create(t, m))
			if stored["status"] != nil {
				t.Errorf("creating wrote the status %v", stored["status"])
			}
			stored["status"] = status
			written, err := update(t, stored, "status")
			if err != nil {
				t.Fatal(err)
			}
			decode(t, kind, written)
			if diff := cmp.Diff(m.clone(t)["status"], at(parse(t, written), []string{"status"})); diff != "" {
				t.Errorf("the status changed on its way (-want +got):\n%s", diff)
			}
			for _, bad := range []string{`"2030-12-31t00:00:00z"`, `"2030-12-31T00:00:00+99:00"`} {
				latest := read(t, written)
				_, err := update(t, latest.with(t, "/status/conditions/0/lastTransitionTime", bad), "status")
				if err == nil || !strings.Contains(err.Error(), conditionTime) {
					t.Errorf("the time %s, which Go cannot read: %v, want %q", bad, err, conditionTime)
				}
			}
		})
	}
}

// TestColumns shows what kubectl get prints.
func TestColumns(t *testing.T) {
	m := named(t, "ScopedCredential", "columns").with(t, "/spec/expiresAt", `"2099-12-31T00:00:00Z"`)
	stored := read(t, create(t, m))
	stored["status"] = json.RawMessage(`{"scopeHash": "abc", "sidecars": {"total": 4, "enforcing": 3, "outdated": 1, "summary": "3/4"},
		"reach": {"reads": 12, "writes": 5, "deletes": 1, "opaque": 0, "summary": "R12 W5 D1"},
		"conditions": [{"type": "Ready", "status": "False", "reason": "Pending", "message": "", "lastTransitionTime": "2026-08-01T10:00:00Z"}]}`)
	if _, err := update(t, stored, "status"); err != nil {
		t.Fatal(err)
	}
	printed, err := answer(api.Get().Namespace("default").Resource("scopedcredentials").Name("columns").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"))
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		ColumnDefinitions []struct {
			Name     string
			Priority int
		}
		Rows []struct{ Cells []any }
	}
	if err := json.Unmarshal(printed, &table); err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	for i, column := range table.ColumnDefinitions {
		if column.Priority > 0 {
			column.Name += " (wide)"
		}
		got[column.Name] = table.Rows[0].Cells[i]
	}
	delete(got, "Age")
	want := map[string]any{
		"Name": "columns", "Ready": "False", "Reason": "Pending", "Upstream": "small", "Sidecars": "3/4", "Reach": "R12 W5 D1",
		"Expires":      "2099-12-31T00:00:00Z", // a date would be printed as an age, and this one as <invalid>
		"Scope (wide)": "abc", "Holders (wide)": `["agent"]`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
}

// TestSelectors answers "who uses this upstream?".
func TestSelectors(t *testing.T) {
	create(t, named(t, "ScopedCredential", "selected").with(t, "/spec/upstream", `{"namespace": "vault", "name": "wanted"}`))
	create(t, named(t, "ScopedCredential", "not-selected").with(t, "/spec/upstream", `{"namespace": "other", "name": "wanted"}`))
	list, err := answer(api.Get().Namespace("default").Resource("scopedcredentials").
		Param("fieldSelector", "spec.upstream.name=wanted,spec.upstream.namespace=vault"))
	if err != nil {
		t.Fatal(err)
	}
	items, _ := at(parse(t, list), []string{"items"}).([]any)
	if len(items) != 1 || at(items[0], []string{"metadata", "name"}) != "selected" {
		t.Errorf("selected %s", list)
	}
}

// TestTwoOwnersOfOneList lets an overlay add a limit to one grant of another's
// manifest, without owning the rest.
func TestTwoOwnersOfOneList(t *testing.T) {
	apply := func(owner string, m manifest) []byte {
		t.Helper()
		stored, err := answer(api.Patch(types.ApplyPatchType).Namespace("default").Resource("scopedcredentials").Name("owned").
			Param("fieldManager", owner).Param("fieldValidation", "Strict").Body(m.json(t)))
		if err != nil {
			t.Fatalf("applying as %s: %v", owner, err)
		}
		return stored
	}
	base := named(t, "ScopedCredential", "owned")
	apply("base", base)
	overlay := base.with(t, "/spec", `{"grants": [{"name": "read", "limits": {"requests": {"count": 5, "per": "1m"}}}]}`)
	apply("overlay", overlay)
	stored := apply("base", base)
	want := []any{map[string]any{
		"name":   "read",
		"http":   map[string]any{"methods": []any{"GET"}, "paths": []any{"/"}},
		"limits": map[string]any{"requests": map[string]any{"count": number(5), "per": "1m"}},
	}}
	if diff := cmp.Diff(want, at(parse(t, stored), []string{"spec", "grants"})); diff != "" {
		t.Errorf("the two owners' grants (-want +got):\n%s", diff)
	}
}
