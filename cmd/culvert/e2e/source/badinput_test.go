package source

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/plugin/guesttest"
	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/wit"
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

// A page that breaks off once costs nothing; one that always does fails the task at that request and row; never is a
// short page taken for a whole one.
func TestPagesThatBreakOff(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	readings := []*e2etest.Reading{{Name: "whole"}}
	for _, format := range []string{"json", "atom"} {
		settings := []string{"sap.odata.format=" + format}
		for _, how := range []string{"reset", "length", "truncate"} {
			breaks := func(count string) map[string]string {
				return map[string]string{"match": "skiptoken", "break": how, "break-after": "9000",
					"break-count": count}
			}
			at := "after row " // of the rows that came
			if how == "truncate" {
				at = ", row "
			}
			readings = append(readings,
				&e2etest.Reading{Name: format + "-" + how + "-once", Switches: breaks("1"), Settings: settings},
				&e2etest.Reading{Name: format + "-" + how + "-always", Switches: breaks("1000"), Settings: settings,
					Fails: []string{"GET /V2/Northwind/Northwind.svc/Orders?", "skiptoken=", at}})
		}
		// Nothing but the first bytes comes, and the connection ends before any row.
		ends := func(after string) map[string]string {
			return map[string]string{"match": "/Orders", "break": "truncate", "break-after": after, "break-count": "1000"}
		}
		readings = append(readings,
			&e2etest.Reading{Name: format + "-no-row", Switches: ends("30"), Settings: settings,
				Fails: []string{"GET /V2/Northwind/Northwind.svc/Orders", "expected ", "found its end"}},
			&e2etest.Reading{Name: format + "-empty", Switches: ends("0"), Settings: settings,
				Fails: []string{"GET /V2/Northwind/Northwind.svc/Orders"}})
	}
	// What comes after the bad place is there, but the page is no JSON, or no XML.
	readings = append(readings,
		&e2etest.Reading{Name: "json-invalid", Front: e2etest.Forged(`"OrderID":10251,`, `"OrderID":10251,,`),
			Fails: []string{"GET /V2/Northwind/Northwind.svc/Orders", "expected ", `found `, "row 3"}},
		&e2etest.Reading{Name: "atom-invalid", Settings: []string{"sap.odata.format=atom"}, Front: e2etest.Forged(`>10251</d:OrderID>`,
			`>10251</d:Order>`),
			Fails: []string{"GET /V2/Northwind/Northwind.svc/Orders", "expected ", "found ", "row 3"}})
	run := read(t, p, e2etest.Plugins(t), readings)
	e2etest.WithoutPassword(t, run.Stdout, run.Stderr)
	for _, r := range readings {
		stored(t, p, "whole", r)
		_, keys := p.Topic(r.Name)
		if r.Switches["break-count"] == "1000" && r.Switches["break"] != "truncate" && len(keys) <= e2etest.ReadPage {
			t.Errorf("%s: expected the first page and the rows before the break, found %d rows", r.Name, len(keys))
		}
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
			&e2etest.Reading{Name: name + "-none", Front: e2etest.Forged(c.old, c.new), Settings: settings,
				Fails: []string{"GET /V2/Northwind/Northwind.svc/Orders?", "row 3: ", c.property, "found "}},
			&e2etest.Reading{Name: name + "-all", Front: e2etest.Forged(c.old, c.new), Settings: append(settings,
				"errors.tolerance=all",
				"errors.deadletterqueue.topic.name="+name+"-letters"), Says: []string{"row skipped", "row=3",
				c.property}})
	}
	readings = append(readings, &e2etest.Reading{Name: "json-rounded", Front: e2etest.Forged(`"Freight":"237.5700"`,
		`"Freight":"237.570000"`)})
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

// What a service answers instead of rows.
func TestAnswersThatAreNoRows(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	readings := []*e2etest.Reading{{Name: "whole"}}
	const feed = "/Orders"
	last := func(status int) func(*testing.T, odatatest.Ledger) {
		return func(t *testing.T, l odatatest.Ledger) {
			if l.Statuses[status] != 1 || l.Requests[len(l.Requests)-1].Status != status {
				t.Errorf("expected one of %d and nothing after it, found %v", status, l.Statuses)
			}
		}
	}
	for _, status := range []int{401, 403, 404, 500} {
		for _, body := range []string{"json", "xml", "html", "empty"} {
			r := &e2etest.Reading{Name: fmt.Sprintf("%d-%s", status, body),
				Switches: map[string]string{"match": feed, "status": fmt.Sprint(status), "status-count": "1000",
					"status-body": body,
					"status-code": "SY/530", "status-message": "Nothing for you"},
				Fails: []string{"GET /V2/Northwind/Northwind.svc/Orders?", fmt.Sprint("HTTP ", status)}}
			switch body {
			case "html":
				r.Fails = append(r.Fails, "an HTML page")
			case "empty":
				r.Fails = append(r.Fails, "without a body")
			default:
				r.Fails = append(r.Fails, "Nothing for you", "(code SY/530)")
			}
			if status < 500 {
				r.Check = last(status)
			}
			// The same before there is any feed.
			start := *r
			start.Name, start.Switches = r.Name+"-start", maps.Clone(r.Switches)
			start.Switches["match"] = "$metadata"
			start.Fails = append([]string{"$metadata"}, r.Fails[1:]...)
			readings = append(readings, r, &start)
		}
	}
	logon := []string{"an HTML page", "logon page", "user"}
	readings = append(readings,
		&e2etest.Reading{Name: "logon-feed", Switches: map[string]string{"match": feed, "logon-page": "1000"}, Fails: logon,
			Check: func(t *testing.T, l odatatest.Ledger) {
				if n := requests(l, feed); n != 1 {
					t.Errorf("expected one request for rows, found %d", n)
				}
			}},
		&e2etest.Reading{Name: "logon-later", Switches: map[string]string{"match": "skiptoken", "logon-page": "1000"},
			Fails: logon},
		&e2etest.Reading{Name: "logon-atom", Settings: []string{"sap.odata.format=atom"},
			Switches: map[string]string{"match": feed, "logon-page": "1000"}, Fails: logon},
		&e2etest.Reading{Name: "logon-start", Switches: map[string]string{"match": "$metadata", "logon-page": "1000"},
			Fails: append(logon, "$metadata")},
		// A page that is not the first one says the same.
		&e2etest.Reading{Name: "later", Switches: map[string]string{"match": "skiptoken", "status": "404",
			"status-count": "1000", "status-body": "json", "status-message": "Gone away"},
			Fails: []string{"HTTP 404", "Gone away", "skiptoken="}},
		// What passes costs nothing but time.
		&e2etest.Reading{Name: "passes", Switches: map[string]string{"match": "skiptoken", "status": "503",
			"status-count": "1"}},
		&e2etest.Reading{Name: "empty-success", Front: answered(200, "application/json", ""),
			Fails: []string{"GET /V2/Northwind/Northwind.svc/Orders", "expected "}},
		&e2etest.Reading{Name: "other-success", Front: answered(200, "application/json", `{"odata.metadata":"x","value":[]}`),
			Fails: []string{"GET /V2/Northwind/Northwind.svc/Orders", "expected ", "an answer of OData v3"}},
		&e2etest.Reading{Name: "gateway-success", Front: answered(200, "application/json", `{"status":"UP"}`),
			Settings: []string{"errors.tolerance=all"}, Fails: []string{"JSON with none of the set's properties", "UP"}},
		&e2etest.Reading{Name: "latin-success", Front: answered(200, "application/json;charset=ISO-8859-1", "{\"d\":[\"\xfc\"]}"),
			Fails: []string{"expected text in UTF-8", "iso-8859-1"}},
		&e2etest.Reading{Name: "no-content", Front: answered(204, "", ""),
			Fails: []string{"GET /V2/Northwind/Northwind.svc/Orders", "HTTP 204 (No Content)"}})
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

// A wrong password is sent once, whatever the connectors, their tasks and their feeds (P10).
func TestWrongPasswordIsSentOnce(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 10, User: "me", Password: "right"})
	var args []string
	for _, name := range []string{"one", "other"} {
		lines := e2etest.AsMe(e2etest.Source(name, address, "Orders", "Products", "Customers"), "tasks.max=3",
			"sap.odata.max.retries=3", "sap.odata.min.retry.backoff.ms=1", "sap.odata.max.retry.backoff.ms=2")
		args = append(args, p.File(name+".properties", lines...))
	}
	r := p.Once(args...)
	e2etest.WithoutPassword(t, r.Stdout, r.Stderr)
	if l := s.Ledger(); l.FailedLogons != 1 || l.Total != 1 {
		t.Errorf("expected one request with the password, found %d of %d requests", l.FailedLogons, l.Total)
	}
	r.Exits(1).Says("HTTP 401: Logon failed", // the first refusal, and why there is no second: the cause stands first
		`task 0: FAILED: the password of user "me" was refused (401) at `)
}

// A next link to another host is followed only by leave of sap.odata.link.hosts, and then on the configured origin.
func TestLinksToAnotherHost(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	foreign := map[string]string{"next-host": "http://gateway.example:8000"}
	refused := []string{"leads to http://gateway.example:8000", "sap.odata.link.hosts"}
	readings := []*e2etest.Reading{
		{Name: "whole"},
		{Name: "refused", Switches: foreign, Fails: refused},
		{Name: "refused-atom", Switches: foreign, Settings: []string{"sap.odata.format=atom"}, Fails: refused},
		{Name: "refused-port", Switches: foreign, Settings: []string{"sap.odata.link.hosts=gateway.example:8001"},
			Fails: refused},
		{Name: "refused-name", Switches: foreign, Settings: []string{"sap.odata.link.hosts=example,other.example:8000"},
			Fails: refused},
		{Name: "named", Switches: foreign, Settings: []string{"sap.odata.link.hosts=other.example,gateway.example"}},
		{Name: "named-port", Switches: foreign, Settings: []string{"sap.odata.link.hosts=gateway.example:8000",
			"sap.odata.format=atom"}},
		{Name: "relative", Switches: map[string]string{"links": "relative"}},
		{Name: "relative-atom", Switches: map[string]string{"links": "relative"},
			Settings: []string{"sap.odata.format=atom"}},
		{Name: "itself", Switches: map[string]string{"self-host": "https://public.example/"},
			Settings: []string{"sap.odata.link.hosts=public.example", "sap.odata.format=atom"}},
		{Name: "loopback", Front: e2etest.Forged(`"__next":"http://127.0.0.1:`, `"__next":"http://localhost:`)},
	}
	run := read(t, p, e2etest.Plugins(t), readings)
	e2etest.WithoutPassword(t, run.Stdout, run.Stderr)
	for _, r := range readings {
		stored(t, p, "whole", r)
		if n := requests(r.Service.Ledger(), "skiptoken"); (n == 0) != (len(r.Fails) > 0) {
			t.Errorf("%s: expected the link to be followed: %t, found %d requests", r.Name, len(r.Fails) == 0, n)
		}
	}
}

// Files that are no plugins are refused with what is wrong with them, and cost nobody else anything.
func TestFilesThatAreNoPlugins(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	dir := e2etest.Folder(t)
	good, err := os.ReadFile(filepath.Join(dir, "odata-source.wasm"))
	e2etest.NoError(t, err)
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
		path := e2etest.Put(t, dir, name+".wasm", file.data)
		r := p.Run("plugins", "check", path)
		for _, want := range append(file.want, path) {
			if r.Code != 1 || r.Stdout != "" || !strings.Contains(r.Stderr, want) {
				t.Errorf("%s: expected exit 1 and %q, found %d\n%s%s", name, want, r.Code, r.Stdout, r.Stderr)
			}
		}
	}
	readings := []*e2etest.Reading{{Name: "whole"}}
	read(t, p, dir, readings)
	if _, keys := p.Topic("whole"); len(keys) != e2etest.ReadRows {
		t.Errorf("expected the connector to finish, found %d rows", len(keys))
	}
	// A worker looks at what its connectors do not need, too, and says why it refuses a file; a run that ends by itself
	// leaves it alone.
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	worker := p.Start("run", "--plugins", dir, "--data", p.Data, "--set", "listeners=http://"+porttest.Address(t),
		p.File("orders.properties", e2etest.Source("orders", address, "Orders")...))
	for name, file := range files {
		if why := worker.Awaits(filepath.Join(dir, name+".wasm")); !strings.Contains(why, file.want[0]) {
			t.Errorf("%s: expected %q, found %s", name, file.want[0], why)
		}
	}
	worker.MustStop()
	// A connector that asks for what only a refused file could have learns so.
	r := p.OnceWith(dir, p.File("x.properties", "name=x", "connector.class=x"))
	r.Exits(2).Says("x.properties:2: connector.class: no plugin has the source or sink x")
}

// A plugin that goes wrong fails the tasks that use it, by its name and version; the other connectors of the worker
// finish.
func TestPluginsThatGoWrong(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	dir := e2etest.Folder(t)
	e2etest.Put(t, dir, "rogue.wasm", guesttest.Bytes(t, "../../../../host/plugin/testdata/guests/rogue"))
	readings := []*e2etest.Reading{{Name: "whole"}}
	for mode, want := range map[string]string{
		"panic":          "boom",
		"exit":           "the guest ended itself with exit code 3",
		"deadlock":       "deadlock",
		"result-outside": "past the end of memory",
		"rows-outside":   "past the end of memory",
		"datum":          "row 0, value: ",
		"3gb":            "a result of 3221",
		"rows-3gb":       "are allowed",
		"grow":           "bytes (plugin.rogue.limits.memory.bytes): ",
		"recurse":        "out of memory",
		"flood":          "log lines beyond the allowed",
	} {
		r := &e2etest.Reading{Name: mode, Options: odatatest.Options{Rows: 3},
			Settings: []string{"transforms=bad", "transforms.bad.type=rogue", "transforms.bad.mode=" + mode},
			Fails:    []string{"row 0: transforms: bad: ", "plugin rogue 1.0.0", "apply: ", want}}
		if mode == "grow" {
			r.Says = []string{"plugin.rogue.limits.memory.bytes"}
		}
		readings = append(readings, r)
	}
	readings = append(readings, &e2etest.Reading{Name: "well", Settings: []string{"transforms=bad", "transforms.bad.type=rogue",
		"transforms.bad.mode=nothing"}})
	run := read(t, p, dir, readings)
	e2etest.WithoutPassword(t, run.Stdout, run.Stderr)
	for _, r := range readings {
		stored(t, p, "whole", r)
	}
}

// The same of a source: nothing of its page is stored.
func TestSourcesThatGoWrong(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	dir := e2etest.Folder(t)
	e2etest.Put(t, dir, "reckless.wasm", guesttest.Bytes(t, "../../testdata/guests/reckless"))
	s, address := e2etest.Demo(t, odatatest.Options{Rows: e2etest.ReadRows, PageSize: e2etest.ReadPage})
	host, port, _ := strings.Cut(address, ":")
	args := []string{p.File("good.properties", e2etest.Source("good", address, "Orders")...)}
	modes := map[string]string{"panic": "boom on page 1", "deadlock": "deadlock", "grow": "wasm error: unreachable",
		"row": "row 0, value: ", "schema": "row 0, value: ", "again": "came twice in succession"}
	for mode := range modes {
		args = append(args, p.File(mode+".properties", "name="+mode, "connector.class=example.Reckless",
			"reckless.scheme=http", "reckless.address="+host, "reckless.port="+port, "reckless.mode="+mode,
			"reckless.retries=0"))
	}
	run := p.OnceWith(dir, args...)
	run.Exits(1)
	for mode, want := range modes {
		fails := []string{"feed feed: GET /V2/Northwind/Northwind.svc/", "7.8.9", want}
		(&e2etest.Reading{Name: mode, Fails: fails, Service: s}).Judge(t, run)
		if mode == "again" {
			if n := len(p.Records("reckless-again")); n != 137 && n != 2*137 {
				t.Errorf("expected that the page is not read a third time, found %d records", n)
			}
		} else if _, keys := p.Topic("reckless-" + mode); len(keys) > 0 {
			t.Errorf("%s: expected nothing to be stored, found %v", mode, keys)
		}
	}
	if _, keys := p.Topic("Orders"); len(keys) != e2etest.ReadRows {
		t.Errorf("expected the other connector to finish, found %d rows", len(keys))
	}
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
		{"sink-host-port", e2etest.Instead(e2etest.SinkOf("sink", address, "a", "OrderCopies"), "sap.odata.host.address=[::1]:80"),
			0, `sap.odata.host.address: expected a host name or IP address, found "[::1]:80": the port has `},
		{"topic", without("sap.odata#00.topic"), 7,
			`sap.odata#00.topic: Missing required configuration "sap.odata#00.topic"`},
		{"class", without("connector.class"), 1, `connector.class: Missing required configuration "connector.class"`},
		{"filter", e2etest.Instead(good, "sap.odata#00.fliter#00.property=OrderID"), 0, "sap.odata#00.fliter#00.property: " +
			"unknown setting; the nearest known one is sap.odata#00.filter#00.property"},
		{"unknown", e2etest.Instead(good, "sap.odata.quite.another=x"), 0, "sap.odata.quite.another: unknown setting"},
		{"group", e2etest.Instead(good, "sap.odata#0.format=atom"), 0,
			`sap.odata#0.service: Missing required configuration "sap.odata#0.service"`},
		{"password", e2etest.Instead(good, "sap.odata.user.pasword="+e2etest.Password), 0, "sap.odata.user.pasword: unknown setting"},
		{"word", e2etest.Instead(good, "sap.odata#00.format=yaml"), 0, "sap.odata#00.format: "},
		{"number", e2etest.Instead(good, "sap.odata#00.page.size=many"), 0, "sap.odata#00.page.size: Invalid value many for " +
			"configuration sap.odata#00.page.size: Not a number of type INT"},
		{"range", e2etest.Instead(good, "sap.odata#00.page.size=0"), 0, "sap.odata#00.page.size: "},
		{"port", e2etest.Instead(good, "sap.odata.host.port=70000"), 0, "sap.odata.host.port: "},
		{"delta", e2etest.Instead(good, "sap.odata#00.track-changes=1"), 7,
			"sap.odata#00.exec-period: Delta mode with sap.odata#00.exec-period = -1 would never ask for changes"},
		{"tolerance", e2etest.Instead(good, "errors.tolerance=some"), 0, "errors.tolerance: "},
		{"transform-class", e2etest.Instead(good, "transforms=a", "transforms.a.type=org.example.None"), 0,
			"transforms.a.type: no plugin has the transformation org.example.None"},
		{"predicate", e2etest.Instead(good, "transforms=a",
			"transforms.a.type=org.apache.kafka.connect.transforms.InsertField$Value",
			"transforms.a.static.field=x", "transforms.a.static.value=1", "transforms.a.predicate=none"), 0,
			"transforms.a.predicate: "},
		{"converter", e2etest.Instead(good, "value.converter=org.example.Converter"), 0, "value.converter: "},
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
