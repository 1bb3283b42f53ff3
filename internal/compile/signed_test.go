package compile

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/bundle"
)

const signedUpstream = `
metadata: {name: aws, namespace: platform, uid: up-1, generation: 1}
spec:
  endpoints:
  - {name: files, url: "https://s3.eu-central-1.amazonaws.com", inject: {awsSigV4: {region: eu-central-1, service: s3}}}
  - {name: tables, url: "https://dynamodb.eu-central-1.amazonaws.com", inject: {awsSigV4: {region: eu-central-1, service: dynamodb}}}
  source: {awsKeys: {accessKeyIDRef: {name: key, key: id}, secretAccessKeyRef: {name: key, key: secret}}}
  consumers: {namespaces: [agents]}
`

const signedCredential = `
metadata: {name: files, namespace: agents, uid: sc-1, generation: 1}
spec:
  upstream: {namespace: platform, name: aws}
  holders: {serviceAccounts: [agent]}
  grants:
  - name: read
    http: {endpoint: files, methods: [GET], paths: ["/bucket/{key...}"]}
    where: {key: {glob: "public/**"}}
  - name: ask
    http: {endpoint: tables, methods: [POST], paths: [/], }
    headers: {X-Amz-Target: {equals: DynamoDB_20120810.GetItem, required: true}, Content-Type: {equals: application/x-amz-json-1.0}}
    body: {fields: {TableName: {equals: notes, required: true}}, unlisted: Allow}
`

const certifiedUpstream = `
metadata: {name: internal, namespace: platform, uid: up-1, generation: 1}
spec:
  endpoints:
  - {name: api, url: "https://api.internal.example", inject: {clientCertificate: {}}}
  source: {clientCertificate: {certRef: {name: pair, key: tls.crt}, keyRef: {name: pair, key: tls.key}}}
  consumers: {namespaces: [agents]}
`

const certifiedCredential = `
metadata: {name: api, namespace: agents, uid: sc-1, generation: 1}
spec:
  upstream: {namespace: platform, name: internal}
  holders: {serviceAccounts: [agent]}
  grants: [{name: read, http: {methods: [GET], paths: [/a]}}]
`

// TestSigned accepts what is signed, and says it in the document.
func TestSigned(t *testing.T) {
	got, err := Credential(credentialOf(t, signedCredential), upstreamOf(t, signedUpstream))
	if err != nil {
		t.Fatal(err)
	}
	want := []bundle.Inject{
		{AWSSigV4: &bundle.SignatureInjection{Region: "eu-central-1", Service: "s3"}},
		{AWSSigV4: &bundle.SignatureInjection{Region: "eu-central-1", Service: "dynamodb"}},
	}
	if diff := cmp.Diff(want, []bundle.Inject{got.Endpoints[0].Inject, got.Endpoints[1].Inject}); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	env := []bundle.EnvVar{
		{Name: "AWS_ENDPOINT_URL_S3", Value: "{url:files}"}, {Name: "AWS_ENDPOINT_URL", Value: "{url:files}"},
		{Name: "AWS_ACCESS_KEY_ID", Value: "{token}"}, {Name: "AWS_SECRET_ACCESS_KEY", Value: "is-with-sallyport"},
		{Name: "AWS_REGION", Value: "eu-central-1"}, {Name: "AWS_DEFAULT_REGION", Value: "eu-central-1"},
		{Name: "AWS_REQUEST_CHECKSUM_CALCULATION", Value: "when_required"}, {Name: "AWS_RESPONSE_CHECKSUM_VALIDATION", Value: "when_required"},
		{Name: "AWS_ENDPOINT_URL_DYNAMODB", Value: "{url:tables}"},
	}
	if diff := cmp.Diff(env, got.Env); diff != "" {
		t.Errorf("variables (-want +got)\n%s", diff)
	}
	got, err = Credential(credentialOf(t, certifiedCredential), upstreamOf(t, certifiedUpstream))
	if err != nil || got.Endpoints[0].Inject.ClientCertificate == nil || len(got.Env) > 0 {
		t.Errorf("a certificate: %+v, %v", got.Endpoints, err)
	}
}

func TestSignedRefuses(t *testing.T) {
	const region = "{awsSigV4: {region: eu-central-1, service: s3}}"
	for name, test := range map[string]struct{ why, upstream, from, to, reason, want string }{
		"one is a bearer":   {"the token would be two keys", signedUpstream, region, "{bearer: {}}", v1alpha1.ReasonInvalid, "spec.endpoints[0].inject: source.awsKeys"},
		"other source":      {"it signs nothing", signedUpstream, "source: {awsKeys: {accessKeyIDRef: {name: key, key: id}, secretAccessKeyRef: {name: key, key: secret}}}", "source: {secretRef: {name: key, key: id}}", v1alpha1.ReasonInvalid, "spec.endpoints[0].inject: source.awsKeys"},
		"two sources":       {"which key?", signedUpstream, "source: {", "source: {secretRef: {name: key, key: id}, ", v1alpha1.ReasonInvalid, "spec.source: set one"},
		"two injections":    {"two places, one checked", signedUpstream, region, "{bearer: {}, awsSigV4: {region: eu-central-1, service: s3}}", v1alpha1.ReasonInvalid, "spec.endpoints[0].inject: set exactly one"},
		"no region":         {"nothing is signed for it", signedUpstream, region, "{awsSigV4: {service: s3}}", v1alpha1.ReasonInvalid, "spec.endpoints[0].inject.awsSigV4.region: "},
		"strange service":   {"another part of the scope", signedUpstream, region, "{awsSigV4: {region: eu-central-1, service: s3/a}}", v1alpha1.ReasonInvalid, `spec.endpoints[0].inject.awsSigV4.service: "s3/a"`},
		"escaped base path": {"services differ", signedUpstream, "https://s3.eu-central-1.amazonaws.com", "https://s3.example/a%20b", v1alpha1.ReasonInvalid, `spec.endpoints[0].url: "https://s3.example/a%20b"`},
		"fixed date":        {"it is the signature's", signedUpstream, "service: dynamodb}}", "service: dynamodb}}, headers: {x-amz-date: x}", v1alpha1.ReasonInvalid, "spec.endpoints[1].headers[x-amz-date]: "},
		"fixed token":       {"it is the signature's", signedUpstream, "service: dynamodb}}", "service: dynamodb}}, headers: {X-Amz-Security-Token: x}", v1alpha1.ReasonInvalid, "spec.endpoints[1].headers[X-Amz-Security-Token]: "},
		"signed gRPC":       {"a ceiling allows nothing that is none", signedUpstream, "  consumers:", "  ceiling: {grants: [{name: a, grpc: {endpoint: files, methods: [a.B/C]}}]}\n  consumers:", v1alpha1.ReasonInvalid, `spec.ceiling.grants[0].grpc: "files": awsSigV4 signs`},
		"plain text":        {"a certificate is shown to TLS", certifiedUpstream, "https://api.internal.example", "http://api.internal.svc", v1alpha1.ReasonInvalid, `spec.endpoints[0].url: "http://api.internal.svc": use https://`},
		"certificate alone": {"there is none", certifiedUpstream, "source: {clientCertificate: {certRef: {name: pair, key: tls.crt}, keyRef: {name: pair, key: tls.key}}}", "source: {secretRef: {name: a, key: b}}", v1alpha1.ReasonInvalid, "spec.endpoints[0].inject: source.clientCertificate"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(test.upstream, test.from, test.to, 1)
			if text == test.upstream {
				t.Fatal("nothing was changed")
			}
			up := upstreamOf(t, text)
			if name == "plain text" {
				up.Spec.Plaintext = v1alpha1.PlaintextAllowClusterInternal
			}
			refusedFor(t, test.why, Upstream(up), test.reason, test.want)
		})
	}
}

// TestSignedGrants refuses what a grant at such an endpoint cannot be, or would
// take from the signature.
func TestSignedGrants(t *testing.T) {
	const grant = `http: {endpoint: files, methods: [GET], paths: ["/bucket/{key...}"]}
    where: {key: {glob: "public/**"}}`
	for name, test := range map[string]struct{ why, grant, reason, want string }{
		"git":       {"nobody reads it", `git: {endpoint: files, repos: {equals: a/b}, fetch: true}`, v1alpha1.ReasonInvalid, `spec.grants[0].git: "files": no server of git reads a signature of AWS: grant git at`},
		"websocket": {"messages are not signed", `websocket: {endpoint: files, path: /ws, messages: {media: Opaque}}`, v1alpha1.ReasonInvalid, `spec.grants[0].websocket: "files": awsSigV4 signs single requests, and no messages: grant http here`},
		"grpc":      {"its body has no end yet", `grpc: {endpoint: files, methods: [a.B/C]}`, v1alpha1.ReasonInvalid, `spec.grants[0].grpc: "files": awsSigV4 signs a request with its body, and a call begins`},
		"date":      {"it is the signature's", grant + "\n    headers: {x-amz-date: {type: String}}", v1alpha1.ReasonInvalid, "spec.grants[0].headers[x-amz-date]: "},
		"digest":    {"it is the signature's", grant + "\n    headers: {x-amz-content-sha256: {type: String}}", v1alpha1.ReasonInvalid, "spec.grants[0].headers[x-amz-content-sha256]: "},
		"token":     {"it is the signature's", grant + "\n    headers: {X-Amz-Security-Token: {type: String}}", v1alpha1.ReasonInvalid, "spec.grants[0].headers[X-Amz-Security-Token]: "},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(signedCredential, grant, test.grant, 1)
			if text == signedCredential {
				t.Fatal("nothing was changed")
			}
			_, err := Credential(credentialOf(t, text), upstreamOf(t, signedUpstream))
			refusedFor(t, test.why, err, test.reason, test.want)
		})
	}
}
