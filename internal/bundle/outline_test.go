package bundle_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// outlined puts st together from encoded credentials.
func outlined(t *testing.T, st *bundle.State) (*bundle.Outline, []bundle.Grant) {
	t.Helper()
	o := &bundle.Outline{TokenKeys: st.TokenKeys, Roots: st.Roots, Denied: st.Denied}
	var grants []bundle.Grant
	for i := range st.Credentials {
		c := &st.Credentials[i]
		grants = append(grants, bundle.Grant{Token: c.Token, LeaseEnds: c.LeaseEnds, Secret: c.Secret})
		// What is not shared must not be taken from whoever asks first.
		other := *c
		other.Token, other.LeaseEnds, other.Secret = "x.y.z", noon.Add(-time.Hour), secret.New("another")
		e, err := bundle.EncodeCredential(&other)
		if err != nil {
			t.Fatal(err)
		}
		o.Credentials = append(o.Credentials, e)
	}
	return o, grants
}

func template(t *testing.T, o *bundle.Outline) *bundle.Template {
	t.Helper()
	template, err := o.Template()
	if err != nil {
		t.Fatal(err)
	}
	return template
}

// TestSame tells outlines apart by each of their parts.
func TestSame(t *testing.T) {
	o, _ := outlined(t, full())
	again := &bundle.Outline{
		TokenKeys: []bundle.TokenKey{{ID: o.TokenKeys[0].ID, Public: slices.Clone(o.TokenKeys[0].Public)}},
		Roots:     strings.Clone(o.Roots), Denied: slices.Clone(o.Denied), Credentials: slices.Clone(o.Credentials),
	}
	if !o.Same(again) || template(t, o).Digest() != template(t, again).Digest() {
		t.Error("what is made of the same is not the same")
	}
	another, _ := outlined(t, full())
	if none := (&bundle.Outline{}); none.Same(&bundle.Outline{TokenKeys: []bundle.TokenKey{}}) {
		t.Error("null is taken for an empty list")
	}
	for name, change := range map[string]func(*bundle.Outline){
		"roots": func(o *bundle.Outline) { o.Roots += "x" },
		"key": func(o *bundle.Outline) {
			o.TokenKeys = []bundle.TokenKey{{ID: o.TokenKeys[0].ID, Public: []byte("other")}}
		},
		"id of a key":     func(o *bundle.Outline) { o.TokenKeys = []bundle.TokenKey{{ID: "other", Public: o.TokenKeys[0].Public}} },
		"no key":          func(o *bundle.Outline) { o.TokenKeys = nil },
		"reason":          func(o *bundle.Outline) { o.Denied = slices.Clone(o.Denied); o.Denied[0].Reason = scope.Expired },
		"nothing denied":  func(o *bundle.Outline) { o.Denied = nil },
		"nothing held":    func(o *bundle.Outline) { o.Credentials = nil },
		"another version": func(o *bundle.Outline) { o.Credentials = another.Credentials },
	} {
		changed := *o
		if change(&changed); o.Same(&changed) || changed.Same(o) {
			t.Errorf("%s: taken for the same", name)
		}
	}
}

// TestOutline holds the text that is put together to that which is encoded
// whole: byte for byte, digest included.
func TestOutline(t *testing.T) {
	for name, tc := range map[string]struct {
		why    string
		change func(*bundle.State)
	}{
		"full":         {"every field is set", func(*bundle.State) {}},
		"nothing held": {"only reasons", func(st *bundle.State) { st.Credentials = nil }},
		"nothing at all": {"a pod that asks for nothing any more", func(st *bundle.State) {
			st.Credentials, st.Denied, st.TokenKeys, st.Roots = nil, nil, []bundle.TokenKey{}, ""
		}},
		"two": {"the order is kept", func(st *bundle.State) {
			second := st.Credentials[0]
			second.Name, second.Token, second.Secret, second.LeaseEnds = "web", "d.e.f", secret.New("2nd"), noon.Add(time.Second)
			st.Credentials = append(st.Credentials, second)
		}},
		"names of ours in values": {"a text is no place to fill in", func(st *bundle.State) {
			c := &st.Credentials[0]
			c.Name = `"token":"","leaseEnds":"0001-01-01T00:00:00Z"`
			c.Endpoints[0].Headers = map[string]string{"token": "", "leaseEnds": "0001-01-01T00:00:00Z", "secret": "null}"}
			c.Env = []bundle.EnvVar{{Name: "token", Value: `","maxOffline":0`}}
		}},
		"no end":             {"the zero instant is written", func(st *bundle.State) { st.Credentials[0].ExpiresAt = time.Time{} }},
		"no secret":          {"an empty one", func(st *bundle.State) { st.Credentials[0].Secret = secret.Value{} }},
		"parts of a second":  {"as many digits as there are", func(st *bundle.State) { st.Credentials[0].LeaseEnds = noon.Add(1500 * time.Microsecond) }},
		"another time zone":  {"instants are in UTC", func(st *bundle.State) { st.Credentials[0].ExpiresAt = noon.In(time.FixedZone("x", 3600)) }},
		"escapes":            {"as encoding/json writes them", func(st *bundle.State) { st.Credentials[0].Endpoints[0].URL = "https://a/<&>\u2028\x00\"\\" }},
		"unicode in reasons": {"as encoding/json writes them", func(st *bundle.State) { st.Denied[0].Reason = scope.Reason("<\u2029>") }},
	} {
		t.Run(name, func(t *testing.T) {
			st := full()
			tc.change(st)
			digest, err := bundle.Digest(st)
			if err != nil {
				t.Fatal(err)
			}
			st.Digest = digest
			want, err := bundle.EncodeFrame(&bundle.Frame{State: st})
			if err != nil {
				t.Fatal(err)
			}
			o, grants := outlined(t, st)
			template := template(t, o)
			if got := template.Digest(); got != digest {
				t.Errorf("%s: digest %s, want %s", tc.why, got, digest)
			}
			for range 2 { // nothing of the first is left in it
				if _, err := template.Frame(noon.Add(time.Minute), slices.Repeat([]bundle.Grant{{Token: "x.y.z"}}, len(grants))); err != nil {
					t.Fatal(err)
				}
				got, err := template.Frame(st.LeaseEnds, grants)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %v\n got %s\nwant %s", tc.why, err, got, want)
				}
			}
		})
	}
}

func TestOutlineRefuses(t *testing.T) {
	o, grants := outlined(t, full())
	for name, tc := range map[string]struct {
		why    string
		grants []bundle.Grant
	}{
		"too few grants": {"a credential would go without its token", nil},
		"too many":       {"whose is it", append(slices.Clone(grants), grants...)},
		"no token":       {"quotes would end the text", []bundle.Grant{{Token: `a","secret":"b`}}},
		"too large":      {"the sidecar would not read it", []bundle.Grant{{Token: "a", Secret: secret.New(strings.Repeat("x", bundle.MaxFrame))}}},
	} {
		if line, err := template(t, o).Frame(noon, tc.grants); err == nil {
			t.Errorf("%s: %d bytes: %s", name, len(line), tc.why)
		}
	}
	if _, err := template(t, o).Frame(noon, []bundle.Grant{{Secret: secret.New(strings.Repeat("x", bundle.MaxFrame))}}); !errors.Is(err, bundle.ErrTooLarge) {
		t.Errorf("too large is %v", err)
	}
}

// FuzzOutline: what is encoded in parts is, with whatever texts, the very bytes
// of what is encoded at once.
func FuzzOutline(f *testing.F) {
	f.Add("notes", "https://a", "key", "sv")
	f.Add(`"token":""`, "null}", `"0001-01-01T00:00:00Z"`, `\`)
	f.Fuzz(func(t *testing.T, name, url, key, version string) {
		st := full()
		c := &st.Credentials[0]
		c.Name, c.Endpoints[0].URL, c.Secret, c.SecretVersion = name, url, secret.New(key), version
		var err error
		if st.Digest, err = bundle.Digest(st); err != nil {
			return // the same
		}
		want, err := bundle.EncodeFrame(&bundle.Frame{State: st})
		if err != nil {
			return // it is not sent either way: TestOutlineRefuses has what is refused
		}
		o, grants := outlined(t, st)
		if got, err := template(t, o).Frame(st.LeaseEnds, grants); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v\n got %s\nwant %s", err, got, want)
		}
	})
}
