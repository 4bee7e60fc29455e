//go:build real

package transform

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/convert"
	clients "github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/porttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// brokerRecords is the number of records in a topic that BenchmarkRealPeersBroker reads.
const brokerRecords = 100_000

// BenchmarkRealPeersBroker measures the whole way from topic to topic of an Apache Kafka broker: a sink's consumer, the
// JSON converter, three stages, the JSON converter, a source's producer, until all is acknowledged and the offsets are
// committed. It prints the median nanoseconds of CPU that this process needs per record, and the records per second of
// one core; next to it, in turns, the same for the clients alone, without converters and stages, and for Kafka's own
// clients and classes, whose JVM also compiles and collects garbage. This process collects garbage by Go's own target,
// or that of GOGC; a worker has another target, which follows the memory in use. `make bench-peers` runs it.
func BenchmarkRealPeersBroker(b *testing.B) {
	m, reg, _ := manager(b, nil)
	address := startBroker(b)
	theirs := peer(b, "kafka", "PeerBroker.java", "BOOTSTRAP="+address)
	for _, form := range []string{"schema", "plain"} {
		b.Run(form, func(b *testing.B) {
			const turns = 5
			w := newBrokerWork(b, address, reg, form == "schema")
			chain := open(b, m, 0, fieldStages...)
			in := "in-" + form
			w.fill(b, in)
			theirTurn := func() float64 {
				out := w.createOutput(b)
				defer w.remove(b, out)
				return theirs(b, in+" "+out+" "+form, brokerRecords)
			}
			for range 2 {
				theirTurn() // warm-up
			}
			w.copyRecords(b, in, chain)
			var kafkas, ours, bare []float64
			for b.Loop() {
				kafkas = kafkas[:0]
				ours = ours[:0]
				bare = bare[:0]
				for range turns {
					kafkas = append(kafkas, theirTurn())
					ours = append(ours, w.copyRecords(b, in, chain))
					bare = append(bare, w.copyRecords(b, in, nil))
				}
			}
			for _, list := range [][]float64{kafkas, ours, bare} {
				slices.Sort(list)
			}
			const middle = turns / 2
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(kafkas[middle], "Kafka-cpu-ns/record")
			b.ReportMetric(ours[middle], "ours-cpu-ns/record")
			b.ReportMetric(bare[middle], "clients-cpu-ns/record")
			b.ReportMetric(1e9/ours[middle], "records/s/core")
			b.ReportMetric(kafkas[middle]/ours[middle], "times-as-fast")
		})
	}
}

// startBroker starts an Apache Kafka broker that ends with the benchmark, and also when this process ends: the script
// reads its input.
func startBroker(b *testing.B) (address string) {
	address = porttest.Address(b)
	_, port, _ := net.SplitHostPort(address)
	_, controller, _ := net.SplitHostPort(porttest.Address(b))
	c := exec.Command("../../../testdata/peers/kafka/start-broker.sh", port, b.TempDir())
	c.Env = append(os.Environ(), "UNTIL_EOF=1", "CONTROLLER_PORT="+controller)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	in, out := startPiped(b, c)
	lines := bufio.NewReader(out)
	b.Cleanup(func() {
		in.Close()
		_ = c.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, lines)
		_ = c.Wait()
	})
	line, _ := lines.ReadString('\n')
	require.True(b, strings.TrimSpace(line) == "READY", "the broker did not start:\n%s", stderr.String())
	return address
}

// brokerWork reads one topic and writes another.
type brokerWork struct {
	config    clients.Config
	admin     *kadm.Client
	converter convert.Converter
	text      []byte
	reg       *record.Registry
	created   int    // how many topics to write to were created
	name      string // is part of their names
}

func newBrokerWork(b *testing.B, address string, reg *record.Registry, typed bool) *brokerWork {
	w := &brokerWork{config: clients.Defaults(), converter: peerConverter(b, reg, false, typed), reg: reg,
		name: fmt.Sprint(typed)}
	w.config.Bootstrap = []string{address}
	w.config.Logger = slog.New(slog.DiscardHandler)
	client, err := kgo.NewClient(kgo.SeedBrokers(address))
	require.NoError(b, err)
	b.Cleanup(client.Close)
	w.admin = kadm.NewClient(client)
	batch := tenFields(b, reg, 1, 1024)
	if !typed {
		withoutSchema(b, batch)
	}
	w.text, _, err = w.converter.Encode(b.Context(), nil, math.MaxInt32, "orders", batch, batch.Rows[0].Value)
	require.NoError(b, err)
	return w
}

// createOutput creates a topic to write to. Its records are deleted soon after [brokerWork.remove].
func (w *brokerWork) createOutput(b *testing.B) (name string) {
	w.created++
	name = fmt.Sprintf("out-%s-%d", w.name, w.created)
	w.create(b, name)
	return name
}

func (w *brokerWork) create(b *testing.B, name string) {
	deleteDelayMs := "1000"
	_, err := w.admin.CreateTopic(b.Context(), 1, 1, map[string]*string{"file.delete.delay.ms": &deleteDelayMs}, name)
	require.NoError(b, err)
}

func (w *brokerWork) remove(b *testing.B, name string) {
	_, err := w.admin.DeleteTopic(b.Context(), name)
	require.NoError(b, err)
}

// fill creates a topic with records.
func (w *brokerWork) fill(b *testing.B, topic string) {
	w.create(b, topic)
	p, err := clients.NewProducer(w.config, "fill")
	require.NoError(b, err)
	for range brokerRecords / 500 {
		records := p.NewBatch()
		for range 500 {
			r := records.Add()
			r.Topic = topic
			r.Value = w.text
		}
		p.Produce(b.Context(), records, nil)
	}
	require.NoError(b, p.Close(b.Context()))
}

// copyRecords copies all records of a topic to another one, through converters and a chain if it is not nil, and
// returns the nanoseconds of CPU per record.
func (w *brokerWork) copyRecords(b *testing.B, in string, chain *Chain) float64 {
	ctx := b.Context()
	out := w.createOutput(b)
	defer w.remove(b, out)
	consumer, err := clients.NewConsumer(w.config, clients.ConsumerOptions{Group: "of-" + out, Topics: []string{in}})
	require.NoError(b, err)
	defer consumer.Close()
	producer, err := clients.NewProducer(w.config, "bench")
	require.NoError(b, err)
	buffers := make(chan []byte, 64) // for reuse
	failed := make(chan error, 1)
	batch := &record.Batch{Registry: w.reg}
	offsets := clients.Offsets{}
	cpuBefore := cpu(b)
	for n := 0; n < brokerRecords; {
		polled, err := consumer.Poll(ctx)
		require.NoError(b, err)
		n += len(polled)
		records := producer.NewBatch()
		var text []byte
		if chain == nil {
			for _, r := range polled {
				copied := records.Add()
				copied.Topic = out
				copied.Value = r.Value
				copied.Timestamp = r.Timestamp
			}
		} else {
			select {
			case text = <-buffers:
			default:
			}
			text, err = w.convert(ctx, polled, batch, chain, out, records, text[:0])
			require.NoError(b, err)
		}
		producer.Produce(ctx, records, func(_ int, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
			select {
			case buffers <- text:
			default:
			}
		})
		if len(polled) > 0 {
			last := polled[len(polled)-1]
			offsets[last.Topic] = map[int32]kgo.EpochOffset{last.Partition: {Epoch: last.LeaderEpoch,
				Offset: last.Offset + 1}}
		}
	}
	require.NoError(b, producer.Close(ctx))
	require.NoError(b, consumer.Commit(ctx, offsets))
	cpuPerRecord := float64(cpu(b)-cpuBefore) / brokerRecords
	select {
	case err := <-failed:
		b.Fatal(err)
	default:
	}
	if end, err := w.admin.ListEndOffsets(ctx, out); err != nil || end[out][0].Offset != brokerRecords {
		b.Fatalf("expected %d records in %s, found %v, %v", brokerRecords, out, end[out][0].Offset, err)
	}
	return cpuPerRecord
}

// convert passes records through converter, chain and converter into a producer's records, whose values are in text.
func (w *brokerWork) convert(ctx context.Context, polled []*kgo.Record, batch *record.Batch, chain *Chain, topic string,
	records *clients.Batch, text []byte) ([]byte, error) {
	batch.Reset()
	for i, r := range polled {
		row := wit.Row{Topic: batch.TopicIndex(r.Topic), RowIndex: uint32(i), Partition: -1, Offset: r.Offset,
			Timestamp: r.Timestamp.UnixMilli()}
		var err error
		if row.Value, err = w.converter.Decode(ctx, r.Topic, r.Value, batch); err != nil {
			return nil, err
		}
		batch.Rows = append(batch.Rows, row)
	}
	if rowErrs, err := chain.Apply(ctx, batch); err != nil || len(rowErrs) > 0 {
		return nil, fmt.Errorf("%w, %v", err, rowErrs)
	}
	for i := range batch.Rows {
		row := &batch.Rows[i]
		start := len(text)
		var err error
		if text, _, err = w.converter.Encode(ctx, text, math.MaxInt32, topic, batch, row.Value); err != nil {
			return nil, err
		}
		r := records.Add()
		// If text has been reallocated since, the record keeps its earlier memory.
		r.Topic = topic
		r.Value = text[start:len(text):len(text)]
		r.Timestamp = time.UnixMilli(row.Timestamp)
	}
	return text, nil
}
