package envtest

import (
	"strings"
	"testing"
)

// A rule is a CEL rule of the schema: at pointer, in the smallest object of
// kind (after the changes in given), it takes some values and refuses others,
// the nearest misses, with an instruction.
type rule struct {
	why, kind, pointer string
	given              map[string]string
	takes, refuses     []string
	says               string
}

func TestRules(t *testing.T) {
	for name, rule := range rules() {
		t.Run(name, func(t *testing.T) {
			base := smallest(t, rule.kind)
			for _, pointer := range sorted(rule.given) {
				base = base.with(t, pointer, rule.given[pointer])
			}
			for _, value := range rule.takes {
				if _, err := try(t, base.with(t, rule.pointer, value)); err != nil {
					t.Errorf("%s: %s is refused: %v", rule.why, value, err)
				}
			}
			for _, value := range rule.refuses {
				_, err := try(t, base.with(t, rule.pointer, value))
				if err == nil {
					t.Errorf("%s: %s is accepted", rule.why, value)
				} else if !strings.Contains(err.Error(), rule.says) {
					t.Errorf("%s: %s is refused with %q, want %q", rule.why, value, err, rule.says)
				}
			}
		})
	}
}

// TestRulesAreAllTested finds rules of the schema that the table leaves out.
// The rule of upstream needs two objects and has a test of its own, that of
// conditions needs a status.
func TestRulesAreAllTested(t *testing.T) {
	tested := map[string]bool{immutable: true, conditionTime: true}
	for _, rule := range rules() {
		tested[rule.says] = true
	}
	walkAll(t, func(path string, s *schema) {
		for _, v := range s.XValidations {
			if v.Message == "" || v.MessageExpression != "" {
				t.Errorf("%s: the rule %s has no message", path, v.Rule)
			}
			if !tested[v.Message] {
				t.Errorf("%s: no test wants the message %q", path, v.Message)
			}
		}
	})
}

func rules() map[string]rule {
	all := map[string]rule{}
	for _, some := range []map[string]rule{upstreamRules(), injectRules(), sourceRules(), credentialRules(), grantRules(), kindRules(), neverRules()} {
		for name, rule := range some {
			if _, twice := all[name]; twice {
				panic("two rules have the name " + name)
			}
			all[name] = rule
		}
	}
	return all
}

func upstreamRules() map[string]rule {
	const upstream, url = "UpstreamSecret", "/spec/endpoints/0/url"
	cluster := map[string]string{"/spec/plaintext": `"AllowClusterInternal"`}
	return map[string]rule{
		"url": {
			why: "two readers of a url must see the same place", kind: upstream, pointer: url,
			takes: []string{
				`"https://api.github.com"`, `"https://api.github.com:8443"`, `"https://host"`, `"https://10.0.0.1/base"`,
				`"https://[2001:db8::1]:443"`, `"https://api.example/v1/a%20b"`, `"https://api.example/..a/b.."`, `"https://a-b.example:65535"`,
			},
			refuses: []string{
				`"https://api.example/"`, `"https://api.example/v1/"`, `"https://api.example//v1"`, `"https://api.example/v1?x=1"`,
				`"https://api.example/v1#x"`, `"https://user@api.example"`, `"https://user:pw@api.example"`, `"https://API.example"`,
				`"https://api.example:"`, `"https://api.example:0"`, `"https://api.example:080"`, `"https://api.example/../v1"`,
				`"https://api.example/v1/."`, `"https://api.example/v1/.."`, `"https://api.example./v1"`, `"https://-api.example"`,
				`"https://api..example"`, `"https://bücher.example"`, `"https://api.example/a;b"`, `"https://api.example/a%2"`,
				`"https://api.example/a%2f"`, `"https://api.example/a b"`, `"https://api.example/a\\b"`, `"https://api.example\n"`,
				`"ftp://api.example"`, `"HTTPS://api.example"`, `"//api.example"`, `"api.example"`, `""`, `"https://"`, `"https:///v1"`,
			},
			says: "write url as https://host, with :port and /base/path where needed: host in lower case, no trailing slash, dot segment, query or user information",
		},
		"port": {
			why: "there are 65535 ports", kind: upstream, pointer: url,
			takes:   []string{`"https://api.example:65535"`, `"https://api.example:9999/v1"`},
			refuses: []string{`"https://api.example:65536"`, `"https://api.example:99999/v1"`},
			says:    "write a port between 1 and 65535 in url",
		},
		"plaintext": {
			why: "a key in clear text needs a word of its owner", kind: upstream, pointer: url,
			takes:   []string{`"https://maps.tiles.svc"`},
			refuses: []string{`"http://maps.tiles.svc"`, `"http://api.example"`},
			says:    "an http:// url sends the key in clear text: use https://, or set plaintext: AllowClusterInternal",
		},
		"plaintext in the cluster": {
			why: "clear text stays in the cluster", kind: upstream, pointer: url, given: cluster,
			takes: []string{`"http://maps.tiles.svc"`, `"http://maps.tiles.svc:8080/v1"`, `"http://maps.tiles.svc.cluster.local"`, `"https://api.example"`},
			refuses: []string{
				`"http://api.example"`, `"http://maps.tiles.svc.example"`, `"http://svc"`, `"http://maps-svc"`, `"http://10.0.0.1"`,
				`"http://[fd00::1]"`, `"http://api.example/x.svc"`, `"http://api.example:80/x.svc"`,
			},
			says: "an http:// url may only name a host under .svc: use https://, or the name of a Service in this cluster",
		},
		"requestTimeout": {
			why: "bounds of bounds", kind: upstream, pointer: "/spec/limits/requestTimeout", given: map[string]string{"/spec/limits": `{}`},
			takes: []string{`"1s"`, `"1h"`, `"59m60s"`, `"1.5s"`}, refuses: []string{`"999ms"`, `"1h1ms"`, `"0s"`},
			says: "set requestTimeout between 1s and 1h",
		},
		"answerTimeout": {
			why: "bounds of bounds", kind: upstream, pointer: "/spec/limits/answerTimeout", given: map[string]string{"/spec/limits": `{}`},
			takes: []string{`"1s"`, `"1h"`}, refuses: []string{`"999ms"`, `"1h1ms"`},
			says: "set answerTimeout between 1s and 1h",
		},
		"streamTimeout": {
			why: "bounds of bounds", kind: upstream, pointer: "/spec/limits/streamTimeout", given: map[string]string{"/spec/limits": `{}`},
			takes: []string{`"1s"`, `"24h"`}, refuses: []string{`"999ms"`, `"24h1ms"`},
			says: "set streamTimeout between 1s and 24h",
		},
	}
}

func injectRules() map[string]rule {
	const upstream, inject = "UpstreamSecret", "/spec/endpoints/0/inject"
	const header = inject + "/header"
	return map[string]rule{
		"inject": {
			why: "the key has one place", kind: upstream, pointer: inject,
			takes: []string{
				`{"bearer": {}}`, `{"header": {"name": "X-Api-Key"}}`, `{"basic": {"username": "x-access-token"}}`, `{"query": {"name": "key"}}`,
			},
			refuses: []string{`{}`, `{"bearer": {}, "query": {"name": "key"}}`},
			says:    "set exactly one of bearer, header, basic, query, awsSigV4 or clientCertificate",
		},
		"template": {
			why: "the key stands in its header once", kind: upstream, pointer: header + "/template",
			given:   map[string]string{inject: `{"header": {"name": "X-Api-Key"}}`},
			takes:   []string{`"{secret}"`, `"key {secret}"`, `"a{secret}b{c}"`},
			refuses: []string{`"key"`, `"{secret}{secret}"`, `"{Secret}"`, `"{ secret }"`},
			says:    "write {secret} exactly once in template",
		},
		"header": {
			why: "framing and coding belong to the message", kind: upstream, pointer: header + "/name",
			given:   map[string]string{inject: `{"header": {"name": "X-Api-Key"}}`},
			takes:   []string{`"Authorization"`, `"X-Host"`, `"PRIVATE-TOKEN"`},
			refuses: []string{`"Host"`, `"host"`, `"CONTENT-LENGTH"`, `"Transfer-Encoding"`, `"Cookie"`, `"Connection"`},
			says:    "name a header that carries a credential: this one belongs to the message itself",
		},
		"AWS keys sign": {
			why: "access keys go into signatures alone", kind: upstream, pointer: inject,
			given:   map[string]string{"/spec/source": `{"awsKeys": {"accessKeyIDRef": {"name": "a", "key": "i"}, "secretAccessKeyRef": {"name": "a", "key": "s"}}}`},
			takes:   []string{`{"awsSigV4": {"region": "eu-central-1", "service": "s3"}}`},
			refuses: []string{`{"bearer": {}}`},
			says:    "source.awsKeys and inject.awsSigV4 go together, on every endpoint: set both or neither",
		},
		"a signature needs AWS keys": {
			why: "a token cannot sign", kind: upstream, pointer: inject,
			refuses: []string{`{"awsSigV4": {"region": "eu-central-1", "service": "s3"}}`},
			says:    "source.awsKeys and inject.awsSigV4 go together, on every endpoint: set both or neither",
		},
		"a certificate is presented": {
			why: "a private key is never sent", kind: upstream, pointer: inject,
			given:   map[string]string{"/spec/source": `{"clientCertificate": {"certRef": {"name": "a", "key": "c"}, "keyRef": {"name": "a", "key": "k"}}}`},
			takes:   []string{`{"clientCertificate": {}}`},
			refuses: []string{`{"bearer": {}}`, `{"header": {"name": "X-Key"}}`},
			says:    "source.clientCertificate and inject.clientCertificate go together, on every endpoint: set both or neither",
		},
	}
}

func sourceRules() map[string]rule {
	const upstream, source = "UpstreamSecret", "/spec/source"
	const ref = `{"name": "login", "key": "s"}`
	oauth2 := func(more string) string {
		return `{"oauth2": {"tokenURL": "https://login.example/token", "clientID": "x"` + more + `}}`
	}
	return map[string]rule{
		"source": {
			why: "a key comes from one place", kind: upstream, pointer: source,
			takes:   []string{`{"secretRef": ` + ref + `}`},
			refuses: []string{`{}`, `{"secretRef": ` + ref + `, "oauth2": {"grant": "RefreshToken", "tokenURL": "https://a.example", "clientID": "x", "refreshTokenRef": ` + ref + `}}`},
			says:    "set exactly one of secretRef, githubApp, oauth2, awsKeys or clientCertificate",
		},
		"refresh token": {
			why: "each OAuth 2 grant has what it needs and no more", kind: upstream, pointer: source,
			takes: []string{
				oauth2(`, "grant": "RefreshToken", "refreshTokenRef": ` + ref),
				oauth2(`, "grant": "RefreshToken", "refreshTokenRef": ` + ref + `, "clientSecretRef": ` + ref),
			},
			refuses: []string{
				oauth2(`, "grant": "RefreshToken"`),
				oauth2(`, "grant": "ClientCredentials", "clientSecretRef": ` + ref + `, "refreshTokenRef": ` + ref),
			},
			says: "set refreshTokenRef with grant RefreshToken, and only then",
		},
		"client secret": {
			why: "client credentials are an id and a secret", kind: upstream, pointer: source,
			takes:   []string{oauth2(`, "grant": "ClientCredentials", "clientSecretRef": ` + ref)},
			refuses: []string{oauth2(`, "grant": "ClientCredentials"`)},
			says:    "set clientSecretRef: grant ClientCredentials needs it",
		},
		"tokenURL": {
			why: "the client's secret goes there", kind: upstream, pointer: source + "/oauth2/tokenURL",
			given:   map[string]string{source: oauth2(`, "grant": "RefreshToken", "refreshTokenRef": ` + ref)},
			takes:   []string{`"https://login.example"`, `"https://login.example:8443/oauth2/token/"`},
			refuses: []string{`"http://login.example"`, `"https://user@login.example"`, `"https://login.example/?a"`, `"https://login.example\\@evil.example"`, `"https://LOGIN.example"`},
			says:    "write tokenURL as https://host/path: host in lower case, no query, fragment or user information",
		},
	}
}
