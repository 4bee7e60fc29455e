package operate

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/rest"
)

// Operations beyond Kafka Connect's: feeds and dead letters are shown, dead letters and rejected logons are retried,
// and a source's subscriptions are ended.
func TestOperate(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 12})
	dir := e2etest.CopyPlugins(t, "odata-sink")
	listen := porttest.Address(t)
	worker := p.File("worker.properties", "bootstrap.servers=embedded", "listeners=http://"+listen)
	lockingService, lockingAddress := e2etest.StartDemo(t, odatatest.Options{Rows: 10, User: "me",
		Password: e2etest.Password, Switches: odatatest.Switches{LockAfter: 1}})
	e2etest.LockUser(t, lockingAddress)
	rejecting, rejectingAddress := e2etest.StartDemo(t, odatatest.Options{Rows: 1,
		Switches: odatatest.Switches{Match: "POST", Status: 400, StatusCount: 1_000_000}})
	// An error of the service is shown in its own words, with the transaction ID.
	s.Set("match", "Customers")
	s.Set("status", "500")
	s.Set("status-count", "1")
	orders := p.File("orders.properties",
		append(e2etest.WithSettings(e2etest.Source("orders", address, "Orders", "Customers"),
			"sap.odata.max.retries=5", "sap.odata.min.retry.backoff.ms=1", "sap.odata.max.retry.backoff.ms=2",
			"sap.odata.http.codes=503"), "sap.odata#00.exec-period=86400", "sap.odata#01.exec-period=86400")...)
	back := p.File("back.properties", append(e2etest.Sink("back", rejectingAddress, "Orders", "OrderCopies"),
		"errors.tolerance=all", "errors.deadletterqueue.topic.name=refused",
		"errors.deadletterqueue.context.headers.enable=true")...)
	neighbour := p.File("beside.properties", e2etest.WithSettings(e2etest.Source("beside", lockingAddress, "Suppliers"),
		"sap.odata.user.name=me", "sap.odata.user.pwd="+e2etest.Password)...)
	c := p.StartFor(10*time.Minute, "run", "--plugins", dir, "--data", p.Data, worker, orders, back, neighbour)
	f := &e2etest.Worker{Place: p, Command: c, URL: "http://" + listen}
	c.Eventually("REST", func() bool {
		var root rest.Root
		return e2etest.Get(t, f.URL+"/", &root) == 200 && root.Cluster != ""
	})
	checkFeedsAreShown(f)
	checkSnapshotReadsAllRowsAgain(f)
	checkRejectedLogonIsRetried(f, lockingService, lockingAddress)
	checkSubscriptionsAreEnded(f)
	checkDeadLettersAreReplayed(f, rejecting)
	checkVersionsAreSwitched(f, dir)
	c.MustStop()
}

// checkFeedsAreShown checks that feeds have their last request, their last error and the time of the next read.
func checkFeedsAreShown(f *e2etest.Worker) {
	t := f.Place.T
	var m connect.Metrics
	f.Eventually("its feeds", func() bool {
		return e2etest.Get(t, f.URL+"/culvert/connectors/orders", &m) == 200 && len(m.Tasks) == 1 &&
			m.Tasks[0].CaughtUp && len(m.Tasks[0].Feeds) == 2 && m.Tasks[0].Feeds[0].NextRun != nil &&
			m.Tasks[0].Feeds[1].NextRun != nil
	})
	for i, name := range []string{"Orders", "Customers"} {
		feed := m.Tasks[0].Feeds[i]
		if r := feed.LastRequest; feed.Name != name || r == nil || r.Status != 200 ||
			!strings.HasPrefix(r.Request, "GET "+odatatest.NorthwindPath) || !strings.Contains(r.Request, name) {
			t.Errorf("expected the last request of %s, found %+v", name, r)
		}
		if next := *feed.NextRun; feed.AgeSeconds == nil || *feed.AgeSeconds < 0 || !next.After(*feed.LastCaughtUp) {
			t.Errorf("%s: expected an age and a next run after the last one, found %v, %v", name, feed.AgeSeconds, next)
		}
		if e := feed.LastError; (e != nil) != (name == "Customers") ||
			(e != nil && (!strings.Contains(e.Message, "HTTP 500") || e.At.IsZero())) {
			t.Errorf("%s: expected an error only of Customers, found %+v", name, e)
		}
	}

	f.Run("connectors", "show", "orders", "--url", f.URL).
		WantCode(0).WantStdout("\n    Customers: caught up ", "last error ", "\n      GET "+odatatest.NorthwindPath)
}

// checkSnapshotReadsAllRowsAgain checks that a snapshot of a finished set reads all its rows again.
func checkSnapshotReadsAllRowsAgain(f *e2etest.Worker) {
	t := f.Place.T
	f.MustCall(404, "POST", "/culvert/connectors/orders/feeds/Nothing/snapshot", "")
	f.MustCall(404, "POST", "/culvert/connectors/ghost/feeds/Orders/snapshot", "")
	ident := e2etest.Decode[map[string]string](t, f.MustCall(202, "POST",
		"/culvert/connectors/orders/feeds/Customers/snapshot", ""))["snapshot"]
	var m connect.Metrics
	f.Eventually("the snapshot", func() bool {
		e2etest.Get(t, f.URL+"/culvert/connectors/orders", &m)
		last := m.Tasks[0].Feeds[1].LastSnapshot
		return last != nil && last.Started && last.Snapshot == ident && m.Tasks[0].Feeds[1].CaughtUp
	})
	f.AwaitRecords(f.Place, "Customers", 182)
}

// checkRejectedLogonIsRetried checks that a rejected logon is shown, and is retried on request after the user was
// unlocked.
func checkRejectedLogonIsRetried(f *e2etest.Worker, locking *odatatest.Service, address string) {
	t := f.Place.T
	f.Await("beside", "fails", func(s connect.Status) bool {
		return len(s.Tasks) == 1 && s.Tasks[0].State == connect.Failed
	})
	lockouts := e2etest.Decode[rest.Lockouts](t, f.MustCall(200, "GET", "/culvert/lockouts", ""))
	require.True(t, len(lockouts.Logons) == 1 && lockouts.Others == 0,
		"expected one refused logon, found %+v", lockouts)
	l := lockouts.Logons[0]
	assert.True(t, l.User == "me" && l.Origin == "http://"+address && l.State == "refused" && !l.Since.IsZero() &&
		strings.Contains(l.Message, "was refused (401)") && !strings.Contains(l.Message, e2etest.Password),
		"expected a refused logon without its password, found %+v", l)
	locking.Set("unlock-users", "")
	f.MustAnswer(200, "PUT", "/culvert/lockouts/resume", "", `{"resumed":1}`)
	f.Await("beside", "runs", e2etest.IsRunning)
	f.MustAnswer(200, "GET", "/culvert/lockouts", "", `{"logons":[],"others":0}`)
}

// checkSubscriptionsAreEnded checks that a stopped source's subscriptions can be ended.
func checkSubscriptionsAreEnded(f *e2etest.Worker) {
	t := f.Place.T
	f.MustCall(409, "PUT", "/culvert/connectors/orders/retire", "")
	f.MustCall(404, "PUT", "/culvert/connectors/ghost/retire", "")
	f.Steer("orders", "stop")
	var result string
	f.Eventually("the end of its tasks", func() bool {
		status, answer := f.Call("PUT", "/culvert/connectors/orders/retire", "")
		result = answer
		return status != http.StatusConflict
	})
	assert.Equal(t, `{"ended":"nothing"}`, result, "nothing is ended")
	f.Steer("orders", "resume")
}

// checkDeadLettersAreReplayed reads the dead letters of a service that has rejected all writes, and replays them.
func checkDeadLettersAreReplayed(f *e2etest.Worker, s *odatatest.Service) {
	t := f.Place.T
	t.Helper()
	f.MustCall(404, "GET", "/culvert/connectors/beside/deadletters", "")
	f.MustCall(404, "POST", "/culvert/connectors/ghost/deadletters/replay", "")
	f.MustCall(400, "GET", "/culvert/connectors/back/deadletters?show=few", "")
	f.MustCall(400, "GET", "/culvert/connectors/back/deadletters?after=x", "")
	var list rest.DeadLetterList
	f.Eventually("dead letters", func() bool {
		list = e2etest.Decode[rest.DeadLetterList](t, f.MustCall(200, "GET", "/culvert/connectors/back/deadletters",
			""))
		return len(list.DeadLetters) == 12
	})
	l := list.DeadLetters[0]
	assert.True(t, list.Topic == "refused" && l.Connector == "back" && l.From.Topic == "Orders" && l.Offset == 11 &&
		l.Message != "", "expected the newest letter of back in refused, found %+v of %s", l, list.Topic)
	readLetters := func(query string) []rest.DeadLetter {
		return e2etest.Decode[rest.DeadLetterList](t, f.MustCall(200, "GET",
			"/culvert/connectors/back/deadletters"+query, "")).DeadLetters
	}
	if l := readLetters("?letter=0@3"); len(l) != 1 || l[0].Offset != 3 || l[0].Record == nil || l[0].Attempts != 1 {
		t.Errorf("expected one with its record, found %+v", l)
	}
	if c := list.Causes; len(c) != 1 || c[0].Count != 12 || len(readLetters("?cause="+c[0].ID)) != 12 {
		t.Errorf("expected one cause, found %+v", c)
	}
	n := len(readLetters("?show=settled")) + len(readLetters("?cause=12345678"))
	assert.True(t, n <= 0, "expected none, found %d", n)
	replay := func(body, want string) {
		t.Helper()
		f.MustAnswer(200, "POST", "/culvert/connectors/back/deadletters/replay", body, want)
	}
	replay(`{"dry": true}`, `{"sent":0,"delivered":0,"refused":0,"kept":{},"dry":true,"passes":12}`) // nothing is sent
	s.Set("status-count", "0")
	replay(`{"error": "no such text"}`, `{"sent":0,"delivered":0,"refused":0,"kept":{}}`)
	for _, hold := range []string{"pause", "stop"} {
		f.Call("PUT", "/connectors/back/"+hold, "")
		f.MustCall(409, "POST", "/culvert/connectors/back/deadletters/replay", "", "resume it, then replay")
		f.MustCall(202, "PUT", "/connectors/back/resume", "")
	}
	replay("", `{"sent":12,"delivered":12,"refused":0,"kept":{}}`)
	assert.Equal(t, 12, s.Count("OrderCopies"), "entities")
	replay("", `{"sent":0,"delivered":0,"refused":0,"kept":{}}`)
	if open, settled := readLetters(""), readLetters("?show=settled"); len(open) != 0 || len(settled) != 12 {
		t.Errorf("expected that all are settled, found %d and %d", len(open), len(settled))
	}
}

// checkVersionsAreSwitched switches a connector to another version of its plugin, back, and to a version by its hash.
func checkVersionsAreSwitched(f *e2etest.Worker, dir string) {
	t := f.Place.T
	t.Helper()
	awaitVersion := func(version string) {
		t.Helper()
		f.Await("orders", "has version "+version, func(s connect.Status) bool {
			return e2etest.IsRunning(s) && s.Tasks[0].Version == version
		})
	}
	e2etest.ReplaceFile(t, dir, "odata-source.wasm", guesttest.Bytes(t, "../../../../plugins/odata-source",
		"main.version=0.2.0"))
	awaitVersion("0.2.0")
	f.MustCall(204, "PUT", "/culvert/plugins/odata-source/rollback", "")
	awaitVersion("0.1.0")
	other := ""
	for _, m := range e2etest.Decode[[]rest.Module](t, f.MustCall(200, "GET", "/culvert/plugins", "")) {
		if m.Plugin != "odata-source" {
			continue
		}
		assert.True(t, m.Chosen == (m.Version == "0.1.0") && filepath.Dir(m.File) == dir,
			"expected version 0.1.0 alone to be chosen, from %s, found %+v", dir, m)
		if !m.Chosen {
			other = m.Hash
		}
	}
	f.MustCall(204, "PUT", "/culvert/plugins/odata-source/swap", `{"hash": "`+other+`"}`)
	awaitVersion("0.2.0")
}

// Each change, pause and restart by REST is logged with its user, status has the reason of a failure, and operations
// beyond Kafka Connect's have commands.
func TestOperators(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s := odatatest.New(odatatest.Options{Rows: 10})
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/Customers") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		s.ServeHTTP(w, r)
	}))
	p.File("conf/orders.properties", e2etest.Source("orders", address, "Orders")...)
	p.File("conf/bad.properties", e2etest.Source("bad", address, "Customers")...)
	f := p.StartWorker("conf")
	f.AwaitStderr("extraction finished: 10 rows")
	f.Await("orders", "runs", e2etest.IsRunning)
	f.Await("bad", "has failed", func(s connect.Status) bool {
		return len(s.Tasks) == 1 && s.Tasks[0].State == connect.Failed
	})
	f.Steer("orders", "pause")
	f.MustCall(202, "PUT", "/connectors/orders/resume", "")
	f.MustCall(404, "PUT", "/connectors/none/pause", "")
	f.MustCall(200, "GET", "/connectors/orders/status", "")
	f.MustCall(200, "PUT", "/admin/loggers/org.init.ohja", `{"level":"DEBUG"}`)
	f.AwaitStderr(`request="PUT /admin/loggers/org.init.ohja" by=127.0.0.1 status=200 set_to=DEBUG`)
	log := f.Stderr.String()
	assert.True(t, !strings.Contains(log, "logger=org.init.ohja"), "expected one line of a logger's level\n%s", log)
	checkChangesAreLogged(t, f)
	command := func(want int, line string) e2etest.Result {
		t.Helper()
		return p.Run(append(strings.Fields(line), "--url", f.URL)...).WantCode(want)
	}
	command(1, "status").WantOutput("\nbad: feed Customers: ", "404")
	var states []struct {
		Rows   *float64
		Errors []string
		Since  *time.Time
		Action *connect.Action
	}
	err := json.Unmarshal([]byte(p.Run("status", "--json", "--url", f.URL).Stdout), &states)
	assert.True(t, err == nil && len(states) == 2 && len(states[0].Errors) == 1 && states[1].Errors == nil &&
		states[0].Since != nil && states[0].Action != nil,
		"expected an error and an action of the first of two connectors, found %+v, %v", states, err)
	f.Await("orders", "runs", e2etest.IsRunning)
	command(0, "connectors snapshot orders Orders").WantOutput("orders reads Orders as snapshot ")
	f.Eventually("the snapshot to be read", func() bool {
		var m connect.Metrics
		return e2etest.Get(t, f.URL+"/culvert/connectors/orders", &m) == 200 && m.Tasks[0].Rows == 10 &&
			m.Tasks[0].Feeds[0].LastSnapshot != nil && m.Tasks[0].Feeds[0].LastSnapshot.Started
	})
	command(1, "connectors snapshot orders None").WantOutput("no such feed")
	command(0, "connectors lockouts").WantStdout("logons")
	command(0, "connectors lockouts resume")
	lines := f.MustCall(200, "GET", "/culvert/log?connector=orders&level=INFO", "")
	assert.True(t, strings.Contains(lines, ": extraction finished: 10 rows") &&
		!strings.Contains(lines, "connector=bad"), "expected the lines about orders, found %s", lines)
	f.MustCall(400, "GET", "/culvert/log?level=LOUD", "")
	command(2, "connectors tool orders peek")
	var modules []rest.Module
	e2etest.Get(t, f.URL+"/culvert/plugins", &modules)
	i := slices.IndexFunc(modules, func(m rest.Module) bool {
		return m.Plugin == "odata-source" && m.State == "active" && len(m.Hash) == 64 && len(m.Classes) > 0
	})
	require.True(t, i >= 0, "expected an active odata-source with its classes, found %+v", modules)
	command(0, "plugins swap odata-source "+modules[i].Hash)
	command(1, "plugins swap odata-source 0")
	command(1, "plugins rollback odata-source") // there is no version before it
	f.MustStop()
}

// checkChangesAreLogged checks that each accepted change by REST is logged once with its user, and nothing else is.
func checkChangesAreLogged(t *testing.T, f *e2etest.Worker) {
	t.Helper()
	for request, want := range map[string]int{"PUT /connectors/orders/pause": 1, "PUT /connectors/orders/resume": 1,
		"PUT /connectors/none/pause": 0, "GET ": 0} {
		line := `msg="changed by REST" request="` + request
		if n := strings.Count(f.Stderr.String(), line); n != want || (want > 0 &&
			!strings.Contains(f.Stderr.String(), line+`" by=127.0.0.1 status=202`)) {
			t.Errorf("%s: expected %d lines, found %d\n%s", request, want, n, f.Stderr.String())
		}
	}
}

// A start that reads nothing logs the topic, when the set was read, and how to read it again.
func TestNothingToDoIsSaid(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	file := func(topic string) string {
		return p.File("in.properties", e2etest.WithSettings(e2etest.Source("in", address, "Orders"),
			"sap.odata#00.topic="+topic)...)
	}
	run := func(topic string) e2etest.Result {
		return p.RunOnce(file(topic))
	}
	const line = "this start reads nothing into topic "
	run("Orders").WantCode(0).WantNo(line)
	run("Other").WantCode(0).WantStderrTimes(1, line+"Other: the set was read completely at 20").
		WantStderr("reset the connector's offsets")
	const changes, sinks = "this start reads nothing but changes into topic delta: the set was read up to 20",
		`msg="nothing to write: `
	for n := range 2 { // a set in delta mode, and a sink that skips the records that it reads
		lines := append(e2etest.Sink("out", e2etest.StartTextService(t, 0, &atomic.Int32{}), "Orders", "Texts"),
			"errors.tolerance=all")
		r := p.Run("run", "--once", "--plugins", e2etest.Plugins(t, "odata-source", "odata-sink"), "--data", p.Data,
			p.File("out.properties", lines...),
			p.File("delta.properties", e2etest.DeltaSource("delta", address, odatatest.SAPPath, "Products")...))
		assert.True(t, r.Code == 0 && strings.Count(r.Stderr, changes) == n && strings.Count(r.Stderr, sinks) == n,
			"start %d: expected exit 0 and %d lines of each, found exit %d\n%s", n, n, r.Code, r.Stderr)
	}
	c := p.Start("run", "--plugins", e2etest.Plugins(t, "odata-source", "odata-sink"), "--data", p.Data,
		p.File("worker.properties", "bootstrap.servers=embedded", "listeners="), filepath.Join(p.Dir, "out.properties"))
	c.AwaitStderr(sinks) // also without --once
	c.Stop().WantCode(0).WantStderrTimes(1, sinks)
	p.Run("validate", "--plugins", e2etest.Plugins(t),
		file("Other")).WantCode(0).WantNoStdout().WantStderr("in.properties: ok: in")
}

// Rows of a source and a sink are shown before and after each transform, as in their tasks, and become a test that
// passes. They are neither logged nor stored.
func TestSamples(t *testing.T) {
	t.Parallel()
	const transforms = "org.apache.kafka.connect.transforms."
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 30})
	plugins := e2etest.Plugins(t, "odata-sink", "smt")
	chain := []string{"transforms=mask,in,route", "predicates=other",
		"transforms.mask.type=" + transforms + "MaskField$Value", "transforms.mask.fields=Country",
		"transforms.in.type=" + transforms + "InsertField$Value", "transforms.in.static.field=Origin",
		"transforms.in.static.value=here",
		"transforms.route.type=" + transforms + "RegexRouter", "transforms.route.regex=.*",
		"transforms.route.replacement=${file:" + p.File("hidden.properties", "topic=hush-hush") + ":topic}",
		"transforms.route.predicate=other", "predicates.other.type=" + transforms + "predicates.TopicNameMatches",
		"predicates.other.pattern=elsewhere"}
	p.File("conf/there.properties", append(e2etest.Source("there", address, "Customers"), chain...)...)
	p.File("conf/back.properties", append(e2etest.Sink("back", address, "Products", "ProductCopies"),
		"transforms=drop", "predicates=gone", "transforms.drop.type="+transforms+"Filter",
		"transforms.drop.predicate=gone",
		"predicates.gone.type="+transforms+"predicates.RecordIsTombstone")...)
	f := p.StartWorkerWith(plugins, "conf")
	f.Await("there", "runs", e2etest.IsRunning)
	f.AwaitChangeable()
	f.Steer("there", "stop")
	const samples = "/culvert/connectors/there/samples"
	full := e2etest.Decode[rest.Sample](t, f.MustCall(202, "POST", samples, `{"rows":5}`, `"show":"full"`))
	shape := e2etest.Decode[rest.Sample](t, f.MustCall(202, "POST", samples, `{"rows":3,"show":"shape"}`))
	f.MustCall(200, "DELETE", "/connectors/there/offsets", "")
	f.Steer("there", "resume")
	f.AwaitCall(200, "GET", samples+"/"+full.ID, "", `"state":"done"`)
	answer := f.MustCall(200, "GET", samples+"/"+full.ID, "")
	sample := e2etest.Decode[rest.Sample](t, answer)
	require.True(t, len(sample.Rows) == 5 && sample.Problem == "" && len(sample.Steps) == 3,
		"expected 5 rows and 3 steps, found %s", answer)
	for _, row := range sample.Rows {
		checkSampledRow(t, row)
	}
	country := `"Country": "string(`
	f.AwaitCall(200, "GET", samples+"/"+shape.ID, "", `"state":"done"`, strings.ReplaceAll(country, `"`, `\"`))
	f.MustCall(403, "GET", samples+"/"+shape.ID+"?as=test", "", "has no values")
	f.MustCall(404, "GET", "/culvert/connectors/back/samples/"+full.ID, "")
	checkSampleThroughOtherChains(f, samples+"/"+full.ID+"/chain")
	// In the generated test a reference stays a reference.
	test := f.MustCall(200, "GET", samples+"/"+full.ID+"?as=test", "", "transforms.route.replacement", "${file:")
	file := p.File("there_test.yaml", test)
	p.MustRun("test", "--plugins", plugins, "--data", p.Data, file)
	p.Run("test", "--plugins", plugins, "--data", p.Data, p.File("wrong_test.yaml", strings.Replace(test,
		"static.value: here", "static.value: there", 1))).WantCode(1)

	f.Await("back", "runs", e2etest.IsRunning)
	c := e2etest.Decode[rest.Sample](t, f.MustCall(202, "POST", "/culvert/connectors/back/samples", `{"rows":2}`))
	p.File("conf/products.properties", e2etest.Source("products", address, "Products")...)
	f.AwaitCall(200, "GET", "/culvert/connectors/back/samples/"+c.ID, "", `"state":"done"`, `"topic":"Products"`,
		`"alias":"drop","class":"`+transforms+`Filter","predicate":"gone"`, `"did":"skipped"`,
		"ProductName")
	f.Await("products", "runs", e2etest.IsRunning)
	if s.Count("ProductCopies") == 0 {
		f.Eventually("copies", func() bool { return s.Count("ProductCopies") > 0 })
	}

	// Without transforms the rows are unchanged.
	f.Steer("products", "stop")
	plain := e2etest.Decode[rest.Sample](t, f.MustCall(202, "POST", "/culvert/connectors/products/samples",
		`{"rows":1}`))
	f.MustCall(200, "DELETE", "/connectors/products/offsets", "")
	f.Steer("products", "resume")
	f.AwaitCall(200, "GET", "/culvert/connectors/products/samples/"+plain.ID, "", `"state":"done","wanted":1`,
		`ProductName`, `"steps":[]`)

	stopped := f.Command.Stop()
	e2etest.MustNotContain(t, "the log", stopped.Stderr, "Obere Str. 57", "hush-hush")
}

// checkSampleThroughOtherChains puts the rows of a sample through another chain, and through invalid ones.
func checkSampleThroughOtherChains(f *e2etest.Worker, path string) {
	const transforms = "org.apache.kafka.connect.transforms."
	f.MustCall(200, "POST", path,
		`{"config":{"connector.class":"x","transforms":"up","transforms.up.type":"`+
			transforms+`HoistField$Value","transforms.up.field":"row"}}`, `\"row\": {`)
	f.MustCall(400, "POST", path, `{"config":{"transforms":"up","transforms.up.type":"`+transforms+
		`HoistField$Value"}}`, "transforms.up.field")
	f.MustCall(400, "POST", path, `{"config":{"transforms":"up","transforms.up.type":"Nothing"}}`,
		"transforms.up.type")
}

// checkSampledRow checks a row of Customers before and after the transforms mask, in and route.
func checkSampledRow(t *testing.T, row rest.SampledRow) {
	t.Helper()
	mask := row.Steps[0]
	in := row.Steps[1]
	route := row.Steps[2]
	assert.True(t, row.Problem == "" && row.Feed == "Customers" && row.Input.Topic == "Customers" &&
		mask.Outcome == "changed" && strings.Contains(mask.Records[0].Value, `"Country": ""`) &&
		!strings.Contains(row.Input.Value, `"Country": ""`) &&
		strings.Contains(in.Records[0].Value, `"Origin": "here"`) && route.Outcome == "skipped" &&
		strings.Contains(row.Input.ValueSchema, `"field": "Country"`),
		"expected that mask and in change the row and route is skipped, found %+v", row)
}

// Commands of a plugin run with the connector's settings.
func TestToolsByREST(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10})
	plugins := e2etest.Plugins(t, "smt")
	p.File("conf/there.properties", append(e2etest.Source("there", address, "Customers"), "transforms=in",
		"transforms.in.type=org.apache.kafka.connect.transforms.InsertField$Value", "transforms.in.static.field=Origin",
		"transforms.in.static.value=here")...)
	f := p.StartWorkerWith(plugins, "conf", "console.records=full")
	f.Await("there", "runs", e2etest.IsRunning)
	const path = "/culvert/connectors/there/tools"
	f.MustCall(200, "GET", path, "", `{"name":"peek"`, `{"name":"e","type":"string","required":true,`)
	peek := `{"options":{"s":"` + odatatest.NorthwindPath + `","e":"Customers","n":"2"}`
	f.MustCall(200, "POST", path+"/peek", peek+"}", `"rows":[{`, `"CustomerID":"`)
	f.MustCall(200, "POST", path+"/ping", `{"options":{"s":"`+odatatest.NorthwindPath+`"}}`)
	for body, want := range map[string]string{
		`{"options":{"x":"1"}}`:                     "option x: peek has no option of this name",
		`{"options":{"s":"/x"}}`:                    "is required",
		`{"options":{"s":"/x","e":"C","n":"many"}}`: "option n",
	} {
		f.MustCall(400, "POST", path+"/peek", body, want)
	}
	// Commands that change the service are neither listed nor run.
	answer := f.MustCall(200, "GET", path, "")
	assert.True(t, !strings.Contains(answer, "delete-subscription") && !strings.Contains(answer, "retire"),
		"expected commands that read, found %s", answer)
	f.MustCall(409, "POST", path+"/delete-subscription", "{}", "only commands that read", "culvert delete-subscription")
	f.MustCall(409, "POST", path+"/retire", "{}", "only commands that read")
	f.MustCall(404, "POST", path+"/wander", "{}", "has no command wander")
	f.Stop()
}
