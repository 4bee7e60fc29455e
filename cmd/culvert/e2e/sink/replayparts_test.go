package sink

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// documents is a service that numbers the documents it receives, and a sink that writes text records there, with a dead
// letter queue.
type documents struct {
	*e2etest.Place
	service *odatatest.Service
	broker  string
	worker  string
	sink    string
	letters string   // the topic that is replayed
	lines   []string // of the sink
	admin   *kadm.Client
}

// newDocuments writes records to the topic that a sink reads.
func newDocuments(t *testing.T, partitions int32, said []*kgo.Record, more ...string) *documents {
	t.Helper()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Switches: odatatest.Switches{Repeatability: true}})
	d := &documents{Place: p, service: s, broker: e2etest.StartEmbeddedBroker(t).Addr(), letters: "refused"}
	d.admin = kadm.NewClient(e2etest.NewClient(t, d.broker))
	if _, err := d.admin.CreateTopics(t.Context(), 1, 1, nil, "said"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.admin.CreateTopics(t.Context(), partitions, 1, nil, "refused"); err != nil {
		t.Fatal(err)
	}
	e2etest.Produce(t, d.broker, said...)
	d.worker = d.File("worker.properties", "bootstrap.servers="+d.broker, "listeners=",
		"key.converter=org.apache.kafka.connect.storage.StringConverter",
		"value.converter=org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable=false")
	d.lines = append(append(e2etest.Sink("inbox", address, "said", "Inbox"), "errors.tolerance=all",
		"sap.odata.unknown.fields=ignore", "errors.deadletterqueue.topic.name=refused",
		"errors.deadletterqueue.context.headers.enable=true"), more...)
	d.set()
	return d
}

// set changes the sink's settings.
func (d *documents) set(settings ...string) {
	d.sink = d.File("inbox.properties", e2etest.WithSettings(d.lines, settings...)...)
}

// written lets the sink write the topic; the service rejects so many requests.
func (d *documents) written(t *testing.T, refusing int) {
	t.Helper()
	e2etest.RefuseWrites(t, d.service, refusing)
	d.MustRunOnceWith(e2etest.Plugins(t, "odata-sink", "smt"), d.worker, d.sink)
	e2etest.RefuseWrites(t, d.service, 0)
}

func (d *documents) replay(t *testing.T, more ...string) e2etest.Result {
	return d.Run(append([]string{"dlq", "replay", d.letters, "--plugins", e2etest.Plugins(t, "odata-sink", "smt"),
		"--data",
		d.Data, d.worker, d.sink}, more...)...)
}

// replays runs a replay and checks the exit code, the number of documents in the service and the start of the output.
func (d *documents) replays(t *testing.T, code, documents int, begins string, more ...string) e2etest.Result {
	t.Helper()
	r := d.replay(t, more...)
	if n := d.service.Count("Inbox"); r.Code != code || n != documents || !strings.HasPrefix(r.Stdout, begins) {
		t.Errorf("expected exit %d, %d documents and %q, found exit %d, %d documents\n%s%s", code, documents, begins,
			r.Code, n, r.Stdout, r.Stderr)
	}
	return r
}

// saidTimes returns n records, each with a document of its own.
func saidTimes(n int) (records []*kgo.Record) {
	for i := range n {
		records = append(records, &kgo.Record{Topic: "said", Key: []byte(strconv.Itoa(i)),
			Timestamp: time.UnixMilli(int64(1_700_000_000_000 + i)), Value: fmt.Appendf(nil, `{"Topic":"%d"}`, i)})
	}
	return records
}

// again writes dead letters to their topic once more, like a sink that was killed before its commit.
func (d *documents) again(t *testing.T, letters []*kgo.Record) {
	t.Helper()
	var copies []*kgo.Record
	for _, l := range letters {
		copies = append(copies, &kgo.Record{Topic: l.Topic, Key: l.Key, Value: l.Value, Headers: l.Headers,
			Timestamp: l.Timestamp})
	}
	e2etest.Produce(t, d.broker, copies...)
}

// A record with two dead letters is delivered once: if they are in distant parts of the topic, in different partitions,
// and over several replays.
func TestReplayOfRecordsWithSeveralLetters(t *testing.T) {
	t.Parallel()
	const rows = 600
	d := newDocuments(t, 3, saidTimes(rows), "sap.odata.enable.batch=1")
	d.written(t, 100_000)
	letters := e2etest.ReadTopic(t, d.broker, "refused", rows)
	d.again(t, letters)
	d.replay(t, "--until", "2020-01-01T00:00:00Z").WantCode(0)
	d.replays(t, 0, rows, "")
	d.again(t, letters[:50]) // the sink that was killed starts again
	d.replays(t, 0, rows, "")
	d.replays(t, 0, 2*rows, "", "--again")
}

// If a record became several rows, a dead letter names the remaining ones, and a replay writes no other.
func TestReplayOfPartsThatAreLeft(t *testing.T) {
	t.Parallel()
	value := `{"Lines":[{"Topic":"a"},{"Topic":"b"},{"Topic":"c"}]}`
	d := newDocuments(t, 1, []*kgo.Record{{Topic: "said", Key: []byte("k"), Value: []byte(value)}},
		"sap.odata.enable.batch=0", "sap.odata.max.in.flight=1", "transforms=lines",
		"transforms.lines.type=org.culvert.transforms.Split", "transforms.lines.field=Lines",
		"transforms.lines.extract=true")
	d.written(t, 1)
	e2etest.Equal(t, "documents", 2, d.service.Count("Inbox"))
	e2etest.ReadTopic(t, d.broker, "refused", 1)
	// A rejected replay writes a dead letter that names the same rows.
	e2etest.RefuseWrites(t, d.service, 100)
	d.replay(t).WantCode(1)
	e2etest.RefuseWrites(t, d.service, 0)
	d.replays(t, 0, 3, "")
	d.replays(t, 0, 3, "")
}

// A dead letter is skipped, and reported, if a later record has its key, until --older sends it; list shows replayed
// ones. A forged dead letter is not replayed unless topics.regex matches its whole topic.
func TestReplayOfWhatIsOlder(t *testing.T) {
	t.Parallel()
	d := newDocuments(t, 1, saidTimes(3), "sap.odata.enable.batch=0", "sap.odata.max.in.flight=1")
	d.lines = e2etest.WithSettings(d.lines, "topics=")
	d.set("topics.regex=sa.*")
	d.written(t, 3)
	later := &kgo.Record{Topic: "said", Key: []byte("1"), Value: []byte(`{"Topic":"later"}`)}
	e2etest.Produce(t, d.broker, later)
	d.written(t, 0)
	forged := e2etest.ReadTopic(t, d.broker, "refused", 3)[0]
	for i := range forged.Headers {
		if forged.Headers[i].Key == "__connect.errors.topic" {
			forged.Headers[i].Value = []byte("Xsaid")
		}
	}
	d.again(t, []*kgo.Record{forged})
	d.replays(t, 1, 3, "2 sent: 2 delivered, 0 refused\n").WantStdout(
		"1 kept: dead letters of records that have a later one",
		"--older", `1 kept: dead letters of topic "Xsaid", which topics.regex`)
	list := func() string {
		r := d.Run("dlq", "list", "refused", "-p", d.worker)
		var said []string
		for line := range strings.Lines(r.Stdout) {
			if fields := strings.Fields(line); fields[0] != "LETTER" {
				said = append(said, fields[0]+" "+fields[6])
			}
		}
		return strings.Join(said, ", ")
	}
	if letters := list(); letters != "0@0 yes, 0@1 no, 0@2 yes, 0@3 no" {
		t.Errorf("expected the letters 0@0 and 0@2 to be replayed, found %s", letters)
	}
	d.Run("dlq", "show", "refused", "0@2", "-p", d.worker).WantCode(0).WantStdout("settled    yes")
	d.replays(t, 1, 4, "1 sent: 1 delivered", "--older")
	if letters := list(); letters != "0@0 yes, 0@1 yes, 0@2 yes, 0@3 no" {
		t.Errorf("expected all letters but 0@3 to be replayed, found %s", letters)
	}
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
	d.written(t, 2)
	letters := e2etest.ReadTopic(t, d.broker, "refused", 2)
	if _, err := d.admin.CreateTopics(t.Context(), 2, 1, nil, "later"); err != nil {
		t.Fatal(err)
	}
	client := e2etest.NewClient(t, d.broker, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i, l := range letters {
		copied := &kgo.Record{Topic: "later", Partition: int32(1 - i), Key: l.Key, Value: l.Value, Headers: l.Headers}
		e2etest.NoError(t, client.ProduceSync(t.Context(), copied).FirstErr())
	}
	d.letters = "later"
	d.replays(t, 1, 1, "1 sent: 1 delivered, 0 refused\n1 kept: dead letters of records that have a later one")
	d.replays(t, 0, 2, "", "--older")
	d.letters = "refused"
	d.replays(t, 0, 2, "2 sent: 2 delivered, 0 refused\n", "--older")
}

// The entity of a record without a key is unknown before it is sent. Its dead letter is sent only if all later records
// of the topic, in all partitions, are dead letters, too.
func TestReplayOfWhatIsOlderWithoutKeys(t *testing.T) {
	t.Parallel()
	said := saidTimes(3)
	for _, r := range said {
		r.Key = nil
	}
	d := newDocuments(t, 1, said, "sap.odata.enable.batch=0", "sap.odata.max.in.flight=1")
	if _, err := d.admin.UpdatePartitions(t.Context(), 2, "said"); err != nil {
		t.Fatal(err)
	}
	d.written(t, 3)
	e2etest.ReadTopic(t, d.broker, "refused", 3)
	d.replays(t, 0, 1, "1 sent: 1 delivered", "--letters", "0@0")
	client := e2etest.NewClient(t, d.broker, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	later := &kgo.Record{Topic: "said", Partition: 1, Value: []byte(`{"Topic":"later"}`)}
	e2etest.NoError(t, client.ProduceSync(t.Context(), later).FirstErr())
	d.written(t, 0)
	want := "0 sent: 0 delivered, 0 refused\n2 kept: dead letters of records without a key"
	d.replays(t, 1, 2, want).WantCode(1).WantStdout("--older")
	d.replays(t, 0, 4, "", "--older")
}
