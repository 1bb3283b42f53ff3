package dial

import (
	"context"
	"errors"
	"os"

	"github.com/sallyport-dev/sallyport/internal/destination"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// Error says why there is no connection. Reason is DestinationRefused,
// UpstreamUnreachable or UpstreamTimeout. Its text names hosts and addresses
// and is for logs, not for agents.
type Error struct {
	Reason scope.Reason
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// failed finds the reason of err.
func failed(err error) *Error {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, destination.ErrRefused):
		return &Error{Reason: scope.DestinationRefused, Err: err}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return &Error{Reason: scope.UpstreamTimeout, Err: err}
	}
	return &Error{Reason: scope.UpstreamUnreachable, Err: err}
}
