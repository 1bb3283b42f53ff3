package mint

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Times of an assertion. GitHub takes ten minutes at most, and advises to set
// the beginning back by one.
const (
	assertionBack = time.Minute
	assertionLife = 8 * time.Minute
)

// minKeyBits is what an RSA key has at least.
const minKeyBits = 2048

// assertion says who the app is, by its signature (RS256, as GitHub wants).
func (j *Job) assertion(now time.Time) (string, error) {
	key, err := parseKey(j.privateKey)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("signing for GitHub: %w", err)
	}
	compact, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer:   strconv.FormatInt(j.spec.GitHubApp.AppID, 10),
		IssuedAt: jwt.NewNumericDate(now.Add(-assertionBack)),
		Expiry:   jwt.NewNumericDate(now.Add(assertionLife)),
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("signing for GitHub: %w", err)
	}
	return compact, nil
}

// parseKey reads a private key in PEM as GitHub gives it, or in PKCS #8. No
// error holds anything of it.
func parseKey(text secret.Value) (*rsa.PrivateKey, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		other, otherErr := x509.ParsePKCS8PrivateKey(block.Bytes)
		rsaKey, ok := other.(*rsa.PrivateKey)
		if otherErr != nil || !ok {
			return nil, errors.New("it is no RSA private key: write the whole file that GitHub gave")
		}
		key = rsaKey
	}
	if key.N.BitLen() < minKeyBits {
		return nil, fmt.Errorf("its key has %d bits, fewer than %d: have GitHub make another", key.N.BitLen(), minKeyBits)
	}
	return key, nil
}

// onlyBlock is the one block of PEM that text holds.
func onlyBlock(text secret.Value) (*pem.Block, error) {
	block, rest := pem.Decode([]byte(text.Reveal()))
	if block == nil {
		return nil, errors.New("it is no private key in PEM: write the whole file that GitHub gave")
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, errors.New("it holds more than one block of PEM: write the private key alone")
	}
	return block, nil
}
