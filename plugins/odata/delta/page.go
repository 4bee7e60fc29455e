package delta

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/wit"
)

// Set is an entity set whose changes are read.
type Set struct{ *feed.Feed }

// Page reads an answer of delta mode.
type Page struct {
	*feed.Reader
	// delta is where delta mode stands, headers are those of the answer that it goes by.
	delta   position
	headers []wit.Header
	changes changes
	// document: it is the document of one row, as a fault has it.
	document bool
}

// Reading is what it reads by.
func (pg *Page) Reading() *feed.Reader { return pg.Reader }

func (pg *Page) set() Set { return Set{pg.Feed} }

// Begin opens a page of delta mode.
func Begin(pool *feed.Pool, o *feed.Context, f *feed.Feed, position []wit.Field, response *wit.Response) (*Page,
	error) {
	at, err := ReadDelta(position)
	if err != nil {
		return nil, err
	}
	if at == nil {
		return nil, &wit.Fault{Kind: wit.FaultInternal, Message: "a page with an empty position"}
	}
	rows, err := readSieve(at.rows)
	if err != nil {
		return nil, err
	}
	gone, err := readSieve(at.gone)
	if err != nil {
		return nil, err
	}
	refused := feed.Unformatted(position)
	f.UseFormat(refused)
	pg := &Page{Reader: pool.Begin(o, f, response, feed.CasesOf(position)), delta: *at}
	pg.Unformatted, pg.Exempt = refused, pg.unfiltered()
	if pg.Base == "" {
		pg.Base = at.url
	}
	pg.delta.applied = at.applied || (at.phase == phaseLoad || at.phase == phaseOpen) && applies(response.Headers)
	for _, name := range []string{"Date", "Location", "Retry-After"} {
		if text := feed.Header(response.Headers, name); text != "" {
			pg.headers = append(pg.headers, wit.Header{Name: name, Value: strings.Clone(text)})
		}
	}
	pg.changes.rowsBefore, pg.changes.goneBefore = rows, gone
	switch at.phase {
	case phaseLoad, phaseOpen, phaseSecond:
		pg.changes.marks = feed.Marks{Snapshot: at.snapshot, Begun: at.inside}
	}
	if at.second != nil {
		pg.beginSecond()
	}
	return pg, nil
}

// BeginDocument opens the document of one row, which was refused before: a dead letter that is read again. It may say
// that its entity is deleted.
func BeginDocument(pool *feed.Pool, o *feed.Context, f *feed.Feed, response *wit.Response) *Page {
	cases := feed.Header(response.Headers, wit.OffsetHeader+feed.GuidField)
	pg := &Page{Reader: pool.Begin(o, f, response, []byte(cases)), document: true}
	pg.delta, pg.Single, pg.Exempt = position{phase: phaseLoad}, true, pg.unfiltered()
	if pg.Base == "" {
		pg.Base = f.Service + "/" + f.Address
	}
	return pg
}

// Decode reads a piece of a page of delta mode.
func (pg *Page) Decode(tag string, status uint16, piece []byte, last bool) (portion wit.Portion, ended bool,
	err error) {
	rows := pg.delta.phase == phaseLoad || pg.delta.phase == phaseOpen || pg.delta.phase == PhaseChanges
	code := pg.Answer.Status
	switch {
	case pg.delta.phase == phaseSecond:
		return pg.decodeSecond(tag, status, piece, last)
	case strings.HasPrefix(tag, rereadTag):
		return pg.reread(tag, status, piece, last)
	case tag == "" && (!rows || code < 200 || code > 299 || code == 202 || code == 204):
		return pg.whole(piece, last)
	}
	if waits, err := pg.Read(tag, piece, last, &portion); waits || err != nil {
		return portion, err != nil, err
	}
	if !pg.delta.check { // else only the count is of interest
		if err := pg.Filtered(); err != nil {
			return portion, true, err
		}
		if err := pg.change(&portion); err != nil {
			return wit.Portion{}, true, err
		}
	}
	if err := pg.Followed(&portion); err != nil {
		return wit.Portion{}, true, err
	}
	ended, err = pg.endDelta(&portion)
	return portion, ended, err
}

// endDelta ends a page of which all has come: its text, and what was read again.
func (pg *Page) endDelta(portion *wit.Portion) (ended bool, err error) {
	if !pg.Ended || !pg.Out.Page.Done || pg.changes.waiting > 0 {
		return false, nil
	}
	if pg.document {
		return true, nil
	}
	next, err := pg.afterDelta()
	if err != nil {
		return true, err
	}
	loading := next.phase == phaseLoad || next.phase == phaseSecond
	if pg.changes.marks.Holds() {
		portion.Rows, portion.Data = pg.changes.marks.Release(portion.Rows, portion.Data, !loading)
		pg.Declare(portion)
	}
	if !loading {
		pg.SettleGuids()
	}
	pg.goesOn(next)
	fields := next.fields()
	portion.Next, portion.More = &fields, !next.rest
	return true, nil
}

// whole reads an answer that is short: what an ODP service says beside the set, errors, and answers without rows.
func (pg *Page) whole(piece []byte, last bool) (portion wit.Portion, ended bool, err error) {
	if room := feed.MaxErrorBody*4 - len(pg.Body); pg.Answer.Status < 300 && len(piece) > room {
		return portion, true, &wit.Fault{Kind: wit.FaultData, Message: pg.What() + ": expected at most " +
			strconv.Itoa(feed.MaxErrorBody*4) +
			" bytes in answer to " + pg.delta.url + ", found more"}
	} else {
		pg.Body = append(pg.Body, piece[:min(len(piece), room)]...)
	}
	if !last {
		return portion, false, nil
	}
	switch {
	case pg.Answer.Status == 202:
		portion, err = pg.wait()
	case pg.Answer.Status == 204 && pg.delta.phase == PhaseChanges:
		portion, err = pg.nothingMore()
	case pg.Answer.Status < 200 || pg.Answer.Status > 299:
		portion, err = pg.refusedDelta()
	case fault.IsHTML(pg.Body) || len(pg.Body) == 0:
		err = fault.NotData(pg.What()+": "+pg.delta.url, "an answer in JSON or XML", pg.Body)
	default:
		portion, err = pg.answeredODP()
	}
	return portion, true, err
}
