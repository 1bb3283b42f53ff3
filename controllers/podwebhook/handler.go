package podwebhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/sallyport-dev/sallyport/internal/inject"
)

// Handler answers reviews of pods that are about to be created. It writes
// nothing anywhere, so a dry run is as good as the real thing. It is safe for
// concurrent use.
type Handler struct {
	objects  objects
	settings func() (inject.Settings, error) // read for each pod: authorities rotate
}

// Handle admits a pod that asks for nothing as it is, and one that asks with a
// sidecar or not at all.
func (h *Handler) Handle(ctx context.Context, req admission.Request) admission.Response {
	if req.Operation != admissionv1.Create || req.Resource.Resource != "pods" || req.SubResource != "" {
		return admission.Errored(http.StatusBadRequest, errors.New("only the creation of pods is reviewed here: correct the webhook's rules"))
	}
	pod, err := decode(req.Object.Raw)
	if err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if _, asks := pod.Annotations[inject.AnnotationCredentials]; !asks {
		return admission.Allowed("")
	}
	after, warnings, err := h.inject(ctx, req.Namespace, pod)
	if err != nil {
		return refuse(err)
	}
	ops, err := patch(pod, after)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return patched(ops).WithWarnings(warnings...)
}

// decode reads a pod as API servers do: names of fields are told apart by case,
// and those that this program does not know are passed over.
func decode(raw []byte) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	if err := utiljson.Unmarshal(raw, pod); err != nil {
		return nil, errNoPod // the decoder's text may quote it
	}
	if pod.APIVersion != "v1" || pod.Kind != "Pod" {
		return nil, errNoPod
	}
	return pod, nil
}

var errNoPod = errors.New("the review holds no pod")

// patched admits a pod with what is added to it. It encodes by itself, so that
// each value is encoded once.
func patched(ops []operation) admission.Response {
	answer := admission.Allowed("")
	if len(ops) == 0 {
		return answer
	}
	text, err := json.Marshal(ops)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, fmt.Errorf("encoding the patch: %w", err))
	}
	kind := admissionv1.PatchTypeJSONPatch
	answer.Patch, answer.PatchType = text, &kind
	return answer
}

func (h *Handler) inject(ctx context.Context, namespace string, pod *corev1.Pod) (*corev1.Pod, []string, error) {
	settings, err := h.settings()
	if err != nil {
		return nil, nil, err
	}
	credentials, warnings, err := h.objects.credentials(ctx, namespace, pod)
	if err != nil {
		return nil, nil, err
	}
	plan, more, err := inject.NewPlan(pod, settings, credentials)
	if err != nil {
		return nil, nil, err
	}
	warnings = append(append(warnings, more...), inject.Warnings(pod, plan)...)
	after := pod.DeepCopy()
	if err := inject.Sidecar(after, plan); err != nil {
		return nil, nil, err
	}
	// What the broker will ask of the live pod. Nobody is helped by a pod that
	// starts and is cut off.
	_, err = inject.Attest(after, settings.Trust())
	return after, warnings, err
}

// refuse tells what the author can change from what only time or an operator
// can.
func refuse(err error) admission.Response {
	var refusal *inject.Refusal
	var missing *notFound
	if errors.As(err, &refusal) || errors.As(err, &missing) {
		return admission.Denied(err.Error())
	}
	return admission.Errored(http.StatusInternalServerError, err)
}
