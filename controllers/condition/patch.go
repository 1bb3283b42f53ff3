package condition

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Patch stores the status of after, unless it is that of before, and tells
// whether it wrote. A write that another one has overtaken is no error: the
// newer object is on its way, and has the caller look again.
func Patch(ctx context.Context, c client.StatusClient, before, after client.Object) (bool, error) {
	change, err := client.MergeFrom(before).Data(after)
	if err != nil {
		return false, fmt.Errorf("updating status: %w", err)
	}
	if string(change) == "{}" {
		return false, nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	err = c.Status().Patch(ctx, after, patch)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("updating status: %w", err)
	}
	return true, nil
}
