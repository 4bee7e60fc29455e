package operate

import (
	"bytes"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/kafka/kafkatest"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// A batch of 30 kB that would grow to 950 MB ends whoever reads it, with its place and the setting, and little memory;
// a batch within the bound is read.
func TestBatchThatGrows(t *testing.T) {
	t.Parallel()
	const plain, most = 950 << 20, 700 << 20
	broker := e2etest.Embedded(t).Addr()
	p := e2etest.NewPlace(t)
	e2etest.MakeTopics(t, e2etest.Client(t, broker), "bombs", "small")
	kafkatest.PutBatch(t, broker, "bombs", 0, kgo.CodecZstd, grown(t, plain))
	kafkatest.PutBatch(t, broker, "small", 0, kgo.CodecZstd, grown(t, 4<<20))
	worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=",
		"value.converter=org.apache.kafka.connect.converters.ByteArrayConverter")
	narrow := p.File("narrow.properties", "bootstrap.servers="+broker, "consumer.fetch.max.decompressed.bytes=4194304")
	var posts atomic.Int32
	sink := p.File("sink.properties", e2etest.SinkOf("sink", e2etest.Texts(t, 1<<20, &posts), "bombs", "Texts")...)
	for name, args := range map[string][]string{
		"consume": {"consume", "bombs", "-p", worker},
		"letters": {"dlq", "list", "bombs", "-p", worker},
		"replay":  {"dlq", "replay", "bombs", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data, worker, sink},
		"sink":    {"run", "--once", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data, worker, sink},
	} {
		t.Run(name, func(t *testing.T) {
			c := p.Start(args...)
			r := c.Wait().Exits(1)
			r.LastLineHas("bombs", "partition 0", "offset 0", "134217728 bytes", "fetch.max.decompressed.bytes")
			if peak := c.Process.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10; peak > most {
				t.Errorf("expected at most %d MB of memory, found %d", most>>20, peak>>20)
			}
		})
	}
	p.Run("consume", "small", "-p", worker).Exits(0)
	p.Run("consume", "small", "-p", narrow).Exits(1).LastLineHas("small", "offset 0", "4194304 bytes",
		"fetch.max.decompressed.bytes")
}

// grown is a record with a value of so many bytes, compressed.
func grown(t *testing.T, size int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out)
	e2etest.NoError(t, err)
	head, tail := kafkatest.ZeroRecord(size)
	w.Write(head)
	for piece := make([]byte, 1<<20); size > 0; size -= len(piece) {
		w.Write(piece[:min(size, len(piece))])
	}
	w.Write(tail)
	e2etest.NoError(t, w.Close())
	return out.Bytes()
}
