package source

import (
	"fmt"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// read runs one worker with all connectors to its end, and looks at what became of each.
func read(t *testing.T, p *e2etest.Place, folder string, readings []*e2etest.Reading) e2etest.Result {
	t.Helper()
	args := []string{p.Plain("embedded")}
	expected := 0
	for _, r := range readings {
		args = append(args, r.Start(p))
		expected = max(expected, min(1, len(r.Fails)))
	}
	p.Broker()
	run := p.OnceWith(folder, args...)
	run.Exits(expected)
	for _, r := range readings {
		t.Run(r.Name, func(t *testing.T) { r.Judge(t, run) })
	}
	return run
}

// stored holds a topic against what an undisturbed service gives: no row may be stored otherwise than there. A
// connector that ended well has them all but those left out, in order; one that failed has those before the bad place.
func stored(t *testing.T, p *e2etest.Place, reference string, r *e2etest.Reading, leftOut ...int) {
	t.Helper()
	want, order := p.Topic(reference)
	found, keys := p.Topic(r.Name)
	for key, value := range found {
		if !reflect.DeepEqual(want[key], value) {
			t.Errorf("%s: row %s is stored wrongly: expected %v, found %v", r.Name, key, want[key], value)
		}
	}
	var expected []string
	for i, key := range order {
		if !slices.Contains(leftOut, i) {
			expected = append(expected, key)
		}
	}
	if len(r.Fails) > 0 {
		expected = expected[:min(len(keys), len(expected))]
	}
	if !slices.Equal(expected, keys) {
		t.Errorf("%s: expected the rows %v, found %v", r.Name, expected, keys)
	}
}

// A value that does not fit its type is its row's fault: that is named and what came before is kept; where faults are
// tolerated the other rows go on, and the row's document is a dead letter.
func TestValuesThatDoNotFit(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	readings := []*e2etest.Reading{{Name: "whole"}}
	for name, c := range map[string]struct{ old, new, property string }{
		"json-decimal": {`"Freight":"237.5700"`, `"Freight":"a lot"`, "property Freight: expected "},
		"atom-key":     {`<d:OrderID m:type="Edm.Int32">10251</d:OrderID>`, ``, "property OrderID: expected "},
	} {
		format, _, _ := strings.Cut(name, "-")
		settings := []string{"sap.odata.format=" + format}
		readings = append(readings,
			&e2etest.Reading{Name: name + "-none", Front: e2etest.Forged(c.old, c.new), Settings: settings,
				Fails: []string{"GET /V2/Northwind/Northwind.svc/Orders?", "row 3: ", c.property, "found "}},
			&e2etest.Reading{Name: name + "-all", Front: e2etest.Forged(c.old, c.new), Settings: append(settings,
				"errors.tolerance=all",
				"errors.deadletterqueue.topic.name="+name+"-letters"), Says: []string{"row skipped", "row=3",
				c.property}})
	}
	run := read(t, p, e2etest.Plugins(t), readings)
	e2etest.WithoutPassword(t, run.Stdout, run.Stderr)
	if strings.Contains(run.Stderr, "is delivered again") { // nothing is: the tasks fail
		t.Errorf("expected no page to be announced, found\n%s", run.Stderr)
	}
	for _, r := range readings {
		if name, ok := strings.CutSuffix(r.Name, "-all"); ok {
			stored(t, p, "whole", r, 3)
			letters := p.Run("consume", name+"-letters", "--data", p.Data)
			if strings.Count(letters.Stdout, "\n") != 1 || !strings.Contains(letters.Stdout, "AAAAD") {
				t.Errorf("%s: expected the document of the row as a dead letter, found %s%s", r.Name, letters.Stdout,
					letters.Stderr)
			}
			continue
		}
		stored(t, p, "whole", r)
		if _, keys := p.Topic(r.Name); len(r.Fails) > 0 && len(keys) != 3 {
			t.Errorf("%s: expected the 3 rows before, found %d", r.Name, len(keys))
		}
	}
}

// A wrong answer instead of rows or metadata fails the task, with an error that describes the answer. After a refusal
// no further request is sent, and passing errors cost only time.
func TestAnswersThatAreNoRows(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	const feed = "/Orders"
	refused := func(match, status string) map[string]string {
		return map[string]string{"match": match, "status": status, "status-count": "1000", "status-body": "json",
			"status-code": "SY/530", "status-message": "Nothing for you"}
	}
	once := func(of string) func(*testing.T, odatatest.Ledger) {
		return func(t *testing.T, l odatatest.Ledger) {
			if n := requests(l, of); n != 1 {
				t.Errorf("expected one request for %s, found %d", of, n)
			}
		}
	}
	readings := []*e2etest.Reading{{Name: "whole"},
		{Name: "403", Switches: refused(feed, "403"), Check: once(feed),
			Fails: []string{"GET /V2/Northwind/Northwind.svc/Orders?", "HTTP 403", "Nothing for you", "(code SY/530)"}},
		{Name: "404-start", Switches: refused("$metadata", "404"), Check: once("$metadata"),
			Fails: []string{"$metadata", "HTTP 404", "Nothing for you", "(code SY/530)"}},
		{Name: "404-later", Switches: refused("skiptoken", "404"), Fails: []string{"HTTP 404", "skiptoken="}},
		{Name: "logon", Switches: map[string]string{"match": feed, "logon-page": "1000"}, Check: once(feed),
			Fails: []string{"an HTML page", "logon page", "user"}},
		{Name: "logon-start", Switches: map[string]string{"match": "$metadata", "logon-page": "1000"},
			Fails: []string{"an HTML page", "logon page", "user", "$metadata"}},
		{Name: "passes", Switches: map[string]string{"match": "skiptoken", "status": "503", "status-count": "1"}},
		{Name: "gateway", Front: answered(200, "application/json", `{"status":"UP"}`),
			Settings: []string{"errors.tolerance=all"}, Fails: []string{"JSON with none of the set's properties", "UP"}},
	}
	run := read(t, p, e2etest.Plugins(t), readings)
	e2etest.WithoutPassword(t, run.Stdout, run.Stderr)
	for _, r := range readings {
		stored(t, p, "whole", r)
	}
}

// requests counts those whose path and query contain a text.
func requests(l odatatest.Ledger, text string) (n int) {
	for _, r := range l.Requests {
		if strings.Contains(r.Path+"?"+r.Query, text) {
			n++
		}
	}
	return n
}

// answered gives one answer to all requests for Orders.
func answered(status int, kind, body string) func(http.Handler) http.Handler {
	return e2etest.Front("/Orders", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		if kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		w.WriteHeader(status)
		w.Write([]byte(body))
	})
}

// Settings that are missing, unknown, misspelt or wrong: nothing is sent, and each stands with its file and line (T16,
// P6).
func TestWrongSettingsSendNothing(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	dir := e2etest.Plugins(t, "smt", "odata-sink")
	good := e2etest.AsMe(e2etest.Source("good", address, "Orders"))
	without := func(name string) []string {
		lines := e2etest.Instead(good, name+"=")
		return lines[:len(lines)-1]
	}
	type wrong struct {
		name  string
		lines []string
		line  int // 0: the last one
		want  string
	}
	cases := []wrong{
		{"host", without("sap.odata.host.address"), 1,
			`sap.odata.host.address: Missing required configuration "sap.odata.host.address"`},
		{"host-port", e2etest.Instead(good, "sap.odata.host.address="+address), 0, "sap.odata.host.address: expected a host " +
			`name or IP address, found "` + address + `": the port has a setting of its own, sap.odata.host.port`},
		{"topic", without("sap.odata#00.topic"), 7,
			`sap.odata#00.topic: Missing required configuration "sap.odata#00.topic"`},
		{"class", without("connector.class"), 1, `connector.class: Missing required configuration "connector.class"`},
		{"filter", e2etest.Instead(good, "sap.odata#00.fliter#00.property=OrderID"), 0, "sap.odata#00.fliter#00.property: " +
			"unknown setting; the nearest known one is sap.odata#00.filter#00.property"},
		{"unknown", e2etest.Instead(good, "sap.odata.quite.another=x"), 0, "sap.odata.quite.another: unknown setting"},
		{"group", e2etest.Instead(good, "sap.odata#0.format=atom"), 0,
			`sap.odata#0.service: Missing required configuration "sap.odata#0.service"`},
		{"password", e2etest.Instead(good, "sap.odata.user.pasword="+e2etest.Password), 0, "sap.odata.user.pasword: unknown setting"},
		{"number", e2etest.Instead(good, "sap.odata#00.page.size=many"), 0, "sap.odata#00.page.size: Invalid value many for " +
			"configuration sap.odata#00.page.size: Not a number of type INT"},
		{"delta", e2etest.Instead(good, "sap.odata#00.track-changes=1"), 7,
			"sap.odata#00.exec-period: Delta mode with sap.odata#00.exec-period = -1 would never ask for changes"},
		{"transform-class", e2etest.Instead(good, "transforms=a", "transforms.a.type=org.example.None"), 0,
			"transforms.a.type: no plugin has the transformation org.example.None"},
		{"sink-topic", e2etest.Instead(e2etest.SinkOf("sink", address, "a", "OrderCopies"), "topics=a,b"), 10,
			`topics: expected topics that one of sap.odata#00.topic (a) names, found "b"`},
		{"twice", e2etest.Instead(good, "sap.odata#01.service="+odatatest.NorthwindPath, "sap.odata#01.entityset=Orders",
			"sap.odata#01.topic=x"), len(good) + 2, "sap.odata#01.entityset: "},
	}
	var args []string
	for _, c := range cases {
		args = append(args, p.File(c.name+".properties", append([]string{"name=" + c.name},
			e2etest.Instead(c.lines, "name=")[:len(c.lines)-1]...)...))
	}
	r := p.OnceWith(dir, args...)
	e2etest.WithoutPassword(t, r.Stdout, r.Stderr)
	for _, c := range cases {
		line := c.line
		if line == 0 {
			line = len(c.lines)
		}
		want := fmt.Sprintf("%s:%d: %s", filepath.Join(p.Dir, c.name+".properties"), line, c.want)
		if !strings.Contains(r.Stderr, want) {
			t.Errorf("expected %q, found", want)
			for found := range strings.Lines(r.Stderr) {
				if strings.Contains(found, "/"+c.name+".properties:") {
					t.Log(found)
				}
			}
		}
	}
	if got := s.Ledger().Total; r.Code != 2 || got != 0 {
		t.Errorf("expected exit 2 and no request, found exit %d and %d requests", r.Code, got)
	}
	// The same offline; a setting of a transform that is not known is no error for Kafka Connect, which never looks at
	// it.
	args = append(args, p.File("transform.properties", e2etest.Instead(good, "transforms=a",
		"transforms.a.type=org.apache.kafka.connect.transforms.InsertField$Value",
		"transforms.a.static.feild=x", "transforms.a.static.value=1")...))
	r = p.Run(append([]string{"validate", "--plugins", dir}, args...)...)
	e2etest.WithoutPassword(t, r.Stdout, r.Stderr)
	if got := s.Ledger().Total; r.Code != 1 || got != 0 || strings.Count(r.Stdout, ".properties:") < len(cases) ||
		!strings.Contains(r.Stdout, "transforms.a.static.feild: warning: unknown setting; the nearest "+
			"known one is static.field\n") {
		t.Errorf("expected exit 1, a line for each and no request, found exit %d, %d requests\n%s", r.Code, got,
			r.Stdout)
	}
}
