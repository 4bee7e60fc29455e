package sink

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/rest"
)

// notReplayed is a part of the message about named dead letters that are not replayed.
const notReplayed = "that are not in the topic, belong to another connector, or were settled before: "

const ordersLettersPath = "/culvert/connectors/orders/deadletters"

// ordersLetters has the dead letters of the connector orders, by REST.
type ordersLetters struct {
	f *e2etest.Worker
	t *testing.T
}

func (o *ordersLetters) list() rest.DeadLetterList {
	o.t.Helper()
	return e2etest.Decode[rest.DeadLetterList](o.t, o.f.MustCall(200, "GET", ordersLettersPath+"?show=all", ""))
}

func (o *ordersLetters) replay(request rest.ReplayRequest) rest.ReplayResult {
	o.t.Helper()
	body, err := json.Marshal(request)
	require.NoError(o.t, err)
	return e2etest.Decode[rest.ReplayResult](o.t, o.f.MustCall(200, "POST", ordersLettersPath+"/replay", string(body)))
}

// settledOffsets returns the offsets of the letters that were replayed, in rising order.
func (o *ordersLetters) settledOffsets() (offsets []int64) {
	o.t.Helper()
	for _, l := range slices.Backward(o.list().DeadLetters) {
		if l.IsSettled() {
			offsets = append(offsets, l.Offset)
		}
	}
	return offsets
}

// Dead letters of a source are tried without sending, then replayed one by one in any order, once each. The worker
// remembers each replay, also if one is replayed again.
func TestReplayOfChosenLetters(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 60})
	n := 0 // rows that are refused
	s.Each("Orders", func(_ string, fields map[string]string) {
		if _, err := strconv.ParseInt(fields["ShipPostalCode"], 10, 16); err != nil {
			n++
		}
	})
	broker := e2etest.StartEmbeddedBroker(t).Addr()
	lines := append(e2etest.Source("orders", address, "Orders"), "errors.tolerance=all",
		"errors.deadletterqueue.topic.name=refused", "errors.deadletterqueue.context.headers.enable=true",
		"transforms=number", "transforms.number.type=org.apache.kafka.connect.transforms.Cast$Value",
		"transforms.number.spec=ShipPostalCode:int16")
	f := p.StartWorkerWith(e2etest.Plugins(t, "smt"), "conf", "bootstrap.servers="+broker)
	f.Create(lines...)
	f.Await("orders", "runs", e2etest.IsRunning)
	f.AwaitChangeable()
	letters := &ordersLetters{f: f, t: t}
	f.Eventually("dead letters", func() bool { return len(letters.list().DeadLetters) == n })
	sum := 0
	for _, c := range letters.list().Causes {
		sum += c.Count
	}
	require.True(t, n >= 10 && sum == n, "expected causes of all letters, found %d of %d", sum, n)
	for body, want := range map[string]string{`{"letters":["0-17"]}`: `such as 0@17, found \"0-17\"`,
		`{"letters":["` + strings.Repeat(`0@1","`, 1000) + `0@1"]}`: "at most 1000, found 1001"} {
		f.MustCall(400, "POST", ordersLettersPath+"/replay", body, want)
	}
	// They are tried before the cause is fixed.
	r := letters.replay(rest.ReplayRequest{DryRun: true})
	assert.True(t, r.DryRun && r.WouldPass == 0 && r.Sent == 0 && r.Refused == n && len(r.Refusals) == n,
		"expected that all %d would be refused, found %+v", n, r)
	assert.True(t, r.Refusals[0].Position == "0@0" &&
		(strings.Contains(r.Refusals[0].Reason, "ShipPostalCode") || strings.Contains(r.Refusals[0].Reason, "alue")),
		"expected why it would be refused, found %+v", r.Refusals[0])
	if unchanged := letters.list().DeadLetters; len(unchanged) != n || letters.settledOffsets() != nil {
		t.Errorf("expected that nothing is sent or stored, found %d letters, replayed %v", len(unchanged),
			letters.settledOffsets())
	}
	f.MustCall(200, "PATCH", "/connectors/orders/config", `{"transforms.number.spec":"ShipPostalCode:string"}`)
	f.Await("orders", "runs", e2etest.IsRunning)
	r = letters.replay(rest.ReplayRequest{DeadLetterSelection: positions("0@5", "0@2", "0@9999"), DryRun: true})
	assert.True(t, r.WouldPass == 2 && r.Refused == 0 && r.Kept[notReplayed+"0@9999"] == 1,
		"expected that two would pass, found %+v", r)
	checkLettersAreReplayedOnce(t, letters, n, broker)
	const one = "replayed dead letters: 1 sent, 1 delivered, 0 refused again by 127.0.0.1"
	assert.Equal(t, []string{"created by 127.0.0.1", "changed transforms.number.spec by 127.0.0.1",
		one, one, one, one, strings.ReplaceAll(one, "1 ", fmt.Sprint(n-3, " ")),
	}, f.Events("orders"), "events")
	f.MustStop()
	checkCommandReplaysChosenLetters(t, p)
}

// checkLettersAreReplayedOnce replays n letters one by one in any order. Only a letter that is replayed again arrives
// twice.
func checkLettersAreReplayedOnce(t *testing.T, letters *ordersLetters, n int, broker string) {
	t.Helper()
	for _, position := range []string{"0@5", "0@2"} {
		r := letters.replay(rest.ReplayRequest{DeadLetterSelection: positions(position)})
		assert.True(t, r.Sent == 1 && r.Refused == 0 && len(r.Kept) == 0 && !r.DryRun,
			"%s: expected that it is sent and accepted, found %+v", position, r)
	}
	assert.Equal(t, []int64{2, 5}, letters.settledOffsets(), "replayed")
	r := letters.replay(rest.ReplayRequest{DeadLetterSelection: positions("0@5", "0@7", "0@2")})
	assert.True(t, r.Sent == 1 && r.Kept[notReplayed+"0@2 0@5"] == 2, "expected that one is replayed, found %+v", r)
	r = letters.replay(rest.ReplayRequest{DeadLetterSelection: positions("0@5"), IncludeReplayed: true})
	assert.True(t, r.Sent == 1 && len(r.Kept) == 0, "expected that it is replayed again, found %+v", r)
	assert.Equal(t, []int64{2, 5, 7}, letters.settledOffsets(), "replayed")
	r = letters.replay(rest.ReplayRequest{})
	assert.True(t, r.Sent == n-3, "expected the others, %d, found %+v", n-3, r)
	times := map[string]int{}
	for _, record := range e2etest.ReadTopic(t, broker, "Orders", 60+1) {
		times[string(record.Key)]++
	}
	twice := slices.DeleteFunc(slices.Collect(maps.Values(times)), func(n int) bool { return n == 1 })
	assert.True(t, len(times) == 60 && slices.Equal(twice, []int{2}),
		"expected 60 orders, one of them twice, found %d, %v", len(times), twice)
}

// checkCommandReplaysChosenLetters checks that the command selects and tries as well, with the worker's data folder.
func checkCommandReplaysChosenLetters(t *testing.T, p *e2etest.Place) {
	t.Helper()
	dlq := func(more ...string) e2etest.Result {
		return p.Run(append([]string{"dlq", "replay", "refused", "--plugins", e2etest.Plugins(t, "smt"), "--data",
			p.Data, "--config", "conf"}, more...)...)
	}
	dlq("--letters", "0@1,0@3", "--again", "--dry").WantCode(0).WantStdout("2 would pass, 0 would be refused\n")
	dlq("--letters", "0@1").WantCode(1).WantStdout("0 sent: ", "1 kept: dead letters "+notReplayed+"0@1")
	dlq("--letters", "x").WantCode(2).WantStderr("--letters: expected PARTITION@OFFSET")
}

// A dry run of a sink's records ends before the request: what a converter or the plugin rejects is reported, and
// nothing is sent.
func TestDryReplayOfASink(t *testing.T) {
	t.Parallel()
	const rows = 6
	records := newRecords(rows)
	records[2].Value = []byte(`{"Topic":{"not":"text"}}`)
	records[4].Value = []byte("no JSON")
	d := newDocuments(t, 1, records)
	d.runSink(t, 100_000)
	e2etest.ReadTopic(t, d.broker, "refused", rows)
	r := d.checkReplay(t, 1, 0, fmt.Sprintf("%d would pass, 2 would be refused\n", rows-2), "--dry")
	assert.Contains(t, r.Stdout, "\n0@", "Topic", "JSON")
	assert.True(t, strings.Count(r.Stdout, "\n0@") == 2, "expected two refusals, found\n%s", r.Stdout)
	list := d.Run("dlq", "list", "refused", "--bootstrap-servers", d.broker)
	n := strings.Count(list.Stdout, "\n")
	assert.True(t, n == rows+1, "expected that nothing goes back to the topic, found\n%s", list.Stdout)
	// They are replayed one by one, out of order; the others stay.
	d.checkReplay(t, 0, 1, "1 sent: 1 delivered, 0 refused\n", "--letters", letterPosition(t, list.Stdout, "said-0@3"))
	d.checkReplay(t, 0, 2, "1 sent: 1 delivered, 0 refused\n", "--letters", letterPosition(t, list.Stdout, "said-0@0"))
	d.checkReplay(t, 1, 2, "0 sent: ", "--letters", letterPosition(t, list.Stdout, "said-0@3"))
	d.checkReplay(t, 1, rows-2, fmt.Sprintf("%d sent: %d delivered, 2 refused\n", rows-2, rows-4))
}

// Of two dead letters of one record one is sent; each is sent again if it is selected alone.
func TestReplayOfAChosenDuplicate(t *testing.T) {
	t.Parallel()
	d := newDocuments(t, 1, newRecords(2))
	d.runSink(t, 100_000)
	d.repeatLetters(t, e2etest.ReadTopic(t, d.broker, "refused", 2))
	e2etest.ReadTopic(t, d.broker, "refused", 4)
	d.checkReplay(t, 0, 2, "2 sent: 2 delivered, 0 refused\n")
	d.checkReplay(t, 0, 2, "1 would pass", "--letters", "0@0", "--again", "--dry")
	d.checkReplay(t, 0, 3, "1 sent: 1 delivered, 0 refused\n", "--letters", "0@0", "--again")
	d.checkReplay(t, 0, 4, "1 sent: 1 delivered, 0 refused\n", "--letters", "0@2", "--again")
	d.checkReplay(t, 0, 4, "0 sent: ")
}

// letterPosition returns the position of a record's dead letter in the output of culvert dlq list.
func letterPosition(t *testing.T, list, record string) string {
	t.Helper()
	for line := range strings.Lines(list) {
		if strings.Contains(line, " "+record+" ") {
			return strings.Fields(line)[0]
		}
	}
	t.Fatalf("expected a letter of %s in\n%s", record, list)
	return ""
}

func positions(letters ...string) rest.DeadLetterSelection {
	return rest.DeadLetterSelection{Positions: letters}
}
