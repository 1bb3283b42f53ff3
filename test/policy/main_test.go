// Package policy tries each way around admission on a real API server that has
// the policies of config/policy, and no webhook: what is refused here is refused
// by the policies.
package policy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	cluster "github.com/sallyport-dev/sallyport/test/envtest"
)

// digest is that of the release that the policies let in.
var digest = "sha256:" + strings.Repeat("ab", 32)

// user is somebody who speaks to the API server.
type user struct {
	client.Client
	*kubernetes.Clientset
	config *rest.Config
}

var (
	admin     user // system:masters, who may bypass
	developer user // may do everything with the core API
	node      user // a kubelet
	onCall    user // a developer who holds the role sallyport-break-glass
	owner     user // a developer who holds it in one namespace

	auditLog        string
	adminKubeconfig []byte
)

const namespace = "agents"

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "policy")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	env, err := environment(dir)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, env.Stop()) }()
	config, err := env.Start()
	if err != nil {
		return 1, fmt.Errorf("starting an API server: %w", err)
	}
	adminKubeconfig = env.KubeConfig
	if err := prepare(context.Background(), config); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// environment is an API server that keeps an audit log in dir.
func environment(dir string) (*envtest.Environment, error) {
	assets, err := cluster.Assets()
	if err != nil {
		return nil, err
	}
	auditPolicy := filepath.Join(dir, "policy.yaml")
	auditLog = filepath.Join(dir, "audit.log")
	text := "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata, resources: [{group: ''}]}]\n"
	if err := os.WriteFile(auditPolicy, []byte(text), 0o600); err != nil {
		return nil, err
	}
	env := &envtest.Environment{BinaryAssetsDirectory: assets}
	env.ControlPlane.GetAPIServer().Configure().Set("audit-policy-file", auditPolicy).Set("audit-log-path", auditLog)
	return env, nil
}

// as returns somebody of that name and group.
func as(config *rest.Config, name, group string) (user, error) {
	u := user{config: rest.CopyConfig(config)}
	u.config.WarningHandler = rest.NoWarnings{}
	u.config.QPS = -1
	if name != "" {
		u.config.Impersonate = rest.ImpersonationConfig{UserName: name, Groups: []string{group}}
	}
	var err, errSet error
	u.Client, err = client.New(u.config, client.Options{Scheme: scheme.Scheme})
	u.Clientset, errSet = kubernetes.NewForConfig(u.config)
	return u, errors.Join(err, errSet)
}

// prepare makes people, namespaces and policies, and waits until all of the
// policies are in force.
func prepare(ctx context.Context, config *rest.Config) (err error) {
	for _, who := range []struct {
		is          *user
		name, group string
	}{
		{&admin, "", ""},
		{&developer, "dora", "developers"},
		{&node, "system:node:node-1", "system:nodes"},
		{&onCall, "otto", "developers"},
		{&owner, "olga", "developers"},
	} {
		if *who.is, err = as(config, who.name, who.group); err != nil {
			return err
		}
	}
	policies, err := cluster.Policies(digest)
	if err != nil {
		return err
	}
	everything := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "core"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"*"}, Verbs: []string{"*"}},
	}}
	core := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: everything.Name}
	glass := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "sallyport-break-glass"}
	group := func(name string) []rbacv1.Subject { return []rbacv1.Subject{{Kind: "Group", Name: name}} }
	person := func(name string) []rbacv1.Subject { return []rbacv1.Subject{{Kind: "User", Name: name}} }
	for _, o := range append(policies, everything,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "agent", Namespace: namespace}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "developers"}, RoleRef: core, Subjects: group("developers")},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "nodes"}, RoleRef: core, Subjects: group("system:nodes")},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "on-call"}, RoleRef: glass, Subjects: person("otto")},
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "owner", Namespace: namespace}, RoleRef: glass, Subjects: person("olga")},
	) {
		if err := admin.Create(ctx, o); err != nil {
			return fmt.Errorf("creating %T %s: %w", o, o.GetName(), err)
		}
	}
	return inForce(ctx)
}

// inForce waits until each policy refuses something.
func inForce(ctx context.Context) error {
	pod := plain("control")
	if err := developer.Create(ctx, pod); err != nil {
		return err
	}
	marked := pod.DeepCopy()
	marked.Labels = map[string]string{"sallyport.dev/injected": "true"}
	named := plain("control-named")
	named.Spec.Containers[0].Name = sidecarName
	for policy, try := range map[string]func() error{
		"sallyport-pods":    func() error { return developer.Create(ctx, named.DeepCopy(), client.DryRunAll) },
		"sallyport-updates": func() error { return developer.Update(ctx, marked.DeepCopy(), client.DryRunAll) },
		"sallyport-debug": func() error {
			debugged := pod.DeepCopy()
			c := debugger("agent")
			c.Name = sidecarName
			debugged.Spec.EphemeralContainers = []corev1.EphemeralContainer{c}
			return developer.SubResource("ephemeralcontainers").Update(ctx, debugged, client.DryRunAll)
		},
		"sallyport-exec":   func() error { return connect(ctx, developer, "POST", "exec", pod.Name, sidecarName) },
		"sallyport-tokens": func() error { return mint(ctx, developer, "agent", audience) },
	} {
		last := errors.New("not tried")
		err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
			last = try()
			return deniedBy(last, policy), nil
		})
		if err != nil {
			return fmt.Errorf("waiting for %s: %w: %w", policy, err, last)
		}
	}
	return nil
}

// deniedBy reports whether err is a refusal by that policy.
func deniedBy(err error, policy string) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "ValidatingAdmissionPolicy '"+policy+"'")
}

// held compares err with what is expected: a refusal by policy in words that
// hold says, or nothing at all.
func held(t *testing.T, why string, err error, policy, says string) {
	t.Helper()
	switch {
	case policy == "" && err != nil:
		t.Errorf("%s: refused: %v", why, err)
	case policy != "" && (!deniedBy(err, policy) || !strings.Contains(err.Error(), says)):
		t.Errorf("%s: got %v, want a refusal by %s that says %q", why, err, policy, says)
	}
}
