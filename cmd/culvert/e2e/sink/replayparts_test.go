package sink

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// documents is a service that numbers the documents it receives, and a sink that writes text records there, with a dead
// letter queue.
type documents struct {
	*e2etest.Place
	service *odatatest.Service
	broker  string
	worker  string   // file
	sink    string   // file
	letters string   // the topic that is replayed
	lines   []string // settings of the sink
	admin   *kadm.Client
}

// newDocuments writes records to the topic said, which the sink reads. partitions is the number of partitions of the
// topic refused, the dead letter queue.
func newDocuments(t *testing.T, partitions int32, records []*kgo.Record, more ...string) *documents {
	t.Helper()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Switches: odatatest.Switches{Repeatability: true}})
	d := &documents{Place: p, service: s, broker: e2etest.StartEmbeddedBroker(t).Addr(), letters: "refused"}
	d.admin = kadm.NewClient(e2etest.NewClient(t, d.broker))
	_, err := d.admin.CreateTopics(t.Context(), 1, 1, nil, "said")
	require.NoError(t, err)
	_, err = d.admin.CreateTopics(t.Context(), partitions, 1, nil, "refused")
	require.NoError(t, err)
	e2etest.Produce(t, d.broker, records...)
	d.worker = d.File("worker.properties", "bootstrap.servers="+d.broker, "listeners=",
		"key.converter=org.apache.kafka.connect.storage.StringConverter",
		"value.converter=org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable=false")
	d.lines = append(append(e2etest.Sink("inbox", address, "said", "Inbox"), "errors.tolerance=all",
		"sap.odata.unknown.fields=ignore", "errors.deadletterqueue.topic.name=refused",
		"errors.deadletterqueue.context.headers.enable=true"), more...)
	d.writeSink()
	return d
}

// writeSink writes the sink's file, with settings that replace others of the same name.
func (d *documents) writeSink(settings ...string) {
	d.sink = d.File("inbox.properties", e2etest.WithSettings(d.lines, settings...)...)
}

// runSink lets the sink write the topic. The service rejects the first refusals requests.
func (d *documents) runSink(t *testing.T, refusals int) {
	t.Helper()
	e2etest.RefuseWrites(t, d.service, refusals)
	d.MustRunOnceWith(e2etest.Plugins(t, "odata-sink", "smt"), d.worker, d.sink)
	e2etest.RefuseWrites(t, d.service, 0)
}

func (d *documents) replay(t *testing.T, more ...string) e2etest.Result {
	return d.Run(append([]string{"dlq", "replay", d.letters, "--plugins", e2etest.Plugins(t, "odata-sink", "smt"),
		"--data", d.Data, d.worker, d.sink}, more...)...)
}

// checkReplay runs a replay and checks the exit code, the number of documents in the service and the start of the
// output.
func (d *documents) checkReplay(t *testing.T, code, documents int, prefix string, more ...string) e2etest.Result {
	t.Helper()
	r := d.replay(t, more...)
	if n := d.service.Count("Inbox"); r.Code != code || n != documents || !strings.HasPrefix(r.Stdout, prefix) {
		t.Errorf("expected exit %d, %d documents and %q, found exit %d, %d documents\n%s%s", code, documents, prefix,
			r.Code, n, r.Stdout, r.Stderr)
	}
	return r
}

// newRecords returns n records of the topic said, each with a document of its own.
func newRecords(n int) (records []*kgo.Record) {
	for i := range n {
		records = append(records, &kgo.Record{Topic: "said", Key: []byte(strconv.Itoa(i)),
			Timestamp: time.UnixMilli(int64(1_700_000_000_000 + i)), Value: fmt.Appendf(nil, `{"Topic":"%d"}`, i)})
	}
	return records
}

// repeatLetters writes dead letters to their topic a second time, like a sink that was killed before its commit.
func (d *documents) repeatLetters(t *testing.T, letters []*kgo.Record) {
	t.Helper()
	var copies []*kgo.Record
	for _, l := range letters {
		copies = append(copies, &kgo.Record{Topic: l.Topic, Key: l.Key, Value: l.Value, Headers: l.Headers,
			Timestamp: l.Timestamp})
	}
	e2etest.Produce(t, d.broker, copies...)
}

// A dead letter is skipped, and reported, if a later record has its key, until --older sends it; list shows replayed
// ones. A forged dead letter is not replayed unless topics.regex matches its whole topic.
func TestReplayOfWhatIsOlder(t *testing.T) {
	t.Parallel()
	d := newDocuments(t, 1, newRecords(3), "sap.odata.enable.batch=0", "sap.odata.max.in.flight=1")
	d.lines = e2etest.WithSettings(d.lines, "topics=")
	d.writeSink("topics.regex=sa.*")
	d.runSink(t, 3)
	later := &kgo.Record{Topic: "said", Key: []byte("1"), Value: []byte(`{"Topic":"later"}`)}
	e2etest.Produce(t, d.broker, later)
	d.runSink(t, 0)
	forged := e2etest.ReadTopic(t, d.broker, "refused", 3)[0]
	for i := range forged.Headers {
		if forged.Headers[i].Key == "__connect.errors.topic" {
			forged.Headers[i].Value = []byte("Xsaid")
		}
	}
	d.repeatLetters(t, []*kgo.Record{forged})
	d.checkReplay(t, 1, 3, "2 sent: 2 delivered, 0 refused\n").WantStdout(
		"1 kept: dead letters of records that have a later one",
		"--older", `1 kept: dead letters of topic "Xsaid", which topics.regex`)
	list := func() string {
		r := d.Run("dlq", "list", "refused", "--show", "all", "-p", d.worker)
		var letters []string
		for line := range strings.Lines(r.Stdout) {
			if fields := strings.Fields(line); fields[0] != "LETTER" {
				letters = append(letters, fields[0]+" "+fields[6]) // the position, and whether it is settled
			}
		}
		slices.Sort(letters) // the forged one failed when the first one did
		return strings.Join(letters, ", ")
	}
	assert.Equal(t, "0@0 yes, 0@1 no, 0@2 yes, 0@3 no", list(), "the letters 0@0 and 0@2 to be replayed")
	d.Run("dlq", "show", "refused", "0@2", "-p", d.worker).WantCode(0).WantStdout("settled    yes")
	d.checkReplay(t, 1, 4, "1 sent: 1 delivered", "--older")
	assert.Equal(t, "0@0 yes, 0@1 yes, 0@2 yes, 0@3 no", list(), "all letters but 0@3 to be replayed")
}

// A dead letter is also skipped if the replay has already sent a newer one of its key, because dead letters are in the
// order of their last rejection and in several partitions. A record keeps its RequestID if its dead letter has another
// timestamp, as in a topic with message.timestamp.type=LogAppendTime, so that the service does not create its document
// twice.
func TestReplayOfWhatIsOlderThanALetter(t *testing.T) {
	t.Parallel()
	d := newDocuments(t, 1, []*kgo.Record{{Topic: "said", Key: []byte("k"), Value: []byte(`{"Topic":"old"}`)},
		{Topic: "said", Key: []byte("k"), Value: []byte(`{"Topic":"new"}`)}}, "sap.odata.enable.batch=0",
		"sap.odata.max.in.flight=1", "sap.odata.insert.uncertain=repeatable")
	d.runSink(t, 2)
	letters := e2etest.ReadTopic(t, d.broker, "refused", 2)
	_, err := d.admin.CreateTopics(t.Context(), 2, 1, nil, "later")
	require.NoError(t, err)
	client := e2etest.NewClient(t, d.broker, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i, l := range letters {
		copied := &kgo.Record{Topic: "later", Partition: int32(1 - i), Key: l.Key, Value: l.Value, Headers: l.Headers}
		require.NoError(t, client.ProduceSync(t.Context(), copied).FirstErr())
	}
	d.letters = "later"
	d.checkReplay(t, 1, 1, "1 sent: 1 delivered, 0 refused\n1 kept: dead letters of records that have a later one")
	d.checkReplay(t, 0, 2, "", "--older")
	d.letters = "refused"
	d.checkReplay(t, 0, 2, "2 sent: 2 delivered, 0 refused\n", "--older")
}
