package sigv4

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

const good = "Credential=tok.en-_/20260501/eu-central-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestToken(t *testing.T) {
	for _, text := range []string{good, strings.ReplaceAll(good, ", ", ",")} {
		if token, ok := Token(text); !ok || token != "tok.en-_" {
			t.Errorf("%s: %q, %v", text, token, ok)
		}
	}
	for from, to := range map[string]string{
		"tok.en-_":           "",            // nobody's
		"tok.en-_/":          "tok.en-_/a/", // where does it end?
		"20260501":           "2026050",
		"eu-central-1":       "eu_central_1",
		"s3/":                "/",
		"aws4_request":       "aws4_request ",
		"aws4_request,":      "aws4_request;",
		"SignedHeaders=":     "signedheaders=",
		"host;x-amz-date":    "host;;x-amz-date",
		"x-amz-date":         "X-Amz-Date",
		"=host":              "=",
		"0123456789abcdef, ": "", // not there
		"Signature=0":        "Signature=",
		"Signature=01":       "Signature=AB",
		"cdef":               "cdef, Extra=1",
		"Credential=":        " Credential =",
	} {
		text := strings.Replace(good, from, to, 1)
		if text == good {
			text += "," // one part more
		}
		if token, ok := Token(text); ok || token != "" {
			t.Errorf("%s: %q", text, token)
		}
	}
}

func TestSpell(t *testing.T) {
	for target, want := range map[string]string{
		"/":                               "/",
		"/a-b._~/%C3%A4":                  "/a-b._~/%C3%A4",
		"/!$&'()*+,;=:@":                  "/%21%24%26%27%28%29%2A%2B%2C%3B%3D%3A%40",
		"/a=b?c=d%2F&e=":                  "/a%3Db?c=d%2F&e=",
		"/base:1/dt=2026-05-01?a=b?c=:@=": "/base%3A1/dt%3D2026-05-01?a=b?c=:@=",
	} {
		if got := string(Spell(nil, []byte(target))); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	keys := func(id, key, session string) secret.Value {
		return bundle.AWSKeys{AccessKeyID: secret.New(id), SecretAccessKey: secret.New(key), SessionToken: secret.New(session)}.Secret()
	}
	whole := keys("AKIDEXAMPLE", "CANARY", "CANARY")
	for name, test := range map[string]struct {
		why string
		in  bundle.SignatureInjection
		s   secret.Value
	}{
		"no region":  {"nothing is signed for it", bundle.SignatureInjection{Service: "s3"}, whole},
		"no service": {"as above", bundle.SignatureInjection{Region: "r"}, whole},
		"slash":      {"another part of the scope", bundle.SignatureInjection{Region: "r/s3", Service: "s3"}, whole},
		"upper case": {"one spelling", bundle.SignatureInjection{Region: "R", Service: "s3"}, whole},
		"a token":    {"it signs nothing", bundle.SignatureInjection{Region: "r", Service: "s3"}, secret.New("CANARY")},
		"line end":   {"it would end the header", bundle.SignatureInjection{Region: "r", Service: "s3"}, keys("AKIDEXAMPLE", "CANARY", "CANARY\r\nX: y")},
		"space":      {"it would not survive", bundle.SignatureInjection{Region: "r", Service: "s3"}, keys("AKIDEXAMPLE", "CANARY ", "")},
	} {
		if s, err := New(&test.in, test.s); err == nil || s != nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v: %s", name, err, test.why)
		}
	}
}

// TestWhole reads the body for every service but S3, and for that in clear text.
func TestWhole(t *testing.T) {
	for service, want := range map[string][2]bool{"s3": {true, false}, "s3-outposts": {true, true}, "sqs": {true, true}} {
		s, err := New(&bundle.SignatureInjection{Region: "r", Service: service}, bundle.AWSKeys{AccessKeyID: secret.New("AKIDEXAMPLE"), SecretAccessKey: secret.New("key")}.Secret())
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]bool{s.Whole(false), s.Whole(true)}; got != want {
			t.Errorf("%s: %v, want %v", service, got, want)
		}
		if digest, ok := s.Digest([]scope.Field{{Name: digestHeader, Value: "x"}}, nil, false); digest != unsigned || !ok {
			t.Errorf("%s: what is no digest is signed: %s", service, digest)
		}
	}
}
