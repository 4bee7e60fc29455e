package delivery

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Connectors whose clients use another cluster than the worker's create their topics there, and end when they have
// reached the end offsets there.
func TestClientsOfAnotherCluster(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 60, PageSize: 25,
		Switches: odatatest.Switches{CSRF: true, RotateSession: "both"}})
	workerCluster := e2etest.StartEmbeddedBroker(t).Addr()
	otherCluster := e2etest.StartEmbeddedBroker(t).Addr()
	worker := p.File("worker.properties", "bootstrap.servers="+workerCluster, "listeners=")
	source := p.File("there.properties", append(e2etest.Source("there", address, "Orders"),
		"producer.override.bootstrap.servers="+otherCluster,
		"admin.override.bootstrap.servers="+otherCluster, "topic.creation.default.partitions=3")...)
	sink := p.File("back.properties", append(e2etest.Sink("back", address, "Orders", "OrderCopies"),
		"consumer.override.bootstrap.servers="+otherCluster)...)
	for round := range 2 {
		p.MustRun("run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data, worker, source,
			sink)
		diff := cmp.Diff(e2etest.Entities(s, "Orders"), e2etest.Entities(s, "OrderCopies"))
		assert.True(t, diff == "", "round %d: OrderCopies differ from Orders (-want +got)\n%s", round, diff)
	}
	assert.Len(t, 3, e2etest.EndOffsets(t, otherCluster, "Orders"), "partitions on the connector's cluster")
	got := e2etest.EndOffsets(t, workerCluster, "Orders")
	assert.True(t, got == nil, "expected no such topic on the worker's cluster, found %v", got)
}

// No row is written to a topic that the worker keeps its own state in, since a forged offset would make another
// connector skip rows. That holds for settings and transforms, on every cluster and with any errors.tolerance. If no
// transform can change the topic, the error is found before anything runs.
func TestRowsNeverGoToTopicsOfTheWorker(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 60, PageSize: 20})
	broker := e2etest.StartEmbeddedBroker(t).Addr()
	_, port, _ := strings.Cut(broker, ":")
	worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=", "config.storage.topic=my-configs",
		"status.storage.topic=my-states", "offset.storage.topic=my-offsets")
	victim := p.File("victim.properties", e2etest.Source("victim", address, "Order_Details")...)
	files := []string{worker, victim}
	targets := map[string]string{
		"same":         "my-offsets",
		"capitals":     "My-Offsets",
		"configs":      "my-configs",
		"states":       "my-states",
		"groups":       "__consumer_offsets",
		"transactions": "__transaction_state",
	}
	for name, target := range targets {
		files = append(files, p.File(name+".properties", append(e2etest.Source(name, address, "Products"),
			"errors.tolerance=all",
			"producer.override.bootstrap.servers=localhost:"+port, "admin.override.bootstrap.servers=localhost:"+port,
			"transforms=route", "transforms.route.type=org.apache.kafka.connect.transforms.RegexRouter",
			"transforms.route.regex=.*", "transforms.route.replacement="+target)...))
	}
	r := p.Run(append([]string{"run", "--once", "--plugins", e2etest.Plugins(t, "smt"), "--data", p.Data}, files...)...)
	r.WantCode(1)
	for name, target := range targets {
		r.WantStderr(fmt.Sprintf("connector %s, task 0: failed: ", name), "topic "+target+" contains ")
	}
	offsets := p.Run("consume", "my-offsets", "--bootstrap-servers", broker)
	for line := range strings.Lines(offsets.Stdout) {
		var record struct{ Key []any }
		err := json.Unmarshal([]byte(line), &record)
		assert.True(t, err == nil && len(record.Key) == 2 && record.Key[0] == "victim",
			"expected offsets of the victim alone, found %s", line)
	}
	for _, topic := range []string{"__consumer_offsets", "__transaction_state", "my-configs", "my-states",
		"My-Offsets"} {
		p.Run("consume", topic, "--bootstrap-servers", broker).WantNoStdout()
	}
	rows := p.Run("consume", "Order_Details", "--bootstrap-servers", broker)
	if got := strings.Count(rows.Stdout, "\n"); got != s.Count("Order_Details") {
		t.Errorf("expected the honest connector's %d rows, found %d", s.Count("Order_Details"), got)
	}
	lines := e2etest.Source("orders", address, "Orders")
	internalTopic := p.File("orders.properties", e2etest.WithSettings(lines, "sap.odata#00.topic=my-offsets")...)
	p.Run("validate", "--plugins", e2etest.Plugins(t), "--data", p.Data, worker, internalTopic).WantCode(1).
		WantOutput(fmt.Sprintf("%s:%d: sap.odata#00.topic: topic my-offsets contains ", internalTopic, len(lines)))
}
