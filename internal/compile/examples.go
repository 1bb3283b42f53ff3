package compile

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	fields "github.com/sallyport-dev/sallyport/internal/scope/field"
)

// examples decides requests that an author wrote down. One is allowed if some
// headers and body pass, and denied if none do: with the headers and the body
// fields and parts that a grant requires, and no others.
type examples struct {
	p         *problems
	endpoints []bundle.Endpoint
	grants    []scope.Grant
}

func (x *examples) all(path *field.Path, in *v1alpha1.Examples) {
	if in == nil {
		return
	}
	for i, text := range in.Allow {
		at := path.Child("allow").Index(i)
		switch allowed, known, why := x.decide(at, text); {
		case !known:
		case !allowed:
			x.p.add(v1alpha1.ReasonExampleFailed, at, text, "it is refused, since "+why+": grant it, or remove it from allow")
		}
	}
	for i, text := range in.Deny {
		at := path.Child("deny").Index(i)
		switch allowed, known, why := x.decide(at, text); {
		case !known:
		case allowed:
			x.p.add(v1alpha1.ReasonExampleFailed, at, text, "it is allowed by the grant "+why+": narrow that, or remove it from deny")
		}
	}
}

// decide judges an example. Where it is not known how, a problem says why;
// where it is, why names the grant that allows it, or says what is missing.
func (x *examples) decide(path *field.Path, text string) (allowed, known bool, why string) {
	endpoint, line := x.parse(text)
	if endpoint == nil {
		x.p.invalid(path, text, "write it as METHOD /path?query, with an endpoint of the UpstreamSecret and a space in front where there are several")
		return false, false, ""
	}
	var request scope.Request
	if err := request.Parse(&scope.Head{Method: line[0], Target: line[1]}, &endpoint.Profile); err != nil {
		return false, true, err.Error()
	}
	why, unsure := "no grant allows this method and path", ""
	for _, g := range x.grants {
		bare := g
		bare.Headers, bare.Body = nil, nil
		d := judge(endpoint, bare, &request)
		if d.Verdict != scope.Allow {
			if d.Reason == scope.ParameterRefused {
				why = d.Detail
			}
			continue
		}
		if unsure = x.unproved(endpoint, bare, g.Headers, line); unsure == "" {
			unsure = unprovedBody(g.Body)
		}
		if unsure == "" {
			return true, true, g.Name
		}
	}
	if unsure == "" {
		return false, true, why
	}
	x.p.add(v1alpha1.ReasonUnsupported, path, text, "whether the required "+unsure+" can pass is not found out: "+
		"list values of it by equals or in, or remove the example")
	return false, false, ""
}

// parse cuts an example into its endpoint, which is nil where there is none of
// that name, and method and target.
func (x *examples) parse(text string) (*bundle.Endpoint, []string) {
	line := strings.Split(text, " ")
	name := ""
	if len(line) == 3 {
		name, line = line[0], line[1:]
	}
	for i := range x.endpoints {
		e := &x.endpoints[i]
		if len(line) == 2 && (e.Name == name || name == "" && len(x.endpoints) == 1) {
			return e, line
		}
	}
	return nil, nil
}

// unproved names a required header for which no value was found that passes.
// Headers are independent of each other, so that each is tried alone.
func (x *examples) unproved(endpoint *bundle.Endpoint, bare scope.Grant, headers map[string]scope.Matcher, line []string) string {
	for _, name := range sortedKeys(headers) {
		m := headers[name]
		if !m.Required {
			continue
		}
		bare.Headers = map[string]scope.Matcher{name: m}
		if !slices.ContainsFunc(candidates(&m), func(value string) bool {
			var request scope.Request
			head := scope.Head{Method: line[0], Target: line[1], Fields: []scope.Field{{Name: name, Value: value}}}
			return request.Parse(&head, &endpoint.Profile) == nil && judge(endpoint, bare, &request).Verdict == scope.Allow
		}) {
			return "header " + name
		}
	}
	return ""
}

// judge decides a request to an endpoint by one grant alone.
func judge(endpoint *bundle.Endpoint, g scope.Grant, request *scope.Request) scope.Decision {
	if g.Endpoint != endpoint.Name {
		return scope.Decision{Reason: scope.OutOfScope}
	}
	policy, err := scope.Compile(endpoint.Profile, []scope.Grant{g}, nil)
	if err != nil {
		return scope.Decision{Reason: scope.OutOfScope} // complained about already
	}
	return policy.Decide(request)
}

// candidates are values that a matcher might take.
func candidates(m *scope.Matcher) []string {
	out := []string{"a", "1", "true"}
	out = append(out, m.In...)
	for _, text := range []*string{m.Equals, m.Min, m.Max, m.Glob} {
		if text != nil {
			out = append(out, *text)
		}
	}
	if m.MinLength != nil {
		out = append(out, strings.Repeat("a", min(*m.MinLength, maxKey)))
	}
	if m.Set != nil {
		out = append(out, candidates(m.Set)...)
	}
	return out
}

// unprovedBody names a required field or part for which no value was found
// that passes. Those of different names are independent of each other, so that
// each is tried alone.
func unprovedBody(b *scope.Body) string {
	if b == nil {
		return ""
	}
	for _, path := range sortedKeys(b.Fields) {
		m := b.Fields[path]
		if m.Required && !someField(b.Media, path, &m) {
			return "body field " + path
		}
	}
	for _, name := range sortedKeys(b.Parts) {
		if part := b.Parts[name]; !somePart(&part) {
			return "body part " + name
		}
	}
	return ""
}

// somePart tells whether a part was found that passes, if there must be one.
func somePart(p *scope.Part) bool {
	switch {
	case !p.Required && (p.Value == nil || !p.Value.Required):
		return true
	case p.Filename != nil && p.Filename.Required && !someText(p.Filename):
		return false
	}
	return someText(p.Value)
}

// someField tells whether a value was found for a field. One below the
// elements of an array is not asked for: the array may be empty.
func someField(media scope.Media, path string, m *scope.Matcher) bool {
	if media == scope.Form {
		return someText(m)
	}
	steps, err := fields.Parse(path)
	if err != nil || slices.ContainsFunc(steps, func(s fields.Step) bool { return s.Item }) {
		return err == nil
	}
	probe := scope.Grant{
		Name: "probe", HTTP: &scope.HTTP{Methods: []string{"POST"}, Paths: []string{"/"}},
		Body: &scope.Body{Media: scope.JSON, MaxBytes: 1 << 20, Fields: map[string]scope.Matcher{path: *m}},
	}
	policy, err := scope.Compile(scope.Profile{}, []scope.Grant{probe}, nil)
	if err != nil {
		return true // complained about already
	}
	var request scope.Request
	head := scope.Head{Method: "POST", Target: "/", HasBody: true, Fields: []scope.Field{{Name: "Content-Type", Value: "application/json"}}}
	if request.Parse(&head, nil) != nil {
		return false
	}
	return slices.ContainsFunc(jsonCandidates(m), func(value string) bool {
		return policy.DecideBody(&request, document(steps, value), true).Verdict == scope.Allow
	})
}

// jsonCandidates are JSON texts that a matcher might take.
func jsonCandidates(m *scope.Matcher) []string {
	out := []string{"{}", "[]"}
	for _, text := range candidates(m) {
		quoted, _ := json.Marshal(text) // a string can always be written
		out = append(out, text, string(quoted))
	}
	return out
}

// document is a JSON text with a value at the end of the steps.
func document(steps []fields.Step, value string) []byte {
	var b strings.Builder
	for _, s := range steps {
		name, _ := json.Marshal(s.Name)
		b.WriteString("{" + string(name) + ":")
	}
	return []byte(b.String() + value + strings.Repeat("}", len(steps)))
}

// someText tells whether a text was found that m takes; nil takes any.
func someText(m *scope.Matcher) bool {
	if m == nil {
		return true
	}
	probe := scope.Grant{
		Name: "probe", HTTP: &scope.HTTP{Methods: []string{"GET"}, Paths: []string{"/"}},
		Query: scope.Query{Params: map[string]scope.Matcher{"x": *m}},
	}
	policy, err := scope.Compile(scope.Profile{}, []scope.Grant{probe}, nil)
	if err != nil {
		return true // complained about already
	}
	return slices.ContainsFunc(candidates(m), func(value string) bool {
		var request scope.Request
		return request.Parse(&scope.Head{Method: "GET", Target: "/?x=" + url.QueryEscape(value)}, nil) == nil &&
			policy.Decide(&request).Verdict == scope.Allow
	})
}
