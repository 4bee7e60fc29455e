package source

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// comparedRows is the number of rows of a first load.
const comparedRows = 500

// firstLoad describes the changes of a set during its first load, and the expected result.
type firstLoad struct {
	exactlyOnce bool
	deletes     bool   // a row is deleted during the load
	restores    bool   // the row is inserted again after the load
	repeated    int    // rows that are delivered again
	want        string // a part of the log
}

// A first load of changes whose links count rows is not delivered twice: its keys, read again, show that no row is
// missing, or which rows were hidden by rows that were deleted in the meantime. A row that was deleted causes the whole
// set to be delivered again. The same holds with exactly-once.
func TestFirstLoadIsNotDeliveredTwice(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	servers := p.StartBroker()
	for name, c := range map[string]firstLoad{
		"all rows":     {want: "missed=0"},
		"a hidden row": {deletes: true, restores: true, want: "missed=1"},
		"a deleted row": {deletes: true, repeated: comparedRows - 1,
			want: "were deleted since they were read"},
		"exactly once":               {exactlyOnce: true, want: "missed=0"},
		"exactly once, a hidden row": {exactlyOnce: true, deletes: true, restores: true, want: "missed=1"},
		"exactly once, a deleted row": {exactlyOnce: true, deletes: true, repeated: comparedRows - 1,
			want: "were deleted since"},
	} {
		t.Run(name, func(t *testing.T) {
			checkFirstLoad(t, servers, name, c)
		})
	}
}

// checkFirstLoad reads a set while its rows change, and checks the log and the records of its topic.
func checkFirstLoad(t *testing.T, servers, name string, c firstLoad) {
	t.Helper()
	s := odatatest.New(odatatest.Options{Rows: comparedRows, Switches: odatatest.Switches{PageSize: 10,
		SkipToken: "offset", Tombstones: "off"}})
	var pages, compared atomic.Int64
	edits := e2etest.Writer{S: s}
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		isKeys := strings.Contains(r.URL.RawQuery, "$select=OrderID&") ||
			strings.HasSuffix(r.URL.RawQuery, "$select=OrderID")
		switch {
		case isKeys && compared.Add(1) == 1 && c.restores:
			edits.Send("POST", "Orders", map[string]any{"OrderID": 10250, "ShipName": "Restored"})
		case strings.HasSuffix(r.URL.Path, "/Orders") && pages.Add(1) == 20 && c.deletes:
			edits.Send("DELETE", "Orders(10250)", nil)
		}
		s.ServeHTTP(w, r)
	}))
	topic := strings.NewReplacer(" ", "-", ",", "").Replace(name)
	worker := []string{"offset.flush.interval.ms=100"}
	if c.exactlyOnce {
		worker = append(worker, "group.id="+topic, "exactly.once.source.support=enabled")
	}
	q := e2etest.NewPlace(t)
	run := q.MustRun("run", "--once", "--data", q.Data, "--plugins", e2etest.Plugins(t),
		q.WritePlainWorker(servers, worker...), q.File("c.properties", append(e2etest.Source(topic, address),
			"sap.odata#00.service="+odatatest.SAPPath, "sap.odata#00.entityset=Orders",
			"sap.odata#00.topic="+topic, "sap.odata#00.page.size=10", "sap.odata#00.track-changes=1",
			"sap.odata#00.exec-period=60", "sap.odata#00.format=json", e2etest.NoReadTimeout)...))
	run.WantStderr(c.want, "complete=key")
	if warns := strings.Contains(run.Stderr, "so the set is read again by key"); warns != (c.repeated > 0) {
		t.Errorf("warning that the set is read again: expected %t, found %t", c.repeated > 0, warns)
	}
	received := map[string]int{}
	repeated := 0
	for line := range strings.Lines(q.MustRun("consume", topic, "--bootstrap-servers", servers).Stdout) {
		var record struct{ Key, Value, Headers json.RawMessage }
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		if strings.Contains(string(record.Headers), "culvert.snapshot") {
			repeated++
		} else if !strings.Contains(string(record.Value), "Restored") {
			received[string(record.Key)]++
		}
	}
	for key, n := range received {
		require.True(t, n <= 1, "expected key %s once, found it %d times", key, n)
	}
	// The row before the deleted one hides the first row of the next page, until the set is read again.
	want := comparedRows
	if c.repeated > 0 {
		want--
	}
	assert.True(t, len(received) == want && repeated == c.repeated,
		"expected %d rows and %d again, found %d and %d", want, c.repeated, len(received), repeated)
}
