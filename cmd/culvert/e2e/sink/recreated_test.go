package sink

import (
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// recreatedTopic is a sink whose topic is created again under its name.
type recreatedTopic struct {
	*e2etest.Place
	t       *testing.T
	servers string
	service *odatatest.Service
	worker  string
	back    string
}

func newRecreatedTopic(t *testing.T, p *e2etest.Place, servers string) *recreatedTopic {
	t.Helper()
	service := odatatest.New(odatatest.Options{Rows: 1})
	return &recreatedTopic{Place: p, t: t, servers: servers, service: service, worker: p.WritePlainWorker(servers),
		back: p.File("back.properties", append(e2etest.Sink("back", e2etest.Serve(t, service), "orders", "OrderCopies"),
			"sap.odata.insert.uncertain=check")...)}
}

// admin returns a client that knows no topic's ID.
func (r *recreatedTopic) admin() *kadm.Client {
	return kadm.NewClient(e2etest.NewClient(r.t, r.servers))
}

// create creates the topic with orders from an ID on.
func (r *recreatedTopic) create(first, rows int) {
	r.t.Helper()
	e2etest.CreateTopics(r.t, e2etest.NewClient(r.t, r.servers), "orders")
	records := make([]*kgo.Record, rows)
	for i := range records {
		records[i] = &kgo.Record{Topic: "orders", Key: fmt.Appendf(nil, `{"OrderID":%d}`, first+i),
			Value: fmt.Appendf(nil, `{"OrderID":%d,"ShipName":"x"}`, first+i)}
	}
	e2etest.Produce(r.t, r.servers, records...)
}

// delete deletes the topic and returns the group's offset of it from before.
func (r *recreatedTopic) delete() kadm.Offset {
	r.t.Helper()
	stored := r.offset()
	response, err := r.admin().DeleteTopics(r.t.Context(), "orders")
	require.NoError(r.t, errors.Join(err, response.Error()))
	return stored.Offset
}

func (r *recreatedTopic) offset() kadm.OffsetResponse {
	r.t.Helper()
	offsets, err := r.admin().FetchOffsets(r.t.Context(), "connect-back")
	require.NoError(r.t, err)
	stored, _ := offsets.Lookup("orders", 0)
	return stored
}

// checkCopiedOffset creates the topic again and restores the group's offset, as tools for backups do. The offset is
// kept, and the warning names the records before it and what to do.
func (r *recreatedTopic) checkCopiedOffset() {
	r.t.Helper()
	const former, rows = 50, 120
	r.create(1, former)
	r.MustRunOnceWith(e2etest.Plugins(r.t, "odata-sink"), r.worker, r.back)
	stored := r.delete()
	r.create(1001, rows)
	offsets := kadm.Offsets{}
	offsets.Add(stored)
	require.NoError(r.t, r.admin().CommitAllOffsets(r.t.Context(), "connect-back", offsets))
	result := r.MustRunOnceWith(e2etest.Plugins(r.t, "odata-sink"), r.worker, r.back)
	result.WantStderrTimes(1, "is not about this log")
	result.WantStderr("topic=orders partition=0 offset=50", "skipped=0-49", "culvert offsets set")
	assert.Equal(r.t, rows, r.service.Count("OrderCopies"), former, "former rows and", rows-former, "new ones")
	found := r.offset().At
	assert.True(r.t, found == rows, "expected the committed offset %d, found %d", rows, found)
}

// The guides promise the warning about an offset that was restored for a topic that was created again.
func TestRestoredOffsetOfARecreatedTopic(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	newRecreatedTopic(t, p, p.StartBroker()).checkCopiedOffset()
}
