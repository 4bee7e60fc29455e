package sink

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// Records of some bytes that become megabytes by the defaults of their schema: a batch is cut when it is full by what
// they became, and each of them is written once.
func TestConvertedBytesOfABatchAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const records, became = 12, 8 << 20
		w := &writer{}
		x := newWorld(w)
		x.o.NewConverters = func() (convert.Converter, convert.Converter, error) {
			value, err := convert.New(convert.ClassJSON, nil, convert.Use{Schemas: x.o.Registry})
			return asIs{}, value, err
		}
		largest := 0
		x.o.NewChain = func(_ context.Context) (Chain, error) {
			return chainFunc(func(b *record.Batch) []wit.RowFault {
				largest = max(largest, len(b.Data))
				for i := range b.Rows { // what is sent is not the point
					b.Rows[i].Value = b.Rows[i].Key
				}
				return nil
			}), nil
		}
		const schema = `{"type":"array","items":{"type":"struct","fields":[{"type":"string","field":"a","default":"%s"}]}}`
		document := fmt.Sprintf(`={"schema":`+schema+`,"payload":[{}%s]}`, strings.Repeat("d", 1<<18),
			strings.Repeat(",{}", became>>18-1))
		var lines []string
		for i := range records {
			lines = append(lines, fmt.Sprint("k", i, document))
		}
		x.group.put("t", 0, lines...)
		x.ok(t)
		seen := map[string]bool{}
		for _, r := range x.service.seen() {
			seen[r] = true
		}
		if n := len(x.service.seen()); n != records || len(seen) != records || x.committed("t", 0) != records {
			t.Errorf("expected %d records once, found %d, %d of them different", records, n, len(seen))
		}
		if largest < MaxConvertedBytes || largest > MaxConvertedBytes+2*became {
			t.Errorf("expected batches of about %d bytes, found one of %d", MaxConvertedBytes, largest)
		}
	})
}
