package dial

import (
	"errors"
	"net/netip"
	"os"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/destination"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

func TestReasons(t *testing.T) {
	if got := failed(destination.Vet(netip.MustParseAddr("127.0.0.1"), true)).Reason; got != scope.DestinationRefused {
		t.Errorf("loopback: %s", got)
	}
	if got := failed(os.ErrDeadlineExceeded).Reason; got != scope.UpstreamTimeout {
		t.Errorf("too slow: %s", got)
	}
	if got := failed(errors.New("anything")).Reason; got != scope.UpstreamUnreachable {
		t.Errorf("anything: %s", got)
	}
}
