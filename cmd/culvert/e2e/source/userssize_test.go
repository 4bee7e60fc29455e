package source

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// usersRows is the number of rows of a set at users' size.
const usersRows = 25_000

// readingMode is a way to read a set.
type readingMode struct {
	name     string
	path     string // of the service; "" means Northwind's
	set      string // "" means Orders
	switches odatatest.Switches
	settings []string // settings of the connector
	worker   []string // settings of the worker
	runs     int      // how often the worker reads the set; zero means once
	isKilled bool     // the worker is killed twice during the load
	query    string   // a part of the queries of the last pages
	reloads  bool     // all rows arrive a second time, with marks
	repeats  bool     // rows after the last stored offset may arrive twice, because the worker was killed
}

// Each mode of reading delivers each row once at users' size: 25,000 rows and more in pages of 250. Small sets hid that
// a first load of changes failed above 6,000 rows.
func TestEachModeAtUsersSize(t *testing.T) {
	t.Parallel()
	tracked := []string{"sap.odata#00.track-changes=1", "sap.odata#00.exec-period=60", "sap.odata#00.format=json"}
	numbered := odatatest.Switches{SkipToken: "offset", Tombstones: "off"}
	exactly := []string{"group.id=exact", "exactly.once.source.support=enabled"}
	p := e2etest.NewPlace(t)
	servers := p.StartBroker()
	for _, c := range []readingMode{
		{name: "full by key", switches: numbered, query: "$filter=OrderID%20ge%20"},
		{name: "full by links", query: "$skiptoken="},
		{name: "full by links that count rows", switches: odatatest.Switches{SkipToken: "opaque", RefuseOrderBy: true},
			query: "$skiptoken="},
		{name: "full by $skip", switches: odatatest.Switches{RefuseOrderBy: true}, settings: []string{
			"sap.odata#00.paging=top"}, query: "$skip="},
		{name: "changes", path: odatatest.SAPPath, settings: tracked, query: "$skiptoken="},
		{name: "changes after links that count rows, killed", path: odatatest.SAPPath, switches: numbered,
			settings: tracked, isKilled: true, reloads: true, repeats: true},
		{name: "ODP", path: odatatest.ODPPath, set: "FactsOfOrders", settings: tracked},
		{name: "cursor", switches: odatatest.Switches{RefuseOrderBy: true}, runs: 2, settings: []string{
			"sap.odata#00.cursor.property=OrderDate", "sap.odata#00.cursor.lookback=86400",
			"sap.odata#00.exec-period=60"}},
		{name: "expand", switches: odatatest.Switches{ExpandPageSize: 3}, settings: []string{
			"sap.odata#00.expand=Order_Details"}},
		{name: "exactly once, changes after links that count rows, killed", path: odatatest.SAPPath, switches: numbered,
			worker: exactly, settings: tracked, isKilled: true, reloads: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.run(t, servers)
		})
	}
}

// run reads all rows, and checks the records and the requests.
func (m readingMode) run(t *testing.T, servers string) {
	t.Helper()
	if m.path == "" {
		m.path = odatatest.NorthwindPath
	}
	if m.set == "" {
		m.set = "Orders"
	}
	m.switches.PageSize = 250
	s, address := e2etest.StartDemo(t, odatatest.Options{Rows: usersRows, Switches: m.switches})
	topic := strings.NewReplacer(" ", "-", ",", "", "$", "").Replace(m.name)
	q := e2etest.NewPlace(t)
	args := []string{"run", "--once", "--data", q.Data, "--plugins", e2etest.Plugins(t),
		q.WritePlainWorker(servers, append(m.worker, "offset.flush.interval.ms=100")...), q.File("c.properties",
			append(e2etest.Source(topic, address), append([]string{"sap.odata#00.service=" + m.path,
				"sap.odata#00.entityset=" + m.set, "sap.odata#00.topic=" + topic, "sap.odata#00.page.size=250",
				e2etest.NoReadTimeout}, m.settings...)...)...)}
	for n := range 2 {
		if !m.isKilled {
			break
		}
		w := q.Start(args...)
		pages := s.Ledger().Pages
		w.Eventually("pages", func() bool { return s.Ledger().Pages > pages+30+n })
		w.Kill()
	}
	for range max(m.runs, 1) {
		q.MustRun(args...)
	}
	received, reloads := keysOf(t, q.MustRun("consume", topic, "--bootstrap-servers", servers).Stdout)
	check := func(what string, counts map[string]int) {
		for key, n := range counts {
			require.True(t, n <= 1 || m.repeats, "%s: expected key %s once, found it %d times", what, key, n)
		}
		assert.Equal(t, usersRows, len(counts), what, "rows")
	}
	check("the load", received)
	if m.reloads {
		check("the second reading", reloads)
	} else if len(reloads) > 0 {
		t.Errorf("expected no row a second time, found %d", len(reloads))
	}
	l := s.Ledger()
	assert.True(t, m.path != odatatest.ODPPath || (l.Jobs == 1 && l.Refused536 <= 0),
		"expected 1 extraction and no expired token, found %d and %d", l.Jobs, l.Refused536)
	query := func(r odatatest.Request) bool { return strings.Contains(r.Query, m.query) }
	assert.True(t, slices.ContainsFunc(l.Requests, query),
		"expected requests with %s, found none of %d", m.query, len(l.Requests))
}

// keysOf returns how often records of each key occur among the printed ones: those of a load, and those that are marked
// because they were read again.
func keysOf(t *testing.T, printed string) (received, reloads map[string]int) {
	t.Helper()
	received = map[string]int{}
	reloads = map[string]int{}
	for line := range strings.Lines(printed) {
		var record struct {
			Key     json.RawMessage
			Headers json.RawMessage
		}
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		if strings.Contains(string(record.Headers), "culvert.snapshot") {
			reloads[string(record.Key)]++
		} else {
			received[string(record.Key)]++
		}
	}
	return received, reloads
}
