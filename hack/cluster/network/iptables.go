package network

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// families are the two address families; the kubelet makes chains in both.
var families = []string{"iptables", "ip6tables"}

// forwardChain holds our rules. Pods reach each other and nothing beyond.
const forwardChain = "SALLYPORT-FORWARD"

// chainPrefixes mark the chains that belong to the cluster: ours, and those of
// kube-proxy and the kubelet.
var chainPrefixes = []string{"SALLYPORT-", "KUBE-"}

// forwardRules lets traffic pass between pods, also where the host's policy
// is to drop, and rejects what would leave the host. Naming a chain in the
// input of iptables-restore empties it first.
func forwardRules(ctx context.Context) error {
	rules := fmt.Sprintf(`*filter
:%[1]s - [0:0]
-A %[1]s -i %[2]s -d %[3]s -j ACCEPT
-A %[1]s -o %[2]s -s %[3]s -j ACCEPT
-A %[1]s -i %[2]s -j REJECT --reject-with icmp-admin-prohibited
COMMIT
`, forwardChain, Bridge, Pods)
	if err := run(ctx, rules, "iptables-restore", "--wait", "--noflush"); err != nil {
		return fmt.Errorf("writing firewall rules: %w", err)
	}
	if run(ctx, "", "iptables", "--wait", "-C", "FORWARD", "-j", forwardChain) == nil {
		return nil
	}
	// Last, so that what kube-proxy rejects is rejected first.
	if err := run(ctx, "", "iptables", "--wait", "-A", "FORWARD", "-j", forwardChain); err != nil {
		return fmt.Errorf("writing firewall rules: %w", err)
	}
	return nil
}

// ForeignChains lists the chains of kube-proxy or a kubelet on this host. Ask
// before the cluster is first made: they belong to another one.
func ForeignChains(ctx context.Context) ([]string, error) {
	var names []string
	for _, family := range families {
		out, err := exec.CommandContext(ctx, family+"-save").Output()
		if err != nil {
			return nil, fmt.Errorf("running %s-save: %w", family, err)
		}
		for _, t := range parseTables(string(out)) {
			names = append(names, t.owned()...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func removeChains(ctx context.Context, family string) error {
	out, err := exec.CommandContext(ctx, family+"-save").Output()
	if err != nil {
		return fmt.Errorf("running %s-save: %w", family, err)
	}
	plan := removal(parseTables(string(out)))
	if plan == "" {
		return nil
	}
	if err := run(ctx, plan, family+"-restore", "--wait", "--noflush"); err != nil {
		return fmt.Errorf("removing the cluster's firewall rules: %w", err)
	}
	return nil
}

// A table is what iptables-save prints of one table.
type table struct {
	name   string
	chains []string
	rules  []string // as printed, "-A CHAIN ..."
}

func parseTables(saved string) []table {
	var tables []table
	for line := range strings.Lines(saved) {
		line = strings.TrimRight(line, "\n")
		if name, ok := strings.CutPrefix(line, "*"); ok {
			tables = append(tables, table{name: name})
			continue
		}
		if len(tables) == 0 {
			continue
		}
		t := &tables[len(tables)-1]
		switch {
		case strings.HasPrefix(line, ":"):
			name, _, _ := strings.Cut(line[1:], " ")
			t.chains = append(t.chains, name)
		case strings.HasPrefix(line, "-A "):
			t.rules = append(t.rules, line)
		}
	}
	return tables
}

// owned lists the chains of t that belong to the cluster.
func (t table) owned() []string {
	var names []string
	for _, c := range t.chains {
		if ours(c) {
			names = append(names, c)
		}
	}
	return names
}

// removal renders input for iptables-restore --noflush that deletes the
// cluster's chains and every rule that jumps to one, and touches nothing else.
// Without such chains it is empty.
func removal(tables []table) string {
	var b strings.Builder
	for _, t := range tables {
		owned := t.owned()
		if len(owned) == 0 {
			continue
		}
		fmt.Fprintf(&b, "*%s\n", t.name)
		for _, c := range owned { // emptied first: a chain in use cannot go
			fmt.Fprintf(&b, ":%s - [0:0]\n", c)
		}
		for _, r := range t.rules {
			if from, to := ends(r); !ours(from) && ours(to) {
				fmt.Fprintf(&b, "-D %s\n", strings.TrimPrefix(r, "-A "))
			}
		}
		for _, c := range owned {
			fmt.Fprintf(&b, "-X %s\n", c)
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}

// ends returns the chain a rule stands in and the one it jumps to. The target
// is searched for from the end, since a quoted comment before it may hold
// anything.
func ends(rule string) (from, to string) {
	fields := strings.Fields(rule)
	const smallest = 2
	if len(fields) < smallest {
		return "", ""
	}
	for i := len(fields) - smallest; i > 0; i-- {
		if fields[i] == "-j" || fields[i] == "-g" {
			return fields[1], fields[i+1]
		}
	}
	return fields[1], ""
}

func ours(chain string) bool {
	return slices.ContainsFunc(chainPrefixes, func(p string) bool { return strings.HasPrefix(chain, p) })
}
