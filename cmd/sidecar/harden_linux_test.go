package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// child says that the test binary is to be the sidecar.
const child = "SALLYPORT_TEST_SIDECAR"

func TestMain(m *testing.M) {
	if os.Getenv(child) != "" {
		beSidecar()
		return
	}
	os.Exit(m.Run())
}

// beSidecar runs the sidecar with an environment that tells, when it is asked
// for the first time, how the process stands: by then nothing secret was read.
func beSidecar() {
	var once sync.Once
	err := run(context.Background(), os.Args[1:], func(name string) string {
		once.Do(standing)
		return os.Getenv(name)
	}, os.Stdout, os.Stderr)
	fmt.Fprintln(os.Stdout, "ended:", err)
}

func standing() {
	dumpable, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_GET_DUMPABLE, 0, 0)
	var cores syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_CORE, &cores)
	fmt.Fprintln(os.Stdout, "dumpable:", dumpable, int(errno), "cores:", cores.Cur, cores.Max, err)
	var owned []string
	for _, name := range []string{"mem", "environ", "maps"} {
		info, err := os.Stat(filepath.Join("/proc/self", name))
		if err == nil {
			owned = append(owned, fmt.Sprint(name, "=", info.Sys().(*syscall.Stat_t).Uid))
		}
	}
	fmt.Fprintln(os.Stdout, "owners:", strings.Join(owned, " "))
}

// TestRunHardens runs the sidecar as a process: before it reads anything its
// memory is private and no core of it would be written. Where the test may, it
// runs it as another user, to whom the files of its own process do not belong
// any more.
func TestRunHardens(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "--broker=127.0.0.1:1")
	cmd.Env = append(os.Environ(), child+"=1")
	if os.Getuid() == 0 {
		cmd.Path = reachable(t)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"dumpable: 0 0 cores: 0 0 <nil>\n", "owners: mem=0 environ=0 maps=0\n", "ended: reading environment: set POD_NAME",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// reachable copies this binary to where every user may run it. One that cannot
// be read would be private by that alone.
func reachable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sidecar")
	if err := os.WriteFile(path, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}
