package delta

import (
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/wit"
)

// Begin starts reading a response in delta mode.
func Begin(pool *feedreader.Pool, o *feedreader.Context, f *feedreader.Feed, position []wit.OffsetEntry,
	response *wit.Response) (*Page,
	error) {
	at, err := readPhase(position)
	if err != nil {
		return nil, err
	}
	if at == nil {
		return nil, &wit.Error{Kind: wit.ErrorInternal, Message: "a page with an empty position"}
	}
	refused := feedreader.FormatRefused(position)
	f.SetFormatRefused(refused)
	pg := &Page{Reader: pool.Begin(o, f, response, feedreader.GuidCase(position)), phase: at, rows: newPageRows()}
	pg.FormatRefused, pg.Exempt = refused, pg.exempt()
	for _, name := range []string{"Date", "Location", "Retry-After"} {
		if text := feedreader.HeaderValue(response.Headers, name); text != "" {
			pg.headers = append(pg.headers, wit.Header{Name: name, Value: strings.Clone(text)})
		}
	}
	switch p := at.(type) {
	case *subscribing:
		if p.step == stepExtract { // the job exists: further requests start no other
			pg.phase = &loading{common: p.common, url: p.url, applied: confirmsTracking(response.Headers)}
			pg.rows.markers.Snapshot, pg.firstExtraction = p.snapshot, true
		}
	case *loading:
		p.applied = p.applied || confirmsTracking(response.Headers)
		*pg.rows.markers = feedreader.SnapshotMarkers{Snapshot: p.snapshot, Started: p.continued}
	case *readingSnapshot:
		if err := pg.beginSnapshotPage(p, pool, o, response); err != nil {
			return nil, err
		}
	}
	if pg.BaseURL == "" {
		pg.BaseURL = at.target()
	}
	return pg, nil
}

// BeginDocument starts reading the document of one row from a dead letter.
func BeginDocument(pool *feedreader.Pool, o *feedreader.Context, f *feedreader.Feed, response *wit.Response) *Page {
	guids := feedreader.HeaderValue(response.Headers, wit.OffsetHeader+feedreader.GuidField)
	pg := &Page{Reader: pool.Begin(o, f, response, guids), phase: &loading{}, rows: newPageRows(), deadLetter: true}
	pg.Single, pg.Exempt = true, pg.exempt()
	if pg.BaseURL == "" {
		pg.BaseURL = f.Service + "/" + f.Address
	}
	return pg
}

func confirmsTracking(headers []wit.Header) bool {
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

// Decode decodes a chunk of the response.
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
	code, rows := pg.Response.Status, pg.deadLetter
	switch at := pg.phase.(type) {
	case *readingSnapshot:
		return pg.decodeSnapshotPage(at, tag, status, piece, last)
	case *loading, *readingChanges:
		rows = rows || code >= 200 && code <= 299 && code != 202
	}
	if tag == "" && !rows {
		return pg.collectResponse(piece, last)
	}
	if waits, err := pg.DecodePage(tag, piece, last, &portion); waits || err != nil {
		return portion, err != nil, err
	}
	if err := pg.ApplyFilter(); err != nil {
		return portion, true, err
	}
	if err := pg.addRows(&portion); err != nil {
		return wit.DecodeResult{}, true, err
	}
	if err := pg.RequestNested(&portion); err != nil {
		return wit.DecodeResult{}, true, err
	}
	ended, err = pg.end(&portion)
	return portion, ended, err
}

func (pg *Page) end(portion *wit.DecodeResult) (ended bool, err error) {
	switch {
	case pg.rows.rereads.waiting(), !pg.Ended, !pg.Out.Page.Done:
		return false, nil
	case pg.deadLetter:
		return true, nil
	}
	next, err := pg.afterRows()
	if err != nil {
		return true, err
	}
	pg.flushMarkers(portion, next)
	pg.continueWith(portion, next)
	return true, nil
}

// collectResponse collects a response without rows: errors, 202, and what an ODP service has besides the set.
func (pg *Page) collectResponse(piece []byte, last bool) (portion wit.DecodeResult, ended bool, err error) {
	room := feedreader.MaxErrorBody*4 - len(pg.Body)
	if pg.Response.Status < 300 && len(piece) > room {
		return portion, true, &wit.Error{Kind: wit.ErrorData, Message: pg.Label() + ": expected at most " +
			strconv.Itoa(feedreader.MaxErrorBody*4) + " bytes in answer to " + pg.phase.target() + ", found more"}
	}
	if pg.Body = append(pg.Body, piece[:min(len(piece), room)]...); !last {
		return portion, false, nil
	}
	next, wait, err := pg.afterResponse()
	if err != nil {
		return portion, true, err
	}
	pg.continueWith(&portion, next)
	portion.WaitMs = uint32(wait.Milliseconds())
	return portion, true, nil
}

func (pg *Page) afterResponse() (next phase, wait time.Duration, err error) {
	switch {
	case pg.Response.Status == 202:
		return pg.afterAccepted()
	case pg.Response.Status < 200 || pg.Response.Status > 299:
		next, err = pg.afterError()
	case odataerror.IsHTML(pg.Body) || len(pg.Body) == 0:
		err = odataerror.NotData(pg.Label()+": "+pg.phase.target(), "an answer in JSON or XML", pg.Body)
	default:
		return pg.afterODPResponse()
	}
	return next, 0, err
}
