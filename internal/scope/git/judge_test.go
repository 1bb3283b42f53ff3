package git_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/scope"
	"github.com/sallyport-dev/sallyport/internal/scope/git"
)

const (
	none = "0000000000000000000000000000000000000000"
	oidA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	oidB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	caps = "\x00 report-status-v2 side-band-64k object-format=sha1 agent=git/2.47.0"
	pack = "PACK\x00\x00\x00\x02\x00\x00\x00\x00"
)

// packets writes lines as packets; "0000" and "0001" are a flush and a
// delimiter, and "PACK..." stands as it is.
func packets(lines ...string) string {
	var out strings.Builder
	for _, l := range lines {
		if l == "0000" || l == "0001" || strings.HasPrefix(l, "PACK") {
			out.WriteString(l)
			continue
		}
		fmt.Fprintf(&out, "%04x%s", len(l)+4, l)
	}
	return out.String()
}

func create(ref string) string { return none + " " + oidA + " " + ref }
func update(ref string) string { return oidA + " " + oidB + " " + ref }
func remove(ref string) string { return oidA + " " + none + " " + ref }

// policy grants: fetch of two repositories, push to one of them.
func policy(t testing.TB, profile scope.Profile, change func(*git.Spec)) *scope.Policy {
	t.Helper()
	push := git.Spec{
		Repos: scope.Matcher{In: []string{"acme/docs"}},
		Push: &git.Push{
			Refs: []string{"refs/heads/agent/**", "refs/tags/agent-*"}, Actions: []git.Action{git.Create, git.Update, git.Delete},
			MaxBytes: 1 << 20, MaxCommands: 3,
		},
	}
	if change != nil {
		change(&push)
	}
	p, err := scope.Compile(profile, []scope.Grant{
		{Name: "fetch", Git: &git.Spec{Repos: scope.Matcher{In: []string{"acme/web", "acme/docs"}}, Fetch: true, FetchBytes: 4096}},
		{Name: "push", Git: &push},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ask judges a request, whose body comes as it is asked for.
func ask(t testing.TB, p *scope.Policy, h scope.Head, text string, profile *scope.Profile) (scope.Decision, string) {
	t.Helper()
	var r scope.Request
	h.HasBody = text != ""
	if err := r.Parse(&h, profile); err != nil {
		return scope.Decision{Reason: scope.Malformed, Detail: err.Error()}, ""
	}
	d := p.Decide(&r)
	for n := int64(0); d.Verdict == scope.Undecided; n = d.Read {
		if d.Read <= n {
			t.Fatalf("asks for %d bytes behind %d", d.Read, n)
		}
		read := text[:min(len(text), int(d.Read))]
		d = p.DecideBody(&r, scope.Content{Data: []byte(read), Whole: len(read) == len(text)})
	}
	if d.Verdict == scope.Allow && text != "" && int64(len(text)) > d.Body.MaxBytes {
		return scope.Decision{Reason: scope.TooLarge, Detail: "the body is larger"}, ""
	}
	return d, string(scope.AppendTarget(nil, "", &r, &d))
}

func post(service, version string, more ...scope.Field) scope.Head {
	fields := append([]scope.Field{{Name: "Content-Type", Value: "application/x-" + service + "-request"}}, more...)
	if version != "" {
		fields = append(fields, scope.Field{Name: "Git-Protocol", Value: version})
	}
	return scope.Head{Method: "POST", Target: "/acme/docs.git/" + service, Fields: fields}
}

// TestPush judges the bodies of pushes. Beside each that passes stand its
// nearest misses.
func TestPush(t *testing.T) {
	const agent = "refs/heads/agent/x"
	for name, test := range map[string]struct {
		why  string
		body string
		want string // the beginning of the detail; empty: allowed
	}{
		"create":       {"granted", packets(create(agent)+caps, "0000", pack), ""},
		"line end":     {"git ends lines that way, too", packets(create(agent)+caps+"\n", "0000", pack), ""},
		"bare":         {"an old client asks for nothing", packets(create(agent), "0000", pack), ""},
		"update":       {"granted", packets(update(agent)+caps, "0000", pack), ""},
		"delete":       {"no pack follows", packets(remove(agent)+caps, "0000"), ""},
		"several":      {"each is granted", packets(create(agent)+caps, remove("refs/heads/agent/y/z"), update("refs/tags/agent-1"), "0000", pack), ""},
		"shallow":      {"it says what the client lacks", packets("shallow "+oidA, create(agent)+caps, "0000", pack), ""},
		"probe":        {"git asks so whether it may send more", "0000", ""},
		"version 3":    {"of the pack", packets(create(agent)+caps, "0000", "PACK\x00\x00\x00\x03"), ""},
		"sha256":       {"names are longer", packets(strings.Repeat("0", 64)+" "+strings.Repeat("a", 64)+" "+agent+"\x00object-format=sha256", "0000", pack), ""},
		"one too many": {"four of three", packets(create(agent)+caps, create(agent+"1"), create(agent+"2"), create(agent+"3"), "0000", pack), "the push has more than 3 commands"},

		"main":             {"not granted", packets(update("refs/heads/main")+caps, "0000", pack), "refs/heads/main may not be updated: no ref"},
		"second is bad":    {"all or nothing", packets(create(agent)+caps, remove("refs/heads/release-1"), "0000", pack), "refs/heads/release-1 may not be deleted: no ref"},
		"twice":            {"which one counts?", packets(create(agent)+caps, remove(agent), "0000", pack), "the push names refs/heads/agent/x twice"},
		"letter case":      {"refs have one", packets(create("refs/heads/Agent/x")+caps, "0000", pack), "refs/heads/Agent/x may not"},
		"root":             {"** is one segment or more", packets(create("refs/heads/agent")+caps, "0000", pack), "refs/heads/agent may not"},
		"HEAD":             {"it points to another ref", packets(update("HEAD")+caps, "0000", pack), "the push names HEAD, which is no ref"},
		"short":            {"git wants two components behind refs/", packets(create("refs/agent")+caps, "0000", pack), "the push names refs/agent, which"},
		"dots":             {"some file systems follow them", packets(create("refs/heads/agent/../main")+caps, "0000", pack), "the push names refs/heads/agent/../main, which"},
		"empty segment":    {"some readers skip it", packets(create("refs/heads/agent//x")+caps, "0000", pack), "the push names refs/heads/agent//x, which"},
		"lock":             {"git uses it", packets(create("refs/heads/agent/x.lock")+caps, "0000", pack), "the push names"},
		"line end inside":  {"git keeps it before a NUL", packets(create(agent+"\n")+caps, "0000", pack), "the push names refs/heads/agent/x?, which"},
		"control":          {"a terminal would act on it", packets(create("refs/heads/agent/\u009b2J")+caps, "0000", pack), "the push names refs/heads/agent/?2J, which"},
		"no UTF-8":         {"globs are", packets(create("refs/heads/agent/\xff")+caps, "0000", pack), "the push names"},
		"nothing":          {"created and deleted", packets(none+" "+none+" "+agent+caps, "0000"), "a command of the push creates and deletes"},
		"second NUL":       {"a ref hides behind it", packets(update("refs/heads/main")+"\x00"+agent+caps, "0000", pack), "the capabilities"},
		"later NUL":        {"git reads capabilities there as well", packets(create(agent)+caps, create(agent+"2")+"\x00 push-options", "0000", pack), "the capabilities"},
		"unknown":          {"a server may act on it", packets(create(agent)+"\x00 report-status delete-everything", "0000", pack), "the push asks for a capability"},
		"known twice":      {"readers differ", packets(create(agent)+"\x00 object-format=sha1 object-format=sha256", "0000", pack), "the capabilities"},
		"other hash":       {"nobody knows its length", packets(create(agent)+"\x00 object-format=md5", "0000", pack), "the push asks for a capability"},
		"tab":              {"git takes it for a space", packets(create(agent)+"\x00 report-status\tpush-options", "0000", pack), "the capabilities"},
		"upper case":       {"another spelling of an object", packets(strings.ToUpper(oidA)+" "+oidB+" "+agent+caps, "0000", pack), "a command of the push is not"},
		"short object":     {"what is the ref?", packets(oidA[:39]+" "+oidB+" "+agent+caps, "0000", pack), "a command of the push is not"},
		"two spaces":       {"what is the ref?", packets(oidA+"  "+oidB+" "+agent+caps, "0000", pack), "a command of the push is not"},
		"signed":           {"commands stand in the certificate", signed([]string{create(agent)}), ""},
		"signed, release":  {"commands stand in the certificate", packets(certified(remove("refs/heads/release-1"), signature)...) + "0000", "refs/heads/release-1 may not be deleted"},
		"signed, second":   {"all of them count", signed([]string{create(agent), update("refs/heads/main")}), "refs/heads/main may not be updated"},
		"signed, twice":    {"git takes the last signature, and what is before it for commands", packets(certified(create(agent), signature, update("refs/heads/main"), signature)...) + "0000" + pack, "the certificate"},
		"signed, beside":   {"which list counts?", packets(append(certified(create(agent), signature), update("refs/heads/main"))...) + "0000" + pack, "the push has commands beside"},
		"signed, before":   {"which list counts?", packets(append([]string{update("refs/heads/main") + caps}, certified(create(agent), signature)...)...) + "0000" + pack, "the capabilities"},
		"signed, after":    {"which list counts?", packets(update("refs/heads/main")+caps, "push-cert\n", "0000") + pack, "a command of the push is not"},
		"signed, open":     {"git takes a flush for its end", packets(certified(create(agent), signature)[:8]...) + "0000" + pack, "the certificate"},
		"signed, unsigned": {"commands go on to the end", packets(certified(create(agent))...) + "0000" + pack, "a command of the push is not"},
		"signed, no blank": {"where do commands begin?", packets(without(certified(create(agent), signature), "\n")...) + "0000" + pack, "the certificate"},
		"signed, pieces":   {"a line in two packets", packets(append(certified(create(agent), signature)[:2], "pusher", " a <a@example.com> 1 +0000\n")...) + "0000" + pack, "the certificate"},
		"signed, lines":    {"two lines in a packet", packets(append(certified(create(agent), signature)[:2], "pusher a\n\n"+update("refs/heads/main")+"\n")...) + "0000" + pack, "the certificate"},
		"signed, NUL":      {"git cuts there", packets(append(certified(create(agent), signature)[:2], "pusher a\x00b\n")...) + "0000" + pack, "the certificate"},
		"signed, unknown":  {"a server may act on it", packets(append(certified(create(agent), signature)[:2], "proxy a\n")...) + "0000" + pack, "the certificate"},
		"signed, version":  {"its lines may mean something else", packets("push-cert"+caps, "certificate version 0.2\n") + "0000" + pack, "the certificate"},
		"signed, options":  {"forges act on them", packets(append(certified(create(agent), signature)[:4], "push-option ci.skip\n", "\n", create(agent)+"\n", signature, "push-cert-end\n")...) + "0000" + pack, "push without --push-option"},
		"options":          {"forges act on them", packets(create(agent)+"\x00 report-status push-options", "0000", "ci.skip", "0000", pack), "push without --push-option"},
		"no options":       {"go-git asks for them and sends none", packets(create(agent)+"\x00 push-options", "0000", "0000", pack), ""},
		"only shallow":     {"it pushes nothing", packets("shallow "+oidA, "0000"), "the push has no command"},
		"late shallow":     {"git sends them first", packets(create(agent)+caps, "shallow "+oidA, "0000", pack), "a command of the push is not"},
		"pack in list":     {"the list is not at its end", packets(create(agent)+caps) + "001cPACKxxxxxxxxxxxxxxxxxxxx0000" + pack, "a command of the push is not"},
		"no flush":         {"where does the list end?", packets(create(agent)+caps, pack), "the push holds a packet of a length"},
		"cut":              {"the end is missing", packets(create(agent) + caps), "the push ends before"},
		"second list":      {"some server might read on", packets(create(agent)+caps, "0000", update("refs/heads/main"), "0000", pack), "what follows the list"},
		"after delete":     {"git sends nothing", packets(remove(agent)+caps, "0000", pack), "what follows the list"},
		"no pack":          {"objects are missing", packets(create(agent)+caps, "0000"), "what follows the list"},
		"after probe":      {"it is more than one", "0000" + packets(update("refs/heads/main"), "0000"), "what follows the list"},
		"length 3":         {"reserved", "0003" + packets(create(agent)+caps, "0000", pack), "the push holds a packet"},
		"delimiter":        {"there is none in a push", "0001" + packets(create(agent)+caps, "0000", pack), "the push holds a packet"},
		"sign":             {"some readers take it", "+0a5" + create(agent), "the push holds a packet"},
		"capital digits":   {"git writes small ones", strings.Replace(packets(create(agent)+caps+strings.Repeat(" agent=x", 1), "0000", pack), "00b", "00B", 1), "the push holds a packet"},
		"too long":         {"git's largest packet is shorter", "fff5" + strings.Repeat("x", 70000), "the push holds a packet"},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := ask(t, policy(t, scope.Profile{}, nil), post("git-receive-pack", ""), test.body, nil)
			if allowed := d.Verdict == scope.Allow; allowed != (test.want == "") || !strings.HasPrefix(d.Detail, test.want) {
				t.Errorf("%s: got %v %q", test.why, d.Verdict, d.Detail)
			}
		})
	}
}

// TestPushSettings judges by what one grant says and another does not.
func TestPushSettings(t *testing.T) {
	const agent = "refs/heads/agent/x"
	options := packets(create(agent)+"\x00 push-options report-status", "0000", "ci.skip", "x=y", "0000", pack)
	long := packets(create(agent)+caps) + packets(strings.Split(strings.Repeat(create("refs/heads/agent/"+strings.Repeat("n", 1000))+"|", 300), "|")[:300]...)
	for name, test := range map[string]struct {
		why    string
		change func(*git.Push)
		body   string
		want   string
	}{
		"options":             {"granted", func(p *git.Push) { p.AnyOption = true }, options, ""},
		"options, cut":        {"where do they end?", func(p *git.Push) { p.AnyOption = true }, options[:len(options)-len(pack)-4], "the push ends before"},
		"options, hidden":     {"a pack is to follow", func(p *git.Push) { p.AnyOption = true }, packets(create(agent)+"\x00 push-options", "0000", pack), "the push holds a packet"},
		"update alone":        {"deleting is another action", func(p *git.Push) { p.Actions = []git.Action{git.Update} }, packets(remove(agent), "0000"), agent + " may not be deleted: the grant allows this ref no Delete"},
		"create is no update": {"nor is creating", func(p *git.Push) { p.Actions = []git.Action{git.Update} }, packets(create(agent), "0000", pack), agent + " may not be created"},
		"long list":           {"it is read as far as it may go", func(p *git.Push) { p.MaxCommands = 1000 }, long + "0000", "the push names refs/heads/agent/" + strings.Repeat("n", 79) + "... twice"},
		"too large":           {"the pack is bounded", func(p *git.Push) { p.MaxBytes = 200 }, packets(create(agent)+caps, "0000", pack+strings.Repeat("x", 200)), "the body is larger"},
	} {
		t.Run(name, func(t *testing.T) {
			p := policy(t, scope.Profile{}, func(s *git.Spec) { test.change(s.Push) })
			d, _ := ask(t, p, post("git-receive-pack", ""), test.body, nil)
			if allowed := d.Verdict == scope.Allow; allowed != (test.want == "") || !strings.HasPrefix(d.Detail, test.want) {
				t.Errorf("%s: got %v %q", test.why, d.Verdict, d.Detail)
			}
		})
	}
}

func zipped(text string) string {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write([]byte(text)) // to memory
	_ = z.Close()
	return out.String()
}

// TestFetch judges the bodies of fetches.
func TestFetch(t *testing.T) {
	const first, second = "", "version=2"
	v2 := func(command string, lines ...string) string {
		return packets(append([]string{"command=" + command, "agent=git/2.47.0", "object-format=sha1", "0001"}, append(lines, "0000")...)...)
	}
	want := packets("want "+oidA+" multi_ack_detailed no-done side-band-64k thin-pack ofs-delta agent=git/2.47.0\n", "want "+oidB+"\n", "deepen 1\n", "0000", "have "+oidA+"\n", "0000", "done\n")
	for name, test := range map[string]struct {
		why, version, body string
		gzip               bool
		want               string
	}{
		"version 0":        {"granted", first, want, false, ""},
		"version 1":        {"the same", "version=1", want, false, ""},
		"version 2":        {"granted", second, v2("fetch", "thin-pack", "ofs-delta", "want "+oidA, "have "+oidB+"\n", "done"), false, ""},
		"refs":             {"granted", second, v2("ls-refs", "peel\n", "symrefs", "ref-prefix refs/heads/"), false, ""},
		"bare":             {"no arguments", second, packets("command=ls-refs\n", "0000"), false, ""},
		"gzip":             {"git does so with large ones", second, zipped(v2("fetch", "want "+oidA, "done")), true, ""},
		"gzip 0":           {"the same", first, zipped(want), true, ""},
		"probe":            {"git asks so whether it may send more", first, "0000", false, ""},
		"partial":          {"a filter", second, v2("fetch", "filter blob:none", "want "+oidA, "done"), false, ""},
		"bundles":          {"objects would come from elsewhere", second, v2("bundle-uri"), false, "the fetch has the command bundle-uri"},
		"packfile-uris":    {"the same", second, v2("fetch", "packfile-uris https", "want "+oidA), false, "the fetch asks for packfile-uris"},
		"server option":    {"who knows what it does", second, packets("command=fetch", "server-option=x", "0001", "done", "0000"), false, "the fetch asks for server-option"},
		"other argument":   {"of another command", second, v2("ls-refs", "want "+oidA), false, "the fetch asks for want"},
		"second request":   {"one is judged", second, v2("ls-refs") + v2("bundle-uri"), false, "something follows"},
		"cut":              {"the end is missing", second, strings.TrimSuffix(v2("ls-refs"), "0000"), false, "the request of the fetch is not made"},
		"no command":       {"it stands first", second, packets("agent=x", "command=bundle-uri", "0000"), false, "the request of the fetch is not made"},
		"as version 0":     {"the header says how it is read", first, v2("bundle-uri"), false, "the request of the fetch is not made"},
		"unknown ability":  {"nobody looked at it", first, packets("want "+oidA+" teleport", "0000"), false, "the fetch asks for teleport"},
		"unknown line":     {"nobody looked at it", first, packets("server-option=x", "0000"), false, "the request of the fetch is not made"},
		"two members":      {"some readers stop at the first", second, zipped(v2("ls-refs")) + zipped(v2("bundle-uri")), true, "the request of the fetch is not one whole gzip member"},
		"half a member":    {"it cannot be read", second, zipped(v2("ls-refs"))[:20], true, "the request of the fetch is not one whole gzip member"},
		"bomb":             {"it is bounded behind its coding", first, zipped(strings.Repeat("0000", 5000)), true, "the request of the fetch is too large"},
		"too large":        {"and before", first, strings.Repeat("0000", 1025), false, "the request of the fetch is too large"},
		"other version":    {"nobody knows how it is read", "version=3", v2("ls-refs"), false, "the value of the header Git-Protocol"},
		"several versions": {"servers take one of them", "version=1:version=2", v2("ls-refs"), false, "the value of the header Git-Protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			h := post("git-upload-pack", test.version)
			if test.gzip {
				h.Fields = append(h.Fields, scope.Field{Name: "Content-Encoding", Value: "gzip"})
			}
			d, _ := ask(t, policy(t, scope.Profile{}, nil), h, test.body, nil)
			if allowed := d.Verdict == scope.Allow; allowed != (test.want == "") || !strings.HasPrefix(d.Detail, test.want) {
				t.Errorf("%s: got %v %q", test.why, d.Verdict, d.Detail)
			}
		})
	}
}

// TestHead judges everything but bodies.
func TestHead(t *testing.T) {
	folding := scope.Profile{FoldPaths: []string{"/{owner}/{repo}"}}
	get := func(target string, fields ...scope.Field) scope.Head {
		return scope.Head{Method: "GET", Target: target, Fields: fields}
	}
	for name, test := range map[string]struct {
		why     string
		profile scope.Profile
		head    scope.Head
		forward string // empty: refused
	}{
		"refs":              {"granted", scope.Profile{}, get("/acme/web.git/info/refs?service=git-upload-pack"), "/acme/web.git/info/refs?service=git-upload-pack"},
		"without ending":    {"the same repository", scope.Profile{}, get("/acme/web/info/refs?service=git-upload-pack"), "/acme/web/info/refs?service=git-upload-pack"},
		"push":              {"granted", scope.Profile{}, get("/acme/docs/info/refs?service=git-receive-pack"), "/acme/docs/info/refs?service=git-receive-pack"},
		"version":           {"it says how answers look", scope.Profile{}, get("/acme/web/info/refs?service=git-upload-pack", scope.Field{Name: "git-protocol", Value: "version=2"}), "/acme/web/info/refs?service=git-upload-pack"},
		"folded":            {"one spelling goes upstream", folding, get("/ACME/Web.GIT/info/refs?service=git-upload-pack"), "/acme/web.git/info/refs?service=git-upload-pack"},
		"not folded":        {"nobody said so", scope.Profile{}, get("/ACME/web/info/refs?service=git-upload-pack"), ""},
		"push not granted":  {"fetching is", scope.Profile{}, get("/acme/web/info/refs?service=git-receive-pack"), ""},
		"files":             {"the dumb protocol is not judged", scope.Profile{}, get("/acme/web/info/refs"), ""},
		"a file":            {"the same", scope.Profile{}, get("/acme/web/HEAD"), ""},
		"an object":         {"the same", scope.Profile{}, get("/acme/web/objects/info/packs"), ""},
		"two services":      {"which one?", scope.Profile{}, get("/acme/docs/info/refs?service=git-upload-pack&service=git-receive-pack"), ""},
		"more":              {"nobody lists it", scope.Profile{}, get("/acme/web/info/refs?service=git-upload-pack&x=y"), ""},
		"spelled":           {"names have one spelling", scope.Profile{}, get("/acme/web/info/refs?Service=git-upload-pack"), ""},
		"archive":           {"another service", scope.Profile{}, get("/acme/web/info/refs?service=git-upload-archive"), ""},
		"other repository":  {"nobody grants it", scope.Profile{}, get("/acme/secret/info/refs?service=git-upload-pack"), ""},
		"wiki":              {"another repository", scope.Profile{}, get("/acme/web.wiki.git/info/refs?service=git-upload-pack"), ""},
		"two endings":       {"some servers cut both", scope.Profile{}, get("/acme/web.git.git/info/refs?service=git-upload-pack"), ""},
		"capital ending":    {"some servers cut it, too", scope.Profile{}, get("/acme/web.GIT/info/refs?service=git-upload-pack"), ""},
		"slash at the end":  {"another path", scope.Profile{}, get("/acme/web/info/refs/?service=git-upload-pack"), ""},
		"nothing before":    {"no repository", scope.Profile{}, get("/info/refs?service=git-upload-pack"), ""},
		"HEAD":              {"GET does not imply it", scope.Profile{}, scope.Head{Method: "HEAD", Target: "/acme/web/info/refs?service=git-upload-pack"}, ""},
		"POST":              {"it is no service", scope.Profile{}, scope.Head{Method: "POST", Target: "/acme/web/info/refs?service=git-upload-pack"}, ""},
		"GET of a service":  {"it is called by POST", scope.Profile{}, get("/acme/web/git-upload-pack"), ""},
		"large files":       {"another API", scope.Profile{}, scope.Head{Method: "POST", Target: "/acme/docs/info/lfs/objects/batch"}, ""},
		"call without body": {"it asks for nothing", scope.Profile{}, scope.Head{Method: "POST", Target: "/acme/docs/git-receive-pack"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, target := ask(t, policy(t, test.profile, nil), test.head, "", &test.profile)
			if target != test.forward || (d.Verdict == scope.Allow) != (test.forward != "") {
				t.Errorf("%s: got %v %q: forwards %q", test.why, d.Verdict, d.Detail, target)
			}
		})
	}
}

// TestMedia refuses what git does not send.
func TestMedia(t *testing.T) {
	good := packets(create("refs/heads/agent/x")+caps, "0000", pack)
	for name, test := range map[string]struct {
		why    string
		fields []scope.Field
		status int
	}{
		"none":        {"how is it read?", nil, 415},
		"fetch":       {"of another service", []scope.Field{{Name: "Content-Type", Value: "application/x-git-upload-pack-request"}}, 415},
		"JSON":        {"some servers would read that", []scope.Field{{Name: "Content-Type", Value: "application/json"}}, 415},
		"gzip":        {"git does not compress pushes", []scope.Field{{Name: "Content-Type", Value: "application/x-git-receive-pack-request"}, {Name: "Content-Encoding", Value: "gzip"}}, 415},
		"several":     {"which one?", []scope.Field{{Name: "Content-Type", Value: "application/x-git-receive-pack-request"}, {Name: "Content-Type", Value: "text/plain"}}, 415},
		"with length": {"a parameter that nobody knows", []scope.Field{{Name: "Content-Type", Value: "application/x-git-receive-pack-request; x=y"}}, 415},
	} {
		t.Run(name, func(t *testing.T) {
			h := scope.Head{Method: "POST", Target: "/acme/docs/git-receive-pack", Fields: test.fields}
			if d, _ := ask(t, policy(t, scope.Profile{}, nil), h, good, nil); d.Verdict == scope.Allow || d.Status != test.status {
				t.Errorf("%s: got %+v", test.why, d)
			}
		})
	}
}

// TestRepos: a glob reaches no repository by another name.
func TestRepos(t *testing.T) {
	yes := scope.Matcher{Glob: ptr("acme/**"), Except: []string{"acme/secret"}, FoldASCII: true}
	p, err := scope.Compile(scope.Profile{}, []scope.Grant{{Name: "all", Git: &git.Spec{Repos: yes, Fetch: true, FetchBytes: 1}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for repo, want := range map[string]string{
		"acme/a": "acme/a", "acme/A.git": "acme/a.git", "ACME/a/b.git": "acme/a/b.git", "acme/a.wiki.git": "acme/a.wiki.git",
		"acme/secret": "", "acme/Secret.git": "", "acme/secret.GIT": "", "acme/secret.git.git": "", "acme/secret.git/a": "",
		"acme/a/info/refs/b": "", "acme/secret/git-upload-pack/a": "", "acme/git-receive-pack": "", "acme": "", "acme/.git": "",
	} {
		_, target := ask(t, p, scope.Head{Method: "GET", Target: "/" + repo + "/info/refs?service=git-upload-pack"}, "", nil)
		if got, _ := strings.CutSuffix(strings.TrimPrefix(target, "/"), "/info/refs?service=git-upload-pack"); got != want {
			t.Errorf("%s: forwards %q, want %q", repo, got, want)
		}
	}
}

func ptr[T any](v T) *T { return &v }

// TestCompile says what cannot be enforced.
func TestCompile(t *testing.T) {
	good := func() git.Spec {
		return git.Spec{Repos: scope.Matcher{In: []string{"a"}}, Fetch: true, FetchBytes: 1, Push: &git.Push{
			Refs: []string{"refs/heads/*"}, Actions: []git.Action{git.Create}, MaxBytes: 1, MaxCommands: 1,
		}}
	}
	for name, test := range map[string]struct {
		want   string
		change func(*git.Spec)
	}{
		"all is well": {"", func(*git.Spec) {}},
		"zero":        {"git.repos: bound the value", func(s *git.Spec) { *s = git.Spec{Fetch: true, FetchBytes: 1} }},
		"nothing":     {"git: set fetch", func(s *git.Spec) { s.Fetch, s.Push = false, nil }},
		"presence":    {"git.repos: remove required", func(s *git.Spec) { s.Repos.Required = true }},
		"no bound":    {"git.fetch: bound", func(s *git.Spec) { s.FetchBytes = 0 }},
		"no refs":     {"git.push.refs: list a ref", func(s *git.Spec) { s.Push.Refs = nil }},
		"short refs":  {`git.push.refs: "main": write a glob`, func(s *git.Spec) { s.Push.Refs = []string{"main"} }},
		"no glob":     {`git.push.refs: "refs/**x": **`, func(s *git.Spec) { s.Push.Refs = []string{"refs/**x"} }},
		"no actions":  {"git.push.actions: list an action", func(s *git.Spec) { s.Push.Actions = nil }},
		"no action":   {`git.push.actions: "Force": list`, func(s *git.Spec) { s.Push.Actions = []git.Action{"Force"} }},
		"no bytes":    {"git.push.maxBytes: bound", func(s *git.Spec) { s.Push.MaxBytes = 0 }},
		"no commands": {"git.push.maxCommands: allow 1", func(s *git.Spec) { s.Push.MaxCommands = 0 }},
	} {
		s := good()
		test.change(&s)
		_, err := scope.Compile(scope.Profile{}, []scope.Grant{{Name: "g", Git: &s}}, nil)
		got := ""
		if err != nil {
			got = strings.TrimPrefix(err.Error(), "grants[g].")
		}
		if test.want == "" && got != "" || !strings.HasPrefix(got, test.want) || test.want != "" && got == "" {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

const signature = "-----BEGIN SSH SIGNATURE-----\n"

// certified are the packets of a signed push with these lines behind its header.
func certified(lines ...string) []string {
	out := []string{
		"push-cert" + caps, "certificate version 0.1\n", "pusher agent <agent@example.com> 1700000000 +0000\n",
		"pushee https://github.com/acme/docs\n", "nonce 1700000000-abc\n", "\n",
	}
	for _, line := range lines {
		out = append(out, strings.TrimSuffix(line, "\n")+"\n")
	}
	return append(out, "c2lnbmVk\n", "push-cert-end\n")
}

// signed is a push with these commands in its certificate.
func signed(commands []string) string {
	return packets(certified(append(commands, signature)...)...) + "0000" + pack
}

func without(lines []string, one string) []string {
	return slices.DeleteFunc(lines, func(line string) bool { return line == one })
}
