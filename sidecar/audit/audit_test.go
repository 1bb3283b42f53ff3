package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// line is the schema as a reader of records has it.
type line struct {
	Version                       int
	Time                          time.Time
	Event, ID, JTI                string
	TraceID, SpanID               string
	Credential, Endpoint          string
	Grants                        []string
	Verdict, Reason, Method, Path string
	Pod                           string
	BytesOut, BytesIn             int64
}

func read(t *testing.T, text []byte) line {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var l line
	if err := d.Decode(&l); err != nil {
		t.Fatalf("reading %q: %v", text, err)
	}
	return l
}

var at = time.Date(2026, 1, 5, 9, 7, 3, 4567000, time.FixedZone("", 3600))

func TestWrite(t *testing.T) {
	var out bytes.Buffer
	r := Record{
		Time: at, Event: Decision, ID: []byte("0af1"), Trace: "7651", Span: "b7ad", Token: "t-1", Credential: "agents/notes", Endpoint: "rest",
		Grants: []string{"read", "wri\"te"}, Verdict: scope.Allow, Method: "GET",
		Path: []byte("/a\n{\"forged\":1}"), Pod: "agents/pod-1",
	}
	if err := NewLog(&out).Write(&r); err != nil {
		t.Fatal(err)
	}
	want := line{
		Version: 1, Time: at.UTC(), Event: "decision", ID: "0af1", TraceID: "7651", SpanID: "b7ad", JTI: "t-1", Credential: "agents/notes", Endpoint: "rest",
		Grants: []string{"read", "wri\"te"}, Verdict: "Allow", Method: "GET", Path: "/a\n{\"forged\":1}", Pod: "agents/pod-1",
	}
	if diff := cmp.Diff(want, read(t, out.Bytes())); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if n := strings.Count(out.String(), "\n"); n != 1 || !strings.HasSuffix(out.String(), "\n") {
		t.Errorf("%d line ends, want the one at the end: %q", n, out.String())
	}
}

// TestReference holds docs/reference/audit.md to the record, and to this test's
// reader of one.
func TestReference(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{} // and whether it is always there
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| [^|]+ \\| (yes)? *\\|").FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = m[2] == "yes"
	}
	full := Record{
		Time: at, Event: Outcome, ID: []byte("1"), Trace: "2", Span: "3", Token: "4", Credential: "5", Endpoint: "6",
		Grants: []string{"7"}, Reason: scope.Expired, Method: "8", Path: []byte("9"), Pod: "10",
		Traffic: &Traffic{Out: 11, In: 12},
	}
	if got := read(t, full.appendJSON(nil)); got.BytesOut != 11 || got.BytesIn != 12 {
		t.Errorf("got %d and %d bytes", got.BytesOut, got.BytesIn)
	}
	for i, r := range []*Record{{ID: []byte("1"), Event: Decision}, &full} {
		var members map[string]any
		if err := json.Unmarshal(r.appendJSON(nil), &members); err != nil {
			t.Fatal(err)
		}
		for name, always := range documented {
			if _, there := members[name]; there != (always || i == 1) {
				t.Errorf("%s: there %t, always %t", name, there, always)
			}
			delete(members, name)
		}
		if len(members) > 0 {
			t.Errorf("not documented: %v", members)
		}
	}
	example := regexp.MustCompile("(?s)```json\n(.*?)\n```").FindSubmatch(text)
	if got := read(t, example[1]); got.Verdict != "Deny" || got.Version != Version {
		t.Errorf("the example is %+v", got)
	}
}

// ocsf are attributes of the class API Activity in the schema 1.3 of OCSF, its
// profiles host, datetime and security_control included.
var ocsf = strings.Fields(`
	metadata.log_version metadata.log_name metadata.uid metadata.correlation_uid time_dt action status_code device.name
	actor.session.uid actor.authorizations[].policy.name actor.authorizations[].policy.desc api.service.name
	http_request.http_method http_request.url.path`)

// TestOCSF has the reference put each member where OCSF has a place, and all else
// under its own name where the schema wants what it does not know.
func TestOCSF(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|.*\\| `([^`|]+)` \\|$").FindAllStringSubmatch(string(text), -1) {
		member, attribute := m[1], m[2]
		if attribute != "unmapped."+member && !slices.Contains(ocsf, attribute) {
			t.Errorf("%s: there is no %s", member, attribute)
		}
		if other, twice := seen[attribute]; twice {
			t.Errorf("%s and %s are both %s", other, member, attribute)
		}
		seen[attribute] = member
	}
	if members := strings.Count(string(text), "\n| `"); len(seen) != members {
		t.Errorf("%d of %d members are put somewhere", len(seen), members)
	}
}

// The zero Record denies, as every zero value does.
func TestZeroRecordDenies(t *testing.T) {
	if got := read(t, (&Record{}).appendJSON(nil)); got.Verdict != "Deny" {
		t.Errorf("got %q", got.Verdict)
	}
}

// sink accepts only so many bytes, as a full device does.
type sink struct {
	bytes.Buffer
	room int
}

var errFull = errors.New("no space left")

func (s *sink) Write(p []byte) (int, error) {
	n := min(s.room, len(p))
	s.room -= n
	s.Buffer.Write(p[:n])
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

func TestFailedWrite(t *testing.T) {
	s := &sink{room: 20}
	l := NewLog(s)
	r := Record{Time: at, Event: Decision, ID: []byte("1")}
	if err := l.Write(&r); !errors.Is(err, ErrUnrecorded) || !errors.Is(err, errFull) {
		t.Fatalf("got %v", err)
	}
	s.room = 1 << 20
	for range 2 {
		if err := l.Write(&r); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSuffix(s.String(), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("got %q, want a torn line and two whole ones", lines)
	}
	for _, text := range lines[1:] {
		read(t, []byte(text))
	}
}

// TestShared has many write at once: when one returns, its record is there,
// whole and once, whoever wrote it; where the write fails, none of those that
// shared it returns without an error.
func TestShared(t *testing.T) {
	const writers, each = 32, 100
	for name, room := range map[string]int{"all": 1 << 30, "until full": 50000} {
		t.Run(name, func(t *testing.T) {
			s := &sharedSink{sink: sink{room: room}}
			l := NewLog(s)
			var failed atomic.Int64
			var all sync.WaitGroup
			for w := range writers {
				all.Go(func() {
					for i := range each {
						id := fmt.Sprintf("%02d-%03d", w, i)
						err := l.Write(&Record{Time: at, Event: Decision, ID: []byte(id)})
						if there := s.holds(`"id":"` + id + `"`); err == nil && there != 1 {
							t.Errorf("record %s is there %d times", id, there)
						} else if err != nil {
							failed.Add(1)
						}
					}
				})
			}
			all.Wait()
			lines := strings.Count(s.String(), "}\n")
			if room == 1<<30 && (failed.Load() > 0 || lines != writers*each) {
				t.Errorf("%d lines, %d failures", lines, failed.Load())
			}
			if room < 1<<30 && (failed.Load() == 0 || int64(lines)+failed.Load() < writers*each) {
				t.Errorf("%d lines and %d failures of %d records", lines, failed.Load(), writers*each)
			}
			t.Logf("%d records in %d writes", writers*each, s.writes)
		})
	}
}

// TestCrowd has many at once, of whom nobody waits for more than a few others:
// writes are shared, and none has more lines than it takes to make one worth it.
func TestCrowd(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // all of them are ready before the first goes on
	s := &lineCounter{}
	l := NewLog(s)
	var all sync.WaitGroup
	const writers, few = 160, 20
	for range writers {
		all.Go(func() {
			if err := l.Write(&Record{Time: at, Event: Decision}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most := slices.Max(s.lines); most > few || len(s.lines) > writers/2 {
		t.Errorf("%d records in %d writes, of which one has %d", writers, len(s.lines), most)
	}
}

// lineCounter counts the lines of each write.
type lineCounter struct{ lines []int }

func (c *lineCounter) Write(p []byte) (int, error) {
	c.lines = append(c.lines, bytes.Count(p, []byte{'\n'}))
	return len(p), nil
}

// sharedSink is a sink that may be looked at meanwhile.
type sharedSink struct {
	sink
	mu     sync.Mutex
	writes int
}

func (s *sharedSink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	return s.sink.Write(p)
}

func (s *sharedSink) holds(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Count(s.Bytes(), []byte(text))
}

// mute takes nothing and says nothing.
type mute struct{}

func (mute) Write([]byte) (int, error) { return 0, nil }

func TestShortWrite(t *testing.T) {
	if err := NewLog(mute{}).Write(&Record{}); !errors.Is(err, ErrUnrecorded) {
		t.Errorf("got %v", err)
	}
}

// FuzzString holds the escaper to encoding/json: the same text comes back, in
// one line that nothing can forge.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "plain", "\x00\x1f\x7f\n\r\t\"\\", "é\u2028\u2029𝄞", "\xff\xc3", "</script>&", "\xed\xa0\x80", "�"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := AppendString(nil, s)
		if !bytes.Equal(got, AppendString(nil, []byte(s))) {
			t.Error("bytes and strings differ")
		}
		var back string
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if want := strings.ToValidUTF8(s, "\x00"); !utf8.ValidString(s) {
			// One replacement for each byte, as encoding/json writes it.
			text, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			if back != want {
				t.Errorf("read back %q, want %q", back, want)
			}
		} else if back != s {
			t.Errorf("read back %q, want %q", back, s)
		}
		for _, c := range got {
			if c < ' ' || c == 0x7f {
				t.Errorf("control character in %q", got)
			}
		}
	})
}

func TestTime(t *testing.T) {
	for _, when := range []time.Time{at, at.Add(999999 * time.Microsecond), time.Unix(0, 0), time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)} {
		got := string(appendTime(nil, when.UTC()))
		if want := when.UTC().Format("2006-01-02T15:04:05.000000Z"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	l := NewLog(mustTake{})
	r := Record{
		Time: at, Event: Decision, ID: []byte("0123456789abcdef0123456789abcdef"), Credential: "agents/release-notes", Endpoint: "rest",
		Grants: []string{"read"}, Verdict: scope.Allow, Method: "GET", Path: []byte("/repos/acme/web/pulls"), Pod: "agents/pod-1",
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Write(&r); err != nil {
			b.Fatal(err)
		}
	}
}

type mustTake struct{}

func (mustTake) Write(p []byte) (int, error) { return len(p), nil }
