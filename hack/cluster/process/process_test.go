package process

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func TestParseStat(t *testing.T) {
	const rest = " 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 8675309 0 0"
	for name, tt := range map[string]struct {
		why  string
		stat string
		want uint64
		fail bool
	}{
		"plain":   {why: "field 22", stat: "7 (etcd) S" + rest, want: 8675309},
		"hostile": {why: "a name may look like the rest of the line", stat: "7 (a) Z 1 (b) S" + rest, want: 8675309},
		"zombie":  {why: "it has ended", stat: "7 (etcd) Z" + rest, fail: true},
		"short":   {why: "not enough fields", stat: "7 (etcd) S 1 1", fail: true},
		"empty":   {why: "no name", fail: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseStat([]byte(tt.stat))
			if (err != nil) != tt.fail || got != tt.want {
				t.Errorf("%s: parseStat = %d, %v, want %d, failure %v", tt.why, got, err, tt.want, tt.fail)
			}
		})
	}
}

func newTable(t *testing.T) Table {
	t.Helper()
	return Table{Records: t.TempDir(), Logs: t.TempDir()}
}

// start runs a process that does nothing, and stops it with the test.
func start(t *testing.T, table Table, s Spec) record {
	t.Helper()
	started, err := table.Ensure(t.Context(), s)
	if err != nil || !started {
		t.Fatalf("Ensure = %v, %v, want a start", started, err)
	}
	t.Cleanup(func() {
		if err := table.Stop(context.WithoutCancel(t.Context()), s.Name); err != nil {
			t.Error(err)
		}
	})
	r, ok := table.read(s.Name)
	if !ok || !r.running() || !table.Running(s.Name) {
		t.Fatal("the process does not run")
	}
	return r
}

func TestEnsure(t *testing.T) {
	input := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(input, []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	table := newTable(t)
	s := Spec{Name: "sleeper", Path: "/bin/sleep", Args: []string{"3600"}, Inputs: []string{input}}
	first := start(t, table, s)
	if started, err := table.Ensure(t.Context(), s); err != nil || started {
		t.Errorf("second Ensure = %v, %v, want no start", started, err)
	}
	if err := os.WriteFile(input, []byte("b"), 0o600); err != nil {
		t.Fatal(err)
	}
	if started, err := table.Ensure(t.Context(), s); err != nil || !started {
		t.Errorf("Ensure after a change of input = %v, %v, want a start", started, err)
	}
	if first.running() {
		t.Error("the former process still runs")
	}
	s.Args = []string{"3601"}
	if started, err := table.Ensure(t.Context(), s); err != nil || !started {
		t.Errorf("Ensure after a change of arguments = %v, %v, want a start", started, err)
	}
}

func TestStopLeavesOthersAlone(t *testing.T) {
	victim := start(t, newTable(t), Spec{Name: "victim", Path: "/bin/sleep", Args: []string{"3600"}})
	for name, forged := range map[string]record{
		"number was given to another process": {PID: victim.PID, Start: victim.Start - 1, Exe: victim.Exe},
		"another program":                     {PID: victim.PID, Start: victim.Start, Exe: "/bin/etcd"},
		"whole process group":                 {PID: -victim.PID, Start: victim.Start, Exe: victim.Exe},
		"no number":                           {Start: victim.Start, Exe: victim.Exe},
	} {
		t.Run(name, func(t *testing.T) {
			table := newTable(t)
			data, err := json.Marshal(forged)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(table.recordPath("etcd"), data, 0o600); err != nil {
				t.Fatal(err)
			}
			if table.Running("etcd") {
				t.Error("Running takes it for ours")
			}
			if err := table.Stop(t.Context(), "etcd"); err != nil {
				t.Fatal(err)
			}
			if !victim.running() {
				t.Fatal("Stop ended a process that is not ours")
			}
			if names, err := table.Names(); err != nil || len(names) != 0 {
				t.Errorf("Names = %v, %v, want none after Stop", names, err)
			}
		})
	}
}

func TestBrokenRecord(t *testing.T) {
	table := newTable(t)
	if err := os.WriteFile(table.recordPath("etcd"), []byte(`{"pid":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if table.Running("etcd") {
		t.Error("a record that was cut short counts as running")
	}
	if err := table.Stop(t.Context(), "etcd"); err != nil {
		t.Error(err)
	}
}
