package http1_test

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/sallyport-dev/sallyport/sidecar/http1"
)

// relay carries one request from the agent to the upstream and its answer
// back. What a proxy decides, it decides between reading a header and writing
// one; here one field of the request is handed on, and all of the answer.
func relay(fromAgent *http1.Reader, toUpstream *http1.Writer, fromUpstream *http1.Reader, toAgent *http1.Writer) error {
	var request http1.RequestHead
	if err := fromAgent.ReadRequest(&request); err != nil {
		return err
	}
	toUpstream.Request(request.Method, []byte(request.Target), "api.example")
	for _, f := range request.Fields {
		if f.Name == "accept" || f.Name == "Accept" {
			toUpstream.Field(f.Name, f.Value)
		}
	}
	toUpstream.Field("Authorization", "Bearer real")
	toUpstream.Body(request.Framing)
	if err := copyBody(toUpstream, fromAgent.Body()); err != nil {
		return err
	}

	var answer http1.ResponseHead
	if err := fromUpstream.ReadResponse(&answer, request.Method); err != nil {
		return err
	}
	toAgent.Response(answer.Status, request.Method)
	for _, f := range answer.Fields {
		toAgent.Field(f.Name, f.Value)
	}
	if request.Close {
		toAgent.ConnectionClose()
	}
	toAgent.Body(answer.Framing)
	return copyBody(toAgent, fromUpstream.Body())
}

func copyBody(w *http1.Writer, b *http1.Body) error {
	if _, err := w.CopyBody(b, nil); err != nil {
		return err
	}
	return w.End()
}

func Example() {
	const limit = 32 << 10 // of a header, in bytes
	agent := strings.NewReader("POST /notes?draft=1 HTTP/1.1\r\nHost: 127.0.0.1:41234\r\n" +
		"accept:\t*/*  \r\nAuthorization: Bearer scoped\r\nConnection: keep-alive\r\nTransfer-Encoding: Chunked\r\n\r\n" +
		"0005\r\nhello\r\n7\r\n, world\r\n0\r\nX-Trailer: dropped\r\n\r\n")
	upstream := strings.NewReader("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" +
		"HTTP/1.1 201 Whatever\r\nLocation:  /notes/1 \r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\n{}")
	var toUpstream, toAgent strings.Builder

	err := relay(http1.NewReader(agent, limit), http1.NewWriter(&toUpstream),
		http1.NewReader(upstream, limit), http1.NewWriter(&toAgent))

	fmt.Println(err)
	fmt.Println(lines(&toUpstream))
	fmt.Println(lines(&toAgent))
	// Output:
	// <nil>
	// POST /notes?draft=1 HTTP/1.1
	// Host: api.example
	// accept: */*
	// Authorization: Bearer real
	// Transfer-Encoding: chunked
	//
	// c
	// hello, world
	// 0
	//
	// HTTP/1.1 201 Created
	// Location: /notes/1
	// Content-Length: 2
	//
	// {}
}

func lines(message *strings.Builder) string {
	return strings.TrimSuffix(strings.ReplaceAll(message.String(), "\r\n", "\n"), "\n")
}

// A relay that has to look at a body copies it piece by piece. What it holds is
// sent before it waits, so that an event of a stream is not kept back by the
// next one.
func ExampleBody_ReadBuffered() {
	upstream := strings.NewReader("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: key=secret\n")
	var toAgent strings.Builder
	r, w := http1.NewReader(upstream, 32<<10), http1.NewWriter(&toAgent)

	var answer http1.ResponseHead
	if err := r.ReadResponse(&answer, "GET"); err != nil {
		fmt.Println(err)
		return
	}
	w.Response(answer.Status, "GET")
	w.Body(http1.Framing{Kind: http1.Chunked}) // the length may change
	buf := make([]byte, 4<<10)
	for {
		n, err := r.Body().ReadBuffered(buf)
		if n == 0 && err == nil {
			w.Flush() // its error is kept for End
			n, err = r.Body().Read(buf)
		}
		w.Write(bytes.ReplaceAll(buf[:n], []byte("secret"), []byte("****")))
		if err != nil {
			fmt.Println(err)
			break
		}
	}
	fmt.Println(w.End())
	fmt.Println(lines(&toAgent))
	// Output:
	// EOF
	// <nil>
	// HTTP/1.1 200 OK
	// Transfer-Encoding: chunked
	//
	// f
	// data: key=****
	//
	// 0
}
