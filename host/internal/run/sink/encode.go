package sink

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// deliveries encodes the batch. Before the first one of a partition metadata is stored, by which is known how long
// metadata may be.
func (w *writing) deliveries(o *outcome) ([]job, error) {
	t := w.task
	if err := t.bury(&w.batch.outcome); err != nil {
		return nil, err
	}
	if t.account.apply(encodingBegins{w.batch.items}).yes {
		if err := t.commit(t.run.working); errors.Is(err, kafka.ErrCommitMetadata) {
			return nil, err
		}
	}
	if len(w.rows) == 0 {
		return nil, nil
	}
	if err := w.repeatMoved(); err != nil {
		return nil, err
	}
	var jobs []job
	portions := t.account.portions(w.batch.items, w.rows, t.o.InFlight)
	for n, rows := range portions {
		for _, row := range rows {
			w.tries[row].portion = n
		}
		some, err := w.encodeBy(o, t.plugin.Opened(), rows, w.takeOverDoubts(rows), true)
		if errors.Is(err, errAdopt) { // what was refused or ignored of the portions before is settled
			w.takenBack(jobs)
			for _, rest := range portions[n:] {
				w.rows = append(w.rows, rest...)
			}
			slices.Sort(w.rows)
		}
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, some...)
	}
	return jobs, nil
}

// takenBack has the rows of deliveries encoded once more.
func (w *writing) takenBack(jobs []job) {
	w.held.Add(-bytesOf(jobs))
	w.rows = w.rows[:0]
	for i := range jobs {
		w.rows = append(w.rows, jobs[i].rows...)
	}
	slices.Sort(w.rows)
}

// encode makes deliveries of rows of the batch.
func (w *writing) encode(o *outcome, rows []uint32, hints []wit.Hint) ([]job, error) {
	return w.encodeBy(o, w.task.plugin.Opened(), rows, hints, false)
}

// encodeChecks makes deliveries that check rows in doubt. With pause, the first is sent after one: what may have
// arrived may still be at work there.
func (w *writing) encodeChecks(o *outcome, rows []uint32, pause bool) ([]job, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	hints := make([]wit.Hint, len(rows))
	for n, row := range rows {
		w.tries[row].hint = w.task.o.InDoubt.hint(w.batch.items[row].record)
		hints[n] = wit.Hint{Row: uint32(n), Text: w.tries[row].hint}
	}
	if w.task.run.ends() {
		return nil, w.giveUpChecks(o, rows)
	}
	jobs, err := w.encode(o, rows, hints)
	if err != nil {
		w.task.log.Warn("rows in doubt could not be checked", "error", err)
		return nil, w.giveUpChecks(o, rows)
	}
	if pause && slices.ContainsFunc(jobs, func(j job) bool { return j.noCheck == nil }) {
		if w.task.o.Client.Retry().Wait(w.task.run.stopping, 0) != nil {
			return nil, w.giveUpChecks(o, rows)
		}
	}
	return jobs, nil
}

// errAdopt: the batch is to be encoded by another version of the plugin, which takes over when nothing is on its way
// that the version before has to settle.
var errAdopt = errors.New("another version of the plugin takes over")

// encodeBy makes them by what was opened. unsent: nothing of the batch was sent. Rows have the timestamps of the
// records that were read: an identification that is made from one must stay the same when a record is sent again by
// another run, whose transforms may say another time.
func (w *writing) encodeBy(out *outcome, o *openedVersion, rows []uint32, hints []wit.Hint, unsent bool) ([]job,
	error) {
	d, err := w.made(&o, rows, hints, unsent)
	var trap *plugin.Trap
	switch {
	case errors.As(err, &trap):
		return w.halve(out, o, rows, hints, err)
	case err != nil:
		return nil, err
	}
	return w.jobs(out, o, d.by, rows, d.EncodeResult)
}

// made holds the deliveries that a plugin built from rows, and what decides whether their lanes can be compared.
type made struct {
	wit.EncodeResult
	by hashed
}

// made has rows encoded. Where o is opened again for that, it is replaced.
func (w *writing) made(o **openedVersion, rows []uint32, hints []wit.Hint, unsent bool) (d made, err error) {
	part := w.batch.rows.Part(rows)
	origins := record.Origins{Topics: w.batch.origins.Topics, IDs: make([]wit.RecordID, len(rows))}
	for n, row := range rows {
		part.Rows[n].RowIndex = uint32(n)
		part.Rows[n].Timestamp = timestampOf(w.batch.items[row].record) // transforms may have changed it
		origins.IDs[n] = w.batch.origins.IDs[row]
	}
	began := time.Now()
	for attempt, reopened := 0, false; ; {
		w.task.count.encode.Start()
		err = task.Do(w.task.run.working, (*o).code, func(p Writer) error {
			var context []byte
			context, d.by = (*o).newest()
			d.EncodeResult, err = p.Encode(w.task.run.working, context, part, origins, hints)
			return err
		})
		w.task.count.encode.Stop()
		var f *wit.Error
		switch {
		case task.IsStale(err) && !reopened:
			if *o, err = w.task.reopen(w.task.run.working, *o); err != nil {
				return d, err
			}
			reopened = true
			continue
		case unsent && w.task.plugin.ShouldRetry(err):
			w.task.log.Warn("a version of the plugin that is new broke: the batch is encoded again", "version",
				(*o).code.Version(), "error", err)
			return d, errAdopt
		case errors.As(err, &f) && f.Kind == wit.ErrorTransient && (attempt < w.task.o.Client.Retry().Times() ||
			w.task.o.Retry.Allows(time.Since(began))):
			attempt++
			if err := w.task.o.Client.Retry().Wait(w.task.run.stopping, 0); err != nil {
				return d, err
			}
			continue
		}
		break
	}
	if err != nil && !errors.As(err, new(*plugin.Trap)) {
		err = w.fault(rows, "encode", err)
	}
	return d, err
}

// halve finds the row on which the plugin traps (P32).
func (w *writing) halve(out *outcome, o *openedVersion, rows []uint32, hints []wit.Hint, err error) ([]job, error) {
	if len(rows) == 1 {
		if w.tries[rows[0]].doubt != nil {
			return []job{w.noCheck(rows[0], err)}, nil
		}
		w.refuse(out, rows[0], task.StageEncode, err)
		return nil, w.task.bury(out)
	}
	var jobs []job
	middle := len(rows) / 2
	for _, half := range [][2]int{{0, middle}, {middle, len(rows)}} {
		var its []wit.Hint
		for _, h := range hints {
			if int(h.Row) >= half[0] && int(h.Row) < half[1] {
				its = append(its, wit.Hint{Row: h.Row - uint32(half[0]), Text: h.Text})
			}
		}
		some, err := w.encodeBy(out, o, rows[half[0]:half[1]], its, false)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, some...)
	}
	return jobs, nil
}

// jobs takes the result of encode: what is ready becomes jobs, the rest is settled.
func (w *writing) jobs(out *outcome, o *openedVersion, by hashed, rows []uint32, d wit.EncodeResult) ([]job, error) {
	t := w.task
	jobs := make([]job, 0, len(d.Ready))
	for _, row := range d.Ignored {
		if w.tries[rows[row]].doubt != nil {
			jobs = append(jobs, w.noCheck(rows[row], errors.New("the plugin ignores it")))
			continue
		}
		t.count.ignored.Add(1)
		w.settled(out, rows[row], false)
	}
	for i := range d.Rejected {
		f := &d.Rejected[i]
		if w.tries[rows[f.RowIndex]].doubt != nil {
			jobs = append(jobs, w.noCheck(rows[f.RowIndex], &f.Error))
			continue
		}
		item := w.batch.items[rows[f.RowIndex]]
		if ofAllRows(&f.Error) {
			t.count.faults.Add()
			return nil, &recordError{item: item, stage: "encode", err: &f.Error}
		}
		w.refuse(out, rows[f.RowIndex], task.StageEncode, &f.Error)
	}
	if err := t.bury(out); err != nil {
		return nil, err
	}
	for n, ready := range d.Ready {
		if len(ready.Rows) == 0 {
			return nil, fmt.Errorf("encode: delivery %d of %d has no rows", n+1, len(d.Ready))
		}
		j := job{Delivery: ready, of: w, rows: make([]uint32, len(ready.Rows)), opened: o, hashed: by}
		for n, row := range ready.Rows {
			j.rows[n] = rows[row]
		}
		some, err := w.onlyReads(j)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, some...)
	}
	if most := int64(w.batch.bytes()) + maxMadeBytes; w.held.Add(bytesOf(jobs)) > most {
		return nil, w.fault(rows, "encode", fmt.Errorf("the plugin makes more than %d bytes of requests and memos "+
			"of the batch's %d rows: consumer.override.max.poll.records makes batches smaller", most,
			len(w.batch.rows.Rows)))
	}
	return jobs, nil
}
