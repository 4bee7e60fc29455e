package sampling

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/culvert-project/culvert/host/chaintest"
	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/host/rest"
	"github.com/culvert-project/culvert/wit"
)

// row is a row that was copied from a task.
type row struct {
	// SampledRow has Task, Feed, Partition and Offset; of a row that is too large Came and Differs, too.
	rest.SampledRow
	batch *record.Batch // of this row alone; nil: it is too large to be copied
	made  *outcome      // by the task; nil where nobody knows
}

// outcome is what became of a row: records, or none, or a fault.
type outcome struct {
	records []print
	fault   string
}

// print tells apart records without holding them: sums are of the form, the schema and the bytes.
type print struct {
	topic               string
	key, value, headers [sha256.Size]byte
}

// outcomeOf is what became of the row at a position; b, faults and err are as a chain has left them.
func outcomeOf(b *record.Batch, faults []wit.RowFault, err error, at uint32) (o outcome) {
	if err != nil {
		return outcome{fault: err.Error()}
	}
	for i := range faults {
		if faults[i].Origin == at {
			return outcome{fault: faults[i].Fault.Message}
		}
	}
	sum := func(d wit.Datum) [sha256.Size]byte {
		h := sha256.New()
		fmt.Fprintf(h, "%d %d ", d.Form, d.Schema)
		if d.Form != wit.Absent {
			h.Write(b.Bytes(d))
		}
		return [sha256.Size]byte(h.Sum(nil))
	}
	for i := range b.Rows {
		if r := &b.Rows[i]; r.Origin == at {
			o.records = append(o.records, print{b.Topics[r.Topic], sum(r.Key), sum(r.Value), sum(r.Headers)})
		}
	}
	return o
}

func (o *outcome) String() string {
	switch {
	case o.fault != "":
		return "an error"
	case len(o.records) == 0:
		return "nothing, it was dropped"
	}
	return fmt.Sprintf("%d records", len(o.records))
}

// differs says in what two outcomes differ, "" where they do not: texts of errors may.
func (o *outcome) differs(computed *outcome) string {
	if (o.fault != "") != (computed.fault != "") || len(o.records) != len(computed.records) {
		return fmt.Sprintf("the task has made of it: %s; computed again: %s", o, computed)
	}
	for i, r := range o.records {
		c := computed.records[i]
		for _, part := range []struct {
			name string
			same bool
		}{{"topic", r.topic == c.topic}, {"key", r.key == c.key}, {"value", r.value == c.value},
			{"headers", r.headers == c.headers}} {
			if !part.same {
				return fmt.Sprintf("the %s of record %d", part.name, i+1)
			}
		}
	}
	return ""
}

// claim is the first rows of a batch, for one sample: how many of them are copied, the others are too large for what is
// left of its bytes.
type claim struct {
	of   *sample
	rows []row
	fits []bool
}

// look is a [task.Look] for the tasks of a connector.
func (s *Sampler) look(connector string, number int, feed string, b *record.Batch) task.Looked {
	claims := s.claims(connector, b)
	if len(claims) == 0 {
		return nil
	}
	for _, c := range claims {
		for i := range c.rows {
			r := &c.rows[i]
			r.Task, r.Feed = number, line(feed)
			if feed == "" { // of a sink
				r.Partition, r.Offset = b.Rows[i].Partition, b.Rows[i].Offset
			}
			if c.fits[i] {
				r.batch = b.Copy(i)
				r.batch.Registry, r.batch.Rows[0].Origin = s.registry, 0
			} else {
				s.large(c.of, r, b, i)
			}
		}
	}
	return func(b *record.Batch, faults []wit.RowFault, err error) {
		for _, c := range claims {
			for i := range c.rows {
				made := outcomeOf(b, faults, err, uint32(i))
				c.rows[i].made = &made
				if batch := c.rows[i].batch; batch != nil && err == nil { // numbers of schemas stay while they are held
					batch.Held = append(batch.Held, b.Held[min(len(b.Held), len(batch.Held)):]...)
				}
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range claims {
			c.of.rows = append(c.of.rows, c.rows...)
		}
	}
}

// claims reserves the rows of a batch that samples want.
func (s *Sampler) claims(connector string, b *record.Batch) (claims []claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if !k.wants(connector) {
			continue
		}
		n := min(len(b.Rows), k.Wanted-k.reserved)
		c := claim{k, make([]row, n), make([]bool, n)}
		for i := range n {
			if size := b.Size(i); k.bytes+size <= maxRowBytes {
				c.fits[i], k.bytes = true, k.bytes+size
			}
		}
		k.reserved += n
		claims = append(claims, c)
	}
	s.aim(connector)
	return claims
}

// large shows a row that is not copied, once and for all.
func (s *Sampler) large(k *sample, r *row, b *record.Batch, i int) {
	view, left := *b, 2*maxText // what is appended to its bytes is nobody else's
	view.Data = slices.Clip(view.Data)
	w := writer{ctx: context.Background(), registry: s.registry, strike: s.strike, shape: k.Sample.Show == Shape,
		left: &left}
	r.Came = w.record(&view, &b.Rows[i])
	r.Differs = fmt.Sprintf("not computed again: the row has %d bytes, and a sample keeps %d of all its rows",
		b.Size(i), maxRowBytes)
}

// without is a row of a document that has no schema.
func (s *Sampler) without(ctx context.Context, topic string, document []byte) (r row, err error) {
	b := &record.Batch{Registry: s.registry, Topics: []string{topic}}
	value, err := chaintest.Value(ctx, b, document)
	if err != nil {
		return r, err
	}
	b.Rows = []wit.Row{{Partition: -1, Offset: -1, Timestamp: -1, Value: value}}
	return row{batch: b}, nil
}
