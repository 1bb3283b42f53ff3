package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/bundle"
)

var issued = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func sample() Claims {
	return Claims{
		Issuer: "sallyport:11111111", Subject: "system:serviceaccount:agents:a", Audience: Audience,
		IssuedAt: issued.Unix(), NotBefore: issued.Add(-Leeway).Unix(), Expires: issued.Add(10 * time.Minute).Unix(),
		ID: "id-1", Pod: Pod{UID: "pod-uid", Name: "a-0"},
		Credential: Credential{Name: "release-notes", UID: "cred-uid", Generation: 3},
		Scope:      "sha256:00", Upstream: Upstream{UID: "up-uid", SecretVersion: "v1"},
	}
}

func verifier(t *testing.T, keys ...Key) *Verifier {
	t.Helper()
	var public []bundle.TokenKey
	for _, k := range keys {
		public = append(public, k.Public())
	}
	v, err := NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mint(t *testing.T, k Key, c Claims) string {
	t.Helper()
	compact, err := k.Mint(c)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func TestMintVerify(t *testing.T) {
	old, now := GenerateKey(), GenerateKey()
	v := verifier(t, old, now)
	for _, k := range []Key{old, now} {
		got, err := v.Verify(mint(t, k, sample()))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sample(), got); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
	}
}

// sign makes what a hostile signer would: any header, any payload, signed with
// any algorithm and key that go-jose takes.
func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, kid, typ, payload string) string {
	t.Helper()
	options := &jose.SignerOptions{}
	if typ != "" {
		options = options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, options)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func payload(t *testing.T, c Claims) string {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestMintAsOthersDo holds a token to what go-jose makes of the same claims: by
// Ed25519 a text has one signature.
func TestMintAsOthersDo(t *testing.T) {
	for range 8 {
		key := GenerateKey()
		if got, want := mint(t, key, sample()), sign(t, jose.EdDSA, key.private(), key.ID(), mediaType, payload(t, sample())); got != want {
			t.Errorf("minted %s\n   want %s", got, want)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	key, other := GenerateKey(), GenerateKey()
	good := payload(t, sample())
	eddsa := func(kid, typ, payload string) string {
		return sign(t, jose.EdDSA, key.private(), kid, typ, payload)
	}
	b64 := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	parts := strings.Split(mint(t, key, sample()), ".")
	header := fmt.Sprintf(`{"alg":"EdDSA","kid":"%s","typ":"scoped+jwt"}`, key.ID())
	if b64(header) != parts[0] {
		t.Fatalf("the header is not what these cases assume: %s", parts[0])
	}
	hmacKey := key.Public().Public

	for name, c := range map[string]struct{ why, token string }{
		"empty":                 {"nothing is no token", ""},
		"alg none":              {"unsigned", b64(`{"alg":"none","kid":"`+key.ID()+`","typ":"scoped+jwt"}`) + "." + parts[1] + "."},
		"alg none, signed":      {"the header must not choose", b64(`{"alg":"none","kid":"`+key.ID()+`","typ":"scoped+jwt"}`) + "." + parts[1] + "." + parts[2]},
		"HS256 by public key":   {"algorithm confusion", sign(t, jose.HS256, hmacKey, key.ID(), mediaType, good)},
		"alg swapped in place":  {"header is signed and fixed", b64(strings.Replace(header, "EdDSA", "Ed25519", 1)) + "." + parts[1] + "." + parts[2]},
		"typ JWT":               {"another kind of token", eddsa(key.ID(), "JWT", good)},
		"typ missing":           {"another kind of token", eddsa(key.ID(), "", good)},
		"typ cased":             {"one spelling", eddsa(key.ID(), "Scoped+JWT", good)},
		"kid unknown":           {"a key we never had", mint(t, other, sample())},
		"kid of another":        {"signed by the wrong key", sign(t, jose.EdDSA, other.private(), key.ID(), mediaType, good)},
		"kid missing":           {"no key named", sign(t, jose.EdDSA, key.private(), "", mediaType, good)},
		"four parts":            {"not compact", strings.Join(parts, ".") + "."},
		"two parts":             {"not compact", parts[0] + "." + parts[1]},
		"full serialisation":    {"not compact", `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`},
		"line end":              {"decoders skip it", parts[0] + "." + parts[1] + "." + parts[2] + "\n"},
		"line end inside":       {"decoders skip it", parts[0] + "." + parts[1][:4] + "\n" + parts[1][4:] + "." + parts[2]},
		"padding":               {"one spelling", parts[0] + "." + parts[1] + "." + parts[2] + "=="},
		"spare bits":            {"one spelling", parts[0] + "." + parts[1] + "." + respell(parts[2])},
		"oversized":             {"bounded before it is read", parts[0] + "." + strings.Repeat("A", MaxBytes) + "." + parts[2]},
		"unknown header":        {"crit and friends", b64(strings.Replace(header, `,"typ"`, `,"jwk":{},"typ"`, 1)) + "." + parts[1] + "." + parts[2]},
		"extra claim":           {"nothing unknown is passed over", eddsa(key.ID(), mediaType, strings.Replace(good, `{"iss"`, `{"admin":true,"iss"`, 1))},
		"duplicate claim":       {"two readers, two meanings", eddsa(key.ID(), mediaType, strings.Replace(good, `"exp":`, `"exp":1,"exp":`, 1))},
		"cased claim":           {"encoding/json would take it", eddsa(key.ID(), mediaType, strings.Replace(good, `"exp"`, `"EXP"`, 1))},
		"aud as array":          {"exactly one", eddsa(key.ID(), mediaType, strings.Replace(good, `"`+Audience+`"`, `["`+Audience+`"]`, 1))},
		"exp as float":          {"one spelling", eddsa(key.ID(), mediaType, strings.Replace(good, `,"jti"`, `.0,"jti"`, 1))},
		"trailing bytes":        {"one value", eddsa(key.ID(), mediaType, good+" ")},
		"no claims":             {"all are required", eddsa(key.ID(), mediaType, "{}")},
		"null":                  {"all are required", eddsa(key.ID(), mediaType, "null")},
		"other audience":        {"a token for the broker", eddsa(key.ID(), mediaType, payload(t, with(func(c *Claims) { c.Audience = "broker.sallyport.dev" })))},
		"no pod":                {"unbound", eddsa(key.ID(), mediaType, payload(t, with(func(c *Claims) { c.Pod.UID = "" })))},
		"lives too long":        {"at most an hour", eddsa(key.ID(), mediaType, payload(t, with(func(c *Claims) { c.Expires = c.IssuedAt + 3601 })))},
		"expires before issued": {"contradiction", eddsa(key.ID(), mediaType, payload(t, with(func(c *Claims) { c.Expires = c.IssuedAt })))},
		"far times":             {"no overflow", eddsa(key.ID(), mediaType, payload(t, with(func(c *Claims) { c.IssuedAt, c.Expires = -1<<62, 1<<62 })))},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := verifier(t, key).Verify(c.token); !errors.Is(err, ErrRefused) {
				t.Errorf("err = %v, want ErrRefused: %s", err, c.why)
			}
		})
	}
}

// respell changes bits of the last character that carry nothing.
func respell(s string) string {
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", s[len(s)-1])
	return s[:len(s)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last|1])
}

func with(edit func(*Claims)) Claims {
	c := sample()
	edit(&c)
	return c
}

func TestVerifyRefusesEveryFlippedBit(t *testing.T) {
	key := GenerateKey()
	v := verifier(t, key)
	compact := mint(t, key, sample())
	for i := range len(compact) {
		for bit := range 8 {
			b := []byte(compact)
			b[i] ^= 1 << bit
			if _, err := v.Verify(string(b)); err == nil {
				t.Fatalf("byte %d, bit %d: taken", i, bit)
			}
		}
	}
}

func TestZeroRefuses(t *testing.T) {
	compact := mint(t, GenerateKey(), sample())
	var none *Verifier
	for name, v := range map[string]*Verifier{"nil": none, "zero": {}, "without keys": verifier(t)} {
		if _, err := v.Verify(compact); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
	if _, err := (Key{}).Mint(sample()); err == nil {
		t.Error("the zero key signs")
	}
	if _, err := GenerateKey().Mint(Claims{}); err == nil {
		t.Error("empty claims are signed")
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	k := GenerateKey().Public()
	for name, keys := range map[string][]bundle.TokenKey{
		"twice":  {k, k},
		"no id":  {{Public: k.Public}},
		"short":  {{ID: "a", Public: k.Public[1:]}},
		"absent": {{ID: "a"}},
		"many":   make([]bundle.TokenKey, maxKeys+1),
	} {
		if _, err := NewVerifier(keys); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestCheck(t *testing.T) {
	c := sample()
	for name, tc := range map[string]struct {
		why       string
		now       time.Time
		pod, cred string
		good      bool
	}{
		"at issue":         {"the plain case", issued, "pod-uid", "cred-uid", true},
		"clock behind":     {"30 s before nbf, which is 30 s back", issued.Add(-60 * time.Second), "pod-uid", "cred-uid", true},
		"too early":        {"one second more", issued.Add(-61 * time.Second), "pod-uid", "cred-uid", false},
		"just expired":     {"within the leeway", issued.Add(10*time.Minute + 29*time.Second), "pod-uid", "cred-uid", true},
		"expired":          {"the leeway is over", issued.Add(10*time.Minute + 30*time.Second), "pod-uid", "cred-uid", false},
		"other pod":        {"stolen", issued, "pod-2", "cred-uid", false},
		"other credential": {"on another listener", issued, "pod-uid", "cred-2", false},
		"no pod known":     {"empty never matches", issued, "", "cred-uid", false},
		"no credential":    {"empty never matches", issued, "pod-uid", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.Check(tc.now, tc.pod, tc.cred)
			if (err == nil) != tc.good || (err != nil && !errors.Is(err, ErrRefused)) {
				t.Errorf("err = %v, want good %t: %s", err, tc.good, tc.why)
			}
		})
	}
	if new(Claims).Check(time.Unix(0, 0), "", "") == nil {
		t.Error("zero claims pass")
	}
}

func TestKeyIsNotPrinted(t *testing.T) {
	k := GenerateKey()
	seed := k.Seed()
	text, err := json.Marshal(struct{ K Key }{k})
	if err != nil {
		t.Fatal(err)
	}
	printed := string(text)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		printed += fmt.Sprintf(verb, k) + fmt.Sprintf(verb, struct{ k Key }{k}) + fmt.Sprintf(verb, &k)
	}
	for _, form := range []string{string(seed), fmt.Sprintf("%x", seed), fmt.Sprint(seed), base64.StdEncoding.EncodeToString(seed), fmt.Sprintf("%d", seed[:8])[1:20]} {
		if strings.Contains(printed, form) {
			t.Error("the key is printed")
		}
	}
	again, err := NewKey(seed)
	if err != nil || again.ID() != k.ID() {
		t.Errorf("a stored key is another one: %v", err)
	}
	if _, err := NewKey(seed[1:]); err == nil {
		t.Error("a short seed is taken")
	}
}

// FuzzVerify: of what a token says there is one text, the one that was minted.
func FuzzVerify(f *testing.F) {
	key, err := NewKey(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	compact, err := key.Mint(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(compact)
	f.Add("..")
	v, err := NewVerifier([]bundle.TokenKey{key.Public()})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := v.Verify(s)
		if err != nil {
			if !errors.Is(err, ErrRefused) {
				t.Fatalf("err = %v", err)
			}
			return
		}
		// Ed25519 is deterministic: what verifies is what Mint makes of its claims.
		if again, err := key.Mint(c); err != nil || again != s {
			t.Fatalf("a second text says the same: %v", err)
		}
	})
}
