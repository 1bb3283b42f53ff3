package prove

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// This file has the reading of never for bodies in words of its own: what is
// listed must be there and match, and of elements, or of values of one name, one
// is enough.

// namedBody reports whether a body that goes upstream is one that n names. One
// that no grant looks into may hold whatever is named.
func namedBody(n *region.NeverBody, by *scope.Grant, h *ask) bool {
	switch {
	case n == nil:
		return true
	case !h.HasBody:
		return false
	case n.Media == "" && len(n.Fields) == 0 || by.Body.Media == scope.Opaque:
		return true
	case by.Body.Media != n.Media:
		return false
	case n.Media == scope.Form:
		return namedForm(n.Fields, h.body)
	}
	var doc any
	decoder := json.NewDecoder(strings.NewReader(h.body))
	decoder.UseNumber()
	return decoder.Decode(&doc) == nil && namedFields(n.Fields, doc)
}

func namedForm(fields map[string]scope.Matcher, body string) bool {
	values, err := url.ParseQuery(body)
	if err != nil {
		return false
	}
	for name, m := range fields {
		found := slices.ContainsFunc(values[name], func(v string) bool {
			return bodyPasses(scope.Form, m, "v="+url.QueryEscape(v))
		})
		if m.Forbidden == (len(values[name]) > 0) || !m.Forbidden && !found {
			return false
		}
	}
	return true
}

// namedFields reports whether all fields are there and match. Those below one
// element are asked of the same element. Where some say that the document is an
// array and others that it is an object, those count that can be there.
func namedFields(fields map[string]scope.Matcher, doc any) bool {
	if m, itself := fields[""]; itself && !matches(m, doc) {
		return false
	}
	all := steps(fields)
	if list := slices.Index(all, "[]"); list >= 0 && len(all) > 1 {
		if _, isList := doc.([]any); isList {
			all = []string{"[]"}
		} else {
			all = slices.Delete(all, list, list+1)
		}
	}
	for _, first := range all {
		below := map[string]scope.Matcher{}
		for path, m := range fields {
			if rest, ok := strings.CutPrefix(path, first); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
				below[strings.TrimPrefix(rest, ".")] = m
			}
		}
		if m, itself := below[""]; itself && m.Forbidden {
			if object, ok := doc.(map[string]any); !ok || has(object, first) {
				return false
			}
			continue
		}
		if !namedBelow(first, below, doc) {
			return false
		}
	}
	return true
}

func has(object map[string]any, key string) bool {
	_, there := object[key]
	return there
}

func namedBelow(first string, below map[string]scope.Matcher, doc any) bool {
	if first == "[]" {
		list, ok := doc.([]any)
		return ok && slices.ContainsFunc(list, func(v any) bool { return namedFields(below, v) })
	}
	object, ok := doc.(map[string]any)
	return ok && has(object, first) && namedFields(below, object[first])
}

// steps are the first steps of paths.
func steps(fields map[string]scope.Matcher) []string {
	seen := map[string]bool{}
	for path := range fields {
		switch at := strings.IndexAny(path, ".["); {
		case path == "":
		case strings.HasPrefix(path, "[]"):
			seen["[]"] = true
		case at < 0:
			seen[path] = true
		default:
			seen[path[:at]] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// matches asks the judge about one value. Of objects and arrays never looks at
// their type, and at how long an array is.
func matches(m scope.Matcher, v any) bool {
	m.Required = false
	switch list, isList := v.([]any); {
	case isList && takes(m, scope.Array):
		return m.MaxItems == nil || len(list) <= *m.MaxItems
	case isList:
		return false
	}
	if _, isObject := v.(map[string]any); isObject {
		return takes(m, scope.Object)
	}
	text, err := json.Marshal(v)
	return err == nil && bodyPasses(scope.JSON, m, `{"v":`+string(text)+"}")
}

// takes reports whether a matcher that says nothing of a text takes values of a
// type.
func takes(m scope.Matcher, t scope.Type) bool {
	text := m.Equals != nil || len(m.In) > 0 || len(m.Except) > 0 || m.Glob != nil || m.Pattern != nil || m.MinLength != nil || m.MaxLength != nil || m.Kind != ""
	return !text && (m.ValueType() == t || m.ValueType() == scope.Any) && (m.Set == nil || takes(*m.Set, t))
}

func bodyPasses(media scope.Media, m scope.Matcher, body string) bool {
	m.Required, m.Repeated = false, false
	policy, err := scope.Compile(scope.Profile{}, []scope.Grant{{
		Name: "one", HTTP: &scope.HTTP{Methods: []string{"POST"}, Paths: []string{"/"}},
		Body: &scope.Body{Media: media, MaxBytes: 1 << 20, Fields: map[string]scope.Matcher{"v": m}},
	}}, nil)
	if err != nil {
		return false
	}
	h := ask{Head: scope.Head{Method: "POST", Target: "/", HasBody: true}, body: body}
	h.contentType(media)
	var r scope.Request
	return r.Parse(&h.Head, nil) == nil && decide(policy, &r, &h).Verdict == scope.Allow
}

func (h *ask) contentType(m scope.Media) {
	name := map[scope.Media]string{scope.JSON: "application/json", scope.Form: "application/x-www-form-urlencoded"}[m]
	h.Fields = append(h.Fields, scope.Field{Name: "Content-Type", Value: name})
}
