package mcp

import (
	"container/list"
	"slices"
	"strings"
	"sync"
)

// Bounds of what is remembered. What is beyond them is forgotten, the oldest
// first, and refused from then on.
const (
	maxSessions = 1024 // of one endpoint
	maxAsked    = 64   // requests of a server without an answer, of one session
	maxEvents   = 256  // of one session
)

// Sessions are those that the servers of one endpoint have opened for one
// credential. A session that is not among them is nobody's: another agent's,
// or one that somebody has made up. The zero Sessions has none and is ready.
// It is safe for concurrent use.
type Sessions struct {
	mu    sync.Mutex
	open  map[sessionKey]*list.Element
	order list.List // of *Session, the latest used in front
}

type sessionKey struct{ path, id string }

// Session is what is known of one session. Its methods are safe for concurrent
// use, and do nothing on a nil Session.
type Session struct {
	key sessionKey

	mu       sync.Mutex
	revision string   // empty until it was agreed on
	asked    []string // ids of the server's requests
	events   []string // ids of events that were passed on
}

// Open returns the session that a server at this path has opened, or goes on
// with.
func (s *Sessions) Open(path, id string) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sessionKey{path, id}
	if at := s.open[key]; at != nil {
		s.order.MoveToFront(at)
		return at.Value.(*Session)
	}
	if s.open == nil {
		s.open = map[sessionKey]*list.Element{}
	}
	one := &Session{key: sessionKey{strings.Clone(path), strings.Clone(id)}} // they may be views
	s.open[one.key] = s.order.PushFront(one)
	if len(s.open) > maxSessions {
		last := s.order.Back()
		delete(s.open, s.order.Remove(last).(*Session).key)
	}
	return one
}

// Find returns a session, nil where there is none.
func (s *Sessions) Find(path, id string) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.open[sessionKey{path, id}]
	if at == nil {
		return nil
	}
	s.order.MoveToFront(at)
	return at.Value.(*Session)
}

// End forgets a session.
func (s *Sessions) End(one *Session) {
	if one == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.open[one.key]; at != nil && at.Value == one {
		s.order.Remove(at)
		delete(s.open, one.key)
	}
}

// ID returns the name of the session.
func (s *Session) ID() string {
	if s == nil {
		return ""
	}
	return s.key.id
}

// Agree takes note of the revision that a handshake has ended with.
func (s *Session) Agree(revision string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision = revision
}

// Revision returns the one agreed on, nothing before.
func (s *Session) Revision() string {
	if s == nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision
}

// Ask takes note of a request of the server.
func (s *Session) Ask(id string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.asked, id) {
		s.asked = latest(s.asked, id, maxAsked)
	}
}

// Answer reports whether the server has asked and was not answered yet.
func (s *Session) Answer(id string) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.asked, id)
	if i < 0 {
		return false
	}
	s.asked = slices.Delete(s.asked, i, i+1)
	return true
}

// Pass takes note of an event from which a stream can be resumed.
func (s *Session) Pass(event string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = latest(s.events, event, maxEvents)
}

// Passed reports whether an event of this id was passed on, of late.
func (s *Session) Passed(event string) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.events, event)
}

// latest adds one to a list, and forgets the oldest where they are too many.
func latest(all []string, one string, most int) []string {
	if len(all) == most {
		all = all[:copy(all, all[1:])]
	}
	return append(all, one)
}
