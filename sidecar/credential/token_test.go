package credential

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/token"
)

var minted = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// scoped mints a token of the pod with this UID.
func scoped(t *testing.T, key token.Key, id, pod string) string {
	t.Helper()
	text, err := key.Mint(token.Claims{
		Issuer: "sallyport:11111111", Subject: "system:serviceaccount:agents:a", Audience: token.Audience,
		IssuedAt: minted.Unix(), NotBefore: minted.Unix(), Expires: minted.Add(10 * time.Minute).Unix(),
		ID: id, Pod: token.Pod{UID: pod, Name: "a-0"},
		Credential: token.Credential{Name: "notes", UID: "cred", Generation: 3},
		Scope:      "sha256:00", Upstream: token.Upstream{UID: "up", SecretVersion: "v1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// nearMisses are texts that differ from a token in one byte, anywhere, or by one.
func nearMisses(text string) []string {
	list := []string{text + "x", text + "\x00", text[1:], text[:len(text)-1], text[:len(text)/2]}
	for i := range len(text) {
		b := []byte(text)
		b[i] ^= 1
		list = append(list, string(b))
	}
	return list
}

// TestCheckInAnyOrder shows tokens in random orders: what was shown before, right or
// wrong, changes nothing.
func TestCheckInAnyOrder(t *testing.T) {
	key := token.GenerateKey()
	v, err := token.NewVerifier([]bundle.TokenKey{key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	const handle = "spt_0123456789abcdef0123456789abcdef"
	good := map[string]string{handle: "", scoped(t, key, "one", "pod"): "one", scoped(t, key, "two", "pod"): "two"}
	shown := []string{"", scoped(t, key, "theirs", "another"), scoped(t, token.GenerateKey(), "forged", "pod")}
	for text := range good {
		shown = append(shown, nearMisses(text)...)
		for range 100 {
			shown = append(shown, text)
		}
	}
	rand.Shuffle(len(shown), func(i, j int) { shown[i], shown[j] = shown[j], shown[i] })
	tokens := &Tokens{Handle: HandleOf(handle), Verifier: v, PodUID: "pod", CredentialUID: "cred"}
	for _, text := range shown {
		want, right := good[text]
		if jti, ok := tokens.Check(text, minted); ok != right || jti != want {
			t.Fatalf("%q: got %q, %t", text, jti, ok)
		}
	}
	for text, id := range good {
		_, _ = tokens.Check(text, minted)
		if _, ok := tokens.Check(text, minted.Add(time.Hour)); ok != (id == "") {
			t.Errorf("%q an hour after it was shown: %t", id, ok)
		}
	}
}

func TestZeroTokens(t *testing.T) {
	for _, text := range []string{"", "x", scoped(t, token.GenerateKey(), "one", "pod")} {
		if _, ok := new(Tokens).Check(text, minted); ok {
			t.Errorf("%q passes", text)
		}
	}
}

// TestCheckKeepsNoView shows tokens that lie in memory which is used again at
// once, as those of requests do, on many connections: each is told by what it
// says while it is asked for, and its id stays what it was.
func TestCheckKeepsNoView(t *testing.T) {
	key := token.GenerateKey()
	v, err := token.NewVerifier([]bundle.TokenKey{key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	const handle = "spt_0123456789abcdef0123456789abcdef"
	tokens := &Tokens{Handle: HandleOf(handle), Verifier: v, PodUID: "pod", CredentialUID: "cred"}
	good := map[string]string{handle: ""}
	texts := []string{handle, scoped(t, key, "theirs", "another")}
	for _, id := range []string{"one", "two", "three"} {
		text := scoped(t, key, id, "pod")
		good[text], texts = id, append(texts, text)
	}
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			dice, memory := rand.New(rand.NewPCG(uint64(w), 1)), make([]byte, 4096)
			for range 400 {
				own := texts[dice.IntN(len(texts))]
				n := copy(memory, own)
				if dice.IntN(3) == 0 {
					memory[dice.IntN(n)] ^= 1 // a near miss
				}
				text := unsafe.String(&memory[0], n)
				want, right := good[strings.Clone(text)]
				jti, ok := tokens.Check(text, minted)
				clear(memory)
				if ok != right || jti != want {
					t.Errorf("%q: got %q, %t", own, jti, ok)
				}
			}
		})
	}
	all.Wait()
}
