package envtest

import (
	"strings"
	"testing"
)

func TestAssetsSayHowToMakeThem(t *testing.T) {
	t.Setenv(assetsVariable, t.TempDir())
	if dir, err := Assets(); err == nil || !strings.Contains(err.Error(), "run `make binaries`") {
		t.Errorf("found programs in an empty directory: %s, %v", dir, err)
	}
}
