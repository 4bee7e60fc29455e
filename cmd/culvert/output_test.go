package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/host/connect"
)

func TestRender(t *testing.T) {
	for document, want := range map[string]string{
		`[{"b":"x","a":1},{"b":"longer","a":null}]`: "B       A\nx       1\nlonger  \n",
		`{"service":"/x","sets":["a","b"],"n":2}`:   "service  /x\nsets     a, b\nn        2\n",
		`{"n":2,"list":[{"k":"v"}]}`:                "n  2\nlist:\nK\nv\n",
		`"text"`:                                    "\"text\"\n",
		`[]`:                                        "[]\n",
		`[1,2]`:                                     "[1,2]\n",
	} {
		var b bytes.Buffer
		if err := render(&b, []byte(document)); err != nil {
			t.Errorf("%s: %v", document, err)
		}
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", document, diff)
		}
	}
}

func TestProgressLines(t *testing.T) {
	start := time.Unix(1000, 0)
	r := rates{began: start, last: map[string]sample{}}
	r.lines([]connect.Progress{{Connector: "orders", Rows: 100}}, start)
	got := r.lines([]connect.Progress{
		{Connector: "orders", Type: "source", State: connect.Running, Rows: 300, Pages: 3},
		{Connector: "copies-of-orders", Type: "sink", State: connect.Failed, Rows: 5, Lag: 7, Failed: 1},
	}, start.Add(2*time.Second))
	want := []string{
		"orders            source RUNNING           300 rows       100/s       3 pages\n",
		"copies-of-orders  sink   FAILED              5 rows         2/s       7 lag  1 failed\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// On a terminal, what is logged goes above the live lines, which are written over.
func TestDisplayOnATerminal(t *testing.T) {
	var out bytes.Buffer
	d := newDisplay(&out)
	d.terminal = true
	d.show([]string{"a 1\n", "b 1\n"})
	d.Write([]byte("log\n"))
	d.show([]string{"a 2\n", "b 2\n"})
	up := "\x1b[2A\x1b[J"
	if want := "a 1\nb 1\n" + up + "log\na 1\nb 1\n" + up + "a 2\nb 2\n"; out.String() != want {
		t.Errorf("expected %q, found %q", want, out.String())
	}
}

// No more lines are shown than there are rows above the cursor's, and none is longer than there are columns: moving up
// would not find them again. The size is asked for each time.
func TestDisplayFitsTheTerminal(t *testing.T) {
	var out bytes.Buffer
	d := newDisplay(&out)
	d.terminal = true
	columns, rows := 10, 4
	d.size = func() (int, int) { return columns, rows }
	d.show([]string{"orders 123456\n", "日本語日本語\n", "c 1\n"})
	d.show([]string{"a 1\n", "b 1\n", "c 1\n", "d 1\n"})
	columns, rows = 0, 0 // nobody knows
	d.show([]string{"orders 123456\n", "b 1\n", "c 1\n", "d 1\n"})
	columns, rows = 80, 1
	d.show([]string{"a 1\n", "b 1\n"})
	up := func(n string) string { return "\x1b[" + n + "A\x1b[J" }
	want := "orders 12\n日本語日\nc 1\n" + up("3") + "a 1\nb 1\n… and 2 m\n" + up("3") +
		"orders 123456\nb 1\nc 1\nd 1\n" + up("4") + "… and 2 more\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestDisplayElsewhere(t *testing.T) {
	var out bytes.Buffer
	d := newDisplay(&out)
	d.show([]string{"a 1\n"})
	d.Write([]byte("log\n"))
	d.show([]string{"a 1\n"}) // nothing new: nothing is said
	d.show([]string{"a 2\n"})
	if want := "a 1\nlog\na 2\n"; out.String() != want || strings.Contains(out.String(), "\x1b") {
		t.Errorf("expected %q, found %q", want, out.String())
	}
}
