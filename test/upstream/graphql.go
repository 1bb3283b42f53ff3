package upstream

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/graphql-go/graphql"
)

// graphql answers a document as GitHub does, by an implementation of its own:
// with fragments, aliases, variables and directives.
func (s *Server) graphql(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Query         string         `json:"query"`
		Variables     map[string]any `json:"variables"`
		OperationName string         `json:"operationName"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"message": "Problems parsing JSON"})
		return
	}
	answer(w, http.StatusOK, graphql.Do(graphql.Params{
		Schema: s.schema, RequestString: asked.Query, OperationName: asked.OperationName,
		VariableValues: asked.Variables, Context: context.WithValue(r.Context(), requestKey{}, r),
	}))
}

// requestKey is where the resolvers find the request.
type requestKey struct{}

func requestOf(p *graphql.ResolveParams) *http.Request {
	return p.Context.Value(requestKey{}).(*http.Request)
}

var (
	text     = &graphql.Field{Type: graphql.String}
	required = func(t graphql.Type) graphql.Type { return graphql.NewNonNull(t) }

	ref = graphql.NewObject(graphql.ObjectConfig{Name: "Ref", Fields: graphql.Fields{
		"id": &graphql.Field{Type: required(graphql.ID)}, "name": text,
	}})
	refs = graphql.NewObject(graphql.ObjectConfig{Name: "RefConnection", Fields: graphql.Fields{
		"nodes": &graphql.Field{Type: graphql.NewList(ref)},
	}})
	issue = graphql.NewObject(graphql.ObjectConfig{Name: "Issue", Fields: graphql.Fields{
		"number": &graphql.Field{Type: graphql.Int}, "title": text, "body": text,
	}})
	payload = func(of string) *graphql.Object {
		return graphql.NewObject(graphql.ObjectConfig{Name: of + "Payload", Fields: graphql.Fields{"clientMutationId": text}})
	}
	input = func(of string, fields graphql.InputObjectConfigFieldMap) graphql.FieldConfigArgument {
		fields["clientMutationId"] = &graphql.InputObjectFieldConfig{Type: graphql.String}
		return graphql.FieldConfigArgument{"input": &graphql.ArgumentConfig{
			Type: required(graphql.NewInputObject(graphql.InputObjectConfig{Name: of + "Input", Fields: fields})),
		}}
	}
	refUpdate = graphql.NewInputObject(graphql.InputObjectConfig{Name: "RefUpdate", Fields: graphql.InputObjectConfigFieldMap{
		"name":     &graphql.InputObjectFieldConfig{Type: required(graphql.String)},
		"afterOid": &graphql.InputObjectFieldConfig{Type: required(graphql.String)},
		"force":    &graphql.InputObjectFieldConfig{Type: graphql.Boolean},
	}})
)

// schemaOf is the part of GitHub's schema that s has.
func (s *Server) schemaOf() graphql.Schema {
	repository := graphql.NewObject(graphql.ObjectConfig{Name: "Repository", Fields: graphql.Fields{
		"id": &graphql.Field{Type: required(graphql.ID)}, "name": text,
		"issue": &graphql.Field{
			Type: issue, Args: graphql.FieldConfigArgument{"number": &graphql.ArgumentConfig{Type: required(graphql.Int)}},
			Resolve: func(p graphql.ResolveParams) (any, error) {
				return map[string]any{"number": p.Args["number"], "title": issueTitle, "body": s.Issue}, nil
			},
		},
		"refs": &graphql.Field{Type: refs, Args: graphql.FieldConfigArgument{
			"refPrefix": &graphql.ArgumentConfig{Type: required(graphql.String)}, "first": &graphql.ArgumentConfig{Type: graphql.Int},
		}},
	}})
	query := graphql.NewObject(graphql.ObjectConfig{Name: "Query", Fields: graphql.Fields{
		"repository": &graphql.Field{
			Type: repository, Resolve: s.repositoryNode,
			Args: graphql.FieldConfigArgument{
				"owner": &graphql.ArgumentConfig{Type: required(graphql.String)}, "name": &graphql.ArgumentConfig{Type: required(graphql.String)},
			},
		},
	}})
	mutation := graphql.NewObject(graphql.ObjectConfig{Name: "Mutation", Fields: graphql.Fields{
		"deleteRef": &graphql.Field{
			Type: payload("DeleteRef"), Resolve: s.deleteRef,
			Args: input("DeleteRef", graphql.InputObjectConfigFieldMap{"refId": &graphql.InputObjectFieldConfig{Type: required(graphql.ID)}}),
		},
		"updateRefs": &graphql.Field{
			Type: payload("UpdateRefs"), Resolve: s.updateRefs,
			Args: input("UpdateRefs", graphql.InputObjectConfigFieldMap{
				"repositoryId": &graphql.InputObjectFieldConfig{Type: required(graphql.ID)},
				"refUpdates":   &graphql.InputObjectFieldConfig{Type: required(graphql.NewList(refUpdate))},
			}),
		},
	}})
	schema, err := graphql.NewSchema(graphql.SchemaConfig{Query: query, Mutation: mutation})
	if err != nil {
		panic(err) // it is the same every time
	}
	return schema
}

func (s *Server) repositoryNode(p graphql.ResolveParams) (any, error) {
	owner, name := p.Args["owner"].(string), p.Args["name"].(string)
	branches, err := Branches(p.Context, s.dir(owner, name))
	if err != nil {
		return nil, errors.New("could not resolve to a Repository")
	}
	nodes := []map[string]any{}
	for _, b := range branches {
		nodes = append(nodes, map[string]any{"id": refID(owner, name, b), "name": b})
	}
	return map[string]any{"id": refID(owner, name, ""), "name": name, "refs": map[string]any{"nodes": nodes}}, nil
}

// refID says nothing to who does not know how it is made, as GitHub's do.
func refID(owner, name, branch string) string {
	return "REF_" + base64.RawURLEncoding.EncodeToString([]byte(owner+"/"+name+"/"+branch))
}

var errNode = errors.New("could not resolve to a node")

// branchOf undoes refID.
func (s *Server) branchOf(id string) (dir, branch string, err error) {
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(id, "REF_"))
	parts := strings.SplitN(string(text), "/", 3)
	if err != nil || len(parts) != 3 {
		return "", "", errNode
	}
	return s.dir(parts[0], parts[1]), parts[2], nil
}

// dir is where a repository lies. Root is made for the demo alone.
func (s *Server) dir(owner, name string) string {
	return filepath.Join(s.Root, filepath.Base(owner), filepath.Base(name)+".git")
}

func (s *Server) deleteRef(p graphql.ResolveParams) (any, error) {
	id, _ := p.Args["input"].(map[string]any)["refId"].(string)
	dir, branch, err := s.branchOf(id)
	if err != nil {
		did(requestOf(&p), "delete", id)
		return nil, err
	}
	return map[string]any{}, s.drop(requestOf(&p), dir, branch)
}

// updateRefs deletes those that are to have no commit any more, and does
// nothing else.
func (s *Server) updateRefs(p graphql.ResolveParams) (any, error) {
	in := p.Args["input"].(map[string]any)
	id, _ := in["repositoryId"].(string)
	dir, _, err := s.branchOf(id)
	if err != nil {
		return nil, err
	}
	updates, _ := in["refUpdates"].([]any)
	for _, one := range updates {
		u, _ := one.(map[string]any)
		name, _ := u["name"].(string)
		if after, _ := u["afterOid"].(string); strings.Trim(after, "0") == "" {
			err = errors.Join(err, s.drop(requestOf(&p), dir, strings.TrimPrefix(name, "refs/heads/")))
		}
	}
	return map[string]any{}, err
}

// drop deletes a branch.
func (s *Server) drop(r *http.Request, dir, branch string) error {
	did(r, "delete", "refs/heads/"+branch)
	if err := deleteBranch(r.Context(), dir, branch); err != nil {
		return errNode
	}
	return nil
}
