package sigv4

import (
	"strings"
	"testing"
	"time"
)

const (
	suiteKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	suiteID  = "AKIDEXAMPLE"
	s3Key    = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	s3ID     = "AKIAIOSFODNN7EXAMPLE"
	nothing  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// suite is the service of AWS's test suite (aws-sig-v4-test-suite) at its time.
func suite() Verifier {
	return Verifier{Region: "us-east-1", Service: "service", AccessKeyID: suiteID, SecretAccessKey: suiteKey, Loose: true, Now: at("20150830T123600Z")}
}

// s3 is that of the examples in the documentation of S3.
func s3() Verifier {
	return Verifier{Region: "us-east-1", Service: "s3", AccessKeyID: s3ID, SecretAccessKey: s3Key, Now: at("20130524T000000Z")}
}

func at(text string) func() time.Time {
	t, err := time.Parse("20060102T150405Z", text)
	if err != nil {
		panic(err)
	}
	return func() time.Time { return t }
}

// signed is a request of the suite with its signature.
func signed(first, fields, headers, signature, body string) string {
	return first + " HTTP/1.1\r\nHost: example.amazonaws.com\r\nX-Amz-Date: 20150830T123600Z\r\n" + fields +
		"Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=" + headers +
		", Signature=" + signature + "\r\n\r\n" + body
}

func objects(first, fields, headers, signature, body string) string {
	return first + " HTTP/1.1\r\nHost: examplebucket.s3.amazonaws.com\r\nx-amz-date: 20130524T000000Z\r\n" + fields +
		"Authorization: AWS4-HMAC-SHA256 Credential=" + s3ID + "/20130524/us-east-1/s3/aws4_request,SignedHeaders=" + headers +
		",Signature=" + signature + "\r\n\r\n" + body
}

// vectors were published by AWS: the test suite's by its names, those of the
// documentation by what they do.
var vectors = map[string]struct {
	v   Verifier
	raw string
}{
	"get-vanilla":                        {suite(), signed("GET /", "", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", "")},
	"get-vanilla-query-order-key-case":   {suite(), signed("GET /?Param2=value2&Param1=value1", "", "host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500", "")},
	"get-unreserved":                     {suite(), signed("GET /-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "", "host;x-amz-date", "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f", "")},
	"post-vanilla":                       {suite(), signed("POST /", "", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b", "")},
	"post-vanilla-query":                 {suite(), signed("POST /?Param1=value1", "", "host;x-amz-date", "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11", "")},
	"post-x-www-form-urlencoded":         {suite(), signed("POST /", "Content-Type: application/x-www-form-urlencoded\r\n", "content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a", "Param1=value1")},
	"get-header-value-trim":              {suite(), signed("GET /", "My-Header1:  value1\r\nMy-Header2: \"a   b   c\"\r\n", "host;my-header1;my-header2;x-amz-date", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736", "")},
	"documentation of S3, GET object":    {s3(), objects("GET /test.txt", "Range: bytes=0-9\r\nx-amz-content-sha256: "+nothing+"\r\n", "host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", "")},
	"documentation of S3, GET lifecycle": {s3(), objects("GET /?lifecycle", "x-amz-content-sha256: "+nothing+"\r\n", "host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", "")},
	"documentation of S3, list":          {s3(), objects("GET /?max-keys=2&prefix=J", "x-amz-content-sha256: "+nothing+"\r\n", "host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7", "")},
	"documentation of S3, PUT object":    {s3(), objects("PUT /test%24file.text", "Date: Fri, 24 May 2013 00:00:00 GMT\r\nx-amz-storage-class: REDUCED_REDUNDANCY\r\nx-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072\r\n", "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd", "Welcome to Amazon S3.")},
}

func TestVectors(t *testing.T) {
	for name, test := range vectors {
		r, err := Parse([]byte(test.raw))
		if err != nil {
			t.Fatal(err)
		}
		if err := test.v.Verify(r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRefuses changes one thing of what was signed.
func TestRefuses(t *testing.T) {
	for name, test := range map[string]struct{ vector, from, to string }{
		"method":          {"get-vanilla", "GET", "PUT"},
		"path":            {"get-unreserved", "/-", "/%2D"}, // another spelling is another path
		"query":           {"post-vanilla-query", "value1", "value2"},
		"header":          {"get-header-value-trim", "a   b", "a   c"},
		"body":            {"post-x-www-form-urlencoded", "\nParam1=value1", "\nParam1=value2"},
		"key of S3":       {"documentation of S3, GET object", "/test.txt", "/tesu.txt"},
		"body of S3":      {"documentation of S3, PUT object", "Welcome to", "Welcome at"},
		"date":            {"get-vanilla", "Date: 20150830T1236", "Date: 20150830T1237"},
		"skew":            {"get-vanilla", "Date: 20150830T1236", "Date: 20150830T1336"},
		"region":          {"get-vanilla", "us-east-1", "us-east-2"},
		"service":         {"get-vanilla", "/service", "/s3"},
		"id":              {"get-vanilla", "AKIDEXAMPLE", "AKIDEXAMPLF"},
		"not signed":      {"documentation of S3, GET object", "Range:", "X-Amz-Acl: public-read\r\nRange:"},
		"no digest":       {"documentation of S3, GET object", "x-amz-content-sha256: " + nothing + "\r\n", ""},
		"two signatures":  {"get-vanilla", "Authorization: ", "Authorization: x\r\nAuthorization: "},
		"another token":   {"get-vanilla", "Authorization: ", "X-Amz-Security-Token: x\r\nAuthorization: "},
		"query signature": {"documentation of S3, list", "prefix=J", "prefix=J&X-Amz-Signature=0"},
	} {
		vector := vectors[test.vector]
		raw := strings.Replace(vector.raw, test.from, test.to, 1)
		if raw == vector.raw {
			t.Fatalf("%s: nothing was changed", name)
		}
		r, err := Parse([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		if vector.v.Verify(r) == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
