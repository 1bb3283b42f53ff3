package mask_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/sidecar/mask"
)

// secrets have every sign that an encoding may treat in its own way.
var secrets = map[string]string{
	"signs":     `CANARY-7Qx/3w+Zp9=`,
	"token":     "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
	"short":     "s3c!",
	"escapes":   `p%41\u0041"q\n%25%2`,
	"spaces":    "correct horse battery & staple",
	"repeating": "abababababab",
	"unicode":   "pässwörd-🔑-ключ",
	"latin":     "p\xe4ssw\xf6rd\xc3",
	"long":      strings.Repeat("eyJhbGciOiJSUzI1NiJ9.", 5),
}

func newMask(tb testing.TB, secret ...string) mask.Mask {
	tb.Helper()
	m, err := mask.New(secret...)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// renderings are ways in which encoders write a secret, by name. r decides
// where there is a choice.
func renderings(secret string, r *rand.Rand) map[string]string {
	quoted, _ := json.Marshal(secret)
	digits := hex.EncodeToString([]byte(secret))
	all := map[string]string{
		"raw":           secret,
		"query":         url.QueryEscape(secret),
		"lower query":   lowerTriplets(url.QueryEscape(secret)),
		"path":          url.PathEscape(secret),
		"any percent":   escapeSome(secret, r, func(c byte) string { return randomCase("%"+hex.EncodeToString([]byte{c}), r) }, "%"),
		"every percent": escapeSome(secret, nil, func(c byte) string { return fmt.Sprintf("%%%02X", c) }, ""),
		"JSON":          string(quoted[1 : len(quoted)-1]),
		"hex":           digits,
		"upper hex":     strings.ToUpper(digits),
		"any hex":       randomCase(digits, r),
	}
	if utf8.ValidString(secret) {
		all["any JSON"] = escapeRunes(secret, r)
	} else {
		delete(all, "JSON") // it is no text
		all["any JSON"] = escapeSome(secret, r, func(c byte) string { return `\u` + randomCase(fmt.Sprintf("%04x", c), r) }, `\"`)
	}
	for before := range 4 {
		plain := []byte("user:"[:before] + secret + "tail"[:r.IntN(4)])
		for name, encoding := range map[string]*base64.Encoding{
			"std": base64.StdEncoding, "raw std": base64.RawStdEncoding, "url": base64.URLEncoding, "raw url": base64.RawURLEncoding,
		} {
			text := encoding.EncodeToString(plain)
			name = fmt.Sprintf("Base64 %s %d", name, before)
			all[name] = text
			all[name+" escaped"] = strings.ReplaceAll(text, "/", `\/`)
			all[name+" percent"] = url.QueryEscape(text)
			if len(secret) > 12 {
				all[name+" lines"] = wrap(text, "\n")
				all[name+" CR LF"] = wrap(text, "\r\n")
				all[name+" JSON lines"] = wrap(text, `\n`)
			}
		}
	}
	return all
}

func wrap(text, end string) string {
	var out strings.Builder
	for len(text) > 11 {
		out.WriteString(text[:11] + end)
		text = text[11:]
	}
	return out.String() + text
}

func lowerTriplets(s string) string {
	for i := strings.IndexByte(s, '%'); i >= 0 && i+3 <= len(s); i++ {
		if s[i] == '%' {
			s = s[:i] + strings.ToLower(s[i:i+3]) + s[i+3:]
		}
	}
	return s
}

func randomCase(s string, r *rand.Rand) string {
	out := []byte(s)
	for i, c := range out {
		if c >= 'a' && c <= 'f' && r.IntN(2) == 0 {
			out[i] = c - 'a' + 'A'
		}
	}
	return string(out)
}

// escapeSome escapes every byte of must, and some others.
func escapeSome(secret string, r *rand.Rand, escape func(byte) string, must string) string {
	var out strings.Builder
	for _, c := range []byte(secret) {
		if r == nil || strings.IndexByte(must, c) >= 0 || r.IntN(3) == 0 {
			out.WriteString(escape(c))
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}

// escapeRunes escapes a text as JSON may have it, some of it.
func escapeRunes(secret string, r *rand.Rand) string {
	var out strings.Builder
	for _, c := range secret {
		switch {
		case (c == '/' || c == '\\' || c == '"') && r.IntN(2) == 0:
			out.WriteString(`\` + string(c))
		case c == '\\' || c == '"' || r.IntN(3) == 0:
			for _, unit := range utf16Of(c) {
				out.WriteString(`\u` + randomCase(fmt.Sprintf("%04x", unit), r))
			}
		default:
			out.WriteRune(c)
		}
	}
	return out.String()
}

func utf16Of(c rune) []rune {
	if c < 0x10000 {
		return []rune{c}
	}
	c -= 0x10000
	return []rune{0xd800 + c>>10, 0xdc00 + c&0x3ff}
}

// pass masks text in parts of which the lengths are given, the rest in one.
func pass(m mask.Mask, text string, lengths ...int) string {
	var s mask.Stream
	var out []byte
	s.Start(m)
	for _, n := range append(lengths, len(text)) {
		n = min(n, len(text))
		out = append(out, s.Pass([]byte(text[:n]))...)
		text = text[n:]
	}
	return string(append(out, s.Rest()...))
}

// leaks finds the secret by decoding text in every way that a reader may try.
// It knows nothing of patterns.
func leaks(text, secret string) string {
	plain := map[string]string{"raw": text, "percent": unescape(text, false), "JSON": unescape(text, true)}
	for name, text := range plain {
		if strings.Contains(text, secret) || strings.Contains(strings.ReplaceAll(text, "+", " "), secret) {
			return name
		}
		if strings.Contains(runsOf(text, "0123456789abcdefABCDEF", func(run string) string {
			a, _ := hex.DecodeString(run[:len(run)&^1])
			b, _ := hex.DecodeString(run[1 : 1+(len(run)-1)&^1])
			return string(a) + "|" + string(b)
		}), secret) {
			return name + ", hex"
		}
		text = strings.NewReplacer("\r", "", "\n", "", "-", "+", "_", "/").Replace(text)
		if strings.Contains(runsOf(text, base64Alphabet, decodeAll), secret) {
			return name + ", Base64"
		}
	}
	return ""
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

func decodeAll(run string) string {
	var out strings.Builder
	for start := range min(4, len(run)) {
		part := run[start:]
		if len(part)%4 == 1 {
			part = part[:len(part)-1]
		}
		plain, _ := base64.RawStdEncoding.DecodeString(part)
		out.Write(plain)
		out.WriteByte('|')
	}
	return out.String()
}

// runsOf decodes the runs of text that consist of an alphabet.
func runsOf(text, alphabet string, decode func(string) string) string {
	var out strings.Builder
	for _, run := range strings.FieldsFunc(text, func(r rune) bool { return !strings.ContainsRune(alphabet, r) }) {
		out.WriteString(decode(run) + "|")
	}
	return out.String()
}

// unescape undoes what can be undone, and leaves the rest.
func unescape(text string, isJSON bool) string {
	var out strings.Builder
	for text != "" {
		n := 1
		piece := text[:1]
		switch {
		case !isJSON && text[0] == '%' && len(text) >= 3:
			if plain, err := url.PathUnescape(text[:3]); err == nil {
				n, piece = 3, plain
			}
		case isJSON && text[0] == '\\':
			for _, size := range []int{12, 6, 2} {
				var plain string
				if len(text) >= size && (size < 12 || text[6] == '\\') && json.Unmarshal([]byte(`"`+text[:size]+`"`), &plain) == nil && !strings.Contains(plain, "\ufffd") {
					n, piece = size, plain
					break
				}
			}
		}
		out.WriteString(piece)
		text = text[n:]
	}
	return out.String()
}

// TestEveryRendering masks every rendering at every split, and nothing beside
// it but what shares a character with it.
func TestEveryRendering(t *testing.T) {
	const before, after = `{"auth":"Bearer `, `","next":"<b>&amp;"}`
	for kind, secret := range secrets {
		t.Run(kind, func(t *testing.T) {
			m := newMask(t, secret)
			r := rand.New(rand.NewPCG(1, 2))
			for name, rendering := range renderings(secret, r) {
				text := before + rendering + after
				if kind != "latin" && leaks(text, secret) == "" {
					t.Fatalf("%s: the oracle does not find it in %s", name, text)
				}
				want := pass(m, text)
				if form := leaks(want, secret); form != "" || !strings.Contains(want, "**") {
					t.Fatalf("%s: %s is left in %s of %s", name, form, want, text)
				}
				if len(want) != len(text) || !strings.HasPrefix(want, before) || !strings.HasSuffix(want, after) {
					t.Fatalf("%s: %s became %s", name, text, want)
				}
				if got := m.String(text); got != want {
					t.Errorf("%s: as a field %s", name, got)
				}
				for split := range len(text) {
					if got := pass(m, text, split); !like(got, want, text) {
						t.Fatalf("%s: split at %d: got %s, want %s", name, split, got, want)
					}
				}
				if got := pass(m, text, slicesOf(1, len(text))...); !like(got, want, text) {
					t.Fatalf("%s: byte by byte: got %s, want %s", name, got, want)
				}
			}
		})
	}
}

// like compares what became of a text. The first character that is masked may
// have gone on before it was known for what it is: in Base64, where it has a few
// bits of the first byte.
func like(got, want, text string) bool {
	i := strings.IndexByte(want, '*')
	return got == want || i >= 0 && got == want[:i]+text[i:i+1]+want[i+1:]
}

func slicesOf(n, times int) []int {
	all := make([]int, times)
	for i := range all {
		all[i] = n
	}
	return all
}

// What cannot become a rendering is not held back: the reader of a stream has
// each event when it is written.
func TestHoldsBackLittle(t *testing.T) {
	m := newMask(t, secrets["signs"])
	for name, text := range map[string]string{
		"event":       "data: {\"delta\":\"hello\"}\n\n",
		"event, CRLF": "data: hellA\r\n\r\n",
		"JSON line":   "{\"type\":\"ADDED\"}\n",
		"line":        "starting Q\n",
		"letters":     "abcdefgh",
	} {
		var s mask.Stream
		s.Start(m)
		for range 3 {
			if got := string(s.Pass([]byte(text))); got != text {
				t.Errorf("%s: of %q only %q goes on", name, text, got)
			}
		}
	}
	var s mask.Stream
	s.Start(m)
	if got := string(s.Pass([]byte("key: CANA"))); got != "key: " {
		t.Errorf("%q goes on", got)
	}
	if got := string(s.Pass([]byte("DA is a country"))); got != "CANADA is a country" {
		t.Errorf("%q goes on", got)
	}
	_ = s.Pass([]byte("CANARY-7"))
	if got := string(s.Rest()); got != "CANARY-7" {
		t.Errorf("at the end: %q", got)
	}
}

// Renderings that overlap are masked, each of them.
func TestOverlaps(t *testing.T) {
	m := newMask(t, "abab", "bbbbb-bbbbb", "secret-one", "one-two-three")
	for text, want := range map[string]string{
		"xababababx":           "x********x",
		"secret-one-two-three": strings.Repeat("*", 20),
		"bbbbb-bbbbb-bbbbb!":   strings.Repeat("*", 17) + "!",
		"aba secret-on one-tw": "aba secret-on one-tw",
	} {
		for split := range len(text) + 1 {
			if got := pass(m, text, split); got != want {
				t.Errorf("%s split at %d: got %s, want %s", text, split, got, want)
			}
		}
	}
}

func TestShortSecrets(t *testing.T) {
	for _, secret := range []string{"", "abc"} {
		if m, err := mask.New(secret); err == nil || m.String("abc") != "abc" {
			t.Errorf("%q is masked", secret)
		}
	}
	var s mask.Stream
	if got := string(s.Pass([]byte("abc"))) + string(s.Rest()); got != "abc" {
		t.Errorf("the zero Stream passes %q", got)
	}
}

func TestNothingPrintsIt(t *testing.T) {
	m := newMask(t, secrets["token"])
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		if got := fmt.Sprintf(verb, m) + fmt.Sprintf(verb, struct{ M *mask.Mask }{&m}); strings.Contains(got, "ghp") || strings.Contains(got, "676870") {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

// FuzzMask: whatever an upstream writes around and between renderings, and
// however it is split, no decoder finds the secret afterwards; what has no
// rendering stays as it is.
func FuzzMask(f *testing.F) {
	f.Add("a", "b", uint64(1), 3, 5)
	f.Add(`\u00`, "%", uint64(2), 1, 1)
	f.Add("CANARY-CANARY", "CANARY-7Qx/3w+Zp", uint64(3), 9, 2)
	f.Add("Q0FO", "Qx\\", uint64(4), 6, 1)
	secret := secrets["signs"]
	m := newMask(f, secret)
	f.Fuzz(func(t *testing.T, before, after string, seed uint64, first, second int) {
		text := before + after
		if got := pass(m, text, max(0, first), max(0, second)); leaks(text, secret) == "" && !strings.Contains(got, "*") && got != text {
			t.Fatalf("%q became %q", text, got)
		}
		r := rand.New(rand.NewPCG(seed, 0))
		for name, rendering := range renderings(secret, r) {
			text := before + rendering + after
			got := pass(m, text, max(0, first), max(0, second))
			if len(got) != len(text) {
				t.Fatalf("%s: %q became %q", name, text, got)
			}
			if form := leaks(got, secret); form != "" {
				t.Fatalf("%s: %q became %q, in which %s is left", name, text, got, form)
			}
		}
	})
}

func BenchmarkStream(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	letters := make([]byte, 64<<10)
	for i := range letters {
		letters[i] = base64Alphabet[r.IntN(64)]
	}
	object := []byte(`{"id":1296269,"full_name":"acme/web","html_url":"https:\/\/github.com\/acme\/web","description":"notes, releases & more\n"},`)
	for name, text := range map[string][]byte{
		"letters": letters, "JSON": bytes.Repeat(object, 64<<10/len(object)), "binary": bytes.Repeat([]byte{0, 1, 255, 17}, 16<<10),
	} {
		for kind, secret := range map[string]string{"token": secrets["token"], "signs": secrets["signs"]} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				var s mask.Stream
				s.Start(newMask(b, secret))
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					s.Pass(text)
				}
			})
		}
	}
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		newMask(b, secrets["token"])
	}
}

func BenchmarkString(b *testing.B) {
	m := newMask(b, secrets["token"])
	b.ReportAllocs()
	for b.Loop() {
		m.String("Thu, 26 Nov 2026 20:40:00 GMT")
		m.String(`max-age=31536000; includeSubDomains; preload, W/"0123456789abcdef0123456789abcdef"`)
	}
}

// TestFollow: what has begun masks what comes after it, across the parts of a
// text, though a follower was never used; what follows masks one before it.
func TestFollow(t *testing.T) {
	const first, unused, second, third = "first-key-0", "unused-key-1", "second-key-2", "third-key-3"
	stars := func(s string) string { return strings.Repeat("*", len(s)) }
	m := newMask(t, first)
	var s mask.Stream
	s.Start(m)
	got := string(s.Pass([]byte("a " + first + " " + second + " fir")))
	_ = newMask(t, unused).Follow(m)
	got += string(s.Pass([]byte("st-key")))
	n := newMask(t, second).Follow(m)
	got += string(s.Pass([]byte("-0 " + second + " ")))
	o := newMask(t, third).Follow(n)
	got += string(s.Pass([]byte(third+" "+unused+" "+second))) + string(s.Rest())
	want := "a " + stars(first) + " " + second + " " + stars(first) + " " + stars(second) + " " + stars(third) + " " + stars(unused) + " " + stars(second)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	all := first + " " + second + " " + third
	for of, want := range map[mask.Mask]string{
		m: stars(first) + " " + stars(second) + " " + stars(third),
		n: stars(first) + " " + stars(second) + " " + stars(third),
		o: first + " " + stars(second) + " " + stars(third),
	} {
		if got := of.String(all); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := pass(of, all); got != want {
			t.Errorf("as a stream %s, want %s", got, want)
		}
	}
	s.Start(m)
	if got := string(s.Pass([]byte(all))) + string(s.Rest()); got != stars(first)+" "+stars(second)+" "+stars(third) {
		t.Errorf("another text: %s", got)
	}
	if n := testing.AllocsPerRun(100, func() { s.Start(m); s.Pass([]byte{'a'}); s.Rest() }); n > 0 {
		t.Errorf("each text takes %v allocations, as if what follows were new", n)
	}
	var none mask.Mask
	s.Start(none)
	if got := string(s.Pass([]byte(all))); got != all {
		t.Errorf("without a mask: %s", got)
	}
	if got := newMask(t, first).Follow(none).String(all); got != stars(first)+" "+second+" "+third {
		t.Errorf("after nothing: %s", got)
	}
	if got := none.Follow(newMask(t, first)).String(all); got != stars(first)+" "+second+" "+third {
		t.Errorf("nothing after it: %s", got)
	}
}

// TestFollowsRotationsWithoutEnd has two keys take each other's place all the time:
// a stream that is open meanwhile gets on and finds both.
func TestFollowsRotationsWithoutEnd(t *testing.T) {
	const first, second = "first-key-0", "second-key-2"
	m := newMask(t, first)
	var s mask.Stream
	s.Start(m)
	over, turned := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(turned)
		for last, n := m, 0; ; n++ {
			last = newMask(t, []string{second, first}[n%2]).Follow(last) // once at least
			select {
			case <-over:
				return
			default:
			}
		}
	}()
	for range 2000 {
		got := string(s.Pass([]byte("a "+first+" "))) + string(s.Rest())
		if want := "a " + strings.Repeat("*", len(first)) + " "; got != want {
			t.Fatalf("got %q", got)
		}
	}
	close(over)
	<-turned
	if got, want := string(s.Pass([]byte(second)))+string(s.Rest()), strings.Repeat("*", len(second)); got != want {
		t.Errorf("got %q", got)
	}
}
