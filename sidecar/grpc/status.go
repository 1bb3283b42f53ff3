package grpc

import (
	"net/http"
	"strconv"

	"github.com/sallyport-dev/sallyport/internal/scope"
)

// Codes of gRPC that are answered with.
const (
	InvalidArgument   = 3
	DeadlineExceeded  = 4
	PermissionDenied  = 7
	ResourceExhausted = 8
	Internal          = 13
	Unavailable       = 14
)

// CodeOf is the code for a reason. What is not allowed is PermissionDenied, which
// clients do not try again; what passes with time has codes that say so.
func CodeOf(r scope.Reason) int {
	switch r {
	case scope.Malformed:
		return InvalidArgument
	case scope.RateLimited:
		return ResourceExhausted
	case scope.NotReady, scope.LeaseExpired, scope.ClockSkew, scope.Unrecorded, scope.UpstreamUnreachable:
		return Unavailable
	case scope.UpstreamTimeout:
		return DeadlineExceeded
	case scope.AnswerRefused, scope.DestinationRefused:
		return Internal
	}
	return PermissionDenied
}

// Refusal is what an agent is told in place of an answer, or of the rest of one.
type Refusal struct {
	Reason     scope.Reason
	Title      string
	Detail     string
	Credential string
	ID         string
	RetryAfter int // in seconds; 0: not said
	// Status and Problem are for those who mean no call.
	Status  int
	Problem []byte
}

// Tell ends the call with a refusal: as the status of a call, behind the part of
// an answer that was given, or as a problem document.
func (c *Call) Tell(f *Refusal) {
	c.told = true
	h := c.writer.Header()
	if !c.Means() && !c.began {
		h.Set("Content-Type", "application/problem+json")
		h.Set("Cache-Control", "no-store")
		c.writer.WriteHeader(f.Status)
		_, _ = c.writer.Write(f.Problem) // who is gone cannot be told
		return
	}
	before := ""
	if c.began {
		before = http.TrailerPrefix
	}
	put := func(name, value string) { h[before+name] = []string{value} }
	put("Grpc-Status", strconv.Itoa(CodeOf(f.Reason)))
	put("Grpc-Message", escape(f.Title+": "+f.Detail+" ("+string(f.Reason)+", request "+f.ID+")"))
	put("Sallyport-Reason", string(f.Reason))
	put("Sallyport-Credential", f.Credential)
	put("Sallyport-Request-Id", f.ID)
	if f.RetryAfter > 0 {
		put("Grpc-Retry-Pushback-Ms", strconv.Itoa(1000*f.RetryAfter))
	}
	if !c.began {
		h["Content-Type"] = []string{"application/grpc"}
		h["Date"] = nil
		c.writer.WriteHeader(http.StatusOK)
	}
}

// escape writes a text as a Grpc-Message.
func escape(s string) string {
	const upper = "0123456789ABCDEF"
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			out = append(out, '%', upper[c>>4], upper[c&0xf])
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}
