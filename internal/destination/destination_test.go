package destination

import (
	"bufio"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// TestVet reads its cases from a table that needs no Go: address, what is
// decided, why.
func TestVet(t *testing.T) {
	f, err := os.Open("testdata/addresses.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, why, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) != 2 {
			continue
		}
		n++
		a, err := netip.ParseAddr(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		strict, lenient := Vet(a, false) == nil, Vet(a, true) == nil
		want := map[string][2]bool{"public": {true, true}, "private": {false, true}, "never": {false, false}}
		if got := [2]bool{strict, lenient}; got != want[fields[1]] {
			t.Errorf("%s is not %s (%s): passes strictly %v, with private ones allowed %v", a, fields[1], strings.TrimSpace(why), strict, lenient)
		}
	}
	if Vet(netip.Addr{}, true) == nil {
		t.Error("the zero address passes")
	}
	t.Logf("%d addresses", n)
}

// FuzzVet holds what may never be reached to its definition, however it is
// spelled: mapped, translated, tunnelled.
func FuzzVet(f *testing.F) {
	for _, seed := range []string{"127.0.0.1", "169.254.169.254", "10.1.2.3", "8.8.8.8"} {
		b := netip.MustParseAddr(seed).As4()
		f.Add(b[:])
	}
	for _, seed := range []string{"::1", "::", "fe80::1", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "::7f00:1", "64:ff9b::a9fe:a9fe", "2001:db8::1", "2606:4700::1"} {
		b := netip.MustParseAddr(seed).As16()
		f.Add(b[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 16 {
			vetSix(t, netip.AddrFrom16([16]byte(b)))
		}
		if len(b) != 4 {
			return
		}
		v4 := netip.AddrFrom4([4]byte(b))
		plain := Vet(v4, true) == nil
		if plain && (v4.IsLoopback() || v4.IsLinkLocalUnicast() || v4.IsMulticast() || v4.IsUnspecified()) {
			t.Errorf("%s passes", v4)
		}
		if Vet(v4, false) == nil && (!plain || v4.IsPrivate()) {
			t.Errorf("%s passes strictly", v4)
		}
		mapped := netip.AddrFrom16(v4.As16())
		translated := netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b, 12: b[0], 13: b[1], 14: b[2], 15: b[3]})
		tunnelled := netip.AddrFrom16([16]byte{0x20, 0x02, b[0], b[1], b[2], b[3], 15: 1})
		for _, a := range []netip.Addr{mapped, translated, tunnelled} {
			if End(a) != v4 || End(v4) != v4 {
				t.Errorf("%s ends at %s", a, End(a))
			}
			for _, private := range []bool{false, true} {
				if Vet(a, private) == nil && Vet(v4, private) != nil {
					t.Errorf("%s passes as %s, with private %v", v4, a, private)
				}
			}
		}
	})
}

// vetSix holds an address of version 6 to what Go calls global, and to the
// address of version 4 that is written in it.
func vetSix(t *testing.T, a netip.Addr) {
	t.Helper()
	plain, strict := Vet(a, true) == nil, Vet(a, false) == nil
	if plain && (!a.Unmap().IsGlobalUnicast() || a.IsLinkLocalUnicast() || a.IsLoopback() || a.IsMulticast()) {
		t.Errorf("%s passes", a)
	}
	if strict && (!plain || a.Unmap().IsPrivate()) {
		t.Errorf("%s passes strictly", a)
	}
	if Vet(a, true) == nil != (Vet(a.Unmap(), true) == nil) || Vet(a, false) == nil != (Vet(a.Unmap(), false) == nil) {
		t.Errorf("%s and %s are taken differently", a, a.Unmap())
	}
}
