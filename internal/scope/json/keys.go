package json

import (
	"hash/maphash"
	"unsafe"
)

// object is an object that is being read.
type object struct {
	at uint32 // its node
	// seen has a bit for each plain key, by a few of its bytes: most keys that are
	// new are known to be by that.
	seen uint64
	// doubted counts the keys that were not, and unhashed is the first of all that
	// the set of keys need not have.
	doubted  int
	unhashed uint32
}

// fresh adds the plain key between the quotation marks at start and end, if it is
// known to be new.
func (o *object) fresh(src []byte, start, end int) bool {
	// An empty key has quotation marks for its first byte and its last.
	bit := uint64(1) << ((uint(end-start) + 5*uint(src[start+1]) + 3*uint(src[end-1])) % 64)
	known := o.seen&bit != 0
	o.seen |= bit
	return !known
}

// few keys of an object are held against all before them; more are looked up.
const few = 8

// unique reports whether the key that node i is, which may not be new, was not
// there before. The value of every key before it has been read.
func (d *Document) unique(o *object, i uint32) bool {
	if o.doubted++; o.doubted <= few {
		return !d.among(o, i)
	}
	for ; o.unhashed < i; o.unhashed = d.nodes[o.unhashed+1].next {
		d.keys.add(d, o.at, o.unhashed) // or it is there, as the last that was doubted
	}
	return d.keys.add(d, o.at, i)
}

// among looks for the key that node i is among those before it.
func (d *Document) among(o *object, i uint32) bool {
	key := d.key(i)
	for k := o.at + 1; k < i; k = d.nodes[k+1].next {
		if d.key(k) == key {
			return true
		}
	}
	return false
}

// keySet is a set of keys, each of one object, of all objects of a document
// that have many. Its hash has a seed of the process, so that nobody can write
// keys that fall together.
type keySet struct {
	slots []slot // a power of two of them
	used  int
}

type slot struct {
	object, key uint32 // nodes; the key's is above 0 where the slot is taken
	hash        uint32
}

// keptSlots bounds the memory that is kept for the next text.
const keptSlots = 1 << 10

var seed = maphash.MakeSeed()

func (s *keySet) reset() {
	switch {
	case len(s.slots) > keptSlots:
		s.slots = nil
	case s.used > 0:
		clear(s.slots)
	}
	s.used = 0
}

func (s *keySet) memory() int64 {
	return int64(uintptr(cap(s.slots)) * unsafe.Sizeof(slot{})) //nolint:gosec // G115: a process has no more memory than that
}

// add adds a key of an object, and reports whether it was not there.
func (s *keySet) add(d *Document, object, key uint32) bool {
	if 2*s.used >= len(s.slots) {
		s.grow()
	}
	const odd = 0x9e3779b1 // spreads the objects, whose keys are often the same
	name := d.key(key)
	hash := uint32(maphash.String(seed, name)) ^ object*odd
	mask := uint32(len(s.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		at := &s.slots[i]
		if at.key == 0 {
			*at = slot{object, key, hash}
			s.used++
			return true
		}
		if at.hash == hash && at.object == object && d.key(at.key) == name {
			return false
		}
	}
}

func (s *keySet) grow() {
	old := s.slots
	s.slots = make([]slot, max(64, 2*len(old)))
	mask := uint32(len(s.slots) - 1)
	for _, taken := range old {
		if taken.key == 0 {
			continue
		}
		i := taken.hash & mask
		for s.slots[i].key != 0 {
			i = (i + 1) & mask
		}
		s.slots[i] = taken
	}
}
