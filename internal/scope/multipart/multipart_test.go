package multipart_test

import (
	"bytes"
	"errors"
	"io"
	"mime"
	stdmultipart "mime/multipart"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/scope/multipart"
)

// theirs reads a body with the standard library.
func theirs(body []byte, boundary string) (parts []multipart.Part, err error) {
	r := stdmultipart.NewReader(bytes.NewReader(body), boundary)
	for {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil {
			return nil, err
		}
		_, params, err := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(p)
		if err != nil {
			return nil, err
		}
		filename, has := params["filename"]
		parts = append(parts, multipart.Part{
			Name: params["name"], Filename: filename, HasFilename: has, Media: p.Header.Get("Content-Type"), Body: text,
		})
	}
}

// FuzzMultipart: whatever is read, the standard library reads to the same
// parts.
func FuzzMultipart(f *testing.F) {
	const a, b = "Content-Disposition: form-data; name=\"a\"", "Content-Disposition: form-data; name=\"b\"; filename=\"b.png\"\r\nContent-Type: image/png"
	for _, seed := range []string{
		"--x\r\n" + a + "\r\n\r\n1\r\n--x\r\n" + b + "\r\n\r\n\x00\xff\r\n--x--\r\n",
		"--x\r\n" + a + "\r\n\r\n\r\n--x--",
		"--x--\r\n", "--x--", "--x\r\n--x--", "", "--x", "--y\r\n" + a + "\r\n\r\n1\r\n--y--",
		"pre\r\n--x\r\n" + a + "\r\n\r\n1\r\n--x--\r\npost", "--x\n" + a + "\n\n1\n--x--\n", "--x \r\n" + a + "\r\n\r\n1\r\n--x--",
		"--x\r\n" + a + "\r\n\r\n1\n--x\r\n\r\n--x--", "--x\r\n" + a + "\r\n\r\n--xy\r\n--x--", "--x\r\n" + a + "\r\n\r\n1\r\n--xx\r\n--x--",
		"--x\r\n" + a + "\r\n\r\n1\r\n--x\r\n" + a + "\r\n\r\n2\r\n--x--", "--x\r\n" + a + "; name*=utf-8''b\r\n\r\n1\r\n--x--",
		"--x\r\ncontent-disposition:form-data;name=\"a b\";filename=\"c\"\r\n\r\n1\r\n--x--", "--x\r\n" + a + "\r\nX-More: 1\r\n\r\n1\r\n--x--",
		"--x\r\n" + a + "\r\n\r\n--\r\n\r\n--\r\n-x--\r\n--x--\r\n",
	} {
		f.Add([]byte(seed), "x")
	}
	var read multipart.Form
	f.Fuzz(func(t *testing.T, body []byte, boundary string) {
		if err := read.Parse(body, boundary); err != nil {
			return
		}
		want, err := theirs(body, boundary)
		if err != nil {
			t.Fatalf("%q is read here and not by mime/multipart: %v", body, err)
		}
		var got []multipart.Part
		for _, p := range read.Parts {
			p.Body = append([]byte{}, p.Body...)
			got = append(got, p)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-mime/multipart +got)\n%s", body, diff)
		}
	})
}

// TestWriters: what the standard library writes is read.
func TestWriters(t *testing.T) {
	var b bytes.Buffer
	w := stdmultipart.NewWriter(&b)
	field, _ := w.CreateFormField("kind")
	_, _ = io.WriteString(field, "avatar")
	file, _ := w.CreateFormFile("file", "a.png")
	_, _ = file.Write([]byte{0, 1, '\r', '\n', '-', '-'})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var read multipart.Form
	if err := read.Parse(b.Bytes(), w.Boundary()); err != nil || len(read.Parts) != 2 {
		t.Fatalf("%v, %+v", err, read.Parts)
	}
	if p := read.Parts[1]; p.Name != "file" || p.Filename != "a.png" || p.Media != "application/octet-stream" || len(p.Body) != 6 {
		t.Errorf("got %+v", p)
	}
}

func TestManyParts(t *testing.T) {
	for n, want := range map[int]bool{128: true, 129: false} {
		var b strings.Builder
		for i := range n {
			b.WriteString("--x\r\nContent-Disposition: form-data; name=\"" + strconv.Itoa(i) + "\"\r\n\r\n1\r\n")
		}
		var read multipart.Form
		if err := read.Parse([]byte(b.String()+"--x--"), "x"); (err == nil) != want {
			t.Errorf("%d parts: %v", n, err)
		}
	}
}

func TestBoundary(t *testing.T) {
	for boundary, want := range map[string]bool{
		"x": true, "----WebKitFormBoundary7MA4YWxkTrZu0gW": true, strings.Repeat("x", 70): true, "a'b+c_d-e.f": true,
		"": false, strings.Repeat("x", 71): false, "a b": false, "a\"b": false, "a:b": false, "a/b": false, "a=b": false, "a(b)": false, "\xc3\xa4": false,
	} {
		var read multipart.Form
		if err := read.Parse([]byte("--"+boundary+"--"), boundary); (err == nil) != want {
			t.Errorf("%q: %v", boundary, err)
		}
	}
}
