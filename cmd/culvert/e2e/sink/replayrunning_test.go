package sink

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/rest"
)

// writePositions returns the position of each document in the order of writing. A second document fails the test.
func (d *documents) writePositions(t *testing.T) map[string]int {
	t.Helper()
	positions := map[string]int{}
	d.service.Each("Inbox", func(_ string, fields map[string]string) {
		topic := fields["Topic"]
		if _, ok := positions[topic]; ok {
			t.Errorf("document %s was written twice", topic)
		}
		positions[topic] = len(positions)
	})
	return positions
}

// At users' size: 25,000 dead letters are replayed while the task of the sink writes later records of their keys, and
// the worker is killed in the middle. Each record is written once, no dead letter is written after a later record of
// its key, and only dead letters of such keys remain.
func TestReplayOfManyLettersNextToTheRunningTask(t *testing.T) {
	t.Parallel()
	const letters, path = 25_000, "/culvert/connectors/inbox/deadletters/replay"
	d := newDocuments(t, 3, newRecords(letters), "sap.odata.enable.batch=0", "sap.odata.insert.uncertain=check",
		"sap.odata.check.filter=Topic", "sap.odata.max.in.flight=4")
	d.writeSink("transforms=date", "transforms.date.type=org.apache.kafka.connect.transforms.TimestampConverter$Value",
		"transforms.date.field=Topic", "transforms.date.target.type=Timestamp", "transforms.date.format=yyyy-MM-dd")
	d.MustRunOnceWith(e2etest.Plugins(t, "odata-sink", "smt"), d.worker, d.sink)
	e2etest.ReadTopic(t, d.broker, "refused", letters)
	client := e2etest.NewClient(t, d.broker)
	startWorker := func() *e2etest.Worker {
		return d.StartWorkerWith(e2etest.Plugins(t, "odata-sink", "smt"), "conf", "bootstrap.servers="+d.broker,
			"consumer.session.timeout.ms=6000", "consumer.heartbeat.interval.ms=1000",
			"key.converter=org.apache.kafka.connect.storage.StringConverter",
			"value.converter=org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable=false")
	}
	replay := func(f *e2etest.Worker) (ended chan struct{}) {
		ended = make(chan struct{})
		go func() {
			defer close(ended)
			if a, err := http.Post(f.URL+path, "application/json", nil); err == nil { // fails if the worker is killed
				a.Body.Close()
			}
		}()
		return ended
	}
	random := rand.New(rand.NewPCG(42, 8))
	later := map[string]bool{} // keys with a later record
	// produceUntil writes later records of random keys until isDone returns true.
	produceUntil := func(isDone func() bool) {
		for !isDone() {
			var records []*kgo.Record
			for range 20 {
				key := strconv.Itoa(random.IntN(letters))
				if !later[key] {
					records = append(records, &kgo.Record{Topic: "said", Key: []byte(key),
						Value: fmt.Appendf(nil, `{"Topic":"later %s"}`, key)})
				}
				later[key] = true
			}
			e2etest.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
			time.Sleep(50 * time.Millisecond)
		}
	}
	f := startWorker()
	f.Create(d.lines...)
	f.Await("inbox", "runs", e2etest.IsRunning)
	killed := replay(f)
	f.Eventually("letters", func() bool { return d.service.Count("Inbox") > 0 })
	produceUntil(func() bool { return d.service.Count("Inbox") > letters/3 })
	f.Kill()
	<-killed
	f = startWorker()
	f.Await("inbox", "runs", e2etest.IsRunning)
	second := replay(f)
	produceUntil(func() bool {
		select {
		case <-second:
			return true
		default:
			return false
		}
	})
	last := e2etest.Decode[rest.ReplayResult](t, f.MustCall(200, "POST", path, ""))
	remaining := 0
	for _, n := range last.Kept {
		remaining += n
	}
	if last.Sent != 0 || last.Refused != 0 {
		t.Errorf("expected that the second replay had sent all, found %+v", last)
	}
	f.Eventually("all documents", func() bool { return d.service.Count("Inbox") >= letters-remaining+len(later) })
	f.MustStop()
	d.checkOrderOfKeys(t, letters, remaining, later)
}

// checkOrderOfKeys checks that each of the letters was written once, and before the later record of its key, except
// those that are left because their later records were written first. later has the keys with a later record.
func (d *documents) checkOrderOfKeys(t *testing.T, letters, remaining int, later map[string]bool) {
	t.Helper()
	positions := d.writePositions(t)
	kept := 0    // letters that were not written
	ordered := 0 // letters that were written before the later record of their key
	wrong := 0   // letters that were written after it
	for i := range letters {
		key := strconv.Itoa(i)
		letter, isWritten := positions[key]
		newer, isSuperseded := positions["later "+key]
		switch {
		case isSuperseded != later[key] || (!isWritten && !isSuperseded):
			t.Errorf("key %s: written %t, later record written %t, expected %t", key, isWritten, isSuperseded,
				later[key])
		case !isWritten:
			kept++
		case isSuperseded && newer < letter:
			wrong++
		case isSuperseded:
			ordered++
		}
	}
	// A dead letter in doubt after the kill may remain although it was written.
	if wrong > 0 || kept == 0 || kept > remaining || kept < remaining-500 || ordered == 0 ||
		len(positions) != letters-kept+len(later) {
		t.Errorf("expected no letter after a later record of its key, and some before it and some not written; found "+
			"%d, %d and %d, %d letters left, %d documents", wrong, ordered, kept, remaining, len(positions))
	}
	t.Logf("%d later records: of their keys %d letters were written before, %d left", len(later), ordered, kept)
}
