package minter

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/mint"
)

// What marks a Secret of ours.
const (
	// LabelMinted marks the Secrets that hold minted tokens.
	LabelMinted = "sallyport.dev/minted-for"
	kindValue   = "UpstreamSecret"
	// AnnotationUID holds the UID of the UpstreamSecret, AnnotationObject its
	// namespace/name.
	AnnotationUID    = "sallyport.dev/uid"
	AnnotationObject = "sallyport.dev/object"
	// annotationClaim says who asks now. It is no part of the data, so that a
	// claim is no news to those who read tokens.
	annotationClaim = "sallyport.dev/claim"
)

// storeTimeout bounds the storing of what came, with all attempts.
const storeTimeout = 8 * time.Second

// errClaimLost says that another process claimed the Secret meanwhile: we lead
// no more.
var errClaimLost = errors.New("another process has claimed it")

// slot is the Secret of one UpstreamSecret, as it was read last.
type slot struct {
	secrets corev1client.SecretInterface
	up      *v1alpha1.UpstreamSecret
	name    types.NamespacedName
	stored  *corev1.Secret // nil: there is none
}

// read reads it from the API server: what is written follows from what is
// there.
func (s *slot) read(ctx context.Context) (mint.Held, error) {
	stored, err := s.secrets.Get(ctx, s.name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		s.stored = nil
		return mint.Held{}, nil
	}
	if err != nil {
		return mint.Held{}, fmt.Errorf("reading Secret %s: %w", s.name, err)
	}
	s.stored = stored
	return mint.Decode(func(key string) ([]byte, bool) { v, ok := stored.Data[key]; return v, ok }), nil
}

func (s *slot) claimed() mint.Claim {
	if s.stored == nil {
		return mint.Claim{}
	}
	return mint.ParseClaim(s.stored.Annotations[annotationClaim])
}

// claim writes who asks. It fails where the Secret has changed since it was
// read.
func (s *slot) claim(ctx context.Context, c mint.Claim) error {
	if s.stored != nil {
		next := s.stored.DeepCopy()
		s.mark(next)
		next.Annotations[annotationClaim] = c.String()
		return s.update(ctx, next)
	}
	first := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.name.Namespace, Name: s.name.Name}}
	s.mark(first)
	first.Annotations[annotationClaim] = c.String()
	stored, err := s.secrets.Create(ctx, first, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("creating Secret %s: %w", s.name, err)
	}
	s.stored = stored
	return nil
}

// mark says whose tokens they are. An owner reference cannot: it does not cross
// namespaces.
func (s *slot) mark(o *corev1.Secret) {
	metav1.SetMetaDataLabel(&o.ObjectMeta, LabelMinted, kindValue)
	metav1.SetMetaDataAnnotation(&o.ObjectMeta, AnnotationUID, string(s.up.UID))
	metav1.SetMetaDataAnnotation(&o.ObjectMeta, AnnotationObject, client.ObjectKeyFromObject(s.up).String())
}

func (s *slot) update(ctx context.Context, next *corev1.Secret) error {
	stored, err := s.secrets.Update(ctx, next, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("writing Secret %s: %w", s.name, err)
	}
	s.stored = stored
	return nil
}

// storing is how often a write is tried: what it holds cannot be had again.
var storing = wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 7}

// store writes h into the Secret that process claimed, ends the claim, and tries
// again where the API server is away for a moment.
func (s *slot) store(ctx context.Context, h *mint.Held, process string) error {
	retriable := func(err error) bool { return ctx.Err() == nil && !errors.Is(err, errClaimLost) }
	return retry.OnError(storing, retriable, func() error {
		if s.stored == nil {
			if _, err := s.read(ctx); err != nil {
				return err
			}
		}
		err := s.storeOnce(ctx, h, process)
		if err != nil {
			s.stored = nil // read again: it may have been written, by us or another
		}
		return err
	})
}

func (s *slot) storeOnce(ctx context.Context, h *mint.Held, process string) error {
	if by := s.claimed().Process; by != "" && by != process {
		return fmt.Errorf("writing Secret %s: %w", s.name, errClaimLost)
	}
	next := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.name.Namespace, Name: s.name.Name}}
	if s.stored != nil {
		next = s.stored.DeepCopy()
	}
	s.mark(next)
	delete(next.Annotations, annotationClaim)
	next.Data = h.Encode()
	if s.stored != nil {
		return s.update(ctx, next)
	}
	// It was deleted meanwhile. What came is all that there is.
	if _, err := s.secrets.Create(ctx, next, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating Secret %s: %w", s.name, err)
	}
	return nil
}
