package secretwatch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/compile/material"
	"github.com/sallyport-dev/sallyport/test/envtest"
)

// grant is what the tests bind, as a platform team does.
var grant = Grant{Role: "sallyport-secrets", Account: types.NamespacedName{Namespace: "sallyport-system", Name: "manager"}}

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
	_, err = admin.RbacV1().ClusterRoles().Create(context.Background(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: grant.Role},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "watch"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return 1, err
	}
	watchFor = func() int64 { return 2 }
	return m.Run(), nil
}

// namespace makes one, with the manager's RoleBinding if that is wanted.
func namespace(t *testing.T, name string, bound bool) {
	t.Helper()
	ctx := context.Background()
	if _, err := admin.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if bound {
		bind(t, name)
	}
}

func bind(t *testing.T, namespace string) {
	t.Helper()
	_, err := admin.RbacV1().RoleBindings(namespace).Create(context.Background(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: grant.Role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: grant.Role},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: grant.Account.Namespace, Name: grant.Account.Name}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, name types.NamespacedName, value string) {
	t.Helper()
	ctx := context.Background()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}, StringData: map[string]string{"token": value}}
	_, err := admin.CoreV1().Secrets(name.Namespace).Update(ctx, s, metav1.UpdateOptions{})
	if err != nil {
		_, err = admin.CoreV1().Secrets(name.Namespace).Create(ctx, s, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// start runs a Watcher until the test ends, and returns the names of what
// changed.
func start(t *testing.T) (*Watcher, <-chan string) {
	t.Helper()
	w := New(manager.CoreV1(), grant)
	changes := make(chan string, 100)
	ctx, cancel := context.WithCancel(context.Background())
	w.Events(ctx, func(e event.GenericEvent) { changes <- e.Object.GetNamespace() + "/" + e.Object.GetName() })
	ended := make(chan error, 1)
	go func() { ended <- w.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w, changes
}

// await asks until the answer is the wanted one; it is asked again at each
// change, and a little later.
func await(t *testing.T, changes <-chan string, wanted func() bool, what string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for !wanted() {
		select {
		case <-changes:
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatalf("never came: %s", what)
		}
	}
}

// ask asks for the key of an UpstreamSecret that names this Secret.
func ask(w *Watcher, name types.NamespacedName, key string) (material.Key, error) {
	up := &v1alpha1.UpstreamSecret{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace}}
	up.Spec.Source.SecretRef = &v1alpha1.KeyReference{Name: name.Name, Key: key}
	return w.Key(up, time.Now())
}

func key(w *Watcher, name types.NamespacedName) string {
	k, err := ask(w, name, "token")
	if err != nil {
		return ""
	}
	return k.Value.Reveal()
}

func TestFollowsOneSecret(t *testing.T) {
	namespace(t, "follow", true)
	name := types.NamespacedName{Namespace: "follow", Name: "key"}
	put(t, types.NamespacedName{Namespace: "follow", Name: "other"}, "unasked")
	w, changes := start(t)
	if _, err := ask(w, name, "token"); !errors.Is(err, ErrPending) {
		t.Errorf("before anybody refers to it: %v, want ErrPending", err)
	}
	w.Refer("a", name)
	await(t, changes, func() bool { _, err := w.Get(name); return errors.Is(err, ErrNotFound) }, "not found")
	put(t, name, "first\n")
	await(t, changes, func() bool { return key(w, name) == "first" }, "the Secret that was created")
	put(t, name, "second")
	await(t, changes, func() bool { return key(w, name) == "second" }, "the Secret that was changed")
	if _, err := ask(w, name, "absent"); !errors.Is(err, ErrNotFound) {
		t.Errorf("absent key: %v, want ErrNotFound", err)
	}
	put(t, name, "two\nlines")
	await(t, changes, func() bool { _, err := ask(w, name, "token"); return errors.Is(err, ErrInvalid) }, "invalid")
	if err := admin.CoreV1().Secrets("follow").Delete(context.Background(), "key", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, changes, func() bool { _, err := w.Get(name); return errors.Is(err, ErrNotFound) }, "deleted")
	if got := w.Followed(); got != 1 {
		t.Errorf("%d Secrets are held, want the one referred to", got)
	}
}

func TestPermissionComesLater(t *testing.T) {
	namespace(t, "later", false)
	name := types.NamespacedName{Namespace: "later", Name: "key"}
	put(t, name, "hidden")
	w, changes := start(t)
	w.Refer("a", name)
	await(t, changes, func() bool { _, err := w.Get(name); return errors.Is(err, ErrNotPermitted) }, "not permitted")
	_, err := w.Get(name)
	want := "kubectl create rolebinding sallyport-secrets --namespace=later --clusterrole=sallyport-secrets --serviceaccount=sallyport-system:manager"
	if !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not say %q", err, want)
	}
	bind(t, "later")
	await(t, changes, func() bool { return key(w, name) == "hidden" }, "the Secret, once permitted")
}

// TestPermissionIsLost takes back the right to read a Secret that is being
// watched: it is forgotten, though it did not change.
func TestPermissionIsLost(t *testing.T) {
	namespace(t, "lost", true)
	name := types.NamespacedName{Namespace: "lost", Name: "key"}
	put(t, name, "hidden")
	w, changes := start(t)
	w.Refer("a", name)
	await(t, changes, func() bool { return key(w, name) == "hidden" }, "the Secret")
	all := admin.RbacV1().RoleBindings("lost")
	if err := all.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, changes, func() bool { _, err := w.Get(name); return errors.Is(err, ErrNotPermitted) }, "not permitted any more")
}

func TestReferences(t *testing.T) {
	namespace(t, "counted", true)
	one, two := types.NamespacedName{Namespace: "counted", Name: "one"}, types.NamespacedName{Namespace: "counted", Name: "two"}
	put(t, one, "1")
	put(t, two, "2")
	w, changes := start(t)
	w.Refer("a", one, two)
	w.Refer("b", one)
	await(t, changes, func() bool { return key(w, one) == "1" && key(w, two) == "2" }, "both")
	w.Refer("a", two)
	if key(w, one) != "1" {
		t.Error("a Secret that b refers to is forgotten")
	}
	w.Refer("b")
	if _, err := w.Get(one); !errors.Is(err, ErrPending) {
		t.Errorf("a Secret that nobody refers to: %v, want ErrPending", err)
	}
	w.Refer("a")
	w.Refer("a", one)
	await(t, changes, func() bool { return key(w, one) == "1" }, "a Secret that is referred to again")
}

// TestSeveralSecrets reads one key from several Secrets: all of them count, and
// losing one loses the key.
func TestSeveralSecrets(t *testing.T) {
	namespace(t, "several", true)
	up := &v1alpha1.UpstreamSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "several"}}
	ref := func(name string) v1alpha1.KeyReference { return v1alpha1.KeyReference{Name: name, Key: "token"} }
	session := ref("session")
	up.Spec.Source.AWSKeys = &v1alpha1.AWSKeys{AccessKeyIDRef: ref("id"), SecretAccessKeyRef: ref("secret"), SessionTokenRef: &session}
	names := Names(up, up, nil)
	if len(names) != 3 {
		t.Fatalf("it refers to %v", names)
	}
	for _, name := range names {
		put(t, name, "AKID-"+name.Name)
	}
	w, changes := start(t)
	w.Refer("a", names...)
	secretKey := func() string {
		k, err := w.Key(up, time.Now())
		if err != nil {
			return ""
		}
		keys, err := bundle.AWSKeysOf(k.Value)
		if err != nil {
			t.Fatal(err)
		}
		return keys.SecretAccessKey.Reveal()
	}
	await(t, changes, func() bool { return secretKey() == "AKID-secret" }, "the keys")
	put(t, types.NamespacedName{Namespace: "several", Name: "secret"}, "rotated")
	await(t, changes, func() bool { return secretKey() == "rotated" }, "the key that was changed")
	if err := admin.CoreV1().Secrets("several").Delete(t.Context(), "session", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, changes, func() bool { _, err := w.Key(up, time.Now()); return errors.Is(err, ErrNotFound) }, "a part that was deleted")
	put(t, types.NamespacedName{Namespace: "several", Name: "session"}, "two\nlines")
	await(t, changes, func() bool { _, err := w.Key(up, time.Now()); return errors.Is(err, ErrInvalid) }, "a part that is no key")
	if _, err := w.Key(up, time.Now()); !strings.Contains(err.Error(), `several/session: key "token"`) {
		t.Errorf("the error blames another part: %v", err)
	}
}

func TestNothingIsPrinted(t *testing.T) {
	s := read(&corev1.Secret{Data: map[string][]byte{"token": []byte("canary-value")}})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if printed := fmt.Sprintf(verb, s) + fmt.Sprintf(verb, &s); strings.Contains(printed, "canary") || strings.Contains(printed, "63616e617279") {
			t.Errorf("%s prints it: %s", verb, printed)
		}
	}
}
