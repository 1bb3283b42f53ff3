package schemas

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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/controllers/secretwatch"
	"github.com/sallyport-dev/sallyport/test/envtest"
)

var grant = secretwatch.Grant{Role: "sallyport-secret-reader", Account: types.NamespacedName{Namespace: "sallyport-system", Name: "manager"}}

// admin administers the API server, manager is allowed what is bound alone.
var admin, manager kubernetes.Interface

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	config, stop, err := envtest.Start()
	if err != nil {
		return 1, err
	}
	defer func() { _ = stop() }()
	if admin, err = kubernetes.NewForConfig(config); err != nil {
		return 1, err
	}
	own := rest.CopyConfig(config)
	own.Impersonate.UserName = "system:serviceaccount:" + grant.Account.Namespace + ":" + grant.Account.Name
	if manager, err = kubernetes.NewForConfig(own); err != nil {
		return 1, err
	}
	role, err := shippedRole()
	if err != nil {
		return 1, err
	}
	if _, err := admin.RbacV1().ClusterRoles().Create(context.Background(), role, metav1.CreateOptions{}); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// shippedRole is the one that a platform team binds.
func shippedRole() (*rbacv1.ClusterRole, error) {
	text, err := os.ReadFile(filepath.Join(envtest.Root(), "config", "rbac", "secrets.yaml"))
	if err != nil {
		return nil, err
	}
	role := &rbacv1.ClusterRole{}
	document, _, _ := strings.Cut(string(text), "\n---\n")
	return role, yaml.UnmarshalStrict([]byte(document), role)
}

func upstreamOf(namespace string, refs ...v1alpha1.KeyReference) *v1alpha1.UpstreamSecret {
	up := &v1alpha1.UpstreamSecret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "up"}}
	for _, ref := range refs {
		up.Spec.Endpoints = append(up.Spec.Endpoints, v1alpha1.Endpoint{
			Name: "e" + ref.Key, URL: "https://api.example", Inject: v1alpha1.Inject{Bearer: &v1alpha1.BearerInjection{}},
			GraphQL: &v1alpha1.GraphQLEndpoint{SchemaRef: ref},
		})
	}
	up.Spec.Source.SecretRef = &v1alpha1.KeyReference{Name: "key", Key: "token"}
	return up
}

// TestWatcher: a schema is read with what the shipped role allows, where it is
// bound, and every change of it has another version.
func TestWatcher(t *testing.T) {
	ctx := t.Context()
	if _, err := admin.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "platform"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w := New(manager.CoreV1(), grant)
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Start(running) }()
	t.Cleanup(func() { stop(); <-ended })

	up := upstreamOf("platform", v1alpha1.KeyReference{Name: "schema", Key: "a"}, v1alpha1.KeyReference{Name: "schema", Key: "b"})
	if _, _, err := w.For(up); !errors.Is(err, ErrPending) {
		t.Errorf("before anybody refers to it: %v", err)
	}
	w.Refer("test", Names(up, nil)...)
	said := func(want string) func() bool {
		return func() bool {
			c, _, err := w.For(up)
			if err != nil {
				return false
			}
			err = c.Upstream(up)
			return err == nil && want == "" || err != nil && want != "" && strings.Contains(err.Error(), want)
		}
	}
	await(t, "not permitted", said("kubectl create rolebinding sallyport-secret-reader --namespace=platform"))
	if _, err := admin.RbacV1().RoleBindings("platform").Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: grant.Role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: grant.Role},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: grant.Account.Namespace, Name: grant.Account.Name}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "not there", said(`spec.endpoints[0].graphql.schemaRef: "schema/a": there is no ConfigMap`))

	maps := admin.CoreV1().ConfigMaps("platform")
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "schema"}, Data: map[string]string{"a": "type Query { x: Int }"}}
	if _, err := maps.Create(ctx, m, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "one key missing", said(`spec.endpoints[1].graphql.schemaRef: "schema/b": there is no ConfigMap`))
	m.Data["b"] = "type Query { y: Int }"
	if _, err := maps.Update(ctx, m, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "both", said(""))
	_, before, err := w.For(up)
	if err != nil {
		t.Fatal(err)
	}
	m.Data["b"] = "type Query { z: Int }"
	if _, err := maps.Update(ctx, m, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "another version", func() bool { _, now, err := w.For(up); return err == nil && now != before })
	if err := maps.Delete(ctx, "schema", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "gone", said("there is no ConfigMap"))
	w.Refer("test")
	if w.Followed() != 0 {
		t.Error("what nobody refers to is still watched")
	}
}

func await(t *testing.T, what string, wanted func() bool) {
	t.Helper()
	deadline, tick := time.After(60*time.Second), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !wanted() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never came: %s", what)
		}
	}
}
