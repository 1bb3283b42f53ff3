package process

import (
	"bytes"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// child says that the test binary is to play the hardened process.
const child = "SALLYPORT_TEST_HARDEN"

// TestHarden looks at a process of its own: what it does cannot be undone.
func TestHarden(t *testing.T) {
	if os.Getenv(child) != "" {
		harden(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestHarden$", "-test.v")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestHarden")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func harden(t *testing.T) {
	if err := Harden(); err != nil {
		t.Fatal(err)
	}
	got, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_GET_DUMPABLE, 0, 0)
	if errno != 0 || got != 0 {
		t.Errorf("dumpable is %d, %v", got, errno)
	}
	var cores syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &cores); err != nil || cores != (syscall.Rlimit{}) {
		t.Errorf("cores are limited to %v, %v", cores, err)
	}
	// The file belongs to root now, so that others of this user cannot open it.
	info, err := os.Stat("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 {
		t.Errorf("the memory belongs to %d", owner)
	}
}
