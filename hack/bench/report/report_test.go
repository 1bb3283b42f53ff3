package report

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const us = time.Microsecond

// rows are three rounds of a direct one, of the base and of two proxies.
func rows() Rows {
	sample := func(cpu, p50, p99 time.Duration, rate float64, paced bool) Sample {
		return Sample{CPU: cpu, P50: p50, P99: p99, Rate: rate, Paced: paced, First50: p50, First99: p99, RSS: 10e6}
	}
	return Rows{Direct: "direct", Base: "HAProxy", All: []Row{
		{"S", "direct", []Sample{{Rate: 900, P50: 10 * us, P99: 20 * us}, {Rate: 1000, P50: 11 * us, P99: 20 * us}, {Rate: 1100, P50: 12 * us, P99: 20 * us}}},
		{"S", "HAProxy", []Sample{
			sample(10*us, 100*us, 200*us, 100, true), sample(20*us, 100*us, 200*us, 50, true), sample(40*us, 100*us, 200*us, 25, true)}},
		{"S", "halved", []Sample{
			sample(5*us, 50*us, 100*us, 200, true), sample(10*us, 50*us, 100*us, 100, true), sample(40*us, 50*us, 400*us, 50, false)}},
		{"S", "idle", []Sample{
			sample(10*us, 50*us, 100*us, 999, false), sample(20*us, 50*us, 100*us, 999, true), sample(40*us, 50*us, 100*us, 999, false)}},
	}}
}

func written(write func(w *strings.Builder)) []string {
	var w strings.Builder
	write(&w)
	return strings.Split(strings.TrimSuffix(w.String(), "\n"), "\n")[2:] // behind the head
}

// TestClosed divides within a round, and takes the median afterwards: a round
// in which the machine was slow counts for nobody. A rate is of all rounds of
// one that set the pace in most of them.
func TestClosed(t *testing.T) {
	want := []string{
		"| S | direct | – | – | 1000 | 20.00 | 11.0 µs | 20.0 µs | 0.10 | – |",
		"|  | HAProxy | 20.0 µs | 1.00 (1.00 to 1.00) | 50 | 1.00 | 100 µs | 200 µs | 1.00 | 10.0 MB |",
		"|  | halved | 10.0 µs | 0.50 (0.50 to 1.00) | 100 | 2.00 | 50.0 µs | 100 µs | 0.50 | 10.0 MB |",
		"|  | idle | 20.0 µs | 1.00 (1.00 to 1.00) | – | – | 50.0 µs | 100 µs | 0.50 | 10.0 MB |",
	}
	if diff := cmp.Diff(want, written(func(w *strings.Builder) { rows().Closed(w) })); diff != "" {
		t.Error(diff)
	}
}

// TestOpen subtracts what no proxy takes in the same round.
func TestOpen(t *testing.T) {
	r := rows()
	for i := range r.All[3].Samples {
		r.All[3].Samples[i].Overloaded = i > 0
	}
	want := []string{
		"| S | direct | 11.0 µs | – | 20.0 µs | – | 0.10 (0.10 to 0.10) | – | – |",
		"|  | HAProxy | 100 µs | 89.0 µs (88.0 µs to 90.0 µs) | 200 µs | 180 µs (180 µs to 180 µs) | 1.00 (1.00 to 1.00) | 20.0 µs | 10.0 MB |",
		"|  | halved | 50.0 µs | 39.0 µs (38.0 µs to 40.0 µs) | 100 µs | 80.0 µs (80.0 µs to 380 µs) | 0.50 (0.50 to 2.00) | 10.0 µs | 10.0 MB |",
		"|  | idle | overloaded | – | – | – | – | 20.0 µs | 10.0 MB |",
	}
	if diff := cmp.Diff(want, written(func(w *strings.Builder) { r.Open(w) })); diff != "" {
		t.Error(diff)
	}
}

// TestStreams subtracts until the first event.
func TestStreams(t *testing.T) {
	r := rows()
	for i := range r.All[0].Samples {
		r.All[0].Samples[i].First50, r.All[0].Samples[i].First99 = 20*us, 30*us
	}
	got := written(func(w *strings.Builder) { r.Streams(w) })
	if want := "|  | halved | 10.0 µs | 0.50 (0.50 to 1.00) | 100 | 2.00 | 50.0 µs | 30.0 µs (30.0 µs to 30.0 µs) | 70.0 µs | 10.0 MB |"; got[2] != want {
		t.Errorf("got %s, want %s", got[2], want)
	}
}

// TestAlone meets a goal every time, by the median, or not.
func TestAlone(t *testing.T) {
	got := written(func(w *strings.Builder) {
		Alone(w, []Figure{
			{What: "a", Values: []float64{1e6, 3e6, 2e6}, Goal: 3e6, Write: Bytes},
			{What: "b", Values: []float64{1e6, 3e6, 2e6}, Goal: 2e6, Write: Bytes, Controls: []Control{{"c", []float64{4e6}}, {"d", nil}}},
			{What: "e", Values: []float64{1e6, 3e6, 2e6}, Goal: 1e6, Write: Bytes},
			{What: "f", Goal: 1e6, Write: Nanoseconds},
		})
	})
	want := []string{
		"| a | 2.0 MB (1.0 MB to 3.0 MB) | – | ≤ 3.0 MB | met |",
		"| b | 2.0 MB (1.0 MB to 3.0 MB) | c 4.0 MB (4.0 MB to 4.0 MB); d – | ≤ 2.0 MB | met by the median, not every time |",
		"| e | 2.0 MB (1.0 MB to 3.0 MB) | – | ≤ 1.0 MB | missed |",
		"| f | – | – | ≤ 1000 µs | not measured |",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestAgainst counts what is no worse, and tells the worst.
func TestAgainst(t *testing.T) {
	r := rows()
	for _, row := range rows().All {
		row.Scenario = "T"
		if row.Proxy == "halved" {
			for i := range row.Samples {
				row.Samples[i].CPU *= 3
				row.Samples[i].Rate /= 4
			}
		}
		r.All = append(r.All, row)
	}
	var w strings.Builder
	r.Against(&w, "halved", CPU, Rate, P99)
	want := []string{
		"- CPU per request of halved: no worse than HAProxy in 1 of 2 scenarios that compare it; worst 1.50 at T.",
		"- requests/s of halved: no worse than HAProxy in 1 of 2 scenarios that compare it; worst 0.50 at T.",
		"- p99 of halved: no worse than HAProxy in 2 of 2 scenarios that compare it; worst 0.50 at S.",
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(w.String()), "\n")); diff != "" {
		t.Error(diff)
	}
}

// TestAgainstOverloaded compares nothing with a base that did not get through, and
// takes no proxy that did not for as good as one that did.
func TestAgainstOverloaded(t *testing.T) {
	for i, want := range map[int]string{
		1: "- p99 of halved: not compared with HAProxy in any scenario.\n",
		2: "- p99 of halved: no worse than HAProxy in 0 of 1 scenarios that compare it; worst overloaded at S.\n",
	} {
		r := rows()
		for k := range r.All[i].Samples {
			r.All[i].Samples[k].Overloaded = true
		}
		var w strings.Builder
		r.Against(&w, "halved", P99)
		if w.String() != want {
			t.Errorf("got %q, want %q", w.String(), want)
		}
	}
}

// TestLeftOut writes nothing of a proxy that does not run a scenario, and
// compares with it only where it does.
func TestLeftOut(t *testing.T) {
	r := rows()
	for _, row := range rows().All {
		if row.Scenario = "T"; row.Proxy != "idle" {
			r.All = append(r.All, row)
		}
	}
	for name, write := range map[string]func(io.Writer){"closed": r.Closed, "open": r.Open, "streams": r.Streams} {
		got := written(func(w *strings.Builder) { write(w) })
		if len(got) != 7 || !strings.HasPrefix(got[4], "| T | direct |") || !strings.HasPrefix(got[6], "|  | halved |") {
			t.Errorf("%s: got\n%s", name, strings.Join(got, "\n"))
		}
	}
	if got := r.Added("T", "idle", 50, false); len(got) > 0 {
		t.Errorf("it adds %v", got)
	}
	for _, c := range []struct{ of, to string }{{"idle", "HAProxy"}, {"halved", "idle"}} {
		var w strings.Builder
		r.Base = c.to
		r.Against(&w, c.of, CPU, Rate, P99)
		if n := strings.Count(w.String(), "of 1 scenarios"); n != 2 || !strings.Contains(w.String(), "- requests/s of "+c.of+": not compared") {
			t.Errorf("%s against %s: %s", c.of, c.to, w.String())
		}
	}
}

// TestMedian of an even count lies between two.
func TestMedian(t *testing.T) {
	for _, test := range []struct {
		all  []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1}, 5}, {[]float64{9, 1, 2}, 2}} {
		if got := median(test.all); got != test.want {
			t.Errorf("the median of %v is %v, want %v", test.all, got, test.want)
		}
	}
}

// TestWrite changes what is between the lines, and nothing else, however often.
func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "doc.md")
	before, after := "# Title\nby hand\n", "\n## By hand, too\n"
	if err := os.WriteFile(file, []byte(before+Begin+"old\n"+End+after), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"new\n", "newer\n\n"} {
		if err := Write(file, text); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if want := before + Begin + strings.TrimSpace(text) + "\n" + End + after; string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestWriteRefuses leaves a document alone in which it has no one place.
func TestWriteRefuses(t *testing.T) {
	for _, document := range []string{"", Begin, End, End + Begin, Begin + End + Begin + End, Begin + Begin + End + End} {
		file := filepath.Join(t.TempDir(), "doc.md")
		if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
			t.Fatal(err)
		}
		if Check(file) == nil || Write(file, "text") == nil {
			t.Errorf("%q is taken", document)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != document {
			t.Errorf("%q became %q, %v", document, got, err)
		}
	}
}

// TestDocument holds the document of this repository to having a place.
func TestDocument(t *testing.T) {
	if err := Check("../../../docs/benchmarks.md"); err != nil {
		t.Error(err)
	}
}
