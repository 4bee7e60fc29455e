package feedreader

import (
	"errors"

	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// PageReader reads a page in full mode, and computes the next position at its end.
type PageReader struct {
	*Reader
	page             *paging.Page
	markers          SnapshotMarkers
	endMarkerPending int // see [paging.Position.EndMarkerPending]
}

// BeginPage starts reading a page.
func BeginPage(pool *Pool, context *Context, feed *Feed, position []wit.OffsetEntry,
	response *wit.Response) (*PageReader, error) {
	start, err := paging.Read(position)
	if err != nil {
		return nil, err
	}
	if start == nil {
		return nil, &wit.Error{Kind: wit.ErrorInternal, Message: "a page without its position"}
	}
	refused := FormatRefused(position)
	feed.SetFormatRefused(refused)
	decoded := feed // of the rows in the response
	if start.RequestsKeysAlone() {
		if decoded, err = feed.keysWithout(start.DroppedCondition()); err != nil {
			return nil, err
		}
	}
	reader := pool.Begin(context, decoded, response, GuidCase(position))
	reader.FormatRefused = refused
	if reader.page == nil {
		reader.page = paging.NewPage()
	}
	reader.page.Begin(&feed.Paging, start)
	if reader.BaseURL == "" {
		reader.BaseURL = feed.Paging.Target(start)
	}
	page := &PageReader{Reader: reader, page: reader.page}
	if !reader.Feed.Tracking.On { // delta mode adds its own markers
		number, hasBegun := start.Snapshot()
		page.endMarkerPending = start.EndMarkerPending()
		page.markers = SnapshotMarkers{Snapshot: number, Started: hasBegun}
	}
	return page, nil
}

// Base returns the reader.
func (pg *PageReader) Base() *Reader { return pg.Reader }

// Decode decodes a chunk of the page.
func (pg *PageReader) Decode(tag string, status uint16, chunk []byte,
	isLast bool) (result wit.DecodeResult, ended bool, err error) {
	if pg.Response.Status < 200 || pg.Response.Status > 299 {
		pg.CollectBody(chunk)
		if !isLast {
			return result, false, nil
		}
		return result, true, pg.afterError(&result)
	}
	if waits, err := pg.DecodePage(tag, status, chunk, isLast, &result); waits || err != nil {
		return result, err != nil, err
	}
	if len(pg.Out.Tombstones) > 0 || len(pg.Out.Links) > 0 {
		return result, true, &wit.Error{Kind: wit.ErrorUnsupported, Message: pg.Label() +
			": the feed contains deleted entries, which only delta mode reads: " +
			pg.Feed.Setting(sourceconfig.NameTrackChanges) + " = 1"}
	}
	var contradiction *wit.Error
	err = pg.applyFilter(pg.page.IsUnchecked)
	if errors.As(err, &contradiction) && contradiction.Kind == wit.ErrorData && contradiction.Setting != nil {
		pg.page.Contradict(contradiction)
	} else if err != nil {
		return result, true, err
	}
	result, err = pg.observe()
	if err != nil {
		return wit.DecodeResult{}, true, err
	}
	if ended = pg.Ended && pg.Out.Page.Done; ended {
		err = pg.finish(&result)
	}
	return result, ended, err
}

// observe checks the decoded rows and returns the rows to emit, with headers and markers.
func (pg *PageReader) observe() (wit.DecodeResult, error) {
	out := paging.Rows{Rows: pg.Out.Rows, Data: pg.Out.Data, Errors: pg.Out.RowErrors, Skipped: pg.Out.Skipped,
		Cursor: func(row int) (string, bool) { return pg.Feed.cursor(&pg.Out, row) }}
	rows, emit := pg.page.Observe(&out)
	pg.Out.RowErrors = out.Errors
	result := wit.DecodeResult{}
	if len(out.Errors) > 0 {
		result.Data = pg.Out.Data
		result.Errors = out.Errors
	}
	if emit {
		pg.Out.Data = pg.Feed.AddHeadersToAll(rows, pg.Out.Data, ChangeRead)
		if pg.endMarkerPending > 0 && len(rows) > 0 {
			pg.Out.Data = AddEndedMarker(&rows[0], pg.Out.Data, pg.endMarkerPending)
			pg.endMarkerPending = 0
		}
		rows, pg.Out.Data = pg.markers.Add(rows, pg.Out.Data)
		result = wit.DecodeResult{Rows: rows, Data: pg.Out.Data, Errors: pg.Out.RowErrors}
	}
	pg.AddSchemas(&result)
	return result, pg.RequestNested(&result)
}

// finish adds the last row and the next position to the result, at the end of the page.
func (pg *PageReader) finish(result *wit.DecodeResult) error {
	decoded := &pg.Out.Page
	info := paging.PageInfo{Rows: int(decoded.Rows), Count: int(decoded.Count), ReceivedAt: pg.Response.ReceivedAt}
	if decoded.Next.Href != "" {
		var err error
		if info.Link, err = pg.Resolve(decoded.Next); err != nil {
			return err
		}
	}
	next, err := pg.page.Next(info)
	if err != nil {
		return err
	}
	next.SetEndMarkerPending(pg.endMarkerPending)
	isDone, _ := next.Done()
	if pg.markers.HasBufferedRow() {
		result.Rows, result.Data = pg.markers.Flush(result.Rows, result.Data, isDone, next.Verdict())
		pg.Out.Data = result.Data
		pg.AddSchemas(result)
	} else if number, hasBegun := pg.page.Position().Snapshot(); isDone && number > 0 && hasBegun &&
		next.Verdict() != paging.Unproven { // no row is left for the end marker
		next.SetEndMarkerPending(number)
	}
	return pg.continueWith(result, next, nil)
}

func (pg *PageReader) afterError(result *wit.DecodeResult) error {
	if position := pg.page.Position(); pg.RefusesFormat(pg.Feed.Paging.Target(position)) {
		return pg.continueWith(result, position.WithURL(pg.Feed.WithoutFormat(position.URL())), nil)
	}
	next, err := pg.page.AfterError(paging.ErrorResponse{Status: int(pg.Response.Status),
		ReceivedAt: pg.Response.ReceivedAt, Err: odataerror.FromResponse(pg.Label(), &pg.Response, pg.Body),
		Text:        odataerror.SearchText(pg.Response.Target, string(pg.Body)),
		FromService: odataerror.FromService(&pg.Response, pg.Body),
		FromRouter:  odataerror.FromRouter(&pg.Response, pg.Body),
		TokenLost:   odataerror.LostPage(&pg.Response, pg.Body)})
	return pg.continueWith(result, next, err)
}

// MarkOutage makes failure transient if a router answered in place of the service, which has answered before: its
// metadata precede each page. It reports whether a router answered. An answer about a lost token is no outage.
func (r *Reader) MarkOutage(failure *wit.Error) bool {
	return !odataerror.LostToken(&r.Response, r.Body) && odataerror.MarkOutage(failure, &r.Response, r.Body)
}

func (pg *PageReader) continueWith(result *wit.DecodeResult, next *paging.Position, err error) error {
	if err != nil {
		return err
	}
	fields := next.Fields()
	isDone, _ := next.Done()
	result.Next = &fields
	result.More = !isDone || (next.Verdict() == paging.Unproven && pg.Feed.RequiresProof()) // the next request fails
	return nil
}
