package delta

import (
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/wit"
)

// Begin opens a page of delta mode.
func Begin(pool *feed.Pool, o *feed.Context, f *feed.Feed, position []wit.OffsetEntry, response *wit.Response) (*Page,
	error) {
	at, err := read(position)
	if err != nil {
		return nil, err
	}
	if at == nil {
		return nil, &wit.Error{Kind: wit.ErrorInternal, Message: "a page with an empty position"}
	}
	refused := feed.FormatRefused(position)
	f.UseFormat(refused)
	pg := &Page{Reader: pool.Begin(o, f, response, feed.GuidCase(position)), at: at, rows: newArrivals()}
	pg.Unformatted, pg.Exempt = refused, pg.exempt()
	for _, name := range []string{"Date", "Location", "Retry-After"} {
		if text := feed.HeaderValue(response.Headers, name); text != "" {
			pg.headers = append(pg.headers, wit.Header{Name: name, Value: strings.Clone(text)})
		}
	}
	switch p := at.(type) {
	case *asking:
		if p.step == stepOpen { // the job is there: asking for it again begins no other
			pg.at = &loading{course: p.course, url: p.url, applied: applies(response.Headers)}
			pg.rows.marks.Snapshot, pg.opening = p.snapshot, true
		}
	case *loading:
		p.applied = p.applied || applies(response.Headers)
		*pg.rows.marks = feed.Marks{Snapshot: p.snapshot, Begun: p.inside}
	case *rescanning:
		if err := pg.beginWalk(p, pool, o, response); err != nil {
			return nil, err
		}
	}
	if pg.Base == "" {
		pg.Base = at.target()
	}
	return pg, nil
}

// BeginDocument opens the document of one row, which was refused before: a dead letter that is read again. It may say
// that its entity is deleted.
func BeginDocument(pool *feed.Pool, o *feed.Context, f *feed.Feed, response *wit.Response) *Page {
	guids := feed.HeaderValue(response.Headers, wit.OffsetHeader+feed.GuidField)
	pg := &Page{Reader: pool.Begin(o, f, response, guids), at: &loading{}, rows: newArrivals(), document: true}
	pg.Single, pg.Exempt = true, pg.exempt()
	if pg.Base == "" {
		pg.Base = f.Service + "/" + f.Address
	}
	return pg
}

// applies reports whether the answer says that changes are tracked.
func applies(headers []wit.Header) bool {
	for _, h := range headers {
		if !strings.EqualFold(h.Name, "Preference-Applied") {
			continue
		}
		for part := range strings.SplitSeq(h.Value, ",") {
			if strings.EqualFold(strings.TrimSpace(part), TrackChanges) {
				return true
			}
		}
	}
	return false
}

// Decode reads a piece.
func (pg *Page) Decode(tag string, status uint16, piece []byte, last bool) (portion wit.DecodeResult, ended bool,
	err error) {
	if strings.HasPrefix(tag, rereadTag) {
		portion, waits, err := pg.reread(tag, status, piece, last)
		if waits || err != nil {
			return portion, err != nil, err
		}
		ended, err = pg.end(&portion)
		return portion, ended, err
	}
	code, rows := pg.Answer.Status, pg.document
	switch at := pg.at.(type) {
	case *rescanning:
		return pg.decodeWalk(at, tag, status, piece, last)
	case *loading, *changing:
		rows = rows || code >= 200 && code <= 299 && code != 202
	}
	if tag == "" && !rows {
		return pg.whole(piece, last)
	}
	if waits, err := pg.Read(tag, piece, last, &portion); waits || err != nil {
		return portion, err != nil, err
	}
	if err := pg.Filtered(); err != nil {
		return portion, true, err
	}
	if err := pg.take(&portion); err != nil {
		return wit.DecodeResult{}, true, err
	}
	if err := pg.Followed(&portion); err != nil {
		return wit.DecodeResult{}, true, err
	}
	ended, err = pg.end(&portion)
	return portion, ended, err
}

// end ends a page of which all has come: its text, and what was read again.
func (pg *Page) end(portion *wit.DecodeResult) (ended bool, err error) {
	switch {
	case pg.rows.asked.waiting(), !pg.Ended, !pg.Out.Page.Done:
		return false, nil
	case pg.document:
		return true, nil
	}
	next, err := pg.after()
	if err != nil {
		return true, err
	}
	pg.release(portion, next)
	pg.goOn(portion, next)
	return true, nil
}

// whole reads an answer that is short: what an ODP service says in addition to the set, errors, and answers without
// rows.
func (pg *Page) whole(piece []byte, last bool) (portion wit.DecodeResult, ended bool, err error) {
	room := feed.MaxErrorBody*4 - len(pg.Body)
	if pg.Answer.Status < 300 && len(piece) > room {
		return portion, true, &wit.Error{Kind: wit.ErrorData, Message: pg.What() + ": expected at most " +
			strconv.Itoa(feed.MaxErrorBody*4) + " bytes in answer to " + pg.at.target() + ", found more"}
	}
	if pg.Body = append(pg.Body, piece[:min(len(piece), room)]...); !last {
		return portion, false, nil
	}
	next, wait, err := pg.answered()
	if err != nil {
		return portion, true, err
	}
	pg.goOn(&portion, next)
	portion.WaitMs = uint32(wait.Milliseconds())
	return portion, true, nil
}

// answered is the phase after an answer that holds no rows, and for how long it waits.
func (pg *Page) answered() (next phase, wait time.Duration, err error) {
	switch {
	case pg.Answer.Status == 202:
		return pg.accepted()
	case pg.Answer.Status < 200 || pg.Answer.Status > 299:
		next, err = pg.refused()
	case fault.IsHTML(pg.Body) || len(pg.Body) == 0:
		err = fault.NotData(pg.What()+": "+pg.at.target(), "an answer in JSON or XML", pg.Body)
	default:
		return pg.answeredODP()
	}
	return next, 0, err
}
