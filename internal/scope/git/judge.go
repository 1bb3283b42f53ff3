package git

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/body"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
)

// firstRead is how much of a push is read to begin with: the lists of most have
// room in it.
const firstRead = 16 << 10

// perCommand is how long a command may be on the average, in bytes, and
// besideCommands what may stand beside them: shallow lines, push options and a
// certificate.
const (
	perCommand     = 1280
	besideCommands = 128 << 10
)

// pushes judges pushes. It is safe for concurrent use.
type pushes struct {
	spec *Push
	refs []*text.Glob
}

// Missing names what a push without a body lacks.
func (p *pushes) Missing() string { return "list of commands" }

// Judge reads the list of a push, which is the beginning of its body, and holds
// every command to what may be pushed.
func (p *pushes) Judge(b *body.Reading) body.Refusal {
	c := b.Content()
	list, err := ReadList(c.Data, c.Whole)
	switch {
	case errors.Is(err, errUnknown):
		return refused(err.Error())
	case err != nil:
		return body.Refusal{Reason: body.Malformed, Detail: err.Error()}
	case len(list.Commands) > p.spec.MaxCommands:
		return refused("the push has more than " + strconv.Itoa(p.spec.MaxCommands) + " commands: push fewer refs at once")
	case list.Options > 0 && !p.spec.AnyOption: // to ask for the capability and send none says nothing
		return refused("push without --push-option: the grant allows none")
	}
	if why := p.commands(list.Commands); why.Reason != body.Passes {
		return why
	}
	if list.Whole {
		return body.Refusal{}
	}
	return p.more(c)
}

// commands holds each command to the grant. All of them must pass.
func (p *pushes) commands(commands []Command) body.Refusal {
	for i := range commands {
		switch c := &commands[i]; {
		case !isRef(c.Ref):
			return refused("the push names " + shown(c.Ref) + ", which is no ref such as refs/heads/main")
		case !p.allows(c.Ref):
			return refused(c.what() + ": no ref that the grant lists matches it")
		case !slices.Contains(p.spec.Actions, c.Action):
			return refused(c.what() + ": the grant allows this ref no " + string(c.Action))
		}
	}
	return once(commands)
}

// once refuses a ref that is named twice: which command counts is for the
// server to say.
func once(commands []Command) body.Refusal {
	if len(commands) < 2 {
		return body.Refusal{}
	}
	seen := make(map[string]struct{}, len(commands))
	for i := range commands {
		ref := commands[i].Ref
		if _, again := seen[ref]; again {
			return refused("the push names " + shown(ref) + " twice")
		}
		seen[ref] = struct{}{}
	}
	return body.Refusal{}
}

func (p *pushes) allows(ref string) bool {
	return slices.ContainsFunc(p.refs, func(g *text.Glob) bool { return g.Match(ref) })
}

// more asks for more of a push whose list has not come to its end.
func (p *pushes) more(c body.Content) body.Refusal {
	most := min(p.spec.MaxBytes, besideCommands+perCommand*int64(p.spec.MaxCommands))
	read := int64(len(c.Data))
	if read >= most {
		return body.Refusal{Reason: body.TooLarge, Detail: "the list of commands is too long: push fewer refs at once"}
	}
	return body.Refusal{Reason: body.More, Read: min(2*read, most)}
}

// verbs are what an action is called.
var verbs = map[Action]string{Create: "created", Update: "updated", Delete: "deleted"}

// what says of a command what is not allowed.
func (c *Command) what() string { return shown(c.Ref) + " may not be " + verbs[c.Action] }

func refused(detail string) body.Refusal { return body.Refusal{Reason: body.Refused, Detail: detail} }

// shown returns a name cut to what fits into a message, and without what a
// terminal would act on.
func shown(name string) string {
	const most = 96
	cut := ""
	if len(name) > most {
		name, cut = name[:most], "..."
	}
	clean := func(r rune) rune {
		if r < ' ' || 0x7f <= r && r <= 0x9f {
			return '?'
		}
		return r
	}
	return strings.Map(clean, strings.ToValidUTF8(name, "?")) + cut
}
