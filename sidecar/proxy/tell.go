package proxy

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bundle"
	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/text"
	"github.com/sallyport-dev/sallyport/sidecar/audit"
	"github.com/sallyport-dev/sallyport/sidecar/git"
	"github.com/sallyport-dev/sallyport/sidecar/http1"
	"github.com/sallyport-dev/sallyport/sidecar/lifetime"
	"github.com/sallyport-dev/sallyport/sidecar/mcp"
	"github.com/sallyport-dev/sallyport/sidecar/memory"
	"github.com/sallyport-dev/sallyport/sidecar/metrics"
)

// refusal is an answer of the sidecar's own. The zero refusal is none.
type refusal struct {
	reason scope.Reason
	status int    // 0: the usual one of the reason
	detail string // "": the usual one of the reason
	close  bool   // nothing more is read from the agent
	// retryAfter is in seconds; 0: as usual for the reason.
	retryAfter int
}

func (r refusal) is() bool { return r.reason != "" }

// telling is how a reason is told.
type telling struct {
	status     int
	title      string
	detail     string
	retryAfter int // in seconds; 0: not said
}

// answers are the reasons for which requests are refused. Nothing in them tells of the secret, of other grants or of what the
// upstream said.
var answers = map[scope.Reason]telling{
	scope.Malformed:           {400, "The request is malformed", "send one request that every server reads alike", 0},
	scope.Unauthenticated:     {401, "The token is missing or wrong", "send the token of this credential, and only that, where the upstream's own credential would go; read its file again if it is older than its lifetime", 0},
	scope.OutOfScope:          {403, "The request is out of scope", "no grant allows this method and path: ask the owner of the credential", 0},
	scope.ParameterRefused:    {403, "A part of the request is out of scope", "a grant has this method and path, but the query, headers or body do not pass", 0},
	scope.BeyondCeiling:       {403, "The request is beyond the ceiling", "the owner of the upstream does not allow this request to any agent", 0},
	scope.TooLarge:            {413, "The request is too large", "send a smaller request", 0},
	scope.TooSlow:             {408, "The request came too slowly", "send the whole request at once", 0},
	scope.RateLimited:         {429, "Too many requests", "too many requests are under way: wait for one to end", 1},
	scope.NotReady:            {503, "The credential is not ready", "the sidecar has not been given this credential yet: try again", 1},
	scope.LeaseExpired:        {503, "The lease is over", "the sidecar has been without news of this credential for too long: try again", 5},
	scope.Revoked:             {403, "The credential was withdrawn", "this credential is no longer given to this pod", 0},
	scope.Suspended:           {403, "The credential is suspended", "the owner of the credential has suspended it", 0},
	scope.Expired:             {403, "The credential has expired", "the time of this credential is over: ask its owner", 0},
	scope.VersionWentBack:     {403, "The credential went back in time", "an earlier version of this credential arrived, and the request does not pass both: ask its owner to change it anew", 0},
	scope.ClockSkew:           {503, "The clocks differ", "the clock of this node is not the cluster's: try again", 5},
	scope.Unrecorded:          {503, "The request could not be recorded", "no audit record could be written, and nothing is forwarded without one: try again", 5},
	scope.DestinationRefused:  {502, "The upstream's address is refused", "the upstream's name leads to an address that no credential is sent to", 0},
	scope.UpstreamUnreachable: {502, "The upstream cannot be reached", "no connection to the upstream could be made, secured or kept", 0},
	scope.UpstreamTimeout:     {504, "The upstream is too slow", "the upstream did not answer in time", 0},
	scope.AnswerRefused:       {502, "The answer cannot be passed on", "the upstream answered in a way that is not passed on", 0},
}

// elsewhere tells of a reason that is not one of requests, such as those of
// conditions: it denies like any other.
var elsewhere = telling{403, "The credential is not available", "this credential is not available to this pod: ask its owner", 0}

func answerTo(r refusal) telling {
	a, ok := answers[r.reason]
	if !ok {
		a = elsewhere
	}
	if r.status != 0 {
		a.status = r.status
	}
	if r.detail != "" {
		a.detail = r.detail
	}
	if r.retryAfter != 0 {
		a.retryAfter = r.retryAfter
	}
	return a
}

// crowded is the refusal of a body that there is no memory for.
var crowded = refusal{reason: scope.RateLimited, detail: "the bodies of other requests fill the sidecar's memory: wait for one to end", close: true}

// unheld is that of an answer.
var unheld = refusal{reason: scope.AnswerRefused, detail: "the sidecar has no memory left to read the answer whole: wait for other requests to end, or ask for less"}

// malformed is the refusal of a request that could not be read, by whose
// fault it was.
func malformed(err error) refusal {
	if errors.Is(err, memory.ErrFull) {
		return crowded
	}
	e := (*http1.Error)(nil)
	if !errors.As(err, &e) {
		return refusal{reason: scope.Malformed, close: true}
	}
	r := refusal{reason: scope.Malformed, status: e.Status, detail: e.Msg, close: true}
	switch e.Status {
	case 408:
		r.reason = scope.TooSlow
	case 413, 414, 431:
		r.reason = scope.TooLarge
	}
	return r
}

// unread refuses what is no request. A connection that failed before anything
// of a request came is closed without a word.
func (c *conn) unread(err error) bool {
	e := (*http1.Error)(nil)
	if !errors.As(err, &e) {
		return false
	}
	return c.refuse(nil, malformed(err))
}

// drainable is how much of a refused request's body is read, so that the
// connection can be used again and a malformed body is told as such; and
// drainablePack how much where the client reads no answer before it has sent
// all of a pack.
const (
	drainable     = 64 << 10
	drainablePack = 1 << 30
)

// refuse answers a request of which nothing was forwarded, and tells whether
// another may follow.
func (c *conn) refuse(d *scope.Decision, why refusal) bool {
	why = c.settle(why)
	c.stats().Denied(why.reason)
	if c.record(audit.Decision, d, why) != nil {
		why.reason, why.status, why.detail = scope.Unrecorded, 0, ""
	}
	return c.tell(why)
}

// fail answers a request that was allowed and that the sidecar cannot bring to
// its end.
func (c *conn) fail(why refusal) bool {
	c.stats().Failed(why.reason)
	// The request ends in a refusal either way.
	_ = c.record(audit.Outcome, nil, why)
	return c.tell(why)
}

// settle reads the rest of a refused request, or gives the connection up.
func (c *conn) settle(why refusal) refusal {
	framing, most := c.head.Framing, int64(drainable)
	if git.Reports(c.asked()) {
		most = drainablePack
	}
	switch {
	case why.close || c.drained():
	case c.head.ExpectContinue || framing.Kind == http1.Sized && framing.Length > most:
		why.close = true
	default:
		e := (*http1.Error)(nil)
		switch err := c.reader.Body().Discard(most); {
		case errors.As(err, &e) && e.Status == 413:
			why.close = true
		case err != nil:
			why = malformed(err)
		}
	}
	return why
}

// tell writes a refusal.
func (c *conn) tell(why refusal) bool {
	if c.call != nil {
		return c.tellCall(why)
	}
	if c.life.Why() != lifetime.Alive {
		why.close = true
		c.revive()
	}
	a := answerTo(why)
	media := c.word(why.reason, &a)
	closing := why.close || c.closing()
	c.tellHead(a, media, closing)
	if c.head.Method != "HEAD" {
		_, _ = c.writer.Write(c.problem) // End tells
	}
	if c.writer.End() != nil {
		return false
	}
	if closing {
		c.linger()
	}
	return !closing
}

// problemMedia says the charset although JSON has but one: a client library that
// does not know the media type (Octokit) shows the text where it is told that it
// is text, and "Unknown error" otherwise.
const problemMedia = "application/problem+json; charset=utf-8"

// word puts a refusal into words that the client shows, and returns their media
// type.
func (c *conn) word(reason scope.Reason, a *telling) string {
	if c.wordMCP(reason, a) {
		return "application/json"
	}
	told := git.Tell(c.asked(), &git.Refusal{Status: a.status, Title: a.title, Detail: a.detail, Reason: string(reason), ID: string(c.id[:])})
	if told.Status == 0 {
		c.problem = c.appendProblem(c.problem[:0], reason, *a)
		return problemMedia
	}
	a.status = told.Status
	c.problem = append(c.problem[:0], told.Body...)
	return told.MediaType
}

// asked is the request as far as the protocol of git knows it.
func (c *conn) asked() *git.Request {
	return &git.Request{Method: c.head.Method, Path: string(c.path), Accept: c.field("Accept"), Body: c.body}
}

// tellHead writes the head of a refusal.
func (c *conn) tellHead(a telling, media string, closing bool) {
	w := c.writer
	w.Response(a.status, c.head.Method)
	w.Field("Content-Type", media)
	w.Field("Cache-Control", "no-store")
	if a.retryAfter > 0 {
		w.Field("Retry-After", strconv.Itoa(a.retryAfter))
	}
	if v := c.view; a.status == 401 && v.swap != nil && v.swap.Challenge() != "" {
		w.Field("WWW-Authenticate", v.swap.Challenge())
	}
	if closing {
		w.ConnectionClose()
	}
	w.Body(http1.Framing{Kind: http1.Sized, Length: int64(len(c.problem))})
}

// appendProblem appends a problem document (RFC 9457).
func (c *conn) appendProblem(dst []byte, reason scope.Reason, a telling) []byte {
	dst = append(dst, `{"type":`...)
	dst = audit.AppendString(dst, "https://sallyport.dev/reasons/"+string(reason))
	dst = append(dst, `,"title":`...)
	dst = audit.AppendString(dst, a.title)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(a.status), 10)
	dst = append(dst, `,"detail":`...)
	dst = audit.AppendString(dst, a.detail)
	dst = append(dst, `,"credential":`...)
	dst = audit.AppendString(dst, c.listener.holder.name)
	dst = append(dst, `,"reason":`...)
	dst = audit.AppendString(dst, string(reason))
	dst = append(dst, `,"requestId":`...)
	dst = audit.AppendString(dst, c.id[:])
	return append(dst, '}', '\n')
}

// record writes what was decided about the request.
func (c *conn) record(event audit.Event, d *scope.Decision, why refusal) error {
	l := c.listener
	r := audit.Record{
		Time: c.began, Event: event, ID: c.id[:], Token: c.jti, Credential: l.holder.name, Endpoint: l.endpoint,
		Reason: why.reason, Method: c.head.Method, Path: c.path, Pod: c.server.options.Pod, Traffic: c.moved,
	}
	if event == audit.Outcome {
		r.Time = time.Now()
	}
	r.Trace, r.Span = c.trace()
	if d != nil {
		r.Verdict, r.Grants = d.Verdict, d.Grants
	}
	if why.is() {
		r.Verdict = scope.Deny
	}
	err := c.server.options.Audit.Write(&r)
	if err != nil {
		c.server.log.Error("recording failed", "credential", l.holder.name, "error", err)
	}
	return err
}

// trace returns what the agent says this request is part of. Where it says so
// twice, neither counts. It is recorded, never forwarded.
func (c *conn) trace() (trace, span string) {
	times := 0
	for i := range c.head.Fields {
		if f := &c.head.Fields[i]; text.EqualFold(f.Name, "Traceparent") {
			trace, span, _ = audit.TraceOf(f.Value)
			times++
		}
	}
	if times > 1 {
		return "", ""
	}
	return trace, span
}

// Metrics adds what the server has counted to t.
func (s *Server) Metrics(t *metrics.Text) {
	var list []metrics.Holder
	for _, h := range s.sorted() {
		list = append(list, s.shown(h))
	}
	if s.proxied() {
		list = append(list, metrics.Holder{Credential: &s.nobody.stats})
	}
	t.Holders(list)
	for _, g := range []struct {
		name, help string
		value      int64
	}{
		{"sallyport_connections", "Connections of agents.", int64(s.connections())},
		{"sallyport_connections_limit", "How many of HTTP/1.1 may be open; others count eight times.", s.places},
		{"sallyport_exchanges", "Requests that were let in and are not over, of all credentials.", s.exchanges.Load()},
		{"sallyport_exchanges_limit", "How many of them there may be.", s.nobody.most},
		{"sallyport_held_bytes", "What is held of bodies and messages that are read whole.", s.memory.Held()},
		{"sallyport_held_bytes_limit", "How much of them may be.", s.memory.Size()},
		{"sallyport_tunnels", "Tunnels that are open to where no credential is for.", s.tunnels.Load()},
		{"sallyport_tunnels_limit", "How many of them may be open.", maxTunnels},
	} {
		t.Family(g.name, "gauge", g.help)
		t.Sample(g.name, float64(g.value))
	}
}

// shown is a credential as metrics have it.
func (s *Server) shown(h *holder) metrics.Holder {
	out := metrics.Holder{Credential: &h.stats, InFlight: h.inFlight.Load()}
	out.Namespace, out.Name, _ = strings.Cut(h.name, "/")
	if l := h.lease.Load(); l != nil {
		out.LeaseEnds = max(0, l.Ends().Unix())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.held != nil {
		out.Limit, out.Generation, out.Applied = h.held.Limits.Concurrency, h.held.Generation, h.at.Unix()
	}
	return out
}

// Seen counts what was denied since it was called before. It is not to be
// called concurrently.
func (s *Server) Seen() (all []bundle.Seen) {
	for _, h := range s.sorted() {
		h.stats.News(func(r scope.Reason, n uint64) {
			all = append(all, bundle.Seen{Credential: h.name, Reason: r, Count: n})
		})
	}
	return all
}

func (s *Server) sorted() []*holder {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.holders), func(a, b *holder) int { return strings.Compare(a.name, b.name) })
}

// Patience with what an agent sends behind its last answer.
const (
	lingerTimeout = 2 * time.Second
	lingerBytes   = 4 << 20
)

// revive lets a connection whose life has ended say so.
func (c *conn) revive() { _ = c.agent.SetDeadline(time.Now().Add(lingerTimeout)) }

// linger lets the agent read the answer before the connection is reset for
// what it sent besides.
func (c *conn) linger() {
	half, ok := c.agent.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.agent.SetReadDeadline(time.Now().Add(lingerTimeout)) != nil {
		return
	}
	var scratch [4 << 10]byte
	for left := lingerBytes; left > 0; {
		n, err := c.agent.Read(scratch[:])
		if err != nil {
			return
		}
		left -= n
	}
}

// tellEvent ends a stream of events with a refusal.
func (c *conn) tellEvent(why refusal) error {
	c.stats().Failed(why.reason)
	_ = c.record(audit.Outcome, nil, why) // the exchange ends here either way
	a := answerTo(why)
	c.problem = c.appendError(c.problem[:0], why.reason, &a)
	_, _ = c.writer.Write(c.masking.Rest()) // its error sticks
	_, _ = c.writer.Write(mcp.AppendEvent(nil, c.problem))
	return c.writer.End()
}
