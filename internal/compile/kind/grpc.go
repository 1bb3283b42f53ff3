package kind

import (
	"slices"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/region"
	"github.com/sallyport-dev/sallyport/internal/scope"
)

// GRPC compiles in.
func GRPC(in *v1alpha1.GRPCGrant) *scope.GRPC {
	return &scope.GRPC{Methods: slices.Clone(in.Methods)}
}

// NeverGRPC returns what in names, as pieces: where it names no method, all
// calls.
func NeverGRPC(in *v1alpha1.NeverGRPC, out region.Never) []region.Never {
	if len(in.Methods) > 0 {
		out.Paths = (&scope.GRPC{Methods: in.Methods}).Paths()
	}
	return []region.Never{out}
}
