package process

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// trimmed says that the test binary is to give its memory back.
const trimmed = "SALLYPORT_TEST_TRIM"

// TestTrim has a process that is hardened and whose user is nobody, as in a pod,
// give back most of what it has of its program, and go on.
func TestTrim(t *testing.T) {
	if os.Getenv(trimmed) != "" {
		trim(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTrim$", "-test.v")
	cmd.Env = append(os.Environ(), trimmed+"=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestTrim") {
		t.Errorf("%v\n%s", err, out)
	}
}

func trim(t *testing.T) {
	touch(t)
	before := ofFiles(t)
	if os.Geteuid() == 0 {
		if err := syscall.Setuid(65532); err != nil {
			t.Fatal(err)
		}
	}
	if err := Harden(); err != nil {
		t.Fatal(err)
	}
	Trim()
	if after := ofFiles(t); after > before*4/5 {
		t.Errorf("of %d kB of its files it still has %d", before, after)
	}
}

// touch reads all of the program.
func touch(t *testing.T) {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	parts := 0
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if start, length, ok := readOnly(lines.Text(), self); ok {
			const populateRead = 22
			if _, _, e := syscall.RawSyscall(syscall.SYS_MADVISE, start, length, populateRead); e != 0 {
				t.Fatal(e)
			}
			parts++
		}
	}
	if parts == 0 {
		t.Error("no part of the program was found")
	}
}

// ofFiles is what the process has in memory of files, in kB.
func ofFiles(t *testing.T) (kB int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "RssFile:")
	for _, c := range strings.TrimSpace(rest) {
		if c < '0' || c > '9' {
			break
		}
		kB = 10*kB + int(c-'0')
	}
	if kB == 0 {
		t.Fatalf("no RssFile in %s", text)
	}
	return kB
}

func TestReadOnly(t *testing.T) {
	const file = "/app/sidecar"
	for line, want := range map[string]uintptr{
		"00400000-00849000 r-xp 00000000 fe:00 9977904                            /app/sidecar":           0x449000,
		"00849000-00cc9000 r--p 00449000 fe:00 9977904                            /app/sidecar":           0x480000,
		"00cc9000-00d2c000 rw-p 008c9000 fe:00 9977904                            /app/sidecar":           0,
		"00cc9000-00d2c000 r--s 008c9000 fe:00 9977904                            /app/sidecar":           0,
		"00400000-00849000 r-xp 00000000 fe:00 9977904                            /app/other":             0,
		"00400000-00849000 r-xp 00000000 fe:00 9977904                            /app/sidecar (deleted)": 0,
		"00d2c000-02d70000 rw-p 00000000 00:00 0":                                                         0,
		"00849000-00400000 r-xp 00000000 fe:00 9977904                            /app/sidecar":           0,
		"00400000-xyz r-xp 00000000 fe:00 9977904                                 /app/sidecar":           0,
		"": 0,
	} {
		if start, length, ok := readOnly(line, file); length != want || ok != (want > 0) || ok && start == 0 {
			t.Errorf("%q: %x, %x, %t", line, start, length, ok)
		}
	}
}

// TestUsed grows by what is worked.
func TestUsed(t *testing.T) {
	before, deadline := Used(), time.Now().Add(time.Minute)
	for Used() < before+20*time.Millisecond {
		if time.Now().After(deadline) {
			t.Fatalf("%s, and before %s", Used(), before)
		}
	}
}
