package sink

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/rest"
)

// deadLetterWorker runs a worker with the sink of documents and returns it with the dlq command for it.
func (d *documents) deadLetterWorker(t *testing.T) (*e2etest.Worker, func(args ...string) e2etest.Result) {
	t.Helper()
	f := d.StartWorkerWith(e2etest.Plugins(t, "odata-sink", "smt"), "conf", "bootstrap.servers="+d.broker,
		"key.converter=org.apache.kafka.connect.storage.StringConverter",
		"value.converter=org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable=false")
	f.Create(d.lines...)
	f.Await("inbox", "runs", e2etest.IsRunning)
	return f, func(args ...string) e2etest.Result {
		return d.Run(append([]string{"dlq"}, append(args, "--connector", "inbox", "--url", f.URL)...)...)
	}
}

// has reports whether the service has a document with a text.
func (d *documents) has(topic string) bool {
	isListed := false
	d.service.Each("Inbox", func(_ string, fields map[string]string) {
		isListed = isListed || fields["Topic"] == topic
	})
	return isListed
}

// Dead letters are listed, shown, mended, replayed and discarded through the running worker.
func TestDeadLettersOfARunningWorker(t *testing.T) {
	t.Parallel()
	records := newRecords(5)
	records[1].Value = []byte(`{"Topic":{"not":"text <b>"}}`)
	records[2].Value = []byte("no JSON")
	records[3].Value = []byte(`{"Topic":{"not":"text 3"}}`)
	d := newDocuments(t, 1, records)
	f, dlq := d.deadLetterWorker(t)
	f.Eventually("letters", func() bool {
		return strings.Count(dlq("list").Stdout, "\n") == 4 && d.service.Count("Inbox") == 2
	})
	first := letterPosition(t, dlq("list").Stdout, "said-0@1")
	dlq("list", "--error", "no such text").WantCode(0).WantStdout("LETTER").WantNo("said-0@1")
	dlq("show", first).WantCode(0).
		WantStdout("attempts   1", `{"Topic":{"not":"text <b>"}}`, "__connect.errors.topic: said")
	dlq("show", "0@99").WantCode(1).WantStderr("has no dead letter 0@99")

	// A value that is refused is another attempt of the same letter.
	dlq("retry", first, "--value", "mended").WantCode(1).WantStderr("value: ", "line 1, column 1")
	refused := dlq("retry", first, "--value", `{"Topic":{"not":"mended"}}`).WantCode(1).
		WantStdout("1 sent: 0 delivered, 1 refused\n" + first + ": ").Stdout
	list := dlq("list").WantCode(0).Stdout
	second := letterPosition(t, list, "said-0@1")
	assert.True(t, strings.Count(list, "\n") == 4 && second != first,
		"expected three letters, one of them with another attempt, found\n%s", list)
	assert.Contains(t, refused, "refused again as dead letter "+second+"\n")
	dlq("show", second, "--json").WantCode(0).WantStdout(`"attempts":2`, `{\"Topic\":{\"not\":\"mended\"}}`)
	dlq("retry", first, "--value", `{"Topic":"mended"}`).WantCode(1).WantStdout("0 sent: ",
		"1 kept: dead letters "+notReplayed+first)
	dlq("retry", second, "--value", `{"Topic":"mended"}`).WantCode(0).WantStdout("1 sent: 1 delivered, 0 refused\n")
	assert.True(t, d.has("mended") && d.service.Count("Inbox") == 3,
		"expected the mended document, found %d", d.service.Count("Inbox"))

	// A later record of the key keeps a letter, unless --older sends it.
	third := letterPosition(t, list, "said-0@3")
	e2etest.Produce(t, d.broker, &kgo.Record{Topic: "said", Key: []byte("3"), Value: []byte(`{"Topic":"later"}`)})
	f.Eventually("the later record", func() bool { return d.has("later") })
	dlq("retry", third, "--value",
		`{"Topic":"older"}`).WantCode(1).WantStdout("1 kept: dead letters of records that have a later")
	dlq("retry", third, "--value", `{"Topic":"older"}`, "--older").WantCode(0).WantStdout("1 sent: 1 delivered")
	awaitOpenLetters := func(want int64) {
		t.Helper()
		f.Eventually("open letters", func() bool {
			l := e2etest.Decode[rest.ConnectorList](t, f.MustCall(200, "GET", "/culvert/connectors", "")).Connectors[0]
			return l.LettersOpen != nil && *l.LettersOpen == want
		})
	}
	awaitOpenLetters(1)
	last := letterPosition(t, list, "said-0@2")
	dlq("replay", "--dry").WantCode(1).WantStdout("0 would pass, 1 would be refused\n" + last + ": ")
	dlq("discard", last, "0@99").WantCode(1).WantStdout("1 discarded\n1 kept: dead letters ")
	dlq("replay").WantCode(0).WantStdout("0 sent: 0 delivered, 0 refused\n")
	awaitOpenLetters(0)
	n := strings.Count(dlq("list", "--show", "settled").WantCode(0).Stdout, "\n")
	assert.True(t, n == 4, "expected three settled letters, found %d lines", n)
	assert.Contains(t, f.Stderr.String(), "/deadletters/discard", "by=127.0.0.1", "discarded=1", last)
	assert.Contains(t, strings.Join(f.Events("inbox"), "; "), "discarded dead letters: 1 by 127.0.0.1")
	d.Run("dlq", "list").WantCode(2).WantStderr("expected TOPIC or --connector NAME, found neither")
	d.Run("dlq", "discard", "0@1").WantCode(2).WantStderr("expected --connector NAME")
}

// A letter in doubt is checked with its stored value before another value is sent (RATIONALE.md P19): if an earlier
// attempt has written it, the other value is not sent.
func TestRetryOfALetterInDoubt(t *testing.T) {
	t.Parallel()
	d := newDocuments(t, 1, newRecords(1), "sap.odata.insert.uncertain=check", "sap.odata.check.filter=Topic",
		"sap.odata.enable.batch=0", "transforms=drop",
		"transforms.drop.type=org.apache.kafka.connect.transforms.Filter",
		"transforms.drop.predicate=null", "predicates=null",
		"predicates.null.type=org.apache.kafka.connect.transforms.predicates.RecordIsTombstone")
	d.runSink(t, 0)
	e2etest.Produce(t, d.broker,
		&kgo.Record{Topic: "said", Key: []byte("a"), Value: []byte(`{"Topic":"0"}`)}, // as the written one
		&kgo.Record{Topic: "said", Key: []byte("b"), Value: []byte(`{"Topic":"1"}`)})
	d.runSink(t, 100_000)
	headers := slices.Clone(e2etest.ReadTopic(t, d.broker, "refused", 2)[1].Headers)
	for i := range headers {
		if headers[i].Key == "__connect.errors.offset" {
			headers[i].Value = []byte("3")
		}
	}
	e2etest.Produce(t, d.broker, &kgo.Record{Topic: "refused", Key: []byte("c"), Headers: headers}) // a tombstone
	e2etest.Produce(t, d.broker, &kgo.Record{Topic: "connect-offsets",
		Key:   []byte(`["culvert dlq replay: inbox",{"partition":0,"topic":"refused"}]`),
		Value: []byte(`{"next":0,"sent":"0,1,2"}`)})
	_, dlq := d.deadLetterWorker(t)
	list := dlq("list").WantCode(0).Stdout
	dlq("retry", letterPosition(t, list, "said-0@1"), "--value",
		`{"Topic":"mended 0"}`).WantCode(1).WantStdout("0 sent: 0 delivered, 0 refused\n",
		"1 kept: dead letters that an earlier attempt has written")
	dlq("retry", letterPosition(t, list, "said-0@2"), "--value",
		`{"Topic":"mended 1"}`).WantCode(0).WantStdout("1 sent: 1 delivered, 0 refused\n")
	assert.True(t, d.service.Count("Inbox") == 2 && !d.has("mended 0") && d.has("mended 1"),
		"expected the written document and a mended one, found %d", d.service.Count("Inbox"))
	// A transform leaves out the stored value, so it cannot be checked.
	dlq("retry", "0@2", "--value", `{"Topic":"mended 2"}`).WantCode(1).WantStderr("its stored value cannot be checked")
	dlq("list").WantCode(0).WantStdout("said-0@3")
	dlq("discard", "0@2").WantCode(0)
	dlq("list").WantCode(0).WantNo("said")
}

// If the outcome of a retry with another value is unknown, only that value is sent again, after a check of it.
func TestRetryWithAnotherValueInDoubt(t *testing.T) {
	t.Parallel()
	d := newDocuments(t, 1, newRecords(1))
	e2etest.RefuseWrites(t, d.service, 100_000)
	f, dlq := d.deadLetterWorker(t)
	f.Eventually("the letter", func() bool { return strings.Contains(dlq("list").Stdout, "said-0@0") })
	e2etest.RefuseWrites(t, d.service, 0)
	d.service.Set("lose-answer", "1")
	dlq("retry", "0@0", "--value", `{"Topic":"mended"}`).WantCode(1).WantStderr("errors.uncertain.send")
	starts := f.StartCount("inbox")
	f.MustCall(200, "PUT", "/connectors/inbox/config", e2etest.AsJSON(t, e2etest.SettingsOf(append(d.lines,
		"sap.odata.insert.uncertain=check", "sap.odata.check.filter=Topic", "sap.odata.enable.batch=0"))))
	f.AwaitStarts("inbox", starts+1)
	for _, args := range [][]string{{"retry", "0@0", "--value", `{"Topic":"other"}`}, {"retry", "0@0"}, {"replay"}} {
		dlq(args...).WantCode(1).WantStdout("0 sent: ",
			"1 kept: dead letters of which an earlier retry may have written another value")
	}
	dlq("retry", "0@0", "--value", `{"Topic":"mended"}`).WantCode(0)
	assert.True(t, d.service.Count("Inbox") == 1 && d.has("mended"),
		"expected one mended document, found %d", d.service.Count("Inbox"))
	dlq("list").WantCode(0).WantNo("said")
}

// Of a record that became several rows, a replay and a retry with another value send only those that were refused.
func TestRetryOfOneRowOfARecord(t *testing.T) {
	t.Parallel()
	d := newDocuments(t, 1, []*kgo.Record{{Topic: "said", Key: []byte("k"),
		Value: []byte(`{"Lines":[{"Topic":"a"},{"Topic":{"not":"b"}},{"Topic":"c"},{"Topic":{"not":"d"}}]}`)}},
		"sap.odata.enable.batch=0", "sap.odata.max.in.flight=1", "transforms=lines",
		"transforms.lines.type=org.culvert.transforms.Split", "transforms.lines.field=Lines",
		"transforms.lines.extract=true")
	f, dlq := d.deadLetterWorker(t)
	f.Eventually("the letter", func() bool {
		return strings.Count(dlq("list").Stdout, "\n") == 2 && d.service.Count("Inbox") == 2
	})
	letter := func() string { return letterPosition(t, dlq("list").Stdout, "said-0@0") }
	dlq("replay").WantCode(1).WantStdout("1 sent: 0 delivered, 1 refused\n")
	dlq("retry", letter(), "--value",
		`{"Lines":[{"Topic":"other a"},{"Topic":"b"},{"Topic":"other c"},{"Topic":{"not":"d"}}]}`).
		WantCode(1).WantStdout("1 sent: 0 delivered, 1 refused\n")
	dlq("retry", letter(), "--value", `{"Lines":[{"Topic":"d"}]}`).WantCode(1).
		WantStdout("1 sent: 0 delivered, 1 refused\n")
	dlq("show", letter()).WantCode(0).WantStdout("attempts   4",
		"expected the transforms to create 4 rows, as when parts 4 of 4")
	dlq("retry", letter(), "--value",
		`{"Lines":[{"Topic":"other a"},{"Topic":"other b"},{"Topic":"other c"},{"Topic":"d"}]}`).
		WantCode(0).WantStdout("1 sent: 1 delivered, 0 refused\n")
	dlq("list").WantCode(0).WantNo("said")
	topics := map[string]int{}
	d.service.Each("Inbox", func(_ string, fields map[string]string) { topics[fields["Topic"]]++ })
	assert.Equal(t, map[string]int{"a": 1, "b": 1, "c": 1, "d": 1}, topics, "the documents")
}

// Without the right to read the dead letter topic, the number of open letters is unknown, requests for them name the
// right, and the connector works on.
func TestDeadLettersWithoutTheRightToRead(t *testing.T) {
	t.Parallel()
	allow := kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: "*", Pattern: kmsg.ACLResourcePatternTypeLiteral,
		Operation: kmsg.ACLOperationAll, Allow: true}
	allowGroups := allow
	allowGroups.Resource = kmsg.ACLResourceTypeGroup
	denyRead := kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: "refused",
		Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationRead}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "said", "refused"),
		kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "p"),
		kfake.User("PLAIN", "u", "p", allow, allowGroups, denyRead))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	broker := c.ListenAddrs()[0]
	client := e2etest.NewClient(t, broker, kgo.SASL(plain.Auth{User: "admin", Pass: "p"}.AsMechanism()))
	require.NoError(t, client.ProduceSync(t.Context(), newRecords(1)...).FirstErr())
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "said", Value: []byte("no JSON")}).FirstErr())
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{})
	f := p.StartWorkerWith(e2etest.Plugins(t, "odata-sink"), "conf", "bootstrap.servers="+broker,
		"security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN", "sasl.jaas.config="+
			`org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="p";`,
		"key.converter=org.apache.kafka.connect.storage.StringConverter",
		"value.converter=org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable=false")
	f.Create(append(e2etest.Sink("inbox", address, "said", "Inbox"), "errors.tolerance=all",
		"errors.deadletterqueue.topic.name=refused", "errors.deadletterqueue.context.headers.enable=true")...)
	f.Eventually("a document and a letter", func() bool {
		refused := e2etest.Decode[rest.ConnectorList](t, f.MustCall(200, "GET",
			"/culvert/connectors?name=inbox", "")).Connectors[0].Refused
		return s.Count("Inbox") == 1 && refused != nil && *refused == 1
	})
	const denied = "the right READ on the resource Topic refused"
	f.MustCall(500, "GET", "/culvert/connectors/inbox/deadletters", "", denied)
	f.MustCall(500, "POST", "/culvert/connectors/inbox/deadletters/replay", "", denied)
	f.MustCall(500, "POST", "/culvert/connectors/inbox/deadletters/discard", `{"letters":["0@0"]}`, denied)
	f.Eventually("an unknown number of letters", func() bool { // it was 0 while the topic was empty
		l := e2etest.Decode[rest.ConnectorList](t, f.MustCall(200, "GET", "/culvert/connectors?name=inbox", "",
			`"state":"refusing"`))
		return l.Connectors[0].LettersOpen == nil
	})
	f.MustCall(200, "GET", "/console/letters?name=inbox", "", denied)
	f.MustCall(200, "GET", "/console/letters", "", "inbox", `data-label="Open letters">–<`)
	p.Run("dlq", "list", "--connector", "inbox", "--url", f.URL).WantCode(1).WantStderr(denied)
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "said",
		Value: []byte(`{"Topic":"2"}`)}).FirstErr())
	f.Eventually("the next document", func() bool { return s.Count("Inbox") == 2 })
	f.Await("inbox", "runs", e2etest.IsRunning)
}
