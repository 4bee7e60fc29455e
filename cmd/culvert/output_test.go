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

// What --progress prints is a table, with rates since the one before; nothing where nothing has changed.
func TestProgress(t *testing.T) {
	var out bytes.Buffer
	d := &display{out: &out}
	start := time.Unix(1000, 0)
	before := lookAt(start, []connect.Progress{{Connector: "orders", Rows: 100}})
	now := lookAt(start.Add(2*time.Second), []connect.Progress{
		{Connector: "orders", Type: "source", State: connect.Running, Rows: 300, Pages: 3},
		{Connector: "copies", Type: "sink", State: connect.Failed, Rows: 5, Lag: 7, Failed: 1},
	})
	d.show(now, before)
	d.Write([]byte("log\n"))
	d.show(now, before)
	want := "" +
		"NAME    TYPE    STATE    TASKS  ROWS  ROWS/S  LAG  REFUSED  LETTERS\n" +
		"copies  sink    failed   -      5     -       7    1        -\n" +
		"orders  source  running  -      300   100     -    0        -\n" +
		"log\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
