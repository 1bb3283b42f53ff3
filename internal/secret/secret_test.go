package secret_test

import (
	"bytes"
	"context"
	"encoding"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"expvar"
	"fmt"
	"html/template"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	texttemplate "text/template"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

const canary = "CANARY-7Qx/3w+Zp9="

// holders are the places in which a Value may lie when somebody prints it.
func holders() map[string]any {
	v := secret.New(canary)
	pointer := &v
	type exported struct{ Name, Value any }
	type unexported struct {
		name  string
		value secret.Value
	}
	type deep struct {
		unexported
		more map[string]*unexported
		list []secret.Value
		any  any
	}
	type embedded struct{ secret.Value }
	type alias secret.Value
	u := unexported{"n", v}
	return map[string]any{
		"value": v, "pointer": pointer, "pointer to a pointer": &pointer,
		"exported field": exported{"n", v}, "exported pointer": &exported{"n", &v},
		"unexported field": u, "unexported, by pointer": &u,
		"deep": deep{u, map[string]*unexported{"k": &u}, []secret.Value{v}, v}, "deep, by pointer": &deep{u, nil, nil, &u},
		"embedded": embedded{v}, "embedded, by pointer": &embedded{v},
		"another type of it": alias(v), "slice": []secret.Value{v}, "array": [1]secret.Value{v}, "pointers": []*secret.Value{&v},
		"map": map[string]secret.Value{"k": v}, "key of a map": map[secret.Value]int{v: 1}, "anything": []any{v, &v, u},
		"error": fmt.Errorf("reading %v: %w", v, errors.New("no")), "function": func() secret.Value { return v },
	}
}

// TestNothingPrintsIt prints a Value every way there is, from every place.
func TestNothingPrintsIt(t *testing.T) {
	for place, v := range holders() {
		for way, text := range ways(v) {
			if leaks(text) {
				t.Errorf("%s, printed as %s: %s", place, way, text)
			}
		}
	}
}

// leaks looks for the secret and for what is but another spelling of it.
func leaks(text string) bool {
	for _, spelling := range []string{
		canary, canary[:8], base64.StdEncoding.EncodeToString([]byte(canary))[:12], hex.EncodeToString([]byte(canary))[:12],
		strings.Trim(fmt.Sprint([]byte(canary)), "[]"), strings.Trim(fmt.Sprintf("%#v", []byte(canary[:8])), "[]byte{}"),
	} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(spelling)) {
			return true
		}
	}
	return false
}

// ways prints v in every way.
func ways(v any) map[string]string {
	all := map[string]string{}
	for _, verb := range "vTtbcdoOqxXUeEfFgGspw" {
		for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "# ", "30", "-30", ".3", "30.3", "[1]"} {
			format := "%" + flags + string(verb)
			all[format] = fmt.Sprintf(format, v)
		}
	}
	all["Sprint"], all["Sprintln"] = fmt.Sprint(v, v), fmt.Sprintln(v)
	all["Errorf"] = fmt.Errorf("reading: %v", v).Error()
	var out bytes.Buffer
	take := func(way string) {
		all[way] = out.String()
		out.Reset()
	}
	log.New(&out, "", 0).Print(v)
	take("log")
	for way, h := range map[string]slog.Handler{"slog text": slog.NewTextHandler(&out, nil), "slog JSON": slog.NewJSONHandler(&out, nil)} {
		slog.New(h).With("with", v).WithGroup("group").LogAttrs(context.Background(), slog.LevelError, "message", slog.Any("key", v), slog.Group("inner", "key", v))
		take(way)
	}
	_ = json.NewEncoder(&out).Encode(v)
	take("JSON")
	_ = xml.NewEncoder(&out).Encode(v)
	take("XML")
	_ = gob.NewEncoder(&out).Encode(v)
	take("gob")
	_ = texttemplate.Must(texttemplate.New("").Parse(`{{.}} {{print .}} {{printf "%v %q" . .}}`)).Execute(&out, v)
	take("text template")
	_ = template.Must(template.New("").Parse(`<a href="{{.}}">{{.}}</a><script>{{.}}</script>`)).Execute(&out, v)
	take("HTML template")
	all["expvar"] = expvar.Func(func() any { return v }).String()
	if m, ok := v.(encoding.TextMarshaler); ok {
		text, _ := m.MarshalText()
		all["text"] = string(text)
	}
	return all
}

// child says that the test binary is to die of a panic with a Value.
const child = "SALLYPORT_TEST_PANIC"

// TestPanicDoesNotPrintIt dies of a Value: the runtime prints it, and what the
// functions on the stack were called with.
func TestPanicDoesNotPrintIt(t *testing.T) {
	if place := os.Getenv(child); place != "" {
		panic(holders()[place])
	}
	for _, place := range []string{"value", "pointer", "unexported field", "deep", "another type of it", "error"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPanicDoesNotPrintIt$")
		cmd.Env = append(os.Environ(), child+"="+place, "GOTRACEBACK=all")
		out, err := cmd.CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("panic:")) {
			t.Fatalf("%s: no panic: %s", place, out)
		}
		if leaks(string(out)) {
			t.Errorf("%s: %s", place, out)
		}
	}
}

// TestValue holds that the text is there for whoever may have it.
func TestValue(t *testing.T) {
	v := secret.New(canary)
	if v.Reveal() != canary || v.IsZero() {
		t.Error("it does not hold its text")
	}
	if !v.Equal(secret.New(canary)) || v.Equal(secret.New(canary+" ")) || v.Equal(secret.Value{}) {
		t.Error("it is not equal to its like alone")
	}
	for name, empty := range map[string]secret.Value{"zero": {}, "empty": secret.New("")} {
		if empty.Reveal() != "" || !empty.IsZero() || !empty.Equal(secret.Value{}) {
			t.Errorf("%s: it holds something", name)
		}
	}
	if got := fmt.Sprint(v); got != fmt.Sprint(secret.Value{}) || got == "" {
		t.Errorf("%q tells a secret from none", got)
	}
}
