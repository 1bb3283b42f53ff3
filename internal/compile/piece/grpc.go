package piece

import (
	"maps"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/grpc"
)

// grpcPieces are the calls of the methods, which are their paths.
func grpcPieces(g *scope.Grant) []scope.Grant {
	return []scope.Grant{grpcCalls(g, At(g.Endpoint, GRPC), Call)}
}

// grpcRequests are the calls as what they are in HTTP.
func grpcRequests(g *scope.Grant) []scope.Grant {
	calls := grpcCalls(g, g.Endpoint, "POST")
	calls.Headers = grpc.Headers()
	maps.Copy(calls.Headers, g.Headers)
	return []scope.Grant{calls}
}

func grpcCalls(g *scope.Grant, endpoint, method string) scope.Grant {
	calls := bare(g, endpoint, method, "")
	calls.HTTP.Paths = g.GRPC.Paths()
	calls.Body = grpc.Body()
	return calls
}
