package tunnel

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// joint stands between the names of endpoints that are one. No name holds it.
const joint = "+"

// Merge returns c with one endpoint for each place. Its grants, those of the
// ceiling included, are those of all that share it: what one of them allows is
// allowed. Endpoints that share a place and are not sent the same secret in the
// same way, or whose profiles differ in more than what the one has besides,
// are refused. c stays as it is.
func Merge(c *bundle.Credential) (*bundle.Credential, error) {
	var order []Place
	merged := map[Place]*bundle.Endpoint{}
	for i := range c.Endpoints {
		e := c.Endpoints[i]
		p, err := PlaceOf(&e)
		if err != nil {
			return nil, fmt.Errorf("endpoint %s: %w", e.Name, err)
		}
		if merged[p] == nil {
			merged[p], order = &e, append(order, p)
			continue
		}
		if err := join(merged[p], &e); err != nil {
			return nil, err
		}
	}
	out := *c
	out.Endpoints = nil
	names := map[string]string{} // of each endpoint, the one it is part of
	for _, p := range order {
		out.Endpoints = append(out.Endpoints, *merged[p])
	}
	for i := range c.Endpoints {
		p, _ := PlaceOf(&c.Endpoints[i]) // read above
		names[c.Endpoints[i].Name] = merged[p].Name
	}
	out.Grants = rename(c.Grants, names)
	if c.Ceiling != nil {
		out.Ceiling = &bundle.Ceiling{Grants: rename(c.Ceiling.Grants, names)}
	}
	return &out, nil
}

// join makes e a part of into.
func join(into, e *bundle.Endpoint) error {
	differ := func(what string) error {
		return fmt.Errorf("endpoints %s and %s share an address and are judged as one in proxy mode, but differ in %s: make one endpoint of them, or use base URLs", into.Name, e.Name, what)
	}
	switch {
	case !reflect.DeepEqual(into.Inject, e.Inject):
		return differ("inject")
	case len(into.Headers)+len(e.Headers) > 0 && !reflect.DeepEqual(into.Headers, e.Headers):
		return differ("headers")
	case into.CABundle != e.CABundle || into.MinTLS != e.MinTLS:
		return differ("tls")
	case into.Private != e.Private || into.Plaintext != e.Plaintext:
		return differ("network")
	case includes(&e.Profile, &into.Profile):
		into.Profile = e.Profile
	case !includes(&into.Profile, &e.Profile):
		return differ("profile")
	}
	into.Name += joint + e.Name
	return nil
}

// includes tells whether p says all that q says. Of two profiles of one server
// the one that knows more of it holds.
func includes(p, q *scope.Profile) bool {
	more, less := reflect.ValueOf(*p), reflect.ValueOf(*q)
	for i := range more.NumField() {
		if !covers(more.Field(i), less.Field(i)) {
			return false
		}
	}
	return true
}

func covers(more, less reflect.Value) bool {
	switch {
	case more.Kind() == reflect.Bool:
		return more.Bool() || !less.Bool()
	case more.Kind() != reflect.Slice:
		return reflect.DeepEqual(more.Interface(), less.Interface())
	}
	for i := range less.Len() {
		found := false
		for k := range more.Len() {
			found = found || reflect.DeepEqual(more.Index(k).Interface(), less.Index(i).Interface())
		}
		if !found {
			return false
		}
	}
	return true
}

func rename(grants []scope.Grant, names map[string]string) []scope.Grant {
	if grants == nil {
		return nil
	}
	out := slices.Clone(grants)
	for i := range out {
		if name, ok := names[out[i].Endpoint]; ok {
			out[i].Endpoint = name
		}
	}
	return out
}
