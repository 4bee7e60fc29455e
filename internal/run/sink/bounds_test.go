package sink

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/run/runtest"
	"github.com/culvert-project/culvert/wit"
)

// Records of some bytes can become megabytes by the defaults of their schema: a batch is cut when the converted records
// fill it, and each record is written once.
func TestConvertedBytesOfABatchAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			records        = 12
			convertedBytes = 8 << 20 // of each record
		)
		w := &writer{}
		x := newWorld(w)
		x.o.NewConverters = func() (convert.Converter, convert.Converter, error) {
			value, err := convert.New(convert.ClassJSON, nil, convert.Options{Schemas: x.o.Registry})
			return bytesConverter{}, value, err
		}
		largest := 0
		x.o.NewChain = func(_ context.Context) (Chain, error) {
			return chainFunc(func(b *record.Batch) []wit.RowError {
				largest = max(largest, len(b.Data))
				for i := range b.Rows { // the content does not matter
					b.Rows[i].Value = b.Rows[i].Key
				}
				return nil
			}), nil
		}
		const schema = `{"type":"array","items":{"type":"struct","fields":[{"type":"string","field":"a","default":"%s"}]}}`
		document := fmt.Sprintf(`={"schema":`+schema+`,"payload":[{}%s]}`, strings.Repeat("d", 1<<18),
			strings.Repeat(",{}", convertedBytes>>18-1))
		var lines []string
		for i := range records {
			lines = append(lines, fmt.Sprint("k", i, document))
		}
		x.group.put("t", 0, lines...)
		x.mustRun(t)
		seen := map[string]bool{}
		for _, r := range x.service.bodies() {
			seen[r] = true
		}
		if n := len(x.service.bodies()); n != records || len(seen) != records || x.committed("t", 0) != records {
			t.Errorf("expected %d records once, found %d, %d of them different", records, n, len(seen))
		}
		assert.True(t, largest >= maxConvertedBytes && largest <= maxConvertedBytes+2*convertedBytes,
			"expected batches of about %d bytes, found one of %d", maxConvertedBytes, largest)
	})
}

// The size of a batch's deliveries is limited, however often the batch is halved because one call would return too
// much, and whenever it is encoded: 150 rows with memos of 28 MiB used 4.1 GB. Delivered rows no longer count.
func TestDeliveriesOfABatchAreBounded(t *testing.T) {
	bulk := make([]byte, 28<<20)
	for name, c := range map[string]struct {
		bulk     []byte
		bodies   bool // the bodies of the requests are large, not the memos
		again    bool // only the rows that are encoded once more are large
		inFlight int
		bounded  bool // the task fails because of the bound
	}{
		"memos":                   {bulk: bulk, bounded: true},
		"bodies":                  {bulk: bulk, bodies: true, bounded: true},
		"memos within the bound":  {bulk: bulk[:1<<20]},
		"memos of rows once more": {bulk: bulk, again: true, inFlight: 150, bounded: true},
		"one row after another":   {bulk: bulk, again: true},
	} {
		runtest.Bubble(t, name, func(t *testing.T) {
			const rows = 150
			w := &writer{onEncode: func(d *wit.EncodeResult, hints []wit.Hint) error {
				if c.again && len(hints) == 0 {
					return nil
				}
				if len(d.Ready)*len(c.bulk) > 64<<20 {
					return &plugin.Trap{Function: "encode", Limit: "result.bytes", Reason: errTrap}
				}
				for i := range d.Ready {
					ready := &d.Ready[i]
					if c.bodies {
						ready.Request.Body = c.bulk
					} else {
						ready.State = c.bulk
					}
				}
				return nil
			}}
			x := newWorld(w)
			x.o.BatchRows = rows
			x.o.InFlight = max(c.inFlight, 1)
			x.group.maxPoll = rows
			x.service.delay = time.Millisecond // so that concurrent deliveries are in memory together
			x.service.answer = func(n int, body string) (uint16, error) {
				if c.again && !strings.HasSuffix(body, "?alone") {
					return 409, nil
				}
				return 201, nil
			}
			for i := range rows {
				x.group.put("t", 0, fmt.Sprintf("%c%d=v", byte(i+'A'), i))
			}
			_, err := x.run(t)
			if !c.bounded && (err != nil || x.committed("t", 0) != rows) {
				t.Fatalf("expected %d rows written, found %d, %v", rows, x.committed("t", 0), err)
			}
			if c.bounded {
				runtest.Fails(t, err, "bytes of requests and states for the 150 rows of the batch",
					"consumer.override.max.poll.records")
			}
		})
	}
}
