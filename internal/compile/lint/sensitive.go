package lint

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// operation is requests that people regret having allowed.
type operation struct {
	Methods []string `json:"methods"`
	Paths   []string `json:"paths"`
	Why     string   `json:"why"`
}

//go:embed data/*.json
var data embed.FS

// operations are those of each profile. A mistake in the data is a mistake in
// the program.
var operations = sync.OnceValue(func() map[string][]operation {
	all := map[string][]operation{}
	files, err := data.ReadDir("data")
	for _, file := range files {
		var text []byte
		if text, err = data.ReadFile(path.Join("data", file.Name())); err != nil {
			break
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		var list []operation
		if err = decoder.Decode(&list); err != nil {
			break
		}
		all[strings.TrimSuffix(file.Name(), ".json")] = list
	}
	if err != nil {
		panic(err)
	}
	return all
})

// sensitive finds operations of the profile that a grant reaches.
func (l *linter) sensitive(g *scope.Grant, regions []*region.Region, p *scope.Profile, at string) {
	for _, op := range operations()[l.Profiles[g.Endpoint]] {
		l.space.Renew(grantWork)
		named := l.space.Never(&region.Never{Endpoint: g.Endpoint, Methods: op.Methods, Paths: op.Paths}, p)
		if w, found := l.reaches(regions, named); found {
			l.add(Sensitive, Warning, at, fmt.Sprintf("the grant %s allows %s, which %s", g.Name, w.String(), op.Why),
				"narrow the grant, and put what must never be allowed under spec.never, where it is proved")
		}
	}
}

func (l *linter) reaches(regions, named []*region.Region) (region.Request, bool) {
	for _, r := range regions {
		for _, n := range named {
			if w, found := l.space.Common(r, n); found {
				return w, true
			}
		}
	}
	return region.Request{}, false
}
