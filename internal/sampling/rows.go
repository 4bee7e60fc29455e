package sampling

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/wit"
)

// row is a copied row of a task. batch is nil if the row is too large; SampledRow then has Input and Problem.
type row struct {
	rest.SampledRow
	batch *record.Batch // of this row alone
}

// sameRecords reports whether rows of two batches are the same records.
func sameRecords(a *record.Batch, rows []wit.Row, b *record.Batch, others []wit.Row) bool {
	equal := func(x, y wit.ValueSlice) bool {
		return x.Encoding == y.Encoding && x.Schema == y.Schema && (x.Encoding == wit.Absent ||
			bytes.Equal(a.Bytes(x), b.Bytes(y)))
	}
	return slices.EqualFunc(rows, others, func(x, y wit.Row) bool {
		return a.Topics[x.Topic] == b.Topics[y.Topic] && equal(x.Key, y.Key) && equal(x.Value, y.Value) &&
			equal(x.Headers, y.Headers)
	})
}

// observe copies the next rows of a connector's task. It implements a [task.Observer].
func (s *Sampler) observe(connector string, task int, feed string, b *record.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sample := range s.samples {
		if sample.Connector != connector {
			continue
		}
		for i := range b.Rows[:min(len(b.Rows), sample.Wanted-len(sample.rows))] {
			r := s.copyRow(sample, b, i)
			r.Feed = line(feed)
			r.Task = task
			if feed == "" { // a sink's row
				r.Partition = b.Rows[i].Partition
				r.Offset = b.Rows[i].Offset
			}
			sample.rows = append(sample.rows, r)
		}
	}
	s.updateObserver(connector)
}

// copyRow copies a row of a batch for a sample. s.mu must be held.
func (s *Sampler) copyRow(sample *sample, b *record.Batch, i int) (r row) {
	size := b.RowBytes(i)
	isKept := sample.bytes+size <= maxRowBytes
	if !isKept || !s.quota.TryReserve(size) {
		r.Input = rest.SampledRecord{Topic: line(s.redact(b.Topics[b.Rows[i].Topic])), Headers: []rest.SampledHeader{},
			Cut: true}
		r.Problem = fmt.Sprintf("it is not shown: the row has %d bytes, and a sample keeps %d of all its rows", size,
			maxRowBytes)
		if isKept {
			r.Problem = fmt.Sprintf("it is not shown: the row has %d bytes, and the worker's memory for samples and "+
				"for keys of first loads, a 32nd of its limit, is used up", size)
		}
		return r
	}
	sample.bytes += size
	r.batch = b.CopyRow(i)
	r.batch.Registry = s.registry
	return r
}
