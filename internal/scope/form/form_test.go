package form_test

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/scope/form"
)

// FuzzForm: whatever is read, the standard library reads to the same pairs.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{
		"a=b", "a=b&c=d", "a=&a=+%20", "", "&", "a", "=a", "a=b&", "a=b&&c=d", "a=%", "a=%2", "a=%zz", "a=%41%e4", "a=%C3%A4",
		"a=b;c=d", "a%3D=b%26c", "a=b=c?d/e", "a b=c", "a=\"b\"", "a%00=b", "a=%00", "a=%0D%0A%09", "a=%C2%85", "a[]=b", "a%5B%5D=b", "\xff=a",
	} {
		f.Add([]byte(seed))
	}
	var read form.Form
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := read.Parse(text); err != nil {
			return
		}
		want, err := url.ParseQuery(string(text))
		if err != nil {
			t.Fatalf("%q is read here and not by net/url: %v", text, err)
		}
		got := url.Values{}
		for _, pair := range read.Pairs {
			got.Add(pair.Name, pair.Value)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-net/url +got)\n%s", text, diff)
		}
	})
}

func TestNames(t *testing.T) {
	names := form.NewNames([]string{"action", "ids[]", "user.name", "a[b]", "straße"})
	for name, want := range map[string]bool{
		"action": true, "ACTION": true, "action[]": true, "action[0][1]": true, " action": true, "act\u0131on": true, "action\x00x": true,
		"ids": true, "IDS[1]": true, "user_name": true, "user name": true, "User.Name[": true, "a": true, "A[B]": true, "a[b][c]": true,
		"strasse": true, "x[[[[[[[[[": true,
		"actions": false, "ction": false, "action_": false, "a[c]": false, "a[bc]": false, "user": false, "": false, "[": false, "x[y]": false,
	} {
		var scratch []byte
		if got := names.HasSpelling(name, &scratch); got != want {
			t.Errorf("%q: %t, want %t", name, got, want)
		}
	}
	var none form.Names
	if none.HasSpelling("a", new([]byte)) {
		t.Error("the zero Names has a name")
	}
}
