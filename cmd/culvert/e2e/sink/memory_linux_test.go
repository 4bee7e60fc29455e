package sink

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A worker whose memory limit is 512 MiB stays below it with large records, even if they compress well and the service
// is slow.
func TestSinkStaysWithinItsMemory(t *testing.T) {
	plain := kgo.NoCompression()
	zstd := kgo.ZstdCompression()
	for _, c := range []struct {
		name         string
		codec        kgo.CompressionCodec
		size         int // bytes of a record
		records      int
		compressible bool // the content compresses 100:1 and better
		batch        int  // bytes of a batch of records before compression
		onlySoak     bool // only with CULVERT_SOAK=1
	}{
		{name: "100 KB", codec: plain, size: 100_000, records: 2000, batch: 1 << 20, onlySoak: true},
		{name: "900 KB", codec: plain, size: 900_000, records: 200, batch: 1 << 20, onlySoak: true},
		{name: "100 KB, zstd", codec: zstd, size: 100_000, records: 2000, compressible: true, batch: 1 << 20,
			onlySoak: true},
		{name: "100 KB, lz4", codec: kgo.Lz4Compression(), size: 100_000, records: 2000, compressible: true,
			batch: 1 << 20, onlySoak: true},
		{name: "100 KB, gzip", codec: kgo.GzipCompression(), size: 100_000, records: 2000, compressible: true,
			batch: 1 << 20, onlySoak: true},
		{name: "900 KB, zstd", codec: zstd, size: 900_000, records: 250, compressible: true, batch: 1 << 20,
			onlySoak: true},
		{name: "100 KB, batches of 50 MB", codec: zstd, size: 100_000, records: 2000, compressible: true,
			batch: 50 << 20},
	} {
		if c.onlySoak && !e2etest.IsSoak() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			const partitions = 4
			p := e2etest.NewPlace(t)
			p.Environ = append(p.Environ, "GOMEMLIMIT=512MiB", "GOGC=")
			broker := e2etest.StartEmbeddedBroker(t).Addr()
			client := e2etest.NewClient(t, broker, kgo.ProducerBatchMaxBytes(int32(c.batch)),
				kgo.BrokerMaxWriteBytes(100<<20), kgo.ProducerLinger(100*time.Millisecond),
				kgo.ProducerBatchCompression(c.codec), kgo.RecordPartitioner(kgo.ManualPartitioner()))
			large := "104857600"
			_, err := kadm.NewClient(client).CreateTopics(t.Context(), partitions, 1,
				map[string]*string{"max.message.bytes": &large}, "texts")
			require.NoError(t, err)
			produce(t, client, c.size, c.records, c.compressible, partitions)
			s, _ := e2etest.StartDemo(t, odatatest.Options{Rows: 1})
			address := e2etest.Serve(t, delayWrites(s))
			w := p.StartWorkerWith(e2etest.Plugins(t, "odata-sink"), "folder", "bootstrap.servers="+broker,
				"key.converter=org.apache.kafka.connect.storage.StringConverter",
				"value.converter.schemas.enable=false")
			w.ReplaceFile("folder/texts.properties", append(e2etest.Sink("texts", address, "texts", "Categories"),
				"tasks.max=4")...)
			w.Eventually("all records", func() bool { return len(s.Ledger().Writes) >= c.records })
			w.CheckPeakMemory(512 << 20)
		})
	}
}

// produce writes records of a size, with the same content or each with random hexadecimal digits.
func produce(t *testing.T, client *kgo.Client, size, records int, compressible bool, partitions int32) {
	content := []byte(strings.Repeat("0123456789abcdef", size/16))
	random := make([]byte, size/2)
	var failed atomic.Value
	for i := range records {
		if !compressible {
			r := rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)})
			r.Read(random)
			content = []byte(hex.EncodeToString(random))
		}
		record := &kgo.Record{Topic: "texts", Partition: int32(i) % partitions, Key: []byte(strconv.Itoa(i)),
			Value: fmt.Appendf(nil, `{"CategoryID":%d,"CategoryName":"a","Description":"%s"}`, 1000+i, content)}
		client.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(err)
			}
		})
	}
	require.NoError(t, client.Flush(t.Context()))
	err := failed.Load()
	require.True(t, err == nil, "%v", err)
}

// delayWrites returns a handler that delays writes to a service.
func delayWrites(s http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			<-time.After(50 * time.Millisecond)
		}
		s.ServeHTTP(w, r)
	})
}
