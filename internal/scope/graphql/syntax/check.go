package syntax

import (
	"errors"
	"strings"
)

// Errors of [New] that name nothing.
var (
	errNone         = errors.New("send a document with at least one operation")
	errSubscription = errors.New("send queries and mutations: a subscription cannot be judged")
	errAnonymous    = errors.New("name every operation of a document that has several")
	errDefault      = errors.New("write the default of a variable without variables")
	errEmpty        = errors.New("select at least one field")
	errText         = errors.New("write strings without halves of surrogate pairs and without U+FFFD")
	errValue        = errors.New("write values of the kinds that GraphQL has")
	errForm         = errors.New("select fields and fragments alone")
)

// invalid is an error about something that has a name.
func invalid(before, name, after string) error {
	return errors.New(before + Shown(name) + after)
}

// Shown returns a name cut to what fits into a message.
func Shown(name string) string {
	const most = 64
	if len(name) > most {
		return strings.ToValidUTF8(name[:most], "") + "..."
	}
	return name
}

// New makes a Document, or says why there is none: names that occur twice,
// fragments that are unknown, unused or contain themselves, variables that are
// not declared, directives other than @skip and @include. Neither slice may be
// changed afterwards.
func New(operations []Operation, fragments []Fragment) (*Document, error) {
	d := &Document{operations: operations, fragments: make(map[string]*Fragment, len(fragments))}
	follow := follower{uses: make(map[string]*uses, len(fragments)), used: make(map[string]bool, len(fragments))}
	for i := range fragments {
		f := &fragments[i]
		if d.fragments[f.Name] != nil {
			return nil, invalid("name each fragment differently: ", f.Name, " occurs twice")
		}
		u := &uses{}
		if err := u.definition(f.Directives, f.Selections); err != nil {
			return nil, err
		}
		d.fragments[f.Name], follow.uses[f.Name] = f, u
	}
	if err := follow.operations(operations); err != nil {
		return nil, err
	}
	for name := range d.fragments {
		if !follow.used[name] {
			return nil, invalid("remove the fragment ", name, ": no operation uses it")
		}
	}
	return d, nil
}

// follower follows the fragments of operations.
type follower struct {
	uses map[string]*uses
	used map[string]bool
}

func (f *follower) operations(all []Operation) error {
	if len(all) == 0 {
		return errNone
	}
	seen := names{}
	for i := range all {
		o := &all[i]
		switch {
		case o.Kind != Query && o.Kind != Mutation:
			return errSubscription
		case o.Name == "" && len(all) > 1:
			return errAnonymous
		case seen.again(o.Name, len(all)):
			return invalid("name each operation differently: ", o.Name, " occurs twice")
		}
		if err := f.operation(o); err != nil {
			return err
		}
	}
	return nil
}

func (f *follower) operation(o *Operation) error {
	o.declared = make(map[string]*Variable, len(o.Variables))
	for i := range o.Variables {
		v := &o.Variables[i]
		switch {
		case o.declared[v.Name] != nil:
			return invalid("declare each variable once: $", v.Name, " occurs twice")
		case len(v.Directives) > 0:
			return errDirective(v.Directives[0].Name)
		}
		o.declared[v.Name] = v
		if err := checkDefault(v.Default); err != nil {
			return err
		}
	}
	own := &uses{}
	if err := own.definition(o.Directives, o.Selections); err != nil {
		return err
	}
	w := walk{follower: f, operation: o, state: map[string]state{}}
	return w.all(own)
}

func checkDefault(v *Value) error {
	if v == nil {
		return nil
	}
	none := &uses{}
	if err := none.value(v); err != nil {
		return err
	}
	if len(none.variables) > 0 {
		return errDefault
	}
	return nil
}

// state is how far a fragment was followed. The zero state is not at all.
type state uint8

const (
	open state = iota + 1
	done
)

// walk follows the fragments of one operation, each once: what they come to
// when written out may be exponentially more.
type walk struct {
	*follower
	operation *Operation
	state     map[string]state
}

func (w *walk) all(u *uses) error {
	for _, name := range u.variables {
		if w.operation.Variable(name) == nil {
			return invalid("declare the variable $", name, " in every operation that uses it")
		}
	}
	for _, name := range u.spreads {
		next := w.uses[name]
		switch {
		case next == nil:
			return invalid("define the fragment ", name, ", or do not spread it")
		case w.state[name] == open:
			return invalid("the fragment ", name, " contains itself: write out what it selects")
		case w.state[name] == done:
			continue
		}
		w.state[name], w.used[name] = open, true
		if err := w.all(next); err != nil {
			return err
		}
		w.state[name] = done
	}
	return nil
}

// names tells which names occur twice. The zero names has seen none.
type names struct {
	few  []string
	many map[string]bool
}

// again takes note of one of n names and reports whether it was there before.
func (s *names) again(name string, n int) bool {
	const enough = 8
	if n > enough {
		if s.many == nil {
			s.many = make(map[string]bool, n)
		}
		before := s.many[name]
		s.many[name] = true
		return before
	}
	for _, other := range s.few {
		if other == name {
			return true
		}
	}
	s.few = append(s.few, name)
	return false
}
