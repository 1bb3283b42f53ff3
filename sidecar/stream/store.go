package stream

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/sallyport-dev/sallyport/sidecar/files"
)

// What a Store keeps.
const (
	rootsFile = "roots.pem"
	tokenFile = "token"
	keyFile   = "key.pem"
	maxRoots  = 256 << 10
	maxKey    = 4 << 10
)

// Store keeps files: the broker's authorities and the sidecar's own key where
// the sidecar alone reads them, and tokens where the agent does. Every write makes a new file and
// renames it, under a directory that no link leads out of, so that a reader
// never sees half of one and nobody can lead a write elsewhere. A nil Store
// keeps nothing.
type Store struct {
	private, agent *os.Root
	tokens         map[string]string // what the agent's files hold, by credential
}

// OpenStore opens the two directories. [Store.Close] closes them.
func OpenStore(private, agent string) (*Store, error) {
	p, err := os.OpenRoot(private)
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	a, err := os.OpenRoot(agent)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening store: %w", err), p.Close())
	}
	return &Store{private: p, agent: a, tokens: map[string]string{}}, nil
}

// Close closes the directories.
func (s *Store) Close() error { return errors.Join(s.private.Close(), s.agent.Close()) }

// roots returns the authorities that were kept; empty: none.
func (s *Store) roots() string {
	text := string(s.read(rootsFile, maxRoots))
	if _, err := pool(text); err != nil {
		return ""
	}
	return text
}

// read returns what the sidecar keeps under a name, up to a bound; nothing where
// it cannot be read.
func (s *Store) read(name string, most int64) []byte {
	if s == nil {
		return nil
	}
	f, err := s.private.Open(name)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil
	}
	return data
}

func (s *Store) saveKey(key []byte) error {
	if s == nil {
		return nil
	}
	return files.Replace(s.private, keyFile, string(key), 0o600)
}

func (s *Store) saveRoots(roots string) error {
	if s == nil {
		return nil
	}
	return files.Replace(s.private, rootsFile, roots, 0o600)
}

// keepTokens removes the tokens of all credentials but these.
func (s *Store) keepTokens(names map[string]bool) error {
	if s == nil {
		return nil
	}
	var failures []error
	for name := range s.tokens {
		if names[name] {
			continue
		}
		if err := s.agent.Remove(name + "/" + tokenFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failures = append(failures, fmt.Errorf("removing token of %s: %w", name, err))
		}
		delete(s.tokens, name)
	}
	return errors.Join(failures...)
}

// saveTokens writes <credential>/token for each.
func (s *Store) saveTokens(tokens map[string]string) error {
	if s == nil {
		return nil
	}
	var failures []error
	for name, token := range tokens {
		if s.tokens[name] == token {
			continue
		}
		if err := s.saveToken(name, token); err != nil {
			failures = append(failures, fmt.Errorf("writing token of %s: %w", name, err))
			continue
		}
		s.tokens[name] = token
	}
	return errors.Join(failures...)
}

func (s *Store) saveToken(name, token string) error {
	directory, err := files.Directory(s.agent, name)
	if err != nil {
		return err
	}
	defer func() { _ = directory.Close() }()
	// Agents run as any user: the token is for all containers of the pod.
	return files.Replace(directory, tokenFile, token, 0o644)
}
