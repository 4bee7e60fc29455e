package feedreader

import (
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// PageReader reads a page in full mode.
type PageReader struct {
	*Reader
	page             *paging.Page
	markers          SnapshotMarkers
	endMarkerPending int
}

// BeginPage starts reading a page.
func BeginPage(pool *Pool, o *Context, f *Feed, position []wit.OffsetEntry, response *wit.Response) (*PageReader,
	error) {
	at, err := paging.Read(position)
	if err != nil {
		return nil, err
	}
	if at == nil {
		return nil, &wit.Error{Kind: wit.ErrorInternal, Message: "a page without its position"}
	}
	refused := FormatRefused(position)
	f.SetFormatRefused(refused)
	r := pool.Begin(o, f, response, GuidCase(position))
	r.FormatRefused = refused
	return r.pageReader(at), nil
}

func (r *Reader) pageReader(at *paging.Position) *PageReader {
	if r.page == nil {
		r.page = paging.NewPage()
	}
	r.page.Begin(&r.Feed.Paging, at)
	if r.BaseURL == "" {
		r.BaseURL = r.Feed.Paging.Target(at)
	}
	pg := &PageReader{Reader: r, page: r.page}
	if !r.Feed.Tracking.On { // delta mode adds its own markers
		number, begun := at.Snapshot()
		pg.markers, pg.endMarkerPending = SnapshotMarkers{Snapshot: number, Started: begun}, at.EndMarkerPending()
	}
	return pg
}

// Base returns the reader.
func (pg *PageReader) Base() *Reader { return pg.Reader }

// Decode decodes a chunk of the page.
func (pg *PageReader) Decode(tag string, _ uint16, piece []byte, last bool) (portion wit.DecodeResult, ended bool,
	err error) {
	if pg.Response.Status < 200 || pg.Response.Status > 299 {
		if pg.CollectBody(piece); !last {
			return portion, false, nil
		}
		return portion, true, pg.afterError(&portion)
	}
	if waits, err := pg.DecodePage(tag, piece, last, &portion); waits || err != nil {
		return portion, err != nil, err
	}
	if len(pg.Out.Tombstones) > 0 {
		return portion, true, &wit.Error{Kind: wit.ErrorUnsupported, Message: pg.Label() +
			": the feed holds deleted entries, which only delta mode reads: " +
			pg.Feed.Setting(sourceconfig.NameTrackChanges) +
			" = 1"}
	}
	if err := pg.ApplyFilter(); err != nil {
		return portion, true, err
	}
	portion, err = pg.observe()
	if err != nil {
		return wit.DecodeResult{}, true, err
	}
	if ended = pg.Ended && pg.Out.Page.Done; ended {
		err = pg.finish(&portion)
	}
	return portion, ended, err
}

func (pg *PageReader) observe() (wit.DecodeResult, error) {
	out := paging.Rows{Rows: pg.Out.Rows, Data: pg.Out.Data, Errors: pg.Out.RowErrors, Skipped: pg.Out.Skipped,
		Cursor: func(row int) (string, bool) { return pg.Feed.cursor(&pg.Out, row) }}
	rows, keep := pg.page.Observe(&out)
	portion := wit.DecodeResult{}
	if pg.Out.RowErrors = out.Errors; keep {
		pg.Out.Data = pg.Feed.AddHeadersToAll(rows, pg.Out.Data, ChangeRead)
		if pg.endMarkerPending > 0 && len(rows) > 0 {
			pg.Out.Data, pg.endMarkerPending = AddEndedMarker(&rows[0], pg.Out.Data, pg.endMarkerPending), 0
		}
		rows, pg.Out.Data = pg.markers.Add(rows, pg.Out.Data)
		portion = wit.DecodeResult{Rows: rows, Data: pg.Out.Data, Errors: pg.Out.RowErrors}
	}
	pg.AddSchemas(&portion)
	return portion, pg.RequestNested(&portion)
}

func (pg *PageReader) finish(portion *wit.DecodeResult) error {
	read := &pg.Out.Page
	answer := paging.PageInfo{Rows: int(read.Rows), Count: int(read.Count), ReceivedAt: pg.Response.ReceivedAt}
	if read.Next.Href != "" {
		var err error
		if answer.Link, err = pg.Resolve(read.Next); err != nil {
			return err
		}
	}
	next, err := pg.page.Next(answer)
	if err != nil {
		return err
	}
	next.SetEndMarkerPending(pg.endMarkerPending)
	if done, _ := next.Done(); pg.markers.HasBufferedRow() {
		portion.Rows, portion.Data = pg.markers.Flush(portion.Rows, portion.Data, done)
		pg.Out.Data = portion.Data
		pg.AddSchemas(portion)
	} else if number, begun := pg.page.Position().Snapshot(); done && number > 0 && begun {
		next.SetEndMarkerPending(number)
	}
	return pg.continueWith(portion, next, nil)
}

func (pg *PageReader) afterError(portion *wit.DecodeResult) error {
	if at := pg.page.Position(); pg.RefusesFormat(pg.Feed.Paging.Target(at)) {
		return pg.continueWith(portion, at.WithURL(WithoutFormat(at.URL())), nil)
	}
	f := odataerror.FromResponse(pg.Label(), &pg.Response, pg.Body)
	next, err := pg.page.AfterError(paging.ErrorResponse{Status: int(pg.Response.Status), ReceivedAt: pg.Response.ReceivedAt, Err: f,
		Text:      odataerror.SearchText(pg.Response.Target, string(pg.Body)),
		TokenLost: odataerror.LostToken(&pg.Response, pg.Body)})
	return pg.continueWith(portion, next, err)
}

func (pg *PageReader) continueWith(portion *wit.DecodeResult, next *paging.Position, err error) error {
	if err != nil {
		return err
	}
	fields := next.Fields()
	done, _ := next.Done()
	portion.Next, portion.More = &fields, !done
	return nil
}
