package delivery

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// newAtLeastOnce prepares a connector with at-least-once that reads a set, and starts its broker as a process of its
// own. settings are added to the worker's file.
func newAtLeastOnce(t *testing.T, rounds int, settings ...string) (e *ExactWorker, broker *e2etest.Command) {
	t.Helper()
	p := e2etest.NewPlace(t)
	broker, servers := p.StartBrokerCommand()
	e = NewExactWorker(t, servers, p, "orders", rounds)
	e.worker = p.WritePlainWorker(servers, settings...)
	e.Lines = []string{"exactly.once.support=requested"}
	return e, broker
}

// rowNumbers returns the numbers of the rows in the topic, in the order of its records. The service numbers its rows
// from 0 on.
func (e *ExactWorker) rowNumbers() (numbers []int) {
	e.t.Helper()
	for _, row := range e.rowsInTopic() {
		numbers = append(numbers, e.Rows[row])
	}
	return numbers
}

// storedRows returns how many rows the newest stored offset covers; 0 if none is stored.
func (e *ExactWorker) storedRows() int {
	e.t.Helper()
	records := e.Records("connect-offsets")
	if len(records) == 0 {
		return 0
	}
	var newest struct{ Value struct{ Seen, Record int } }
	require.NoError(e.t, json.Unmarshal([]byte(records[len(records)-1]), &newest))
	return newest.Value.Seen + newest.Value.Record
}

// After kills while a page arrives, no row is missing, and only rows that no stored offset covers are repeated.
func TestSoakKilledInMidPage(t *testing.T) {
	t.Parallel()
	rounds := e2etest.Rounds()
	e, _ := newAtLeastOnce(t, rounds-1, "offset.flush.interval.ms=20")
	random := rand.New(rand.NewPCG(1, 0))
	file := e.Files()[0]
	// kill has the records in the topic and the rows that the stored offset covers, after a kill.
	type kill struct {
		records    int
		storedRows int
	}
	var kills []kill
	for range rounds {
		// The service blocks within a page, after so many bytes.
		e.Held.Arm(200_000 + random.IntN(1_800_000))
		w := e.Start(runUntilStopped, file)
		e.AwaitBlocked(w)
		// The kill comes before or after a part of the page was stored.
		<-time.After(time.Duration(random.IntN(150)) * time.Millisecond)
		w.Kill()
		close(e.Held.Release)
		kills = append(kills, kill{records: len(e.rowNumbers()), storedRows: e.storedRows()})
	}
	e.Held.Arm(-1) // blocks no more
	e.Start(runOnce, file).MustEnd()

	numbers := e.rowNumbers()
	last := -1
	repetitions := 0
	for pos, n := range numbers {
		require.True(t, n <= last+1, "record %d: expected row %d or an earlier one, found row %d", pos, last+1, n)
		if n <= last {
			var previous kill // the last one before this record
			for _, k := range kills {
				if k.records <= pos {
					previous = k
				}
			}
			assert.True(t, n >= previous.storedRows,
				"record %d: expected no row before row %d, because of the stored offset, found row %d", pos,
				previous.storedRows, n)
			repetitions++
		}
		last = n
	}
	assert.True(t, last == len(e.Rows)-1, "expected the last row %d, found %d", len(e.Rows)-1, last)
	t.Logf("%d rows, %d records, %d kills, %d of them with rows that came again: %v", len(e.Rows), len(numbers),
		len(kills), repetitions, kills)
}

// A worker that is killed right after a first load, long before the next flush of offsets, reads nothing again, because
// the end of a load is stored at once.
func TestKilledAfterTheFirstLoad(t *testing.T) {
	t.Parallel()
	const rows = 25_000
	p := e2etest.NewPlace(t)
	_, servers := p.StartBrokerCommand()
	var pages atomic.Int64
	service := odatatest.New(odatatest.Options{Rows: 10_000, PageSize: 250})
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "Order_Details") {
			pages.Add(1)
		}
		service.ServeHTTP(w, r)
	}))
	file := p.File("orders.properties", e2etest.Source("orders", address, "Order_Details")...)
	start := func() *e2etest.Command {
		return p.Start("run", "--data", p.Data, "--plugins", e2etest.Plugins(t), p.WritePlainWorker(servers), file)
	}
	countRecords := func() int {
		return strings.Count(p.Run("consume", "Order_Details", "--bootstrap-servers", servers).Stdout, "\n")
	}

	w := start()
	w.AwaitStderr("extraction finished")
	<-time.After(400 * time.Millisecond) // far less than offset.flush.interval.ms
	w.Kill()
	assert.Equal(t, rows, countRecords(), "records after the first load")
	firstPages := pages.Load()

	w = start()
	w.AwaitStderr("this start reads nothing")
	w.MustStop()
	assert.Equal(t, firstPages, pages.Load(), "pages after the restart")
	assert.Equal(t, rows, countRecords(), "records after the restart")
}

// A shutdown that waits for a broker that does not respond, to store offsets, ends at the second signal.
func TestSecondSignalStopsAtOnce(t *testing.T) {
	t.Parallel()
	e, broker := newAtLeastOnce(t, 1, "task.shutdown.graceful.timeout.ms=3600000", "offset.flush.interval.ms=3600000")
	e.Held.Arm(500_000)
	w := e.Start(runUntilStopped, e.Files()[0])
	e.AwaitBlocked(w)
	defer close(e.Held.Release)
	w.Eventually("records", func() bool { return len(e.Records(e.Name)) > 0 })
	broker.Signal(syscall.SIGSTOP)
	w.Signal(syscall.SIGTERM)
	w.AwaitStderr("press Ctrl-C again to exit immediately")
	w.Stop().WantCode(130)
}
