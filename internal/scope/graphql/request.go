package graphql

import (
	"sync"

	"github.com/sallyport-dev/sallyport/internal/scope/body"
	"github.com/sallyport-dev/sallyport/internal/scope/graphql/syntax"
	"github.com/sallyport-dev/sallyport/internal/scope/json"
)

var requests = sync.Pool{New: func() any { return &request{} }}

// keptText bounds the memory that is kept for the next request.
const keptText = 16 << 10

// Missing names what a request without a body lacks.
func (j *judge) Missing() string { return "field query" }

// Judge judges a request, whose body is JSON.
func (j *judge) Judge(b *body.Reading) body.Refusal {
	if b.Content().GraphQL == nil {
		return refused("no document can be read here")
	}
	q := requests.Get().(*request)
	defer func() {
		kept := q.text[:0]
		if cap(kept) > keptText {
			kept = nil
		}
		*q = request{text: kept}
		requests.Put(q)
	}()
	q.judge = j
	if detail, no := q.read(b.Document().Root(), b.Content().GraphQL); no {
		return refused(detail)
	}
	if detail, no := q.all(); no {
		return refused(detail)
	}
	return body.Refusal{}
}

func refused(detail string) body.Refusal { return body.Refusal{Reason: body.Refused, Detail: detail} }

// read takes the object of a request apart. What it does not know is refused:
// some servers run a stored document for it.
func (q *request) read(root json.Value, read func(text string) (*syntax.Document, error)) (detail string, refused bool) {
	if root.Kind() != json.Object {
		return "send one object with query, variables and operationName: a batch cannot be judged", true
	}
	var query, name json.Value
	for key, value := range root.Members {
		switch key {
		case "query":
			query = value
		case "variables":
			q.variables = value
		case "operationName":
			name = value
		default:
			return "send query, variables and operationName alone: remove " + syntax.Shown(key), true
		}
	}
	if query.Kind() != json.String {
		return "send the document as the text of query", true
	}
	var err error
	if q.document, err = read(query.Text(&q.text)); err != nil {
		return err.Error(), true
	}
	if detail, refused = q.named(name); refused {
		return detail, true
	}
	return q.given()
}

// named refuses the name of an operation that there is not, and the lack of
// one where several could be meant.
func (q *request) named(name json.Value) (detail string, refused bool) {
	operations := q.document.Operations()
	switch name.Kind() {
	case json.None, json.Null:
		if len(operations) > 1 {
			return "name the operation that is meant in operationName", true
		}
		return "", false
	case json.String:
		text := name.Text(&q.text)
		for i := range operations {
			if text != "" && operations[i].Name == text {
				return "", false
			}
		}
	}
	return "name an operation of the document in operationName, or leave it out", true
}

// given refuses variables that no operation declares, and null for one that
// has a default: servers do not agree on which of the two counts.
func (q *request) given() (detail string, refused bool) {
	switch q.variables.Kind() {
	case json.None, json.Null, json.Object:
	default:
		return "send variables as an object", true
	}
	operations := q.document.Operations()
	for name, value := range q.variables.Members {
		declared := false
		for i := range operations {
			v := operations[i].Variable(name)
			declared = declared || v != nil
			if v != nil && v.Default != nil && value.Kind() == json.Null {
				return "leave out the variable $" + syntax.Shown(name) + ", or give it a value: it has a default", true
			}
		}
		if !declared {
			return "leave out the variable $" + syntax.Shown(name) + ": no operation declares it", true
		}
	}
	return "", false
}
