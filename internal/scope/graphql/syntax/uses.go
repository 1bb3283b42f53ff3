package syntax

import (
	"strings"
	"unicode/utf8"
)

// uses are the variables and fragments that are named at one definition.
type uses struct {
	variables, spreads []string
}

// definition checks what an operation and a fragment have in common, with all
// that is written in it, however deep.
func (u *uses) definition(directives []Directive, selections []Selection) error {
	if len(directives) > 0 {
		return errDirective(directives[0].Name)
	}
	if len(selections) == 0 {
		return errEmpty
	}
	return u.set(selections)
}

func (u *uses) set(selections []Selection) error {
	for i := range selections {
		if err := u.selection(&selections[i]); err != nil {
			return err
		}
	}
	return nil
}

func (u *uses) selection(s *Selection) error {
	if err := u.directives(s.Directives); err != nil {
		return err
	}
	switch s.Form {
	case Field:
		if err := u.arguments(s.Arguments); err != nil {
			return err
		}
	case Spread:
		u.spreads = append(u.spreads, s.Name)
		return nil
	case Inline:
		if len(s.Selections) == 0 {
			return errEmpty
		}
	default:
		return errForm
	}
	return u.set(s.Selections)
}

func errDirective(name string) error {
	return invalid("remove the directive @", name, ": only @skip and @include on fields and fragments can be judged")
}

// directives lets @skip and @include pass, each once. What they leave out is
// judged all the same.
func (u *uses) directives(directives []Directive) error {
	seen := names{}
	for i := range directives {
		one := &directives[i]
		switch {
		case one.Name != "skip" && one.Name != "include":
			return errDirective(one.Name)
		case seen.again(one.Name, len(directives)):
			return invalid("write the directive @", one.Name, " once at one place")
		case len(one.Arguments) != 1 || one.Arguments[0].Name != "if" || !isCondition(one.Arguments[0].Value.Kind):
			return invalid("give the directive @", one.Name, " the argument if, as true, false or a variable")
		}
		if err := u.arguments(one.Arguments); err != nil {
			return err
		}
	}
	return nil
}

func isCondition(k ValueKind) bool { return k == Boolean || k == Reference }

// arguments refuses names that occur twice.
func (u *uses) arguments(arguments []Argument) error {
	seen := names{}
	for i := range arguments {
		if seen.again(arguments[i].Name, len(arguments)) {
			return invalid("give each argument once: ", arguments[i].Name, " occurs twice")
		}
		if err := u.value(&arguments[i].Value); err != nil {
			return err
		}
	}
	return nil
}

func (u *uses) value(v *Value) error {
	switch v.Kind {
	case Reference:
		u.variables = append(u.variables, v.Text)
	case Int, Float, Boolean, Null, Enum:
	case String:
		if !isText(v.Text) {
			return errText
		}
	case List:
		for i := range v.Items {
			if err := u.value(&v.Items[i]); err != nil {
				return err
			}
		}
	case Object:
		return u.arguments(v.Members)
	default:
		return errValue
	}
	return nil
}

// isText reports whether a string is one to every reader: some put the
// replacement character in the place of half a surrogate pair.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, utf8.RuneError)
}
