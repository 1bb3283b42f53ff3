package rotation

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// query asks the endpoint for a document, as the agent does.
func (w *world) query(document string) int {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+w.sidecar.Address+"/graphql", strings.NewReader(`{"query":"`+document+`"}`))
	if err != nil {
		return 0
	}
	request.Header.Set("Authorization", "Bearer "+w.sidecar.Handle)
	request.Header.Set("Content-Type", "application/json")
	response, err := direct.Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// accepted waits until the condition Accepted of an object says so.
func (w *world) accepted(o client.Object, conditions *[]metav1.Condition, status metav1.ConditionStatus, reason, message string) {
	w.t.Helper()
	w.condition(v1alpha1.ConditionAccepted, o, conditions, status, reason, message)
}

// condition waits until a condition of an object says so.
func (w *world) condition(kind string, o client.Object, conditions *[]metav1.Condition, status metav1.ConditionStatus, reason, message string) {
	w.t.Helper()
	var last *metav1.Condition
	defer func() {
		if w.t.Failed() {
			w.t.Logf("%s of %s is %+v", kind, o.GetName(), last)
		}
	}()
	w.await(kind+" of "+o.GetName()+" is "+string(status)+", "+reason, func() bool {
		if err := api.Get(w.t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			w.t.Fatal(err)
		}
		last = meta.FindStatusCondition(*conditions, kind)
		return last != nil && last.Status == status && last.Reason == reason && strings.Contains(last.Message, message) && last.ObservedGeneration == o.GetGeneration()
	})
}

// setSchema writes the ConfigMap with the schema; an empty text deletes it.
func (w *world) setSchema(text string) {
	w.t.Helper()
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "schema"}, Data: map[string]string{"sdl": text}}
	err := client.IgnoreNotFound(api.Delete(w.t.Context(), m.DeepCopy()))
	if err == nil && text != "" {
		err = api.Create(w.t.Context(), m)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestSchema: a GraphQL schema in a ConfigMap is what a grant is judged by, and
// every change of it counts at once: without it, or with one that the grant does
// not fit, nothing is served, and the conditions say why.
func TestSchema(t *testing.T) {
	const schema = "type Query { thing: Thing, hidden: Thing } type Thing { name: String }"
	w := newWorld(t)
	up := &v1alpha1.UpstreamSecret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "upstream"}}
	sc := &v1alpha1.ScopedCredential{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "notes"}}

	// One that is missing is no reason to cut off who is served without it.
	w.await("the edit", func() bool {
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(up), up); err != nil {
			t.Fatal(err)
		}
		up.Spec.Endpoints[0].GraphQL = &v1alpha1.GraphQLEndpoint{SchemaRef: v1alpha1.KeyReference{Name: "schema", Key: "sdl"}}
		return api.Update(t.Context(), up) == nil
	})
	const field = `spec.endpoints[0].graphql.schemaRef: "schema/sdl": `
	w.accepted(up, &up.Status.Conditions, metav1.ConditionFalse, v1alpha1.ReasonNotFound, field+"there is no ConfigMap")
	if status := w.get("/notes", w.sidecar.Handle); status != http.StatusOK {
		t.Errorf("what was accepted before is answered %d", status)
	}

	w.setSchema(schema)
	w.accepted(up, &up.Status.Conditions, metav1.ConditionTrue, v1alpha1.ReasonAccepted, "")
	w.edit(func(s *v1alpha1.ScopedCredentialSpec) {
		s.Grants = append(s.Grants, v1alpha1.Grant{Name: "graph", GraphQL: &v1alpha1.GraphQLGrant{
			Path: "/graphql", Operations: []v1alpha1.GraphQLOperation{"Query"},
			Select: []v1alpha1.Selection{{On: "Query.thing"}, {On: "Thing", Fields: []string{"name"}}},
		}})
	})
	w.await("the grant is served", func() bool { return w.query("{thing{name}}") == http.StatusOK })
	if status := w.query("{hidden{name}}"); status != http.StatusForbidden {
		t.Errorf("a field that is not granted is answered %d", status)
	}

	for _, change := range []struct{ why, text, reason, message, scope string }{
		{"a schema without the field", "type Query { thing: Other } type Other { name: String }", "", "", "spec.grants[1].graphql.select[1].on"},
		{"a text that is no schema", "type canary {", v1alpha1.ReasonInvalid, field, "this UpstreamSecret is not accepted"},
		{"no schema", "", v1alpha1.ReasonNotFound, field + "there is no ConfigMap", "this UpstreamSecret is not accepted"},
	} {
		w.setSchema(change.text)
		w.await("nothing is served by "+change.why, func() bool {
			return w.query("{thing{name}}") == http.StatusForbidden || w.query("{thing{name}}") == http.StatusServiceUnavailable
		})
		w.accepted(sc, &sc.Status.Conditions, metav1.ConditionFalse, cmp.Or(change.reason, v1alpha1.ReasonInvalid), change.scope)
		if change.reason != "" {
			w.accepted(up, &up.Status.Conditions, metav1.ConditionFalse, change.reason, change.message)
			if m := meta.FindStatusCondition(up.Status.Conditions, v1alpha1.ConditionAccepted).Message; strings.Contains(m, "canary") {
				t.Errorf("%s: the condition quotes it: %s", change.why, m)
			}
		}
		w.setSchema(schema)
		w.await("it is served again after "+change.why, func() bool { return w.query("{thing{name}}") == http.StatusOK })
	}
}
