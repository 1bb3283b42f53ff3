package media_test

import (
	"mime"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope/media"
)

func TestParse(t *testing.T) {
	for value, want := range map[string]media.Type{
		"application/json":                            {Name: "application/json"},
		"Application/JSON; Charset=UTF-8":             {Name: "Application/JSON", Charset: "UTF-8"},
		`text/plain;charset="utf-8"`:                  {Name: "text/plain", Charset: "utf-8"},
		"multipart/form-data ; boundary=x":            {Name: "multipart/form-data", Boundary: "x"},
		"a/b;c=d;\t e=\"f;g\"":                        {Name: "a/b", More: true},
		"application/vnd.api+json;charset=iso-8859-1": {Name: "application/vnd.api+json", Charset: "iso-8859-1"},
	} {
		if got, err := media.Parse(value); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", value, got, err, want)
		}
	}
	for _, value := range []string{
		"", "json", "/json", "application/", "application /json", "application/ json", "application/json,text/plain", "application/json, text/plain",
		"application/json;", "application/json; charset", "application/json; charset=", "application/json; charset =utf-8", "application/json; charset= utf-8",
		`application/json; charset="utf-8`, `application/json; charset=""`, `application/json; charset="utf\-8"`, "application/json charset=utf-8",
		"application/json; charset=utf-8; charset=utf-8", "application/json; charset=utf-8; Charset=utf-7", "application/json; a=b; c=d; e=f; g=h; i=j",
		" application/json", "application/json ", "a/b; c=\"\x01\"", "a/b/c", "a/b; c=d e=f", "*/*;q=\x80",
	} {
		if got, err := media.Parse(value); err == nil {
			t.Errorf("%q is read as %+v", value, got)
		}
	}
}

func TestIsJSON(t *testing.T) {
	for name, want := range map[string][2]bool{
		"application/json": {true, true}, "APPLICATION/JSON": {true, true}, "application/vnd.api+json": {false, true}, "a/b+JSON": {false, true},
		"application/x-amz-json-1.0": {false, true}, "application/X-AMZ-JSON-1.1": {false, true}, "application/x-amz-json-1.2": {false, false}, "text/x-amz-json-1.0": {false, false},
		"text/json": {false, false}, "application/jsonx": {false, false}, "application/json5": {false, false}, "a/json+xml": {false, false},
	} {
		typ := media.Type{Name: name}
		if got := [2]bool{typ.IsJSON(false), typ.IsJSON(true)}; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if (media.Type{}).IsJSON(true) {
		t.Error("the zero Type is JSON")
	}
}

// FuzzMedia: whatever is read, the standard library reads to the same type and
// parameters.
func FuzzMedia(f *testing.F) {
	for _, seed := range []string{"application/json; charset=utf-8", `a/b;boundary="x y"`, "a/b; c=d; c*=e", "a/b; charset=\"a;b\"; boundary=c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got, err := media.Parse(value)
		if err != nil {
			return
		}
		name, parameters, err := mime.ParseMediaType(value)
		if err != nil || strings.Contains(value, "*") {
			return // it refuses more, and reads continuations, which no parameter of ours has
		}
		if strings.ToLower(got.Name) != name || got.Charset != parameters["charset"] || got.Boundary != parameters["boundary"] {
			t.Fatalf("%q is read as %+v, by mime as %s %v", value, got, name, parameters)
		}
	})
}
