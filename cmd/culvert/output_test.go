package main

import (
	"bytes"
	"log"
	"log/slog"
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

// What net/http logs on its own is one of our lines at level debug, without what a service sent unasked.
func TestLibrariesLogAsWeDo(t *testing.T) {
	for level, want := range map[slog.Level]string{slog.LevelInfo: "", slog.LevelDebug: `level=DEBUG msg="a library says: ` +
		`Unsolicited response received on idle HTTP channel starting with \"HTTP/1.1 400 Bad Request"` + "\n"} {
		var out bytes.Buffer
		takeLibraries(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level})))
		log.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v",
			"HTTP/1.1 400 Bad Request\r\nSet-Cookie: session=abc\r\n", nil)
		if _, line, _ := strings.Cut(out.String(), " "); line != want {
			t.Errorf("%v: expected %q, found %q", level, want, line)
		}
	}
}
