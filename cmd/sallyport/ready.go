package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// readyFile tells where the listeners are. It is written when all accept, and
// again when a token or a listener is new.
type readyFile struct {
	Credentials []readyCredential `json:"credentials"`
	Proxy       *readyProxy       `json:"proxy,omitempty"` // in proxy mode
}

// readyProxy is what a client needs besides a token: whom to ask, and whom to
// trust.
type readyProxy struct {
	URL    string `json:"url"`
	CA     string `json:"ca"`     // file of the authorities
	Bundle string `json:"bundle"` // file of these and the public ones
}

type readyCredential struct {
	Namespace string          `json:"namespace"`
	Name      string          `json:"name"`
	Token     string          `json:"token"`
	TokenFile string          `json:"tokenFile"`
	Endpoints []readyEndpoint `json:"endpoints"`
}

type readyEndpoint struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

func (r readyFile) write(path string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing ready file: %w", err)
	}
	if err := replaceFile(path, append(text, '\n')); err != nil {
		return fmt.Errorf("writing ready file: %w", err)
	}
	return nil
}

// replaceFile writes a file that only its owner may read. Readers see the old
// text or the new one.
func replaceFile(path string, text []byte) error {
	fresh, err := os.CreateTemp(filepath.Dir(path), ".sallyport-*") // 0600
	if err != nil {
		return err
	}
	_, err = fresh.Write(text)
	if cerr := fresh.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(fresh.Name(), path)
	}
	if err != nil {
		_ = os.Remove(fresh.Name())
	}
	return err
}
