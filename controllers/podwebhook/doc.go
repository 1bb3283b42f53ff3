// Package podwebhook admits pods that ask for credentials, with a sidecar.
//
// It decodes a review, looks up the objects that the pod's annotation names,
// lets internal/inject plan and render, and answers with a patch that only
// adds. A pod whose ScopedCredential, or that one's UpstreamSecret, is missing
// is refused, since ports and variables come from them and cannot be added
// later; its controller tries again. One whose ScopedCredential is there but
// not accepted is admitted with a warning: its sidecar denies until it is.
//
// The role has no access to Secrets: whoever could make it do something else
// would find none.
package podwebhook
