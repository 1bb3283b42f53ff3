package report

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine tells where and of what figures are, in one sentence.
func Machine() string {
	var name unix.Utsname
	kernel := "unknown"
	if unix.Uname(&name) == nil {
		release, _, _ := strings.Cut(unix.ByteSliceToString(name.Release[:]), "-") // what a distributor adds names its builds
		kernel = unix.ByteSliceToString(name.Sysname[:]) + " " + release
	}
	return fmt.Sprintf("revision %s, on %d cores of %s, %s, %s, %s, %s; load average %s",
		revision(), runtime.NumCPU(), field("/proc/cpuinfo", `(?m)^model name\s*: (.+)$`), kernel,
		version("haproxy", "-v", "HAProxy", `(?i)version ([0-9][^ ,]*)`), version("nginx", "-v", "nginx", `nginx/(\S+)`),
		strings.Replace(runtime.Version(), "go", "Go ", 1), field("/proc/loadavg", `^(\S+)`))
}

// revision is that of the tree that the programs were built from.
func revision() string {
	out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	short := strings.TrimSpace(string(out))
	if out, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output(); err != nil || len(out) > 0 {
		short += " with changes"
	}
	return short
}

func version(program, flag, name, pattern string) string {
	out, err := exec.Command(program, flag).CombinedOutput()
	if err != nil {
		return name + " of unknown version"
	}
	return name + " " + match(string(out), pattern)
}

func field(file, pattern string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	return match(string(text), pattern)
}

func match(text, pattern string) string {
	if found := regexp.MustCompile(pattern).FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return "unknown"
}
