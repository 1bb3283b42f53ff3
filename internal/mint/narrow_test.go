package mint

import (
	"net/http"
	"testing"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// TestNarrow asks for less than the spec lists: the token before serves until the
// next one is there, which is due at once, and one that may do what the spec lists
// is not taken for it.
func TestNarrow(t *testing.T) {
	whole, narrow := jobOf(t, app(), pemText()), jobOf(t, app(), pemText())
	less := v1alpha1.GitHubApp{Repositories: []string{"docs"}, Permissions: map[string]v1alpha1.GitHubPermission{"contents": "read"}}
	narrow.Narrow(less)
	answer := func(asked *Job, level string) (Answer, error) {
		text := `{"token":"ghs_1","expires_at":"2026-05-01T13:00:00Z","permissions":{"contents":"` + level + `"},` +
			`"repository_selection":"selected","repositories":[{"name":"docs"}]}`
		return asked.Read(http.StatusCreated, http.Header{"Content-Type": {"application/json"}}, []byte(text), noon)
	}
	a, err := answer(whole, "write")
	if err != nil {
		t.Fatal(err)
	}
	h := Held{}.Take(whole, a, noon)
	if due := h.Due(whole, Tries{}, noon); !due.After(noon) {
		t.Error("the token is due again at once")
	}
	if due := h.Due(narrow, Tries{}, noon); !h.Serves(narrow.Want(), noon) || due.After(noon) {
		t.Errorf("the token before serves: %t, the next one is due %s", h.Serves(narrow.Want(), noon), due)
	}
	if _, body := asked(t, narrow, h, false); body != `{"repositories":["docs"],"permissions":{"contents":"read"}}` {
		t.Errorf("asked for %s", body)
	}
	if _, err := answer(narrow, "write"); err == nil {
		t.Error("more than was asked for is taken")
	}
	if a, err = answer(narrow, "read"); err != nil {
		t.Fatal(err)
	}
	h = h.Take(narrow, a, noon)
	data := h.Encode()
	h = Decode(func(key string) ([]byte, bool) { b, ok := data[key]; return b, ok })
	if due := h.Due(narrow, Tries{}, noon); !due.After(noon) || !h.Serves(whole.Want(), noon) {
		t.Error("what was asked for is not known any more")
	}
}
