package main

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/wit"
)

// beginDelta opens a page of delta mode.
func (p *plugin) beginDelta(o *decodedContext, f *feed, position *[]wit.Field, response wit.Response) (uint32, error) {
	if position == nil {
		return 0, &wit.Fault{Kind: wit.FaultInternal, Message: "a page without its position"}
	}
	at, err := readDelta(*position)
	if err != nil {
		return 0, err
	}
	if at == nil {
		return 0, &wit.Fault{Kind: wit.FaultInternal, Message: "a page with an empty position"}
	}
	rows, err := readSieve(at.rows)
	if err != nil {
		return 0, err
	}
	gone, err := readSieve(at.gone)
	if err != nil {
		return 0, err
	}
	pg, n := p.pages.begin(o, f, &response)
	if pg.Base == "" {
		pg.Base = at.url
	}
	pg.delta = *at
	pg.beginGuids(casesOf(*position))
	pg.delta.applied = at.applied || (at.phase == phaseLoad || at.phase == phaseOpen) && applies(response.Headers)
	pg.headers = pg.headers[:0]
	for _, name := range []string{"Date", "Location", "Retry-After"} {
		if text := header(response.Headers, name); text != "" {
			pg.headers = append(pg.headers, wit.Header{Name: name, Value: strings.Clone(text)})
		}
	}
	pg.changes.reset()
	pg.changes.rowsBefore, pg.changes.goneBefore = rows, gone
	if at.second != nil {
		pg.beginSecond()
	}
	return n, nil
}

// decodeDelta reads a piece of a page of delta mode.
func (pg *page) decodeDelta(tag string, status uint16, piece []byte, last bool) (portion wit.Portion, ended bool,
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
	case pg.decoder == nil:
		if !pg.choose(piece, last) {
			return portion, false, nil
		}
		if f := pg.otherSet(piece); f != nil {
			return portion, true, f
		}
	}
	pg.ended = pg.ended || tag == "" && last
	if waits, err := pg.take(pg.decoder, &pg.Out, part{"", tag, piece, last}, &portion); waits || err != nil {
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
func (pg *page) endDelta(portion *wit.Portion) (ended bool, err error) {
	if !pg.ended || !pg.Out.Page.Done || pg.changes.waiting > 0 {
		return false, nil
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
func (pg *page) whole(piece []byte, last bool) (portion wit.Portion, ended bool, err error) {
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

// followed has further pages of expanded feeds asked for.
func (pg *page) followed(portion *wit.Portion) error {
	for _, follow := range pg.Out.Follow {
		target, err := pg.Resolve(follow.Link)
		if err != nil {
			return err
		}
		portion.Follow = append(portion.Follow, wit.Follow{Request: pg.feed.request(follow.Tag, target)})
	}
	return nil
}

// newDecoder is a decoder for the format that a text begins in.
func (f *feed) newDecoder(piece []byte) decode.Decoder {
	if isAtom(piece, f.atom) {
		return decode.NewAtom(f.layout, decode.Limits{})
	}
	return decode.NewJSON(f.layout, decode.Limits{})
}
