// Package lang is an exact algebra of sets of text: the regular languages,
// with a member to show of every set that is not empty.
//
// A [Set] is a deterministic automaton over characters. Whatever a matcher can
// say of a text is one: values, globs, patterns, numbers and their bounds,
// kinds, lengths, and all of them with letter case put aside. Union,
// intersection and difference are products of automata. A [Text] adds bounds of
// length, which would make automata of a million states.
//
// # An example
//
// The glob agent/** without the glob agent/release/** is a set again, and
// [Set.Shortest] of it is agent/a, of which both globs can be asked: it matches the
// first and not the second. A difference that is empty proves that everything
// in the one set is in the other.
//
// # What it refuses to do
//
// It does not guess and does not run on: everything is charged to a [Work], and
// where that is used up, what comes back means nothing and [Work.Exceeded] says
// so. Whoever concludes from an empty set asks that first.
package lang
