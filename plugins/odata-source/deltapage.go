package main

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/wit"
)

// deltaSet is an entity set whose changes are read.
type deltaSet struct{ *Feed }

// deltaPage reads an answer of delta mode.
type deltaPage struct {
	*Reader
	// delta is where delta mode stands, headers are those of the answer that it goes by.
	delta   deltaPosition
	headers []wit.Header
	changes changes
	// document: it is the document of one row, as a fault has it.
	document bool
}

// Reading is what it reads by.
func (pg *deltaPage) Reading() *Reader { return pg.Reader }

func (pg *deltaPage) set() deltaSet { return deltaSet{pg.feed} }

// beginDelta opens a page of delta mode.
func beginDelta(pool *Pool, o *Context, f *Feed, position []wit.Field, response *wit.Response) (*deltaPage, error) {
	at, err := readDelta(position)
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
	refused := unformatted(position)
	f.useFormat(refused)
	pg := &deltaPage{Reader: pool.begin(o, f, response, casesOf(position)), delta: *at}
	pg.refused, pg.exempt = refused, pg.unfiltered()
	if pg.Base == "" {
		pg.Base = at.url
	}
	pg.delta.applied = at.applied || (at.phase == phaseLoad || at.phase == phaseOpen) && applies(response.Headers)
	for _, name := range []string{"Date", "Location", "Retry-After"} {
		if text := header(response.Headers, name); text != "" {
			pg.headers = append(pg.headers, wit.Header{Name: name, Value: strings.Clone(text)})
		}
	}
	pg.changes.rowsBefore, pg.changes.goneBefore = rows, gone
	if at.second != nil {
		pg.beginSecond()
	}
	return pg, nil
}

// beginDocument opens the document of one row, which was refused before: a dead letter that is read again. It may say
// that its entity is deleted.
func beginDocument(pool *Pool, o *Context, f *Feed, response *wit.Response) *deltaPage {
	cases := header(response.Headers, wit.OffsetHeader+guidField)
	pg := &deltaPage{Reader: pool.begin(o, f, response, []byte(cases)), document: true}
	pg.delta, pg.single, pg.exempt = deltaPosition{phase: phaseLoad}, true, pg.unfiltered()
	if pg.Base == "" {
		pg.Base = f.service + "/" + f.address
	}
	return pg
}

// Decode reads a piece of a page of delta mode.
func (pg *deltaPage) Decode(tag string, status uint16, piece []byte, last bool) (portion wit.Portion, ended bool,
	err error) {
	rows := pg.delta.phase == phaseLoad || pg.delta.phase == phaseOpen || pg.delta.phase == phaseChanges
	code := pg.Answer.Status
	switch {
	case pg.delta.phase == phaseSecond:
		return pg.decodeSecond(tag, status, piece, last)
	case strings.HasPrefix(tag, rereadTag):
		return pg.reread(tag, status, piece, last)
	case tag == "" && (!rows || code < 200 || code > 299 || code == 202 || code == 204):
		return pg.whole(piece, last)
	}
	if waits, err := pg.read(tag, piece, last, &portion); waits || err != nil {
		return portion, err != nil, err
	}
	if !pg.delta.check { // else only the count is of interest
		if err := pg.filtered(); err != nil {
			return portion, true, err
		}
		if err := pg.change(&portion); err != nil {
			return wit.Portion{}, true, err
		}
	}
	if err := pg.followed(&portion); err != nil {
		return wit.Portion{}, true, err
	}
	ended, err = pg.endDelta(&portion)
	return portion, ended, err
}

// endDelta ends a page of which all has come: its text, and what was read again.
func (pg *deltaPage) endDelta(portion *wit.Portion) (ended bool, err error) {
	if !pg.ended || !pg.Out.Page.Done || pg.changes.waiting > 0 {
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
	if pg.changes.held.some {
		portion.Rows, portion.Data = pg.release(portion.Rows, portion.Data, !loading)
		pg.declare(portion)
	}
	if !loading {
		pg.settleGuids()
	}
	pg.goesOn(next)
	fields := next.fields()
	portion.Next, portion.More = &fields, !next.rest
	return true, nil
}

// whole reads an answer that is short: what an ODP service says beside the set, errors, and answers without rows.
func (pg *deltaPage) whole(piece []byte, last bool) (portion wit.Portion, ended bool, err error) {
	if room := maxErrorBody*4 - len(pg.Body); pg.Answer.Status < 300 && len(piece) > room {
		return portion, true, &wit.Fault{Kind: wit.FaultData, Message: pg.What() + ": expected at most " +
			strconv.Itoa(maxErrorBody*4) +
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
	case pg.Answer.Status == 204 && pg.delta.phase == phaseChanges:
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
