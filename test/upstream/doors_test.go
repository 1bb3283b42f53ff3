package upstream

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEveryDoorDeletes: a branch goes by each of the four routes, and the log
// has what the server was asked to do, done or not.
func TestEveryDoorDeletes(t *testing.T) {
	root := t.TempDir()
	dir, err := MakeRepository(t.Context(), root, "acme/docs", "a", "b", "c", "d", "e")
	if err != nil {
		t.Fatal(err)
	}
	var log Log
	srv := httptest.NewServer((&Server{Root: root, Key: "k3y", Issue: "text", Record: log.Record}).Handler())
	defer srv.Close()
	id := "REF_YWNtZS9kb2NzL2M" // acme/docs/c
	if got := post(t, srv.URL+"/graphql", `{"query":"{repository(owner:\"acme\",name:\"docs\"){issue(number:7){title} refs(refPrefix:\"refs/heads/\",first:9){nodes{name id}}}}"}`); !strings.Contains(got, `"id":"`+id+`","name":"c"`) || !strings.Contains(got, issueTitle) {
		t.Errorf("refs: %s", got)
	}
	send(t, srv.URL+"/repos/acme/docs/git/refs/heads/a", "k3y")
	push := exec.CommandContext(t.Context(), "git", "-c", "http.extraHeader=Authorization: Bearer k3y", "push", srv.URL+"/acme/docs.git", ":b", "main:new")
	push.Dir = dir
	if out, err := push.CombinedOutput(); err != nil {
		t.Fatalf("pushing: %v\n%s", err, out)
	}
	for _, test := range []struct{ path, body, want string }{
		{"/graphql", `{"query":"mutation($i:DeleteRefInput!){x:deleteRef(input:$i){...F}} fragment F on DeleteRefPayload{clientMutationId}","variables":{"i":{"refId":"` + id + `"}}}`, `{"data":{"x":{"clientMutationId":null}}}`},
		{"/graphql", `{"query":"mutation{deleteRef(input:{refId:\"nothing\"}){clientMutationId}}"}`, "could not resolve"},
		{"/graphql", `{"query":"mutation{updateRefs(input:{repositoryId:\"REF_YWNtZS9kb2NzLw\",refUpdates:[{name:\"refs/heads/e\",afterOid:\"0000000000000000000000000000000000000000\"}]}){clientMutationId}}"}`, `"clientMutationId":null`},
		{"/mcp", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`, `"protocolVersion":"2025-11-25"`},
		{"/mcp", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, ``},
		{"/mcp", `{"jsonrpc":"2.0","id":"l","method":"tools/list"}`, `"name":"delete_branch"`},
		{"/mcp", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"list_branches","arguments":{"owner":"acme","repo":"docs"}}}`, `"text":"d\nmain\nnew"`},
		{"/mcp", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"delete_branch","arguments":{"owner":"acme","Repo":"docs","branch":"d"}}}`, `"isError":false`},
		{"/mcp", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"delete_branch","arguments":{"owner":"acme","repo":"docs","branch":"d"}}}`, `"isError":true`},
		{"/mcp", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"other","arguments":{}}}`, `"isError":true`},
		{"/mcp", `{"jsonrpc":"2.0","id":2,"method":"other"}`, `-32601`},
	} {
		if got := post(t, srv.URL+test.path, test.body); !strings.Contains(got, test.want) {
			t.Errorf("%s: %s, want %q", test.body, got, test.want)
		}
	}
	left, err := Branches(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"main", "new"}, left); diff != "" {
		t.Errorf("branches left (-want +got):\n%s", diff)
	}
	var does []string
	for _, e := range log.Entries() {
		does = append(does, e.Does...)
	}
	if diff := cmp.Diff([]string{
		"delete refs/heads/a", "delete refs/heads/b", "create refs/heads/new", "delete refs/heads/c",
		"delete nothing", "delete refs/heads/e", "delete refs/heads/d", "delete refs/heads/d",
	}, does); diff != "" {
		t.Errorf("the log has (-want +got):\n%s", diff)
	}
}

func post(t *testing.T, url, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer k3y")
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
