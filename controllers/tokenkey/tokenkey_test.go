package tokenkey

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// stored returns the keys as the fake has them.
func stored(t *testing.T, c *fake.Clientset) Keys {
	t.Helper()
	s, err := c.CoreV1().Secrets("system").Get(context.Background(), SecretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	k, err := Decode(func(key string) ([]byte, bool) { v, ok := s.Data[key]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeep(t *testing.T) {
	c := fake.NewClientset()
	now := start
	keeper := &Keeper{Secrets: c.CoreV1(), Namespace: "system", Now: func() time.Time { return now }}
	keep := func() {
		t.Helper()
		if _, err := keeper.Keep(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	keep()
	first := stored(t, c)
	if len(first.Public()) != 1 {
		t.Errorf("%d public keys at first, want 1", len(first.Public()))
	}
	now = start.Add(Lifetime - time.Second)
	keep()
	if got := stored(t, c).Current.ID(); got != first.Current.ID() {
		t.Errorf("rotated early: %s", got)
	}
	now = start.Add(Lifetime)
	keep()
	second := stored(t, c)
	if second.Current.ID() == first.Current.ID() || second.Previous.ID() != first.Current.ID() {
		t.Errorf("after 24 h: current %s, previous %s; before: %s", second.Current.ID(), second.Previous.ID(), first.Current.ID())
	}
	if v := secret.New("k"); first.SecretVersion("u", v) != second.SecretVersion("u", v) {
		t.Error("a rotation changes the versions of secrets")
	}
	now = now.Add(Lifetime)
	keep()
	if got := stored(t, c).Public(); len(got) != 2 {
		t.Errorf("%d public keys, want 2", len(got))
	}
}

func TestKeepReplaces(t *testing.T) {
	ahead := Generate(start.Add(365 * 24 * time.Hour)).Encode()
	for name, data := range map[string]map[string][]byte{
		"nothing": {}, "broken": {currentKey: []byte("short")}, "clock was far ahead": ahead,
	} {
		c := fake.NewClientset(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: SecretName}, Data: data})
		keeper := &Keeper{Secrets: c.CoreV1(), Namespace: "system", Now: func() time.Time { return start }}
		if _, err := keeper.Keep(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := stored(t, c); !got.Rotated.Equal(start) {
			t.Errorf("%s: keys are from %s", name, got.Rotated)
		}
	}
}

func TestSecretVersion(t *testing.T) {
	k, v := Generate(start), secret.New("value")
	versions := map[string]string{
		"same":           k.SecretVersion("u", v),
		"other value":    k.SecretVersion("u", secret.New("value2")),
		"other upstream": k.SecretVersion("u2", v),
		"other keys":     Generate(start).SecretVersion("u", v),
		"shifted":        k.SecretVersion("u:v", secret.New("alue")),
	}
	seen := map[string]string{}
	for name, version := range versions {
		if other, ok := seen[version]; ok {
			t.Errorf("%s and %s have one version", name, other)
		}
		seen[version] = name
	}
	if k.SecretVersion("u", v) != versions["same"] {
		t.Error("one value has two versions")
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	k := Generate(start).Rotate(start)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		printed := fmt.Sprintf(verb, k) + fmt.Sprintf(verb, &k)
		for _, value := range k.Encode() {
			for _, form := range []string{string(value), fmt.Sprintf("%x", value), strings.Trim(fmt.Sprint(value), "[]")} {
				if strings.Contains(printed, form) && string(value) != start.Format(time.RFC3339) {
					t.Errorf("%s prints a key", verb)
				}
			}
		}
	}
}
