package git

// Lengths of packets (gitprotocol-common). A packet of length 4 is empty, and
// one of length 3 is nothing that a request may have.
const (
	lengthDigits = 4
	flush        = 0
	delimiter    = 1
	longest      = 65520
)

// packets reads the packets of a text that may not have come whole.
type packets struct {
	data []byte
	at   int
}

// kind is what was read.
type kind uint8

const (
	broken  kind = iota // no packet
	partial             // the beginning of one
	line
	flushed
	delimited
)

// next returns the next packet.
func (p *packets) next() (content []byte, k kind) {
	rest := p.data[p.at:]
	n, ok := length(rest)
	switch {
	case !ok:
		return nil, broken
	case len(rest) < lengthDigits:
		return nil, partial
	case n == flush:
		p.at += lengthDigits
		return nil, flushed
	case n == delimiter:
		p.at += lengthDigits
		return nil, delimited
	case n < lengthDigits || n > longest:
		return nil, broken
	case len(rest) < n:
		return nil, partial
	}
	p.at += n
	return rest[lengthDigits:n], line
}

// length reads the length of a packet, as far as it has come. Git writes it in
// lower case; so does every client, and we take no other.
func length(b []byte) (n int, ok bool) {
	for _, c := range b[:min(len(b), lengthDigits)] {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | int(c-'0')
		case 'a' <= c && c <= 'f':
			n = n<<4 | int(c-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// chomp removes one line end, as git does.
func chomp(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		return b[:n-1]
	}
	return b
}
