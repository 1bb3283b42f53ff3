// Package upstream is a small server in the shape of GitHub: issues and branch
// references over REST and GraphQL, git over smart HTTP, and tools of MCP, all
// on one real bare repository. It is what the demo and the end-to-end tests
// attack. One key may do everything.
package upstream

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"strings"

	"github.com/graphql-go/graphql"
)

// Server serves the repositories below Root. It may be used concurrently.
type Server struct {
	// Root holds OWNER/NAME.git, bare repositories.
	Root string
	// Key is the one key, as a Bearer token or as a Basic password.
	Key string
	// Issue is the text of every issue.
	Issue string
	// Record is called once for each request, after it was answered.
	Record func(Entry)

	schema graphql.Schema
}

// Entry is one request as the server saw it.
type Entry struct {
	Method     string `json:"method"`
	Path       string `json:"path"`
	Status     int    `json:"status"`
	Authorized bool   `json:"authorized"`
	// Does is what it asks to be done to refs, as the server has understood it:
	// "delete refs/heads/main", in the order of the request.
	Does []string `json:"does,omitempty"`
}

const issueTitle = "Release notes are out of date"

// Handler returns the routes of s. It is called once.
func (s *Server) Handler() http.Handler {
	s.schema = s.schemaOf()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /repos/{owner}/{repo}", s.repository)
	mux.HandleFunc("GET /repos/{owner}/{repo}/issues/{number}", s.issue)
	mux.HandleFunc("POST /repos/{owner}/{repo}/issues/{number}/comments", s.comment)
	mux.HandleFunc("GET /repos/{owner}/{repo}/branches", s.branches)
	mux.HandleFunc("DELETE /repos/{owner}/{repo}/git/refs/heads/{branch...}", s.deleteBranch)
	mux.HandleFunc("POST /graphql", s.graphql)
	mux.HandleFunc("POST "+MCPPath, s.mcp)
	mux.Handle("/{owner}/{repo}/", s.git())
	return s.guard(mux)
}

// guard asks for the key and records what came.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := Entry{Method: r.Method, Path: r.URL.Path, Authorized: s.authorized(r)}
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		r, does := withDeeds(r)
		if e.Authorized {
			next.ServeHTTP(sw, r)
		} else {
			sw.Header().Set("WWW-Authenticate", `Basic realm="upstream"`)
			answer(sw, http.StatusUnauthorized, map[string]string{"message": "Bad credentials"})
		}
		e.Status, e.Does = sw.status, *does
		s.Record(e)
	})
}

func (s *Server) authorized(r *http.Request) bool {
	_, key, basic := r.BasicAuth()
	if !basic {
		key = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	return subtle.ConstantTimeCompare([]byte(key), []byte(s.Key)) == 1
}

func (s *Server) repository(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"full_name": r.PathValue("owner") + "/" + r.PathValue("repo"), "default_branch": "main",
	})
}

func (s *Server) issue(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"number": r.PathValue("number"), "title": issueTitle, "body": s.Issue,
	})
}

func (s *Server) comment(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusCreated, map[string]any{"issue": r.PathValue("number")})
}

func (s *Server) branches(w http.ResponseWriter, r *http.Request) {
	names, err := Branches(r.Context(), s.repo(r))
	if err != nil {
		answer(w, http.StatusNotFound, map[string]string{"message": "Not Found"})
		return
	}
	list := make([]map[string]string, 0, len(names))
	for _, n := range names {
		list = append(list, map[string]string{"name": n})
	}
	answer(w, http.StatusOK, list)
}

func (s *Server) deleteBranch(w http.ResponseWriter, r *http.Request) {
	if err := s.drop(r, s.repo(r), r.PathValue("branch")); err != nil {
		answer(w, http.StatusUnprocessableEntity, map[string]string{"message": "Reference does not exist"})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// repo is where the repository of a request lies.
func (s *Server) repo(r *http.Request) string {
	return s.dir(r.PathValue("owner"), r.PathValue("repo"))
}

// git serves smart HTTP by git's own program.
func (s *Server) git() http.Handler {
	program, err := exec.LookPath("git")
	if err != nil {
		return http.NotFoundHandler()
	}
	return whole(commands(&cgi.Handler{
		Path: program,
		Args: []string{"http-backend"},
		Env: []string{
			"GIT_PROJECT_ROOT=" + s.Root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=demo",
			"GIT_CONFIG_COUNT=2",
			"GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
			"GIT_CONFIG_KEY_1=http.receivepack", "GIT_CONFIG_VALUE_1=true",
		},
		InheritEnv: []string{"PATH"},
	}))
}

// whole gives next requests of a known length: large pushes come in chunks,
// which CGI does not have.
func whole(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength >= 0 {
			next.ServeHTTP(w, r)
			return
		}
		file, err := os.CreateTemp("", "upstream-")
		if err != nil {
			answer(w, http.StatusInternalServerError, map[string]string{"message": "no room"})
			return
		}
		defer func() {
			_ = file.Close()
			_ = os.Remove(file.Name())
		}()
		r.ContentLength, err = io.Copy(file, r.Body)
		if _, back := file.Seek(0, io.SeekStart); err != nil || back != nil {
			answer(w, http.StatusBadRequest, map[string]string{"message": "half a request"})
			return
		}
		r.Body, r.TransferEncoding = file, nil
		next.ServeHTTP(w, r)
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets an http.ResponseController reach the writer below.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(fmt.Sprintf("upstream: writing an answer: %v", err)) // ends this exchange alone
	}
}
