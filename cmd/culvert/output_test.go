package main

import (
	"bytes"
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

func TestDisplay(t *testing.T) {
	var out bytes.Buffer
	d := &display{out: &out}
	d.show([]string{"a 1\n"})
	d.Write([]byte("log\n"))
	d.show([]string{"a 1\n"}) // nothing new: nothing is said
	d.show([]string{"a 2\n"})
	if want := "a 1\nlog\na 2\n"; out.String() != want {
		t.Errorf("expected %q, found %q", want, out.String())
	}
}
