package sampling

import (
	"crypto/sha256"
	"fmt"

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
	// class and stage are of a fault of the row; class is "" where the chain does not run.
	class string
	stage uint32
}

// print tells apart records without holding them: it is sums of the parts.
type print [4][sha256.Size]byte

var parts = [4]string{"topic", "key", "value", "headers"}

// outcomeOf is what became of the row at a position; b, faults and err are as a chain has left them.
func outcomeOf(b *record.Batch, faults []wit.RowFault, err error, at uint32) (o outcome) {
	if err != nil {
		return outcome{fault: err.Error()}
	}
	for _, f := range faults {
		if f.Origin == at {
			return outcome{fault: f.Fault.Message, class: f.ErrorClass, stage: f.Stage}
		}
	}
	sum := func(d wit.Datum) [sha256.Size]byte {
		data := fmt.Appendf(nil, "%d %d ", d.Form, d.Schema)
		if d.Form != wit.Absent {
			data = append(data, b.Bytes(d)...)
		}
		return sha256.Sum256(data)
	}
	for i := range b.Rows {
		if r := &b.Rows[i]; r.Origin == at {
			o.records = append(o.records, print{sha256.Sum256([]byte(b.Topics[r.Topic])), sum(r.Key), sum(r.Value),
				sum(r.Headers)})
		}
	}
	return o
}

func (o *outcome) String() string {
	switch {
	case o.fault != "":
		return "an error"
	case len(o.records) == 0:
		return "nothing"
	}
	return fmt.Sprintf("%d records", len(o.records))
}

// differs says what else a task has made of a row than was computed again, "" for nothing: texts of errors may differ.
func (o *outcome) differs(computed *outcome) string {
	const other = "the task has made something else of it: "
	if (o.fault != "") != (computed.fault != "") || len(o.records) != len(computed.records) {
		return fmt.Sprintf(other+"%s, and not %s", o, computed)
	}
	for i, r := range o.records {
		for k, part := range parts {
			if r[k] != computed.records[i][k] {
				return fmt.Sprintf(other+"another %s of record %d", part, i+1)
			}
		}
	}
	return ""
}

// look is a [task.Look] for the tasks of a connector.
func (s *Sampler) look(connector string, number int, feed string, b *record.Batch) task.Looked {
	s.mu.Lock()
	defer s.mu.Unlock()
	copied := map[*sample][]row{}
	for _, k := range s.all {
		if k.wants(connector) {
			rows := make([]row, min(len(b.Rows), k.Wanted-k.reserved))
			for i := range rows {
				rows[i] = s.copied(k, b, i)
				if rows[i].Task, rows[i].Feed = number, line(feed); feed == "" { // of a sink
					rows[i].Partition, rows[i].Offset = b.Rows[i].Partition, b.Rows[i].Offset
				}
			}
			k.reserved += len(rows)
			copied[k] = rows
		}
	}
	s.aim(connector)
	return func(b *record.Batch, faults []wit.RowFault, err error) {
		for _, rows := range copied {
			for i := range rows {
				made := outcomeOf(b, faults, err, uint32(i))
				rows[i].made = &made
				if batch := rows[i].batch; batch != nil && err == nil { // numbers of schemas stay while they are held
					batch.Held = append(batch.Held, b.Held[min(len(b.Held), len(batch.Held)):]...)
				}
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for k, rows := range copied {
			k.rows = append(k.rows, rows...)
		}
	}
}

// copied is a row of a batch for a sample; s.mu is held.
func (s *Sampler) copied(k *sample, b *record.Batch, i int) (r row) {
	size := b.Size(i)
	if k.bytes+size > maxRowBytes {
		r.Came = rest.SampledRecord{Topic: line(s.strike(b.Topics[b.Rows[i].Topic])), Headers: []rest.SampledHeader{},
			Cut: true}
		r.Differs = fmt.Sprintf("it is not shown: the row has %d bytes, and a sample keeps %d of all its rows", size,
			maxRowBytes)
		return r
	}
	k.bytes += size
	r.batch = b.Copy(i)
	r.batch.Registry, r.batch.Rows[0].Origin = s.registry, 0
	return r
}
