package region

import "slices"

// Outside returns a request of a that is in none of the others, and whether
// there is one. Where the work is exceeded, that there is none means nothing.
func (s *Space) Outside(a *Region, others []*Region) (Request, bool) {
	var near []*Region
	for _, b := range others {
		if s.near(a, b) {
			near = append(near, b)
		}
	}
	n := namesOf(append(slices.Clip(near), a))
	var lists [][]dim
	for _, b := range near {
		lists = append(lists, s.dims(b, n))
	}
	return s.outside(a.endpoint, s.dims(a, n), lists)
}

// Common returns a request that is in both a and b, and whether there is one.
// Where the work is exceeded, that there is none means nothing.
func (s *Space) Common(a, b *Region) (Request, bool) {
	if !s.near(a, b) {
		return Request{}, false
	}
	n := namesOf([]*Region{a, b})
	x, y := s.dims(a, n), s.dims(b, n)
	if !s.meet(x, y) {
		return Request{}, false
	}
	for i := range x {
		x[i] = x[i].and(s, y[i])
	}
	endpoint := a.endpoint
	if endpoint == "" {
		endpoint = b.endpoint
	}
	return s.sample(endpoint, x)
}

// Any returns a request of a, and whether there is one.
func (s *Space) Any(a *Region) (Request, bool) {
	return s.sample(a.endpoint, s.dims(a, namesOf([]*Region{a})))
}

func (s *Space) sample(endpoint string, x []dim) (Request, bool) {
	r := Request{Endpoint: endpoint}
	for _, d := range x {
		if !d.show(s, &r) {
			return Request{}, false
		}
	}
	return r, true
}

// outside looks for a value of x in none of the others. It takes one of them,
// cuts x where it leaves that one, dimension by dimension, and looks on in the
// pieces.
func (s *Space) outside(endpoint string, x []dim, others [][]dim) (Request, bool) {
	if !s.Spend(1) {
		return Request{}, false
	}
	others = slices.DeleteFunc(slices.Clone(others), func(y []dim) bool { return !s.meet(x, y) })
	if len(others) == 0 {
		return s.sample(endpoint, x)
	}
	best, leaves := 0, []int(nil)
	for i, y := range others {
		at := s.leaves(x, y)
		if len(at) == 0 {
			return Request{}, false // x is within y
		}
		if i == 0 || len(at) < len(leaves) {
			best, leaves = i, at
		}
	}
	y := others[best]
	others = slices.Delete(others, best, best+1)
	inner := slices.Clone(x)
	for _, i := range leaves {
		piece := slices.Clone(inner)
		piece[i] = x[i].minus(s, y[i])
		if r, found := s.outside(endpoint, piece, others); found {
			return r, true
		}
		inner[i] = x[i].and(s, y[i])
	}
	return Request{}, false
}

func (s *Space) meet(x, y []dim) bool {
	for i := range x {
		if !x[i].meets(s, y[i]) {
			return false
		}
	}
	return true
}

// leaves returns the dimensions in which x is not within y.
func (s *Space) leaves(x, y []dim) []int {
	var at []int
	for i := range x {
		if !x[i].within(s, y[i]) {
			at = append(at, i)
		}
	}
	return at
}
