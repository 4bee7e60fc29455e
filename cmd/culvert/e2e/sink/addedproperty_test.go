package sink

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// growingService is a service whose orders have no city at first.
type growingService struct {
	*odatatest.Service
	hasCity  atomic.Bool
	metadata atomic.Int64 // number of requests
}

var cityProperty = regexp.MustCompile(`<Property Name="ShipCity"[^>]*/>`)

func (g *growingService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/$metadata") {
		g.Service.ServeHTTP(w, r)
		return
	}
	g.metadata.Add(1)
	answer := httptest.NewRecorder()
	g.Service.ServeHTTP(answer, r)
	document := answer.Body.String()
	if !g.hasCity.Load() {
		document = cityProperty.ReplaceAllString(document, "")
	}
	w.Write([]byte(document))
}

// A service gets a property while the sink runs. The rows that have it from then on are written with it; a field that
// the service does not have is ignored and logged once.
func TestSinkLearnsAddedProperty(t *testing.T) {
	t.Parallel()
	const rows = 400
	p := e2etest.NewPlace(t)
	service := &growingService{Service: odatatest.New(odatatest.Options{Rows: 1})}
	servers := p.StartBroker()
	produce := func(first int, fields string) {
		records := make([]*kgo.Record, rows)
		for i := range records {
			records[i] = &kgo.Record{Topic: "Orders", Key: fmt.Appendf(nil, `{"OrderID":%d}`, first+i),
				Value: fmt.Appendf(nil, `{"OrderID":%d,"ShipName":"x"%s}`, first+i, fields)}
		}
		e2etest.Produce(t, servers, records...)
	}
	produce(1, "")
	p.File("conf/back.properties", e2etest.WithSettings(e2etest.Sink("back", e2etest.Serve(t, service), "Orders",
		"OrderCopies"), "tasks.max=1", "sap.odata.unknown.fields=ignore")...)
	worker := p.StartWorkerWith(e2etest.Plugins(t, "odata-sink"), "conf", "bootstrap.servers="+servers,
		"key.converter.schemas.enable=false", "value.converter.schemas.enable=false")
	worker.Eventually("the first rows", func() bool { return service.Count("OrderCopies") == rows })
	service.hasCity.Store(true)
	produce(1+rows, `,"ShipCity":"Ulm","Other":"x"`)
	worker.Eventually("the other rows", func() bool { return service.Count("OrderCopies") == 2*rows })
	worker.Await("back", "runs", e2etest.IsRunning)
	r := worker.MustStop()
	cities := 0
	service.Each("OrderCopies", func(_ string, properties map[string]string) {
		if properties["ShipCity"] == "Ulm" {
			cities++
		}
	})
	assert.Equal(t, rows, cities, "rows with a city")
	if found := service.metadata.Load(); found > 4 { // at the start, by a check, and for the two fields
		t.Errorf("expected at most 4 requests for metadata, found %d", found)
	}
	r.WantStderrTimes(1, "fields that $metadata does not declare are not sent")
	r.WantStderrTimes(1, "OrderCopy/Other (rows: ")
}
