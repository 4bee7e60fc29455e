package e2etest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// ReadTopic reads n records of a topic, which must not have more.
func ReadTopic(t *testing.T, broker, topic string, n int) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), Limit)
	defer cancel()
	var records []*kgo.Record
	for len(records) < n {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err(), "after", len(records), "of", n, "records of", topic)
		records = append(records, fetches.Records()...)
	}
	require.Equal(t, n, len(records), "records in", topic)
	return records
}

// DeltaSource returns the settings of a connector that reads changes of Products by delta links of SAP Gateway or ODP.
func DeltaSource(name, address, path, set string, more ...string) []string {
	lines := Source(name, address)
	return append(append(lines, "sap.odata#00.service="+path, "sap.odata#00.entityset="+set, "sap.odata#00.topic="+name,
		"sap.odata#00.track-changes=1", "sap.odata#00.exec-period=1"), more...)
}

// FoldByKey reads a topic of Products and returns the last name of each product by its number, without deleted ones.
func FoldByKey(p *Place, topic string) map[string]string {
	names := map[string]string{}
	for _, r := range p.Records(topic) {
		key := fmt.Sprintf("%.0f", r["key"].(map[string]any)["ProductID"])
		value, _ := r["value"].(map[string]any)
		if value == nil || value["RECORDMODE"] == "D" || value["ODQ_CHANGEMODE"] == "D" {
			delete(names, key)
			continue
		}
		names[key], _ = value["ProductName"].(string)
	}
	return names
}

// Sink returns the settings of a connector that writes topics into sets of the demo service: topic, set, topic, set, …
func Sink(name, address string, pairs ...string) []string {
	host, port, _ := strings.Cut(address, ":")
	lines := []string{"name=" + name, "connector.class=ODataSink", "sap.odata.host.protocol=http",
		"sap.odata.host.address=" + host, "sap.odata.host.port=" + port, "sap.odata.max.retries=0"}
	var topics []string
	for i := 0; i < len(pairs); i += 2 {
		prefix := fmt.Sprintf("sap.odata#%02d.", i/2)
		lines = append(lines, prefix+"service="+odatatest.SAPPath, prefix+"entityset="+pairs[i+1],
			prefix+"topic="+pairs[i])
		topics = append(topics, pairs[i])
	}
	return append(lines, "topics="+strings.Join(topics, ","))
}

// Entities returns the entities of a set by key, each with its properties as text.
func Entities(s *odatatest.Service, set string) map[string]map[string]string {
	entities := map[string]map[string]string{}
	s.Each(set, func(key string, fields map[string]string) { entities[key] = fields })
	return entities
}

// Produce writes records to topics of a broker, and creates missing topics.
func Produce(t *testing.T, broker string, records ...*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.AllowAutoTopicCreation())
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.ProduceSync(context.Background(), records...).FirstErr())
}

// StartTextService starts a service with one set of texts. It rejects requests of more than maxBytes, and counts all
// POSTs in posts.
func StartTextService(t *testing.T, maxBytes int, posts *atomic.Int32) (address string) {
	return Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("DataServiceVersion", "2.0")
		switch {
		case strings.HasSuffix(r.URL.Path, "$metadata"):
			fmt.Fprint(w,
				`<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices><Schema Namespace="S" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">`+
					`<EntityType Name="Text"><Key><PropertyRef Name="ID"/></Key><Property Name="ID" Type="Edm.Int32" Nullable="false"/><Property Name="Content" Type="Edm.String"/></EntityType>`+
					`<EntityContainer Name="C"><EntitySet Name="Texts" EntityType="S.Text"/></EntityContainer></Schema></edmx:DataServices></edmx:Edmx>`)
		case r.Method == http.MethodPost:
			posts.Add(1)
			if n, err := io.Copy(io.Discard, r.Body); err != nil || int(n) > maxBytes {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, `{"error":{"code":"X/1","message":{"lang":"en","value":"too long"}}}`)
				return
			}
			w.WriteHeader(http.StatusCreated)
		}
	}))
}

// CopyThroughAvro copies an entity set through an Avro topic and returns the log. The converters use the registry at
// asked, with more settings.
func CopyThroughAvro(t *testing.T, url, registryURLs string, more ...string) string {
	t.Helper()
	const rows = 60
	broker := StartEmbeddedBroker(t)
	p, s, address := NewPlaceWithDemo(t, odatatest.Options{Rows: rows, PageSize: 25,
		Switches: odatatest.Switches{CSRF: true}})
	worker := AvroWorker(broker.Addr(), registryURLs)
	for _, setting := range more {
		worker = append(worker, "key.converter."+setting, "value.converter."+setting)
	}
	r := p.MustRun("run", "--once", "--plugins", Plugins(t, "odata-sink"), "--data", p.Data,
		p.File("worker.properties", worker...), p.File("from.properties", Source("from", address, "Orders")...),
		p.File("back.properties", Sink("back", address, "Orders", "OrderCopies")...))
	assert.Equal(t, Entities(s, "Orders"), Entities(s, "OrderCopies"), "OrderCopies differ from Orders")
	registry, err := sr.NewClient(sr.URLs(url))
	require.NoError(t, err)
	stored, err := registry.SchemaByVersion(t.Context(), "Orders-value", 1)
	require.NoError(t, err)
	schema, err := avro.Parse(stored.Schema.Schema)
	require.NoError(t, err)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()), kgo.ConsumeTopics("Orders"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	isSeen := map[any]bool{}
	for len(isSeen) < rows {
		fetches := client.PollFetches(t.Context())
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(record *kgo.Record) {
			var row map[string]any
			if id := binary.BigEndian.Uint32(record.Value[1:]); record.Value[0] != 0 || int(id) != stored.ID {
				t.Fatalf("expected id %d in front, found %x", stored.ID, record.Value[:5])
			}
			if remaining, err := schema.Decode(record.Value[5:], &row); err != nil || len(remaining) > 0 {
				t.Fatalf("%x: %v, %d bytes left", record.Value, err, len(remaining))
			}
			isSeen[row["OrderID"]] = true
		})
	}
	return r.Stderr
}

// AvroWorker returns the lines of a worker's file with AvroConverter for keys and values.
func AvroWorker(broker, registry string) []string {
	return []string{"bootstrap.servers=" + broker, "listeners=",
		"key.converter=io.confluent.connect.avro.AvroConverter", "key.converter.schema.registry.url=" + registry,
		"value.converter=io.confluent.connect.avro.AvroConverter", "value.converter.schema.registry.url=" + registry}
}
