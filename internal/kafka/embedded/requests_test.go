package embedded

import (
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// Data that is no Kafka request closes its connection and takes no more memory than was sent, whatever length it
// announces. The broker continues.
func TestJunkTakesNoMemory(t *testing.T) {
	b, err := Open(Options{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	defer b.Close()
	withLength := func(length uint32, body string) string {
		return string(binary.BigEndian.AppendUint32(nil, length)) + body
	}
	for name, data := range map[string]string{
		"HTTP":                   "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", // 1.2 GB
		"TLS":                    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"nothing":                withLength(0, ""),
		"one byte":               withLength(1, "x"),
		"beyond the bound":       withLength(maxRequest+1, "\x00\x12\x00\x00"),
		"most of it is missing":  withLength(maxRequest, "\x00\x12\x00\x00\x00\x00\x00\x01"),
		"an API that is none":    withLength(10, "\x70\x00\x00\x00\x00\x00\x00\x01\xff\xff"),
		"a negative API":         withLength(10, "\xff\xff\x00\x00\x00\x00\x00\x01\xff\xff"),
		"a version that is none": withLength(10, "\x00\x12\x70\x00\x00\x00\x00\x01\xff\xff"),
		"a negative version":     withLength(10, "\x00\x12\xff\xff\x00\x00\x00\x01\xff\xff"),
		"a head that is cut":     withLength(4, "\x00\x12\x00\x00"),
		"a request that is cut":  withLength(11, "\x00\x03\x00\x00\x00\x00\x00\x01\xff\xff\x00"),
		"a list of 2 billion":    withLength(14, "\x00\x03\x00\x00\x00\x00\x00\x01\xff\xff\x7f\xff\xff\xff"),
	} {
		t.Run(name, func(t *testing.T) {
			runtime.GC()
			var statsBefore, statsAfter runtime.MemStats
			runtime.ReadMemStats(&statsBefore)
			c, err := net.Dial("tcp", b.Addr())
			require.NoError(t, err)
			defer c.Close()
			_, err = io.WriteString(c, data)
			require.NoError(t, err)
			_ = c.(*net.TCPConn).CloseWrite() // the broker may have closed it
			_, _ = io.ReadAll(c)              // until the broker closes it
			runtime.ReadMemStats(&statsAfter)
			allocated := statsAfter.TotalAlloc - statsBefore.TotalAlloc
			assert.True(t, allocated <= 16<<20, "expected at most 16 MB of memory, found %d", allocated>>20)
		})
	}
	value := strings.Repeat("x", 20<<20)
	large := "31457280"
	client := kafkatest.Client(t, kgo.SeedBrokers(b.Addr()), kgo.ProducerBatchMaxBytes(30<<20),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &large}, "texts")
	require.NoError(t, err)
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "texts", Value: []byte(value)}).FirstErr())
}
