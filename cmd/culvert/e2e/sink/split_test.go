package sink

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// Orders with their lines inside come from a service, and a sink splits them: each line is written once, under a
// RequestID of its own, although all lines of an order are of one record.
func TestPartsOfASplitRecordAreWrittenApart(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s := odatatest.New(odatatest.Options{Rows: 20})
	e2etest.NoError(t, s.Set("repeatability", "true"))
	var mu sync.Mutex
	ids := map[string]int{}
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get("RequestID"); r.Method == http.MethodPost && id != "" {
			mu.Lock()
			ids[id]++
			mu.Unlock()
		}
		s.ServeHTTP(w, r)
	}))
	p.MustOnceWith(e2etest.Plugins(t, "odata-sink", "smt"),
		p.File("there.properties", append(e2etest.Source("there", address, "Orders"), "sap.odata#00.expand=Order_Details")...),
		p.File("back.properties", append(e2etest.SinkOf("back", address, "Orders", "Order_DetailCopies"),
			"sap.odata.enable.batch=0", "sap.odata.insert.uncertain=repeatable", "transforms=lines",
			"transforms.lines.type=org.culvert.transforms.Split", "transforms.lines.field=Order_Details",
			"transforms.lines.extract=true")...))
	e2etest.NoneTwice(t, s.Ledger())
	written := len(s.Ledger().Writes)
	mu.Lock()
	defer mu.Unlock()
	if written <= 20 || len(ids) != written {
		t.Errorf("expected a RequestID for each of more than 20 lines, found %d for %d", len(ids), written)
	}
}

// Two sinks write one topic into two sets of a service that knows RequestIDs, and once more when the topic was deleted
// and made again: the service has each record in each set.
func TestRequestIDsOfSetsAndTopicsMadeAgain(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Switches: odatatest.Switches{Repeatability: true}})
	broker := e2etest.Embedded(t).Addr()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	e2etest.NoError(t, err)
	t.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=",
		"key.converter=org.apache.kafka.connect.storage.StringConverter",
		"value.converter=org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable=false")
	for round := range 2 {
		if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "said"); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			at := time.UnixMilli(int64(1_700_000_000_000 + 1000*round + i))
			e2etest.Produce(t, broker, &kgo.Record{Topic: "said", Timestamp: at,
				Value: fmt.Appendf(nil, `{"Topic":"%d-%d","ProductID":%d,"ProductName":"x","Discontinued":false}`, round, i,
					10*round+i)})
		}
		for set, name := range map[string]string{"Inbox": "inbox", "ProductCopies": "products"} {
			name += strconv.Itoa(round)
			lines := append(e2etest.SinkOf(name, address, "said", set), "sap.odata.insert.uncertain=repeatable",
				"sap.odata.unknown.fields=ignore")
			p.MustOnceWith(e2etest.Plugins(t, "odata-sink"), worker, p.File(name+".properties", lines...))
		}
		if inbox, products := s.Count("Inbox"), s.Count("ProductCopies"); inbox != 3*round+3 || products != 3*round+3 {
			t.Errorf("round %d: expected %d documents and as many products, found %d and %d", round, 3*round+3, inbox,
				products)
		}
		if deleted, err := admin.DeleteTopics(t.Context(), "said"); err != nil || deleted.Error() != nil {
			t.Fatal(err, deleted.Error())
		}
	}
}
