package git

import (
	"bytes"
	"errors"
	"slices"
	"strings"
)

// certificatePart is where in the certificate of a signed push a reader is. The
// zero part is outside of one.
type certificatePart uint8

const (
	outside certificatePart = iota
	inVersion
	inHeader
	inCommands
	inSignature
	closed
)

// certificate is how far the certificate of a signed push was read
// (gitprotocol-pack, push-cert). Git looks for its commands in the text as a
// whole: from the first empty line to the last one that begins a signature, or
// to the end where none does. So only texts are taken in which that is one
// place: each packet is a line, each line of the header is known and stands
// where git writes it, and one line begins the signature.
type certificate struct {
	part   certificatePart
	header int // index of the last line's name
}

const (
	certificateVersion = "certificate version 0.1"
	certificateEnd     = "push-cert-end"
	pushOption         = "push-option"
)

// certificateHeader are the names of the header's lines, in their order. Only
// the last one may stand there more than once.
var certificateHeader = []string{"pusher", "pushee", "nonce", pushOption}

// signatures are how one begins: of OpenPGP, of X.509 and of SSH.
var signatures = []string{
	"-----BEGIN PGP SIGNATURE-----", "-----BEGIN PGP MESSAGE-----", "-----BEGIN SIGNED MESSAGE-----", "-----BEGIN SSH SIGNATURE-----",
}

var (
	errCertificate = errors.New("the certificate of the push is not as git writes one")
	errTwoLists    = errors.New("the push has commands beside its certificate")
)

// certified reads a packet of the certificate.
func (r *listReader) certified(content []byte) error {
	one, ended := bytes.CutSuffix(content, []byte("\n"))
	if !ended || bytes.ContainsAny(one, "\n\x00") {
		return errCertificate
	}
	switch c := &r.certificate; c.part {
	case inVersion:
		c.part, c.header = inHeader, -1
		return certificateUnless(string(one) == certificateVersion)
	case inHeader:
		return r.certificateHeader(string(one))
	case inCommands:
		return r.certificateCommand(one)
	}
	return r.certificateSignature(string(one))
}

func certificateUnless(ok bool) error {
	if !ok {
		return errCertificate
	}
	return nil
}

func (r *listReader) certificateCommand(one []byte) error {
	if signs(string(one)) {
		r.certificate.part = inSignature
		return nil
	}
	return r.command(one)
}

func (r *listReader) certificateSignature(one string) error {
	if one == certificateEnd {
		r.certificate.part = closed
	}
	return certificateUnless(!signs(one))
}

// signs tells whether git takes a line for the beginning of a signature.
func signs(one string) bool {
	return slices.ContainsFunc(signatures, func(s string) bool { return strings.HasPrefix(one, s) })
}

func (r *listReader) certificateHeader(one string) error {
	if one == "" {
		r.certificate.part = inCommands
		return nil
	}
	name, _, valued := strings.Cut(one, " ")
	at := slices.Index(certificateHeader, name)
	if c := &r.certificate; !valued || at < c.header || at == c.header && name != pushOption || c.header < 0 && at != 0 {
		return errCertificate
	}
	r.certificate.header = at
	if name == pushOption {
		r.list.Options++
	}
	return nil
}
