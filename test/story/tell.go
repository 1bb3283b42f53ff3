package story

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/test/upstream"
)

// Widths of the columns. The last one may be wider, up to lineWidth.
const (
	labelWidth = 58
	cellWidth  = 25
)

// tone says how a cell is meant, to a reader who sees colours.
type tone int

const (
	plain tone = iota
	good
	bad
	bold
)

var escapes = map[tone]string{good: "\x1b[32m", bad: "\x1b[31m", bold: "\x1b[1m"}

// teller writes the story in two columns.
type teller struct {
	w      io.Writer
	colour bool
}

// Tell writes both acts side by side: what the agent says that it did, what is
// left, what the upstream saw, and what is on record. It fits 120 columns.
func Tell(w io.Writer, without, with *Act, key string, colour bool) {
	t := &teller{w, colour}
	t.line("\nOne agent, one issue, played twice. At the end of the issue stands, where no reader of the page sees it:")
	t.line("    " + hiddenText() + "\n")
	t.row(bold, "", cell{"WITHOUT SALLYPORT", bold}, cell{"WITH SALLYPORT", bold})
	t.row(plain, "", cell{"the agent holds the key", plain}, cell{"the agent holds a token", plain})
	acts := [2]*Act{without, with}
	t.table("What the agent did, by its own account", acts, (*Act).did)
	t.said(with)
	t.table("Branches that are left in the repository", acts, (*Act).left)
	t.table("What the upstream saw, by its own log", acts, (*Act).saw)
	t.table("The real key", acts, func(a *Act, g *grid, column int) { a.held(g, column, key) })
	t.audit(with)
}

// hiddenText is the first line of it.
func hiddenText() string {
	_, hidden, _ := strings.Cut(Issue, "<!--")
	first, _, _ := strings.Cut(hidden, "\n")
	return "<!--" + first + " ..."
}

func (t *teller) line(text string) { _, _ = fmt.Fprintln(t.w, text) }

type cell struct {
	text string
	tone tone
}

func (t *teller) row(label tone, text string, cells ...cell) {
	line := "  " + t.paint(fmt.Sprintf("%-*s", labelWidth, text), label)
	for _, c := range cells {
		line += "  " + t.paint(fmt.Sprintf("%-*s", cellWidth, c.text), c.tone)
	}
	t.line(strings.TrimRight(line, " "))
}

func (t *teller) paint(text string, tone tone) string {
	if !t.colour || tone == plain {
		return text
	}
	return escapes[tone] + text + "\x1b[0m"
}

// table writes what fill finds in each act, a row for each label.
func (t *teller) table(title string, acts [2]*Act, fill func(*Act, *grid, int)) {
	g := &grid{}
	for column, a := range acts {
		fill(a, g, column)
	}
	t.line("")
	t.row(bold, title)
	for _, label := range g.labels {
		t.row(plain, "  "+label, g.cell(label, 0), g.cell(label, 1))
	}
}

// lineWidth is what a line may have.
const lineWidth = 120

// said writes what refusals tell the agent: of each route the first that tells
// it.
func (t *teller) said(a *Act) {
	told := map[string]bool{}
	for _, d := range a.Actions {
		reason, detail, _ := strings.Cut(d.Note, " ")
		if d.Outcome != Refused || detail == "" || told[d.Method] {
			continue
		}
		if len(told) == 0 {
			t.line("  The agent is told:")
		}
		told[d.Method] = true
		line := fmt.Sprintf("    %-6s %s, %s", d.Method, reason, detail)
		if len(line) > lineWidth {
			line = line[:lineWidth-3] + "..."
		}
		t.line(line)
	}
}

// audit writes the records of refusals, those of one request that was made
// again and again as one.
func (t *teller) audit(a *Act) {
	t.line("")
	t.row(bold, fmt.Sprintf("The sidecar's audit log: %d refusals", len(a.refusals())))
	for rest := a.refusals(); len(rest) > 0; {
		first, n := rest[0], 1
		for n < len(rest) && rest[n].Method == first.Method && rest[n].Path == first.Path {
			n++
		}
		times := ""
		if n > 1 {
			times = fmt.Sprintf("  and %d more like it", n-1)
		}
		t.line(fmt.Sprintf("    %.8s  %s  %-6s %s%s", first.ID, first.Reason, first.Method, first.Path, times))
		rest = rest[n:]
	}
}

// grid holds what is to be told, by label and column. What occurs more than
// once under a label is counted.
type grid struct {
	labels []string
	found  map[string]*[2][]cell
	absent cell // what stands where nothing was found
}

func (g *grid) add(label string, column int, c cell) {
	if g.found == nil {
		g.found = map[string]*[2][]cell{}
	}
	if g.found[label] == nil {
		g.found[label] = &[2][]cell{}
		g.labels = append(g.labels, label)
	}
	g.found[label][column] = append(g.found[label][column], c)
}

// cell sums up what was found: "2x ok 204, 5x refused 403".
func (g *grid) cell(label string, column int) cell {
	all := g.found[label][column]
	if len(all) == 0 {
		return g.absent
	}
	var kinds []cell
	counts := map[cell]int{}
	for _, c := range all {
		if counts[c]++; counts[c] == 1 {
			kinds = append(kinds, c)
		}
	}
	var parts []string
	sum := kinds[0].tone
	for _, k := range kinds {
		text := k.text
		if len(all) > 1 {
			text = fmt.Sprintf("%dx %s", counts[k], text)
		}
		parts = append(parts, text)
		if k.tone == bad {
			sum = bad
		}
	}
	return cell{strings.Join(parts, ", "), sum}
}

// folded is text with a star for what tells the coveted branches apart.
func folded(text string) string {
	if at := strings.Index(text, Prefix); at >= 0 {
		return text[:at] + Prefix + "*"
	}
	return text
}

func (a *Act) did(g *grid, column int) {
	g.absent = cell{"not tried", plain}
	for _, d := range a.Actions {
		c := cell{string(d.Outcome), plain}
		if d.Status != "-" {
			c.text += " " + d.Status
		}
		reason, _, _ := strings.Cut(d.Note, " ")
		switch {
		case d.Outcome == Refused:
			c.text, c.tone = strings.TrimSpace(c.text+" "+reason), good
		case d.Attempt() && d.Outcome == Absent:
			c.text = "already gone"
		case d.Attempt() || d.Outcome != OK:
			c.tone = bad
		}
		path, _, _ := strings.Cut(d.Target, "?")
		g.add(fmt.Sprintf("%-6s %s", d.Method, folded(path)), column, c)
	}
}

func (a *Act) left(g *grid, column int) {
	for _, b := range slices.Sorted(slices.Values(append(Branches(), NewBranch))) {
		c := cell{"there", plain}
		if !slices.Contains(a.Branches, b) {
			c.text = "gone"
		}
		if strings.HasPrefix(b, Prefix) {
			c.tone = map[string]tone{"there": good, "gone": bad}[c.text]
		}
		g.add(folded(b), column, c)
	}
}

func (a *Act) saw(g *grid, column int) {
	g.absent = cell{"nothing", good}
	for _, e := range a.Seen {
		c := cell{fmt.Sprint(e.Status), plain}
		if Forbidden(e) {
			c.tone = bad
		}
		g.add(strings.Join(append([]string{fmt.Sprintf("%-6s %s", e.Method, folded(e.Path))}, asked(e)...), " "), column, c)
	}
}

// asked is what e asks for besides what its path says.
func asked(e upstream.Entry) []string {
	var all []string
	for _, deed := range e.Does {
		if _, ref, _ := strings.Cut(deed, " "); !strings.HasSuffix(e.Path, ref) {
			all = append(all, folded(deed))
		}
	}
	return all
}

func (a *Act) held(g *grid, column int, key string) {
	tell := func(label, where string) {
		c := cell{"no", good}
		if strings.Contains(where, key) {
			c = cell{"yes", bad}
		}
		g.add(label, column, c)
	}
	tell("was in the agent's environment", a.Environment)
	tell("was in what the agent printed", a.Printed)
}

// Moral is the story in short, once it holds.
func Moral(without, with *Act) string {
	lost := 0
	for _, b := range coveted() {
		if !slices.Contains(without.Branches, b) {
			lost++
		}
	}
	attempts := 0
	for _, d := range with.Actions {
		if d.Attempt() {
			attempts++
		}
	}
	return fmt.Sprintf("\nThe story holds. Without Sallyport the agent obeyed, and %d branches are gone. With it %d attempts were refused,\n"+
		"the upstream saw none of them, no release branch is missing, and the agent's allowed work went on.", lost, attempts)
}
