package v1alpha1

// Source is where a key comes from. All objects that it names lie in the
// UpstreamSecret's namespace.
//
// +kubebuilder:validation:XValidation:rule="[has(self.secretRef), has(self.githubApp), has(self.oauth2), has(self.awsKeys), has(self.clientCertificate)].filter(x, x).size() == 1",message="set exactly one of secretRef, githubApp, oauth2, awsKeys or clientCertificate"
type Source struct {
	// SecretRef is a Secret that holds the key as it is. A line end after it is
	// dropped; other control characters are refused.
	// +optional
	SecretRef *KeyReference `json:"secretRef,omitempty"`

	// GitHubApp mints installation tokens of a GitHub App.
	// +optional
	GitHubApp *GitHubApp `json:"githubApp,omitempty"`

	// OAuth2 gets access tokens from a token endpoint.
	// +optional
	OAuth2 *OAuth2 `json:"oauth2,omitempty"`

	// AWSKeys are access keys that requests are signed with.
	// +optional
	AWSKeys *AWSKeys `json:"awsKeys,omitempty"`

	// ClientCertificate is a certificate that connections are made with.
	// +optional
	ClientCertificate *ClientCertificate `json:"clientCertificate,omitempty"`
}

// KeyReference names a key of a Secret, or of a ConfigMap where that is said,
// in the same namespace.
type KeyReference struct {
	// Name of the object.
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`

	// Key in the object's data.
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key"`
}

// GitHubApp mints installation tokens that are narrowed to repositories and
// permissions: to those listed here, and of these to what the ScopedCredentials
// in force may need.
type GitHubApp struct {
	// AppID of the app.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9007199254740991
	AppID int64 `json:"appID"`

	// InstallationID of the app's installation.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9007199254740991
	InstallationID int64 `json:"installationID"`

	// PrivateKeyRef is the app's private key in PEM.
	// +required
	PrivateKeyRef KeyReference `json:"privateKeyRef"`

	// Repositories that tokens may be good for, by name without owner. At least
	// one, since none would mean all to GitHub.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=500
	// +kubebuilder:validation:items:MaxLength=100
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9._-]+$`
	Repositories []string `json:"repositories"`

	// Permissions that tokens may have, such as {contents: read}. At least one,
	// since none would mean all to GitHub.
	// +required
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=64
	Permissions map[string]GitHubPermission `json:"permissions"`
}

// GitHubPermission is a level of access.
// +kubebuilder:validation:Enum=read;write;admin
type GitHubPermission string

// The levels of access.
const (
	GitHubRead  GitHubPermission = "read"
	GitHubWrite GitHubPermission = "write"
	GitHubAdmin GitHubPermission = "admin"
)

// OAuth2 gets access tokens from a token endpoint (RFC 6749).
//
// +kubebuilder:validation:XValidation:rule="self.grant == 'RefreshToken' ? has(self.refreshTokenRef) : !has(self.refreshTokenRef)",message="set refreshTokenRef with grant RefreshToken, and only then",fieldPath=".refreshTokenRef"
// +kubebuilder:validation:XValidation:rule="self.grant != 'ClientCredentials' || has(self.clientSecretRef)",message="set clientSecretRef: grant ClientCredentials needs it",fieldPath=".clientSecretRef"
type OAuth2 struct {
	// Grant is the kind of the OAuth 2 grant.
	// +required
	Grant OAuth2Grant `json:"grant"`

	// TokenURL is the token endpoint.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?(/[^?#\\\\s\\\\\\\\]*)?$')",message="write tokenURL as https://host/path: host in lower case, no query, fragment or user information"
	TokenURL string `json:"tokenURL"`

	// ClientID of the client.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	ClientID string `json:"clientID"`

	// ClientSecretRef is the client's secret. A public client with a refresh
	// token has none.
	// +optional
	ClientSecretRef *KeyReference `json:"clientSecretRef,omitempty"`

	// RefreshTokenRef is the first refresh token.
	// +optional
	RefreshTokenRef *KeyReference `json:"refreshTokenRef,omitempty"`

	// Scopes that are asked for. Left out, the token endpoint chooses.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:Pattern=`^[!#-\[\]-~]+$`
	Scopes []string `json:"scopes,omitempty"`

	// Audience that is asked for, where the token endpoint knows of it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Audience string `json:"audience,omitempty"`
}

// OAuth2Grant is a kind of OAuth 2 grant.
// +kubebuilder:validation:Enum=ClientCredentials;RefreshToken
type OAuth2Grant string

// The kinds of OAuth 2 grants.
const (
	GrantClientCredentials OAuth2Grant = "ClientCredentials"
	GrantRefreshToken      OAuth2Grant = "RefreshToken"
)

// AWSKeys are access keys.
type AWSKeys struct {
	// AccessKeyIDRef is the access key's id.
	// +required
	AccessKeyIDRef KeyReference `json:"accessKeyIDRef"`

	// SecretAccessKeyRef is the secret access key.
	// +required
	SecretAccessKeyRef KeyReference `json:"secretAccessKeyRef"`

	// SessionTokenRef is the session token of temporary keys.
	// +optional
	SessionTokenRef *KeyReference `json:"sessionTokenRef,omitempty"`
}

// ClientCertificate is a certificate with its private key.
type ClientCertificate struct {
	// CertRef is the certificate, with its chain, in PEM.
	// +required
	CertRef KeyReference `json:"certRef"`

	// KeyRef is the private key in PEM.
	// +required
	KeyRef KeyReference `json:"keyRef"`
}

// Inject is the place where a key is put into a request.
//
// +kubebuilder:validation:XValidation:rule="[has(self.bearer), has(self.header), has(self.basic), has(self.query), has(self.awsSigV4), has(self.clientCertificate)].filter(x, x).size() == 1",message="set exactly one of bearer, header, basic, query, awsSigV4 or clientCertificate"
type Inject struct {
	// Bearer puts it into Authorization: Bearer (RFC 6750).
	// +optional
	Bearer *BearerInjection `json:"bearer,omitempty"`

	// Header puts it into a header.
	// +optional
	Header *HeaderInjection `json:"header,omitempty"`

	// Basic makes it the password of Authorization: Basic (RFC 7617).
	// +optional
	Basic *BasicInjection `json:"basic,omitempty"`

	// Query makes it a query parameter. Logs of the upstream may hold it.
	// +optional
	Query *QueryInjection `json:"query,omitempty"`

	// AWSSigV4 signs requests with AWS Signature Version 4.
	// +optional
	AWSSigV4 *AWSSigV4Injection `json:"awsSigV4,omitempty"`

	// ClientCertificate presents it in the TLS handshake.
	// +optional
	ClientCertificate *ClientCertificateInjection `json:"clientCertificate,omitempty"`
}

// BearerInjection has no settings.
type BearerInjection struct{}

// HeaderInjection puts a key into a header.
type HeaderInjection struct {
	// Name of the header.
	// +required
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="!(self.lowerAscii() in ['host', 'connection', 'content-length', 'content-type', 'content-encoding', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'expect', 'keep-alive', 'proxy-connection', 'accept-encoding', 'cookie', 'forwarded'])",message="name a header that carries a credential: this one belongs to the message itself"
	Name string `json:"name"`

	// Template is the header's value, with {secret} once.
	// +optional
	// +kubebuilder:default="{secret}"
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[!-~]+( [!-~]+)*$`
	// +kubebuilder:validation:XValidation:rule="self.split('{secret}').size() == 2",message="write {secret} exactly once in template"
	Template string `json:"template,omitempty"`
}

// BasicInjection makes a key the password of HTTP Basic.
type BasicInjection struct {
	// Username that goes with it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[ -9;-~]+$`
	Username string `json:"username"`
}

// QueryInjection makes a key a query parameter.
type QueryInjection struct {
	// Name of the parameter.
	// +required
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._~-]+$`
	Name string `json:"name"`
}

// AWSSigV4Injection signs requests.
type AWSSigV4Injection struct {
	// Region that is signed for, such as eu-central-1.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9-]+$`
	Region string `json:"region"`

	// Service that is signed for, such as s3.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9-]+$`
	Service string `json:"service"`
}

// ClientCertificateInjection has no settings.
type ClientCertificateInjection struct{}
