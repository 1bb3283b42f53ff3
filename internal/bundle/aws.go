package bundle

import (
	"errors"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// AWSKeys are the parts of the Secret of a [Credential] whose endpoints sign
// requests.
type AWSKeys struct {
	AccessKeyID, SecretAccessKey secret.Value
	SessionToken                 secret.Value // zero: the keys are not temporary
}

// Secret returns k as the Secret of a [Credential].
func (k AWSKeys) Secret() secret.Value {
	return secret.Join(k.AccessKeyID, k.SecretAccessKey, k.SessionToken)
}

// Bounds of an access key's id (IAM API reference, "AccessKey"). Servers other
// than AWS take shorter ones.
const (
	leastKeyID = 4
	maxKeyID   = 128
)

// AWSKeysOf takes the parts of s. The error quotes nothing of them.
func AWSKeysOf(s secret.Value) (AWSKeys, error) {
	parts, ok := secret.Split(s, 3)
	if !ok {
		return AWSKeys{}, errors.New("reading the secret: these are no access keys")
	}
	k := AWSKeys{AccessKeyID: parts[0], SecretAccessKey: parts[1], SessionToken: parts[2]}
	switch {
	case !IsAccessKeyID(k.AccessKeyID.Reveal()):
		return AWSKeys{}, errors.New("reading the secret: its access key id could not stand in a signature")
	case k.SecretAccessKey.IsZero():
		return AWSKeys{}, errors.New("reading the secret: its secret access key is empty")
	}
	return k, nil
}

// IsAccessKeyID reports whether text can stand in the Credential of a
// signature, and is read there as one: 4 to 128 letters, digits, `_`, `-` or
// dots.
func IsAccessKeyID(text string) bool {
	const may = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."
	return len(text) >= leastKeyID && len(text) <= maxKeyID && strings.Trim(text, may) == ""
}
