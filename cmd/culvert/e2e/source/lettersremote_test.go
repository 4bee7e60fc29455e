package source

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/rest"
)

// The refused row of a source is retried with the value that REST shows, edited: a value that is refused is another
// attempt, and the mended row goes to the topic of its feed, once.
func TestRetryOfARowWithAnotherValue(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{})
	for id, name := range map[string]string{"1": "17", "2": "no number", "3": "18"} {
		if w := (e2etest.Writer{S: s}); !w.Send("MERGE", "Products("+id+")", map[string]any{"ProductName": name}) {
			t.Fatalf("product %s was not changed", id)
		}
	}
	broker := e2etest.StartEmbeddedBroker(t).Addr()
	f := p.StartWorkerWith(e2etest.Plugins(t, "smt"), "conf", "bootstrap.servers="+broker)
	f.Create(append(e2etest.Source("rows", address, "Products"), "sap.odata#00.query=$filter=ProductID le 3",
		"errors.tolerance=all", "transforms=number",
		"transforms.number.type=org.apache.kafka.connect.transforms.Cast$Value",
		"transforms.number.spec=ProductName:int16",
		"errors.deadletterqueue.topic.name=refused", "errors.deadletterqueue.context.headers.enable=true",
		"errors.deadletterqueue.topic.replication.factor=1")...)
	dlq := func(args ...string) e2etest.Result {
		return p.Run(append([]string{"dlq"}, append(args, "--connector", "rows", "--url", f.URL)...)...)
	}
	const path = "/culvert/connectors/rows/deadletters"
	f.AwaitCall(200, "GET", path, "", `"letters":[{`)
	value := func(letter string) string {
		l := e2etest.Decode[rest.DeadLetterList](t, f.MustCall(200, "GET", path+"?letter="+letter, "")).DeadLetters
		require.True(t, len(l) == 1 && l[0].Record != nil && l[0].From.Topic == "Products" && l[0].From.Feed != "",
			"expected a row with its record, found %+v", l)
		return *l[0].Record.Value
	}
	shown := value("0@0")
	dlq("retry", "0@0", "--value", "no JSON").WantCode(1).
		WantStderr("expected a JSON object, array or null", "line 1, column 2")
	for letter, name := range []string{"no", "none"} {
		dlq("retry", fmt.Sprint("0@", letter), "--value", strings.ReplaceAll(shown, "no number", name)).WantCode(1).
			WantStdout("1 sent: 0 delivered, 1 refused\n", fmt.Sprint("refused again as dead letter 0@", letter+1))
	}
	dlq("list").WantCode(0).WantStdout("0@2").WantNo("0@0", "0@1")
	dlq("show", "0@2").WantCode(0).WantStdout("attempts   3", "none")
	dlq("retry", "0@2", "--value", strings.ReplaceAll(value("0@2"), "none",
		"19")).WantCode(0).WantStdout("1 sent: 1 delivered, 0 refused\n")
	dlq("list").WantCode(0).WantNo("0@")
	names := map[string]int{}
	for _, r := range p.Documents("Products", "--bootstrap-servers", broker) {
		payload := r["value"].(map[string]any)["payload"].(map[string]any)
		names[fmt.Sprint(payload["ProductName"])]++
	}
	assert.Equal(t, map[string]int{"17": 1, "18": 1, "19": 1}, names, "the rows")
}

// A refused row of a source is held back by a later record of its key, such as a deletion, until it is sent anyway.
func TestOldRowIsHeldBack(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{})
	for id, name := range map[string]string{"1": "17", "2": "no number"} {
		if w := (e2etest.Writer{S: s}); !w.Send("MERGE", "Products("+id+")", map[string]any{"ProductName": name}) {
			t.Fatalf("product %s was not changed", id)
		}
	}
	broker := e2etest.StartEmbeddedBroker(t).Addr()
	f := p.StartWorkerWith(e2etest.Plugins(t, "smt"), "conf", "bootstrap.servers="+broker)
	f.Create(append(e2etest.Source("rows", address, "Products"), "sap.odata#00.query=$filter=ProductID le 2",
		"errors.tolerance=all", "transforms=number",
		"transforms.number.type=org.apache.kafka.connect.transforms.Cast$Value", "transforms.number.spec=ProductName:int16",
		"errors.deadletterqueue.topic.name=refused", "errors.deadletterqueue.context.headers.enable=true",
		"errors.deadletterqueue.topic.replication.factor=1")...)
	f.AwaitCall(200, "GET", "/culvert/connectors/rows/deadletters", "", `"letters":[{`)
	key := string(e2etest.ReadTopic(t, broker, "Products", 1)[0].Key)
	deletion := &kgo.Record{Topic: "Products", Key: []byte(strings.Replace(key, `"ProductID":1}`, `"ProductID":2}`, 1))}
	e2etest.Produce(t, broker, deletion)
	f.MustCall(200, "PATCH", "/connectors/rows/config", `{"transforms.number.spec":"ProductName:string"}`)
	f.Await("rows", "runs", e2etest.IsRunning)
	dlq := func(args ...string) e2etest.Result {
		return p.Run(append([]string{"dlq"}, append(args, "--connector", "rows", "--url", f.URL)...)...)
	}
	dlq("replay").WantStdout("0 sent", "1 kept", "--older sends them anyway")
	dlq("retry", "0@0").WantStdout("0 sent", "1 kept", "--older sends them anyway")
	dlq("list").WantCode(0).WantStdout("0@0")
	dlq("retry", "0@0", "--older").WantCode(0).WantStdout("1 sent: 1 delivered, 0 refused\n")
	dlq("list").WantCode(0).WantNo("0@")
}

// A row that is refused in every period is one entry with its attempts, and only its newest value is left after the
// superseded letters were discarded. A discard of all settles the others.
func TestRowRefusedInEveryPeriodIsOneLetter(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{})
	rename := func(name string) {
		t.Helper()
		for _, id := range []string{"1", "2"} {
			if w := (e2etest.Writer{S: s}); !w.Send("MERGE", "Products("+id+")", map[string]any{"ProductName": name}) {
				t.Fatalf("product %s was not changed", id)
			}
		}
	}
	rename("no number")
	broker := e2etest.StartEmbeddedBroker(t).Addr()
	f := p.StartWorkerWith(e2etest.Plugins(t, "smt"), "conf", "bootstrap.servers="+broker)
	f.Create(append(e2etest.Source("rows", address, "Products"), "sap.odata#00.query=$filter=ProductID le 2",
		"sap.odata#00.exec-period=1", "errors.tolerance=all", "transforms=number",
		"transforms.number.type=org.apache.kafka.connect.transforms.Cast$Value", "transforms.number.spec=ProductName:int16",
		"errors.deadletterqueue.topic.name=refused", "errors.deadletterqueue.context.headers.enable=true",
		"errors.deadletterqueue.topic.replication.factor=1")...)
	list := func(query string) rest.DeadLetterList {
		t.Helper()
		const path = "/culvert/connectors/rows/deadletters"
		return e2etest.Decode[rest.DeadLetterList](t, f.MustCall(200, "GET", path+query, ""))
	}
	isRepeated := func(l rest.DeadLetter) bool { return l.Attempts >= 4 } // beyond what clocks may differ
	f.Eventually("attempts of both rows", func() bool {
		letters := list("").DeadLetters
		return len(letters) == 2 && isRepeated(letters[0]) && isRepeated(letters[1])
	})
	rename("none")
	f.Eventually("attempts of both new values", func() bool {
		page := list("?superseded=true")
		return page.Superseded == 2 && len(page.DeadLetters) == 2 && *page.Open == 4
	})
	dlq := func(args ...string) e2etest.Result {
		return p.Run(append([]string{"dlq"}, append(args, "--connector", "rows", "--url", f.URL)...)...)
	}
	dlq("list", "--limit", "3").WantCode(0).WantStderr("there are more than 3 dead letters")
	dlq("discard", "--superseded").WantCode(0).WantStdout("2 discarded\n")
	for _, l := range list("").DeadLetters {
		assert.True(t, l.Record != nil && strings.Contains(*l.Record.Value, "none") && !l.Superseded,
			"expected the newest values, found %+v", l)
	}
	f.MustCall(200, "PATCH", "/connectors/rows/config", `{"sap.odata#00.exec-period":"-1"}`)
	dlq("discard").WantCode(1).WantStderr("superseded or all, found none")
	dlq("discard", "--error", "no such text").WantCode(0).WantStdout("0 discarded\n")
}
