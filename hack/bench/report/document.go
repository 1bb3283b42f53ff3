package report

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// What is between these lines of a document is the benchmark's to write.
const (
	Begin = "<!-- written by make bench: begin -->\n"
	End   = "<!-- written by make bench: end -->\n"
)

// Check returns an error unless file has a place for what is measured.
func Check(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	_, err = replace(string(text), "")
	return err
}

// Write puts text in the place of a document that is its own. All else stays.
func Write(file, text string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	fresh, err := replace(string(old), text)
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return os.WriteFile(file, []byte(fresh), 0o644)
}

func replace(document, text string) (string, error) {
	before, rest, began := strings.Cut(document, Begin)
	_, after, ended := strings.Cut(rest, End)
	if !began || !ended || strings.Contains(rest, Begin) || strings.Contains(after, End) || strings.Contains(before, End) {
		return "", errors.New("it must have the two lines " + strings.TrimSpace(Begin) + " and " + strings.TrimSpace(End) + " once, in this order")
	}
	return before + Begin + strings.TrimRight(text, "\n") + "\n" + End + after, nil
}
