package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/wit"
)

// password stands in the settings of every connector here and must stand nowhere else.
const password = "hunter2-is-secret"

// withoutPassword fails when the password, as it is or as it travels, stands in what the program said.
func withoutPassword(t *testing.T, said ...string) {
	t.Helper()
	for _, text := range said {
		for _, secret := range []string{password, "aHVudGVyMi1pcy1zZWNyZXQ", "Om" + "h1bnRlcjItaXMtc2VjcmV0"} {
			if strings.Contains(text, secret) {
				t.Errorf("the password stands in what the program said:\n%s", text)
			}
		}
	}
}

// reading is one connector that reads a set of a demo service of its own, and what becomes of it.
type reading struct {
	name     string // of the connector and of its topic
	set      string // default Orders
	switches map[string]string
	options  service.Options
	// front stands in front of the service.
	front    func(http.Handler) http.Handler
	settings []string
	// fails are texts in the task's fault; none: it ends well.
	fails []string
	// says are texts in the log, in a line of the connector's.
	says []string
	// check looks at what the service saw.
	check func(t *testing.T, l service.Ledger)

	service *service.Service
}

const readRows, readPage = 60, 25

// start starts the service and returns the connector's file.
func (r *reading) start(p *place) string {
	p.t.Helper()
	o := r.options
	if o.Rows == 0 {
		o.Rows, o.PageSize = readRows, readPage
	}
	o.User, o.Password = "me", password
	r.service = service.New(o)
	for name, value := range r.switches {
		if err := r.service.Set(name, value); err != nil {
			p.t.Fatal(r.name, err)
		}
	}
	var handler http.Handler = r.service
	if r.front != nil {
		handler = r.front(handler)
	}
	server := httptest.NewServer(handler)
	p.t.Cleanup(server.Close)
	if r.set == "" {
		r.set = "Orders"
	}
	lines := instead(source(r.name, strings.TrimPrefix(server.URL, "http://"), r.set), "sap.odata#00.topic="+r.name,
		"sap.odata.user.name=me", "sap.odata.user.pwd="+password,
		"sap.odata.max.retries=1", "sap.odata.min.retry.backoff.ms=1", "sap.odata.max.retry.backoff.ms=2")
	return p.file(r.name+".properties", instead(lines, r.settings...)...)
}

// instead adds settings, in the place of those of the same name.
func instead(lines []string, settings ...string) []string {
	for _, s := range settings {
		name, _, _ := strings.Cut(s, "=")
		lines = slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
			return strings.HasPrefix(line,
				name+"=")
		})
	}
	return append(lines, settings...)
}

// read runs one worker with all connectors to its end, and looks at what became of each.
func read(t *testing.T, p *place, folder string, readings []*reading) result {
	t.Helper()
	args := []string{"run", "--once", "--plugins", folder, "--data", p.data,
		p.file("worker.properties", "bootstrap.servers=embedded", "key.converter.schemas.enable=false",
			"value.converter.schemas.enable=false")}
	expected := 0
	for _, r := range readings {
		args = append(args, r.start(p))
		expected = max(expected, min(1, len(r.fails)))
	}
	broker := p.start("broker", "--data", p.data, "--listen", "127.0.0.1:0")
	broker.eventually("an address", func() bool { return strings.Contains(broker.stdout.String(), "\n") })
	run := p.run(args...)
	if run.code != expected {
		t.Errorf("expected exit %d, found %d: %s", expected, run.code, run.lastLine())
	}
	for _, r := range readings {
		t.Run(r.name, func(t *testing.T) { r.judge(t, run) })
	}
	return run
}

func (r *reading) judge(t *testing.T, run result) {
	failure, log := "", ""
	for line := range strings.Lines(run.stderr) {
		if strings.HasPrefix(line, "connector "+r.name+", task 0: FAILED: ") {
			failure = line
		} else if strings.Contains(strings.ReplaceAll(line, "\n", " "), "connector="+r.name+" ") {
			log += line
		}
	}
	if (failure == "") != (len(r.fails) == 0) {
		t.Errorf("expected failure: %t, found %q; it said\n%s", len(r.fails) > 0, failure, log)
	}
	for _, want := range r.fails {
		if !strings.Contains(failure, want) {
			t.Errorf("expected %q in the fault, found\n%s", want, failure)
		}
	}
	for _, want := range r.says {
		if !strings.Contains(log, want) {
			t.Errorf("expected %q in the log, found\n%s", want, log)
		}
	}
	if r.check != nil {
		r.check(t, r.service.Ledger())
	}
}

// topic is what a topic holds, nil where there is none: the values by key, and the keys in the order of their first
// records.
func (p *place) topic(name string) (values map[string]any, keys []string) {
	p.t.Helper()
	r := p.run("consume", name, "--data", p.data)
	if r.code != 0 && !strings.Contains(r.stderr, name) {
		p.t.Fatalf("consume %s: exit %d\n%s", name, r.code, r.stderr)
	}
	values = map[string]any{}
	for line := range strings.Lines(r.stdout) {
		var one struct{ Key, Value any }
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			p.t.Fatalf("%v in %s", err, line)
		}
		key := fmt.Sprint(one.Key)
		if _, ok := values[key]; !ok {
			keys = append(keys, key)
		}
		values[key] = one.Value
	}
	return values, keys
}

// stored holds a topic against what an undisturbed service gives: no row may be stored otherwise than there. A
// connector that ended well has them all but those left out, in order; one that failed has those before the bad place.
func stored(t *testing.T, p *place, reference string, r *reading, leftOut ...int) {
	t.Helper()
	want, order := p.topic(reference)
	found, keys := p.topic(r.name)
	for key, value := range found {
		if !reflect.DeepEqual(want[key], value) {
			t.Errorf("%s: row %s is stored wrongly: expected %v, found %v", r.name, key, want[key], value)
		}
	}
	var expected []string
	for i, key := range order {
		if !slices.Contains(leftOut, i) {
			expected = append(expected, key)
		}
	}
	if len(r.fails) > 0 {
		expected = expected[:min(len(keys), len(expected))]
	}
	if !slices.Equal(expected, keys) {
		t.Errorf("%s: expected the rows %v, found %v", r.name, expected, keys)
	}
}

// forged replaces a text in the answers to requests for a set.
func forged(old, new string) func(http.Handler) http.Handler {
	return func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/Orders") {
				inner.ServeHTTP(w, r)
				return
			}
			answer := httptest.NewRecorder()
			inner.ServeHTTP(answer, r)
			for name, values := range answer.Header() {
				w.Header()[name] = values
			}
			w.Header().Del("Content-Length")
			w.WriteHeader(answer.Code)
			w.Write(bytes.Replace(answer.Body.Bytes(), []byte(old), []byte(new), 1))
		})
	}
}

// A page that breaks off once costs nothing; one that always does fails the task at that request and row; never is a
// short page taken for a whole one.
func TestPagesThatBreakOff(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	readings := []*reading{{name: "whole"}}
	for _, format := range []string{"json", "atom"} {
		for _, how := range []string{"reset", "length", "truncate"} {
			breaks := func(count string) map[string]string {
				return map[string]string{"match": "skiptoken", "break": how, "break-after": "9000",
					"break-count": count}
			}
			settings := []string{"sap.odata.format=" + format}
			at := "behind row " // of the rows that came
			if how == "truncate" {
				at = ", row "
			}
			readings = append(readings,
				&reading{name: format + "-" + how + "-once", switches: breaks("1"), settings: settings},
				&reading{name: format + "-" + how + "-always", switches: breaks("1000"), settings: settings,
					fails: []string{"GET /V2/Northwind/Northwind.svc/Orders?", "skiptoken=", at}})
		}
		// Nothing but the first bytes comes, and the connection ends before any row.
		readings = append(readings, &reading{name: format + "-no-row", settings: []string{"sap.odata.format=" + format},
			switches: map[string]string{"match": "/Orders", "break": "truncate", "break-after": "30",
				"break-count": "1000"},
			fails: []string{"GET /V2/Northwind/Northwind.svc/Orders", "expected ", "found its end"}},
			&reading{name: format + "-empty", settings: []string{"sap.odata.format=" + format},
				switches: map[string]string{"match": "/Orders", "break": "truncate", "break-after": "0",
					"break-count": "1000"},
				fails: []string{"GET /V2/Northwind/Northwind.svc/Orders"}})
	}
	// What comes behind the bad place is there, but the page is no JSON, or no XML.
	readings = append(readings,
		&reading{name: "json-invalid", front: forged(`"OrderID":10251,`, `"OrderID":10251,,`),
			fails: []string{"GET /V2/Northwind/Northwind.svc/Orders", "expected ", `found `, "row 3"}},
		&reading{name: "atom-invalid", settings: []string{"sap.odata.format=atom"}, front: forged(`>10251</d:OrderID>`,
			`>10251</d:Order>`),
			fails: []string{"GET /V2/Northwind/Northwind.svc/Orders", "expected ", "found ", "row 3"}})
	run := read(t, p, plugins(t), readings)
	withoutPassword(t, run.stdout, run.stderr)
	for _, r := range readings {
		stored(t, p, "whole", r)
		_, keys := p.topic(r.name)
		if r.switches["break-count"] == "1000" && r.switches["break"] != "truncate" && len(keys) <= readPage {
			t.Errorf("%s: expected the first page and the rows before the break, found %d rows", r.name, len(keys))
		}
	}
}

// A value that does not fit its type is its row's fault: that is named and what came before is kept; where faults are
// tolerated the other rows go on, and the row's document is a dead letter.
func TestValuesThatDoNotFit(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	readings := []*reading{{name: "whole"}}
	for name, c := range map[string]struct{ old, new, property string }{
		"json-decimal": {`"Freight":"237.5700"`, `"Freight":"a lot"`, "property Freight: expected "},
		"json-digits":  {`"Freight":"237.5700"`, `"Freight":"237.57001"`, "property Freight: expected "},
		"json-range":   {`"AAAAD","EmployeeID":4`, `"AAAAD","EmployeeID":4000000000`, "property EmployeeID: expected "},
		"json-object":  {`"AAAAD","EmployeeID":4`, `"AAAAD","EmployeeID":{"a":[1]}`, "property EmployeeID: expected "},
		"json-key":     {`"OrderID":10251,`, `"OrderID":null,`, "property OrderID: expected "},
		"json-date": {`"AAAAD","EmployeeID":4,"OrderDate":"\/Date(836438400000)\/"`,
			`"AAAAD","EmployeeID":4,"OrderDate":"yesterday"`, "property OrderDate: expected "},
		"atom-decimal": {`237.5700<`, `1,5<`, "property Freight: expected "},
		"atom-whole": {`>AAAAD</d:CustomerID><d:EmployeeID m:type="Edm.Int32">4<`,
			`>AAAAD</d:CustomerID><d:EmployeeID m:type="Edm.Int32">4.5<`, "property EmployeeID: expected "},
		"atom-key": {`<d:OrderID m:type="Edm.Int32">10251</d:OrderID>`, ``, "property OrderID: expected "},
	} {
		format, _, _ := strings.Cut(name, "-")
		settings := []string{"sap.odata.format=" + format}
		readings = append(readings,
			&reading{name: name + "-none", front: forged(c.old, c.new), settings: settings,
				fails: []string{"GET /V2/Northwind/Northwind.svc/Orders?", "row 3: ", c.property, "found "}},
			&reading{name: name + "-all", front: forged(c.old, c.new), settings: append(settings,
				"errors.tolerance=all",
				"errors.deadletterqueue.topic.name="+name+"-letters"), says: []string{"row skipped", "row=3",
				c.property}})
	}
	readings = append(readings, &reading{name: "json-rounded", front: forged(`"Freight":"237.5700"`,
		`"Freight":"237.570000"`)})
	run := read(t, p, plugins(t), readings)
	withoutPassword(t, run.stdout, run.stderr)
	if strings.Contains(run.stderr, "is delivered again") { // nothing is: the tasks fail
		t.Errorf("expected no page to be announced, found\n%s", run.stderr)
	}
	for _, r := range readings {
		if name, ok := strings.CutSuffix(r.name, "-all"); ok {
			stored(t, p, "whole", r, 3)
			letters := p.run("consume", name+"-letters", "--data", p.data)
			if strings.Count(letters.stdout, "\n") != 1 || !strings.Contains(letters.stdout, "AAAAD") {
				t.Errorf("%s: expected the document of the row as a dead letter, found %s%s", r.name, letters.stdout,
					letters.stderr)
			}
			continue
		}
		stored(t, p, "whole", r)
		if _, keys := p.topic(r.name); len(r.fails) > 0 && len(keys) != 3 {
			t.Errorf("%s: expected the 3 rows before, found %d", r.name, len(keys))
		}
	}
}

// What a service answers instead of rows.
func TestAnswersThatAreNoRows(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	readings := []*reading{{name: "whole"}}
	const feed = "/Orders"
	last := func(status, times int) func(*testing.T, service.Ledger) {
		return func(t *testing.T, l service.Ledger) {
			if l.Statuses[status] != times || l.Requests[len(l.Requests)-1].Status != status {
				t.Errorf("expected %d of %d and nothing behind them, found %v", times, status, l.Statuses)
			}
		}
	}
	for _, status := range []int{401, 403, 404, 500} {
		for _, body := range []string{"json", "xml", "html", "empty"} {
			r := &reading{name: fmt.Sprintf("%d-%s", status, body),
				switches: map[string]string{"match": feed, "status": fmt.Sprint(status), "status-count": "1000",
					"status-body": body,
					"status-code": "SY/530", "status-message": "Nothing for you"},
				fails: []string{"GET /V2/Northwind/Northwind.svc/Orders?", fmt.Sprint("HTTP ", status)}}
			switch body {
			case "html":
				r.fails = append(r.fails, "an HTML page")
			case "empty":
				r.fails = append(r.fails, "without a body")
			default:
				r.fails = append(r.fails, "Nothing for you", "(code SY/530)")
			}
			if status < 500 {
				r.check = last(status, 1)
			}
			// The same before there is any feed.
			start := *r
			if status == 401 { // the metadata was given out with this password
				r.check = last(status, 2)
			}
			start.name, start.switches = r.name+"-start", map[string]string{}
			for name, value := range r.switches {
				start.switches[name] = value
			}
			start.switches["match"] = "$metadata"
			start.fails = append([]string{"$metadata"}, r.fails[1:]...)
			readings = append(readings, r, &start)
		}
	}
	logon := []string{"an HTML page", "logon page", "user"}
	readings = append(readings,
		&reading{name: "logon-feed", switches: map[string]string{"match": feed, "logon-page": "1000"}, fails: logon,
			check: func(t *testing.T,
				l service.Ledger) {
				if n := requests(l, feed); n != 1 {
					t.Errorf("expected one request for rows, found %d", n)
				}
			}},
		&reading{name: "logon-later", switches: map[string]string{"match": "skiptoken", "logon-page": "1000"},
			fails: logon},
		&reading{name: "logon-atom", settings: []string{"sap.odata.format=atom"},
			switches: map[string]string{"match": feed, "logon-page": "1000"}, fails: logon},
		&reading{name: "logon-start", switches: map[string]string{"match": "$metadata", "logon-page": "1000"},
			fails: append(logon, "$metadata")},
		// A page that is not the first one says the same.
		&reading{name: "later", switches: map[string]string{"match": "skiptoken", "status": "404",
			"status-count": "1000", "status-body": "json", "status-message": "Gone away"},
			fails: []string{"HTTP 404", "Gone away", "skiptoken="}},
		// What passes costs nothing but time.
		&reading{name: "passes", switches: map[string]string{"match": "skiptoken", "status": "503",
			"status-count": "1"}},
		&reading{name: "empty-success", front: answered(200, "application/json", ""),
			fails: []string{"GET /V2/Northwind/Northwind.svc/Orders", "expected "}},
		&reading{name: "other-success", front: answered(200, "application/json", `{"odata.metadata":"x","value":[]}`),
			fails: []string{"GET /V2/Northwind/Northwind.svc/Orders", "expected "}},
		&reading{name: "no-content", front: answered(204, "", ""),
			fails: []string{"GET /V2/Northwind/Northwind.svc/Orders"}})
	run := read(t, p, plugins(t), readings)
	withoutPassword(t, run.stdout, run.stderr)
	for _, r := range readings {
		stored(t, p, "whole", r)
	}
}

// requests counts those whose path and query contain a text.
func requests(l service.Ledger, text string) (n int) {
	for _, r := range l.Requests {
		if strings.Contains(r.Path+"?"+r.Query, text) {
			n++
		}
	}
	return n
}

// answered gives one answer to all requests for Orders.
func answered(status int, kind, body string) func(http.Handler) http.Handler {
	return func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/Orders") {
				inner.ServeHTTP(w, r)
				return
			}
			if kind != "" {
				w.Header().Set("Content-Type", kind)
			}
			w.WriteHeader(status)
			w.Write([]byte(body))
		})
	}
}

// A wrong password is sent once, whatever the connectors, their tasks and their feeds (P10).
func TestWrongPasswordIsSentOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 10, User: "me", Password: "right"})
	args := []string{"run", "--once", "--plugins", plugins(t), "--data", p.data}
	for _, name := range []string{"one", "other"} {
		args = append(args, p.file(name+".properties", instead(source(name, address, "Orders", "Products", "Customers"),
			"sap.odata.user.name=me", "sap.odata.user.pwd="+password, "tasks.max=3", "sap.odata.max.retries=3",
			"sap.odata.min.retry.backoff.ms=1", "sap.odata.max.retry.backoff.ms=2")...))
	}
	r := p.run(args...)
	withoutPassword(t, r.stdout, r.stderr)
	l := s.Ledger()
	if r.code != 1 || l.FailedLogons != 1 || l.Total != 1 {
		t.Errorf("expected exit 1 and one request with the password, found exit %d, %d of %d requests\n%s", r.code,
			l.FailedLogons, l.Total, r.stderr)
	}
	if !strings.Contains(r.stderr, "HTTP 401: Logon failed") || !strings.Contains(r.stderr,
		`the password of user "me" was refused (401) at `) {
		t.Errorf("expected the first refusal and why there is no second, found\n%s", r.stderr)
	}
	if !strings.Contains(r.stderr, `task 0: FAILED: the password of user "me" was refused (401) at `) {
		t.Errorf("expected the cause first, found\n%s", r.stderr)
	}
}

// A next link to another host is followed only by leave of sap.odata.link.hosts, and then on the configured origin.
func TestLinksToAnotherHost(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	foreign := map[string]string{"next-host": "http://gateway.example:8000"}
	refused := []string{"leads to http://gateway.example:8000", "sap.odata.link.hosts"}
	readings := []*reading{
		{name: "whole"},
		{name: "refused", switches: foreign, fails: refused},
		{name: "refused-atom", switches: foreign, settings: []string{"sap.odata.format=atom"}, fails: refused},
		{name: "refused-port", switches: foreign, settings: []string{"sap.odata.link.hosts=gateway.example:8001"},
			fails: refused},
		{name: "refused-name", switches: foreign, settings: []string{"sap.odata.link.hosts=example,other.example:8000"},
			fails: refused},
		{name: "named", switches: foreign, settings: []string{"sap.odata.link.hosts=other.example,gateway.example"}},
		{name: "named-port", switches: foreign, settings: []string{"sap.odata.link.hosts=gateway.example:8000",
			"sap.odata.format=atom"}},
		{name: "relative", switches: map[string]string{"links": "relative"}},
		{name: "relative-atom", switches: map[string]string{"links": "relative"},
			settings: []string{"sap.odata.format=atom"}},
		{name: "itself", switches: map[string]string{"self-host": "https://public.example/"},
			settings: []string{"sap.odata.link.hosts=public.example", "sap.odata.format=atom"}},
		{name: "loopback", front: forged(`"__next":"http://127.0.0.1:`, `"__next":"http://localhost:`)},
	}
	run := read(t, p, plugins(t), readings)
	withoutPassword(t, run.stdout, run.stderr)
	for _, r := range readings {
		stored(t, p, "whole", r)
		if n := requests(r.service.Ledger(), "skiptoken"); (n == 0) != (len(r.fails) > 0) {
			t.Errorf("%s: expected the link to be followed: %t, found %d requests", r.name, len(r.fails) == 0, n)
		}
	}
}

// folder is a copy of the folder with our guests, for a test to put files into.
func folder(t *testing.T, more ...string) string {
	t.Helper()
	from, dir := plugins(t, more...), t.TempDir()
	for _, name := range append([]string{"odata-source"}, more...) {
		if err := os.Link(filepath.Join(from, name+".wasm"), filepath.Join(dir, name+".wasm")); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func put(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Files that are no plugins are refused with what is wrong with them, and cost nobody else anything.
func TestFilesThatAreNoPlugins(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	dir := folder(t)
	good, err := os.ReadFile(filepath.Join(dir, "odata-source.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	component, _ := hex.DecodeString("0061736d0d000100")
	d := wit.Description{Name: "x", Version: "1", Components: []wit.Component{{Name: "x", Kind: wit.ComponentSource}}}
	whole := guesttest.Static(d, "", wit.InterfaceSource)
	files := map[string]struct {
		data []byte
		want []string
	}{
		"empty":     {nil, []string{"the file is empty"}},
		"truncated": {good[:len(good)*2/3], []string{"the file is cut off"}},
		"component": {component, []string{"a WebAssembly component: expected a core module",
			"wasm-tools component unbundle"}},
		"contract": {guesttest.Static(d, "0.1.0", wit.InterfaceSource),
			[]string{"made for version 0.1.0 of the contract", "this host speaks " + wit.Version,
				"author rebuilds it with the SDK for 0.2"}},
		// One export has another name, of the same length.
		"export": {bytes.Replace(whole, []byte(wit.ExportName("source", "decode")),
			[]byte(wit.ExportName("source", "decodf")), 1),
			[]string{"exports are missing: " + wit.ExportName("source", "decode")}},
		"text": {[]byte("not found\n"), []string{"no WebAssembly"}},
	}
	for name, file := range files {
		path := put(t, dir, name+".wasm", file.data)
		r := p.run("plugins", "check", path)
		for _, want := range append(file.want, path) {
			if r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr, want) {
				t.Errorf("%s: expected exit 1 and %q, found %d\n%s%s", name, want, r.code, r.stdout, r.stderr)
			}
		}
	}
	readings := []*reading{{name: "whole"}}
	read(t, p, dir, readings)
	if _, keys := p.topic("whole"); len(keys) != readRows {
		t.Errorf("expected the connector to finish, found %d rows", len(keys))
	}
	// A worker looks at what its connectors do not need, too, and says why it refuses a file; a run that ends by itself
	// leaves it alone.
	_, address := demo(t, service.Options{Rows: 10})
	worker := p.start("run", "--plugins", dir, "--data", p.data, "--set", "listeners=http://"+porttest.Address(t),
		p.file("orders.properties", source("orders", address, "Orders")...))
	for name, file := range files {
		if why := worker.says(filepath.Join(dir, name+".wasm")); !strings.Contains(why, file.want[0]) {
			t.Errorf("%s: expected %q, found %s", name, file.want[0], why)
		}
	}
	worker.signal(syscall.SIGTERM)
	if r := worker.wait(); r.code != 0 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	// A connector that asks for what only a refused file could have is told so.
	r := p.run("run", "--once", "--plugins", dir, "--data", p.data, p.file("x.properties", "name=x",
		"connector.class=x"))
	if r.code != 2 || !strings.Contains(r.stderr,
		"x.properties:2: connector.class: no plugin has the source or sink x") {
		t.Errorf("expected exit 2 and the class, found %d\n%s", r.code, r.stderr)
	}
}

// A plugin that goes wrong fails the tasks that use it, by its name and version; the other connectors of the worker
// finish.
func TestPluginsThatGoWrong(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	dir := folder(t)
	put(t, dir, "rogue.wasm", guesttest.Bytes(t, "../../host/plugin/testdata/guests/rogue"))
	readings := []*reading{{name: "whole"}}
	for mode, want := range map[string]string{
		"panic":          "boom",
		"exit":           "the guest ended itself with exit code 3",
		"deadlock":       "deadlock",
		"result-outside": "past the end of memory",
		"rows-outside":   "past the end of memory",
		"datum":          "row 0, value: ",
		"3gb":            "a result of 3221",
		"rows-3gb":       "are allowed",
		"grow":           "wasm error: unreachable: ",
		"recurse":        "out of memory",
		"flood":          "log lines beyond the allowed",
	} {
		r := &reading{name: mode, options: service.Options{Rows: 3},
			settings: []string{"transforms=bad", "transforms.bad.type=rogue", "transforms.bad.mode=" + mode},
			fails:    []string{"row 0: transforms: bad: ", "plugin rogue 1.0.0", "apply: ", want}}
		if mode == "grow" {
			r.says = []string{"plugin.rogue.limits.memory.bytes"}
		}
		readings = append(readings, r)
	}
	readings = append(readings, &reading{name: "well", settings: []string{"transforms=bad", "transforms.bad.type=rogue",
		"transforms.bad.mode=nothing"}})
	run := read(t, p, dir, readings)
	withoutPassword(t, run.stdout, run.stderr)
	for _, r := range readings {
		stored(t, p, "whole", r)
	}
}

// The same of a source: nothing of its page is stored.
func TestSourcesThatGoWrong(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	dir := folder(t)
	put(t, dir, "reckless.wasm", guesttest.Bytes(t, "./testdata/guests/reckless"))
	s, address := demo(t, service.Options{Rows: readRows, PageSize: readPage})
	host, port, _ := strings.Cut(address, ":")
	args := []string{"run", "--once", "--plugins", dir, "--data", p.data, p.file("good.properties",
		source("good", address, "Orders")...)}
	modes := map[string]string{"panic": "boom on page 1", "deadlock": "deadlock", "grow": "wasm error: unreachable",
		"row": "row 0, value: ", "schema": "row 0, value: "}
	for mode := range modes {
		args = append(args, p.file(mode+".properties", "name="+mode, "connector.class=example.Reckless",
			"reckless.scheme=http", "reckless.address="+host,
			"reckless.port="+port, "reckless.mode="+mode, "reckless.retries=0"))
	}
	run := p.run(args...)
	if run.code != 1 {
		t.Errorf("expected exit 1, found %d\n%s", run.code, run.stderr)
	}
	for mode, want := range modes {
		fails := []string{"feed feed: GET /V2/Northwind/Northwind.svc/", "plugin reckless 7.8.9", want}
		(&reading{name: mode, fails: fails, service: s}).judge(t, run)
		if _, keys := p.topic("reckless-" + mode); len(keys) > 0 {
			t.Errorf("%s: expected nothing to be stored, found %v", mode, keys)
		}
	}
	if _, keys := p.topic("Orders"); len(keys) != readRows {
		t.Errorf("expected the other connector to finish, found %d rows", len(keys))
	}
}

// Settings that are missing, unknown, misspelt or wrong: nothing is sent, and each stands with its file and line (T16,
// P6).
func TestWrongSettingsSendNothing(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 10})
	dir := plugins(t, "smt", "odata-sink")
	good := instead(source("good", address, "Orders"), "sap.odata.user.name=me", "sap.odata.user.pwd="+password)
	without := func(name string) []string {
		lines := instead(good, name+"=")
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
		{"topic", without("sap.odata#00.topic"), 7,
			`sap.odata#00.topic: Missing required configuration "sap.odata#00.topic"`},
		{"class", without("connector.class"), 1, `connector.class: Missing required configuration "connector.class"`},
		{"filter", instead(good, "sap.odata#00.fliter#00.property=OrderID"), 0, "sap.odata#00.fliter#00.property: " +
			"unknown setting; the nearest known one is sap.odata#00.filter#00.property"},
		{"unknown", instead(good, "sap.odata.quite.another=x"), 0, "sap.odata.quite.another: unknown setting"},
		{"group", instead(good, "sap.odata#0.format=atom"), 0,
			`sap.odata#0.service: Missing required configuration "sap.odata#0.service"`},
		{"password", instead(good, "sap.odata.user.pasword="+password), 0, "sap.odata.user.pasword: unknown setting"},
		{"word", instead(good, "sap.odata#00.format=yaml"), 0, "sap.odata#00.format: "},
		{"number", instead(good, "sap.odata#00.page.size=many"), 0, "sap.odata#00.page.size: Invalid value many for " +
			"configuration sap.odata#00.page.size: Not a number of type INT"},
		{"range", instead(good, "sap.odata#00.page.size=0"), 0, "sap.odata#00.page.size: "},
		{"port", instead(good, "sap.odata.host.port=70000"), 0, "sap.odata.host.port: "},
		{"delta", instead(good, "sap.odata#00.track-changes=1"), 7,
			"sap.odata#00.exec-period: Delta mode with sap.odata#00.exec-period = -1 would never ask for changes"},
		{"tolerance", instead(good, "errors.tolerance=some"), 0, "errors.tolerance: "},
		{"transform-class", instead(good, "transforms=a", "transforms.a.type=org.example.None"), 0,
			"transforms.a.type: no plugin has the transformation org.example.None"},
		{"predicate", instead(good, "transforms=a",
			"transforms.a.type=org.apache.kafka.connect.transforms.InsertField$Value",
			"transforms.a.static.field=x", "transforms.a.static.value=1", "transforms.a.predicate=none"), 0,
			"transforms.a.predicate: "},
		{"converter", instead(good, "value.converter=org.example.Converter"), 0, "value.converter: "},
		{"sink-topic", instead(sinkOf("sink", address, "a", "OrderCopies"), "topics=a,b"), 10,
			`topics: expected topics that one of sap.odata#00.topic (a) names, found "b"`},
		{"twice", instead(good, "sap.odata#01.service="+service.NorthwindPath, "sap.odata#01.entityset=Orders",
			"sap.odata#01.topic=x"), len(good) + 2, "sap.odata#01.entityset: "},
	}
	args := []string{"run", "--once", "--plugins", dir, "--data", p.data}
	for i := range cases {
		c := &cases[i]
		args = append(args, p.file(c.name+".properties", append([]string{"name=" + c.name},
			instead(c.lines, "name=")[:len(c.lines)-1]...)...))
	}
	r := p.run(args...)
	withoutPassword(t, r.stdout, r.stderr)
	for _, c := range cases {
		line := c.line
		if line == 0 {
			line = len(c.lines)
		}
		want := fmt.Sprintf("%s:%d: %s", filepath.Join(p.dir, c.name+".properties"), line, c.want)
		if !strings.Contains(r.stderr, want) {
			t.Errorf("expected %q, found", want)
			for found := range strings.Lines(r.stderr) {
				if strings.Contains(found, "/"+c.name+".properties:") {
					t.Log(found)
				}
			}
		}
	}
	if got := s.Ledger().Total; r.code != 2 || got != 0 {
		t.Errorf("expected exit 2 and no request, found exit %d and %d requests", r.code, got)
	}
	// The same offline; a setting of a transform that is not known is no error for Kafka Connect, which never looks at
	// it.
	args = append(args, p.file("transform.properties", instead(good, "transforms=a",
		"transforms.a.type=org.apache.kafka.connect.transforms.InsertField$Value",
		"transforms.a.static.feild=x", "transforms.a.static.value=1")...))
	r = p.run(append([]string{"validate", "--plugins", dir}, args[6:]...)...)
	withoutPassword(t, r.stdout, r.stderr)
	if got := s.Ledger().Total; r.code != 1 || got != 0 || strings.Count(r.stdout, ".properties:") < len(cases) ||
		!strings.Contains(r.stdout, "transforms.a.static.feild: warning: unknown setting; the nearest "+
			"known one is static.field\n") {
		t.Errorf("expected exit 1, a line for each and no request, found exit %d, %d requests\n%s", r.code, got,
			r.stdout)
	}
}
