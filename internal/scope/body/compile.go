package body

import (
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/scope/form"
	"github.com/sallyport-dev/sallyport/internal/scope/match"
	"github.com/sallyport-dev/sallyport/internal/scope/media"
)

// compiler compiles one Spec, whose fields are reported relative to body.
type compiler struct {
	spec   *Spec
	report match.Report
}

// Compile compiles s, and reports what cannot be enforced. listed says that
// the grant lists the Content-Type among its headers; reserved are the names
// of forms that pass only where they are listed.
func Compile(s *Spec, listed bool, reserved []string, report match.Report) *Body {
	c := &compiler{spec: s, report: report}
	out := &Body{Spec: *s, suffixed: listed}
	switch s.Media {
	case JSON:
		out.judge = c.document()
	case Form:
		out.judge = c.form(reserved)
	case Multipart:
		out.judge = c.multipart(reserved)
	case Opaque:
	default:
		report("body.media", string(s.Media), "set media to JSON, Form, Multipart or Opaque")
	}
	c.check()
	return out
}

// check refuses what does not go with the media.
func (c *compiler) check() {
	s := c.spec
	if s.MaxBytes <= 0 {
		c.report("body.maxBytes", "", "bound the body")
	}
	if len(s.Parts) > 0 && s.Media != Multipart {
		c.report("body.parts", "", "remove parts, or set media to Multipart")
	}
	if len(s.Fields) > 0 && s.Media != JSON && s.Media != Form {
		c.report("body.fields", "", "remove fields, or set media to JSON or Form")
	}
	if s.UnlistedAllow && s.Media == Opaque {
		c.report("body.unlisted", "", "remove unlisted: an Opaque body is not looked at")
	}
}

// form compiles the fields of a form, whose paths are whole names.
func (c *compiler) form(reserved []string) Judge {
	names := slices.Sorted(maps.Keys(c.spec.Fields))
	f := &fields{
		unlisted: c.spec.UnlistedAllow, listed: form.NewNames(names), reserved: form.NewNames(slices.Concat(reserved, charset)),
		at: make(map[string]int, len(names)),
	}
	for _, name := range names {
		m := c.spec.Fields[name]
		if name == "" {
			c.report("body.fields", "", "remove the empty name: no form with one is ever allowed")
		}
		f.at[name] = len(f.named)
		f.named = append(f.named, named{name, match.CompileText(&m, "body.fields."+name, false, c.report)})
	}
	return f
}

// charset is a name by which browsers tell the character set of a form.
var charset = []string{"_charset_"}

// multipart compiles the parts.
func (c *compiler) multipart(reserved []string) Judge {
	names := slices.Sorted(maps.Keys(c.spec.Parts))
	p := &parts{
		unlisted: c.spec.UnlistedAllow, listed: form.NewNames(names), reserved: form.NewNames(slices.Concat(reserved, charset)),
		named: make(map[string]*part, len(names)),
	}
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, "\"\\\r\n") {
			c.report("body.parts", name, "name the part without quotation marks, backslashes and line ends: no body with them is ever allowed")
		}
		spec := c.spec.Parts[name]
		p.named[name] = c.part("body.parts."+name, &spec)
		if spec.Required || spec.Value != nil && spec.Value.Required {
			p.required = append(p.required, name)
		}
	}
	return p
}

func (c *compiler) part(at string, spec *Part) *part {
	if spec.MaxBytes < 0 {
		c.report(at+".maxBytes", "", "bound the part, or remove maxBytes")
	}
	for _, name := range spec.Media {
		if t, err := media.Parse(name); err != nil || t.Name != name {
			c.report(at+".media", name, "write a media type without parameters, such as image/png")
		}
	}
	if m := spec.Value; m != nil && m.Forbidden {
		c.report(at+".value.forbidden", "", "remove forbidden: a part always has a value")
	}
	return &part{
		media: spec.Media, maxBytes: spec.MaxBytes,
		value: c.text(at+".value", spec.Value), filename: c.text(at+".filename", spec.Filename),
	}
}

// text compiles a matcher of a part, if there is one.
func (c *compiler) text(at string, m *match.Matcher) *match.Text {
	if m == nil {
		return nil
	}
	if m.Repeated {
		c.report(at+".repeated", "", "remove repeated: a part occurs once")
	}
	return match.CompileText(m, at, false, c.report)
}
