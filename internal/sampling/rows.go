package sampling

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/wit"
)

// row is a row that was copied from a task.
type row struct {
	// SampledRow has Task, Feed, Partition and Offset; of a row that is too large Came and Problem, too.
	rest.SampledRow
	batch *record.Batch // of this row alone; nil: it is too large to be copied
}

// same reports whether rows of two batches are the same records.
func same(a *record.Batch, rows []wit.Row, b *record.Batch, others []wit.Row) bool {
	equal := func(x, y wit.ValueSlice) bool {
		return x.Encoding == y.Encoding && x.Schema == y.Schema && (x.Encoding == wit.Absent ||
			bytes.Equal(a.Bytes(x), b.Bytes(y)))
	}
	return slices.EqualFunc(rows, others, func(x, y wit.Row) bool {
		return a.Topics[x.Topic] == b.Topics[y.Topic] && equal(x.Key, y.Key) && equal(x.Value, y.Value) &&
			equal(x.Headers, y.Headers)
	})
}

// look is a [task.Look] for the tasks of a connector.
func (s *Sampler) look(connector string, number int, feed string, b *record.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if k.Connector != connector {
			continue
		}
		for i := range b.Rows[:min(len(b.Rows), k.Wanted-len(k.rows))] {
			r := s.copied(k, b, i)
			if r.Task, r.Feed = number, line(feed); feed == "" { // of a sink
				r.Partition, r.Offset = b.Rows[i].Partition, b.Rows[i].Offset
			}
			k.rows = append(k.rows, r)
		}
	}
	s.aim(connector)
}

// copied is a row of a batch for a sample; s.mu is held.
func (s *Sampler) copied(k *sample, b *record.Batch, i int) (r row) {
	size := b.RowBytes(i)
	if k.bytes+size > maxRowBytes {
		r.Input = rest.SampledRecord{Topic: line(s.strike(b.Topics[b.Rows[i].Topic])), Headers: []rest.SampledHeader{},
			Cut: true}
		r.Problem = fmt.Sprintf("it is not shown: the row has %d bytes, and a sample keeps %d of all its rows", size,
			maxRowBytes)
		return r
	}
	k.bytes += size
	r.batch = b.CopyRow(i)
	r.batch.Registry = s.registry
	return r
}
