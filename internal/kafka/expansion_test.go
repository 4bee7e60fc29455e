package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// compressions contains all forms in which a batch may be compressed.
var compressions = map[string]struct {
	codec    kgo.CompressionCodecType
	compress func(t *testing.T, plain []byte) []byte
}{
	"gzip":           {kgo.CodecGzip, compressWith(kgo.GzipCompression())},
	"snappy":         {kgo.CodecSnappy, compressWith(kgo.SnappyCompression())},
	"snappy, xerial": {kgo.CodecSnappy, compressXerial},
	"lz4":            {kgo.CodecLz4, compressWith(kgo.Lz4Compression())},
	"zstd":           {kgo.CodecZstd, compressWith(kgo.ZstdCompression())},
	"zstd, streamed": {kgo.CodecZstd, compressStream},
}

func compressWith(codec kgo.CompressionCodec) func(*testing.T, []byte) []byte {
	return func(t *testing.T, plain []byte) []byte {
		compressor, err := kgo.DefaultCompressor(codec)
		require.NoError(t, err)
		var out bytes.Buffer
		compressed, _ := compressor.Compress(&out, plain)
		return bytes.Clone(compressed)
	}
}

// compressXerial compresses and frames blocks of snappy as Java's producers do.
func compressXerial(_ *testing.T, plain []byte) []byte {
	framed := []byte{130, 83, 78, 65, 80, 80, 89, 0, 0, 0, 0, 1, 0, 0, 0, 1}
	for block := range slices.Chunk(plain, 32<<10) {
		compressed := s2.EncodeSnappy(nil, block)
		framed = append(binary.BigEndian.AppendUint32(framed, uint32(len(compressed))), compressed...)
	}
	return framed
}

// compressStream compresses without a content size in the frame.
func compressStream(t *testing.T, plain []byte) []byte {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithWindowSize(256<<10))
	require.NoError(t, err)
	for piece := range slices.Chunk(plain, 64<<10) {
		_, err := w.Write(piece)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// zeroRecord returns an encoded record of zeros with this total size in bytes.
func zeroRecord(t *testing.T, size int) []byte {
	t.Helper()
	for value := size; value > 0; value-- {
		head, tail := kafkatest.ZeroRecord(value)
		if len(head)+value+len(tail) == size {
			return append(append(head, make([]byte, value)...), tail...)
		}
	}
	t.Fatalf("no record takes %d bytes", size)
	return nil
}

// recordReaders contains all ways to read records from Kafka. Each returns after its first record.
var recordReaders = map[string]func(t *testing.T, c Config, topic string) error{
	"reader": func(t *testing.T, c Config, topic string) error {
		return readFirst(t, c, topic, ReadOptions{})
	},
	"reader that follows": func(t *testing.T, c Config, topic string) error {
		return readFirst(t, c, topic, ReadOptions{Follow: true})
	},
	"consumer": func(t *testing.T, c Config, topic string) error {
		s, err := NewConsumer(c, ConsumerOptions{Group: "connect-" + topic, Topics: []string{topic}})
		require.NoError(t, err)
		defer s.Close()
		_, err = s.Poll(kafkatest.Context(t))
		return err
	},
}

func readFirst(t *testing.T, c Config, topic string, o ReadOptions) error {
	r, err := NewReader(c)
	require.NoError(t, err)
	defer r.Close()
	if o.Follow {
		return r.follow(kafkatest.Context(t), topic, Positions{0: 0}, false, func(*kgo.Record) error { return ErrStop })
	}
	_, err = r.Read(kafkatest.Context(t), topic, o, func(*kgo.Record) error { return ErrStop })
	return err
}

// Decompression of a batch stops once it exceeds fetch.max.decompressed.bytes, for every compression and every reader.
// A batch up to that size is read.
func TestExpansionIsBounded(t *testing.T) {
	const limit, bomb = 256 << 10, 16 << 20
	b := openTestBroker(t, t.TempDir())
	c := testConfig(b.Addr())
	c, _, err := c.Override(kafkatest.Context(t), map[string]string{
		"consumer.override.fetch.max.decompressed.bytes": fmt.Sprint(limit)})
	require.NoError(t, err)
	for name, compression := range compressions {
		for extent, size := range map[string]int{"within": limit, "beyond": limit + 1, "far beyond": bomb} {
			topic := strings.NewReplacer(" ", "-", ",", "").Replace(name + "-" + extent)
			makeTopics(t, b.Addr(), Topic{Name: topic})
			kafkatest.PutBatch(t, b.Addr(), topic, 0, compression.codec, compression.compress(t, zeroRecord(t, size)))
			for readerName, read := range recordReaders {
				t.Run(name+"/"+extent+"/"+readerName, func(t *testing.T) {
					runtime.GC()
					var statsBefore, statsAfter runtime.MemStats
					runtime.ReadMemStats(&statsBefore)
					err := read(t, c, topic)
					runtime.ReadMemStats(&statsAfter)
					if extent == "within" {
						require.NoError(t, err)
						return
					}
					expectTexts(t, err, topic, "partition 0", "offset 0", "fetch.max.decompressed.bytes",
						fmt.Sprint(limit))
					assert.AtMost(t, bomb, statsAfter.TotalAlloc-statsBefore.TotalAlloc, "bytes of memory")
				})
			}
		}
	}
}

// expectTexts expects an error that contains all of these texts.
func expectTexts(t *testing.T, err error, texts ...string) {
	t.Helper()
	for _, text := range texts {
		assert.Error(t, err, text)
	}
}

func TestExpansionIsBoundedByDefault(t *testing.T) {
	for side, opts := range map[string][]kgo.Opt{"consumer": testConfig("127.0.0.1:1").ConsumerOpts(),
		"producer": testConfig("127.0.0.1:1").ProducerOpts(), "admin": testConfig("127.0.0.1:1").AdminOpts()} {
		client := kafkatest.Client(t, opts...)
		assert.Equal(t, any(128<<20), client.OptValue(kgo.MaxDecompressBatchBytes), side)
	}
}

// The client gives up the partition once, maybe together with records of others, and does not report it again.
func TestExpansionEndsConsumerOfSeveral(t *testing.T) {
	const limit = 1 << 20
	b := openTestBroker(t, t.TempDir())
	makeTopics(t, b.Addr(), Topic{Name: "orders", Partitions: 2})
	c := testConfig(b.Addr())
	c.Consumer.DecompressedBytes = limit
	compress := compressions["gzip"].compress
	kafkatest.PutBatch(t, b.Addr(), "orders", 0, kgo.CodecGzip, compress(t, zeroRecord(t, 2<<10)))
	kafkatest.PutBatch(t, b.Addr(), "orders", 1, kgo.CodecGzip, compress(t, zeroRecord(t, limit+1)))
	s := openConsumer(t, c, ordersSink)
	ctx, cancel := context.WithCancel(kafkatest.Context(t))
	defer cancel()
	records := 0
	for {
		got, err := s.Poll(ctx)
		records += len(got)
		if err != nil {
			expectTexts(t, err, "orders", "partition 1", "offset 0")
			break
		}
	}
	assert.Equal(t, 1, records, "records of the other partition")
}

// The memory that zstd needs while it decompresses counts too, whatever the size of the result.
func TestExpansionByWindow(t *testing.T) {
	b := openTestBroker(t, t.TempDir())
	makeTopics(t, b.Addr(), Topic{Name: "orders"})
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithWindowSize(4<<20))
	require.NoError(t, err)
	for piece := range slices.Chunk(zeroRecord(t, 100<<10), 10<<10) {
		_, err := w.Write(piece)
		require.NoError(t, err)
		require.NoError(t, w.Flush()) // otherwise the encoder knows the length and writes it
	}
	require.NoError(t, w.Close())
	kafkatest.PutBatch(t, b.Addr(), "orders", 0, kgo.CodecZstd, out.Bytes())
	for readerName, read := range recordReaders {
		t.Run(readerName, func(t *testing.T) {
			c := testConfig(b.Addr())
			c.Consumer.DecompressedBytes = 4 << 20
			require.NoError(t, read(t, c, "orders"))
			c.Consumer.DecompressedBytes--
			expectTexts(t, read(t, c, "orders"), "orders", "partition 0", "offset 0", "fetch.max.decompressed.bytes",
				fmt.Sprint(c.Consumer.DecompressedBytes))
		})
	}
}
