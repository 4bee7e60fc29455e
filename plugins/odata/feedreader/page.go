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
	f.UseFormat(refused)
	r := pool.Begin(o, f, response, GuidCase(position))
	r.Unformatted = refused
	return r.pageReader(at), nil
}

func (r *Reader) pageReader(at *paging.Position) *PageReader {
	if r.page == nil {
		r.page = paging.NewPage()
	}
	r.page.Begin(&r.Feed.Paging, at)
	if r.Base == "" {
		r.Base = r.Feed.Paging.Target(at)
	}
	pg := &PageReader{Reader: r, page: r.page}
	if !r.Feed.Tracking.On { // delta mode adds its own markers
		number, begun := at.Snapshot()
		pg.markers, pg.endMarkerPending = SnapshotMarkers{Snapshot: number, Started: begun}, at.EndMarkerPending()
	}
	return pg
}

// Reading returns the reader.
func (pg *PageReader) Reading() *Reader { return pg.Reader }

// Decode decodes a chunk of the page.
func (pg *PageReader) Decode(tag string, _ uint16, piece []byte, last bool) (portion wit.DecodeResult, ended bool,
	err error) {
	if pg.Answer.Status < 200 || pg.Answer.Status > 299 {
		if pg.CollectBody(piece); !last {
			return portion, false, nil
		}
		return portion, true, pg.afterRefusal(&portion)
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
	out := paging.Rows{Rows: pg.Out.Rows, Data: pg.Out.Data, Faults: pg.Out.Faults, LeftOut: pg.Out.LeftOut,
		Cursor: func(row int) (string, bool) { return pg.Feed.cursor(&pg.Out, row) }}
	rows, keep := pg.page.Observe(&out)
	portion := wit.DecodeResult{}
	if pg.Out.Faults = out.Faults; keep {
		pg.Out.Data = pg.Feed.AddHeadersToAll(rows, pg.Out.Data, ChangeRead)
		if pg.endMarkerPending > 0 && len(rows) > 0 {
			pg.Out.Data, pg.endMarkerPending = AddEndedMarker(&rows[0], pg.Out.Data, pg.endMarkerPending), 0
		}
		rows, pg.Out.Data = pg.markers.Hold(rows, pg.Out.Data)
		portion = wit.DecodeResult{Rows: rows, Data: pg.Out.Data, Errors: pg.Out.Faults}
	}
	pg.Declare(&portion)
	return portion, pg.RequestNested(&portion)
}

func (pg *PageReader) finish(portion *wit.DecodeResult) error {
	read := &pg.Out.Page
	answer := paging.PageInfo{Rows: int(read.Rows), Count: int(read.Count), At: pg.Answer.ReceivedAt}
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
	if done, _ := next.Done(); pg.markers.HasHeldRow() {
		portion.Rows, portion.Data = pg.markers.Release(portion.Rows, portion.Data, done)
		pg.Out.Data = portion.Data
		pg.Declare(portion)
	} else if number, begun := pg.page.Position().Snapshot(); done && number > 0 && begun {
		next.SetEndMarkerPending(number)
	}
	return pg.continueWith(portion, next, nil)
}

func (pg *PageReader) afterRefusal(portion *wit.DecodeResult) error {
	if at := pg.page.Position(); pg.RefusesFormat(pg.Feed.Paging.Target(at)) {
		return pg.continueWith(portion, at.WithURL(WithoutFormat(at.URL())), nil)
	}
	f := odataerror.FromResponse(pg.Label(), &pg.Answer, pg.Body)
	next, err := pg.page.Refused(paging.Refusal{Status: int(pg.Answer.Status), At: pg.Answer.ReceivedAt, Err: f,
		Text:      odataerror.SearchText(pg.Answer.Target, string(pg.Body)),
		TokenLost: odataerror.LostToken(&pg.Answer, pg.Body)})
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
