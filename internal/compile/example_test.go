package compile_test

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/compile/measure"
)

func Example() {
	up := &v1alpha1.UpstreamSecret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: "github"},
		Spec: v1alpha1.UpstreamSecretSpec{
			Endpoints: []v1alpha1.Endpoint{{
				Name: "rest", URL: "https://api.github.com", Profile: v1alpha1.ProfileGitHubREST,
				Inject: v1alpha1.Inject{Bearer: &v1alpha1.BearerInjection{}},
			}},
			Source: v1alpha1.Source{SecretRef: &v1alpha1.KeyReference{Name: "key", Key: "token"}},
		},
	}
	sc := &v1alpha1.ScopedCredential{
		ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: "notes"},
		Spec: v1alpha1.ScopedCredentialSpec{
			Upstream: v1alpha1.UpstreamReference{Name: "github"},
			Holders:  v1alpha1.Holders{ServiceAccounts: []string{"agent"}},
			Grants: []v1alpha1.Grant{{
				Name:  "read",
				HTTP:  &v1alpha1.HTTPGrant{Methods: []v1alpha1.Method{"GET"}, Paths: []string{"/repos/{repo=*/*}"}},
				Where: map[string]v1alpha1.Matcher{"repo": {Set: "docs"}},
			}},
		},
	}
	_, err := compile.Credential(sc, up)
	fmt.Println(err)

	sc.Spec.Sets = []v1alpha1.NamedSet{{Name: "docs", Constraint: v1alpha1.Constraint{In: []string{"acme/docs"}}}}
	doc, err := compile.Credential(sc, up)
	fmt.Println(doc.Grants[0].Endpoint, measure.Reach(doc.Grants).Summary, err)
	// Output:
	// spec.grants[0].where[repo].set: "docs": there is no set of this name: declare it in sets, or correct the name
	// rest R1 W0 D0 <nil>
}
