// Package rules holds what the requests for one endpoint are judged, counted and
// cut by: a value that is compiled once from a version of a credential, and shared
// by all who listen for that endpoint.
package rules

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	rpc "github.com/sallyport-dev/sallyport/internal/scope/mcp"
	"github.com/sallyport-dev/sallyport/sidecar/cut"
	"github.com/sallyport-dev/sallyport/sidecar/limit"
	"github.com/sallyport-dev/sallyport/sidecar/mcp"
)

// Layers are the grants of a credential, those of its ceiling, and the same two of
// an older version. What is allowed must hold to each of them.
const Layers = 4

// floorLayers is where the layers of the older version begin.
const floorLayers = 2

// Set is what requests for one endpoint are kept to. The zero Set has no policy:
// it allows nothing. It is immutable, but for what its buckets count, and safe for
// concurrent use.
type Set struct {
	Policy *scope.Policy
	// Floor is the policy of a version that is older than the one held: a
	// request must pass it, too. nil: there is none.
	Floor *scope.Policy
	// Totals are the buckets of all grants together, of the policy and of the
	// floor; nil: no bound.
	Totals [2]*limit.Bucket
	// Ruled says that there is a bucket or a cut at all.
	Ruled bool
	// Calls says that methods of gRPC are granted.
	Calls bool
	// Grants are those behind the layers.
	Grants [Layers][]scope.Grant

	layers [Layers]map[string]rule // by the name of the grant
}

// rule is that of one grant. The zero rule bounds nothing and cuts nothing.
type rule struct {
	bucket *limit.Bucket
	keep   *cut.Keep  // nil: all of it
	mcp    *rpc.Judge // nil: the grant speaks another protocol
}

// Buckets are those of a holder: what was served last has Before, and what is
// compiled adds to Renewed.
type Buckets struct {
	Counter         *limit.Counter
	Before, Renewed limit.Buckets
}

// Compile returns what e's requests are kept to by c, which is held, and by older,
// an earlier version that arrived later, or nil.
func Compile(b Buckets, e *bundle.Endpoint, c, older *bundle.Credential) (Set, error) {
	var s Set
	var err error
	if s.Policy, err = s.compile(b, e, c, 0); err != nil {
		return Set{}, err
	}
	s.Calls = slices.ContainsFunc(s.Grants[0], func(g scope.Grant) bool { return g.GRPC != nil })
	if older == nil {
		return s, nil
	}
	if s.Floor, err = s.compile(b, e, older, floorLayers); err != nil {
		return Set{}, err
	}
	return s, nil
}

// compile makes the policy of c, and from a layer on the rules of its grants and
// of its ceiling.
func (s *Set) compile(b Buckets, e *bundle.Endpoint, c *bundle.Credential, at int) (*scope.Policy, error) {
	grants, above := of(e, c.Grants), (*[]scope.Grant)(nil)
	if c.Ceiling != nil {
		ceiling := of(e, c.Ceiling.Grants)
		above = &ceiling
	}
	p, err := scope.Compile(e.Profile, grants, above)
	if err != nil {
		return nil, fmt.Errorf("endpoint %s: %w", e.Name, err)
	}
	if c.Requests != nil && !c.Requests.Valid() {
		return nil, errors.New("its limit of requests cannot be counted")
	}
	s.Totals[at/floorLayers] = b.Counter.Renew(b.Renewed, b.Before, strconv.Itoa(at), c.Requests)
	s.Ruled = s.Ruled || c.Requests != nil
	if err := s.add(b, grants, at); err != nil || above == nil {
		return p, err
	}
	return p, s.add(b, *above, at+1)
}

func (s *Set) add(b Buckets, grants []scope.Grant, at int) error {
	s.layers[at], s.Grants[at] = map[string]rule{}, grants
	for i := range grants {
		one, err := ruleOf(b, &grants[i], at)
		if err != nil {
			return fmt.Errorf("grant %s: %w", grants[i].Name, err)
		}
		if one != (rule{}) {
			s.layers[at][grants[i].Name] = one
			s.Ruled = true
		}
	}
	return nil
}

func ruleOf(b Buckets, g *scope.Grant, at int) (rule, error) {
	var one rule
	if g.Limits != nil {
		one.bucket = b.Counter.Renew(b.Renewed, b.Before, strconv.Itoa(at)+"/"+g.Endpoint+"/"+g.Name, &g.Limits.Requests)
	}
	if g.MCP != nil {
		one.mcp = rpc.Compile(g.MCP, func(string, string, string) {}) // what is wrong the policy has told
	}
	if g.Response == nil {
		return one, nil
	}
	var err error
	one.keep, err = cut.Compile(g.Response.Keep)
	return one, err
}

// of returns the grants of an endpoint, perhaps none.
func of(e *bundle.Endpoint, grants []scope.Grant) []scope.Grant {
	own := []scope.Grant{}
	for i := range grants {
		if grants[i].Endpoint == e.Name {
			own = append(own, grants[i])
		}
	}
	return own
}

// Collect adds the buckets of these grants of a layer, and what they keep of an
// answer: nothing where one of them keeps it all.
func (s *Set) Collect(layer int, names []string, buckets []*limit.Bucket, keeps []*cut.Keep) ([]*limit.Bucket, []*cut.Keep) {
	all := false
	for _, name := range names {
		one := s.layers[layer][name]
		buckets, keeps = append(buckets, one.bucket), append(keeps, one.keep)
		all = all || one.keep == nil
	}
	if all {
		keeps = keeps[:0]
	}
	return buckets, keeps
}

// Shown adds what these grants of a layer let an agent see of an MCP server:
// nothing is added where one of them lets it see all.
func (s *Set) Shown(layer int, names []string, to mcp.Layer) mcp.Layer {
	for _, name := range names {
		one := s.layers[layer][name].mcp
		if one == nil {
			return to[:0]
		}
		to = append(to, one)
	}
	return to
}

// Revisions are those of the protocol of MCP that grants name, in order.
func (s *Set) Revisions() []string {
	var names []string
	for _, one := range s.layers[0] {
		if one.mcp != nil {
			names = append(names, one.mcp.Revisions()...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
