package authority

import (
	"encoding/asn1"
	"encoding/pem"
	"fmt"
)

// What a trust store of PKCS #12 consists of (RFC 7292, 4).
type (
	pfx struct {
		Version int
		Safe    content
	}
	content struct {
		Type asn1.ObjectIdentifier
		Data []byte `asn1:"explicit,tag:0"`
	}
	bag struct {
		Type       asn1.ObjectIdentifier
		Value      certificateBag `asn1:"explicit,tag:0"`
		Attributes []attribute    `asn1:"set"`
	}
	certificateBag struct {
		Type        asn1.ObjectIdentifier
		Certificate []byte `asn1:"explicit,tag:0"`
	}
	attribute struct {
		Type   asn1.ObjectIdentifier
		Values []asn1.ObjectIdentifier `asn1:"set"`
	}
)

var (
	typeData           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	typeCertificateBag = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}
	typeX509           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}
	// trustedFor is of Oracle: Java trusts a certificate of a store for the uses
	// that it names, and no other certificate.
	trustedFor = asn1.ObjectIdentifier{2, 16, 840, 1, 113894, 746875, 1, 1}
	anyUse     = asn1.ObjectIdentifier{2, 5, 29, 37, 0} // anyExtendedKeyUsage
)

// trustStore returns the certificates of a text in PEM as Java reads what it
// trusts. There is no password, and neither cipher nor MAC: nothing in it is
// secret, and who could change the file could make another MAC.
func trustStore(text string) (string, error) {
	var bags []bag
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		bags = append(bags, bag{
			Type: typeCertificateBag, Value: certificateBag{typeX509, block.Bytes},
			Attributes: []attribute{{trustedFor, []asn1.ObjectIdentifier{anyUse}}},
		})
	}
	var data []byte
	for _, part := range []func() any{
		func() any { return bags },
		func() any { return []content{{typeData, data}} },
		func() any { return pfx{3, content{typeData, data}} },
	} {
		var err error
		if data, err = asn1.Marshal(part()); err != nil {
			return "", fmt.Errorf("encoding the trust store: %w", err)
		}
	}
	return string(data), nil
}
