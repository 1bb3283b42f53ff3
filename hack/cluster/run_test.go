package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestRunRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		why  string
		args []string
		want string
	}{
		"nothing":      {why: "no verb is no wish", want: "usage:"},
		"unknown":      {why: "a typo must not pass for up", args: []string{"upp"}, want: `unknown verb "upp"`},
		"load nothing": {why: "an empty list imports nothing", args: []string{"load"}, want: "image"},
		"no such log":  {why: "it says how to list them", args: []string{"logs", "../../etc/passwd"}, want: "lists them"},
		"no program":   {why: "it names those there are", args: []string{"binaries", "kubeadm"}, want: "kube-apiserver"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			err := run(t.Context(), tt.args, &bytes.Buffer{}, &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: run = %v, want an error that says %q", tt.why, err, tt.want)
			}
		})
	}
}

func TestKubeconfig(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	var out bytes.Buffer
	if err := run(t.Context(), []string{"kubeconfig"}, &out, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), cache+"/sallyport/cluster/admin.kubeconfig\n"; got != want {
		t.Errorf("kubeconfig = %q, want %q", got, want)
	}
}
