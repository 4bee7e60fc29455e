package feed

import (
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/load"
	"github.com/culvert-project/culvert/wit"
)

// Load reads a page of a set that is read whole.
type Load struct {
	*Reader
	page  *load.Page
	marks Marks
	// unmarked is the number of a reload before whose end is still to be said, 0: none.
	unmarked int
}

// BeginLoad opens it.
func BeginLoad(pool *Pool, o *Context, f *Feed, position []wit.OffsetEntry, response *wit.Response) (*Load, error) {
	at, err := load.Read(position)
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
	return r.Load(at), nil
}

// Load reads the answer as a page of the whole set.
func (r *Reader) Load(at *load.Position) *Load {
	if r.page == nil {
		r.page = load.NewPage()
	}
	r.page.Begin(&r.Feed.Pages, at)
	if r.Base == "" {
		r.Base = r.Feed.Pages.Target(at)
	}
	pg := &Load{Reader: r, page: r.page}
	if !r.Feed.Tracking.On { // else the reading after a load has marks of its own
		number, begun := at.Reload()
		pg.marks, pg.unmarked = Marks{Snapshot: number, Begun: begun}, at.Unmarked()
	}
	return pg
}

// Reading is what it reads by.
func (pg *Load) Reading() *Reader { return pg.Reader }

// Decode reads a piece.
func (pg *Load) Decode(tag string, _ uint16, piece []byte, last bool) (portion wit.DecodeResult, ended bool,
	err error) {
	if pg.Answer.Status < 200 || pg.Answer.Status > 299 {
		if pg.Refusal(piece); !last {
			return portion, false, nil
		}
		return portion, true, pg.refused(&portion)
	}
	if waits, err := pg.Read(tag, piece, last, &portion); waits || err != nil {
		return portion, err != nil, err
	}
	if len(pg.Out.Tombstones) > 0 {
		return portion, true, &wit.Error{Kind: wit.ErrorUnsupported, Message: pg.What() +
			": the feed holds deleted entries, which only delta mode reads: " +
			pg.Feed.Setting(entry.NameTrackChanges) +
			" = 1"}
	}
	if err := pg.Filtered(); err != nil {
		return portion, true, err
	}
	portion, err = pg.portion()
	if err != nil {
		return wit.DecodeResult{}, true, err
	}
	if ended = pg.Ended && pg.Out.Page.Done; ended {
		err = pg.finish(&portion)
	}
	return portion, ended, err
}

// portion is what the piece came to.
func (pg *Load) portion() (wit.DecodeResult, error) {
	out := load.Rows{Rows: pg.Out.Rows, Data: pg.Out.Data, Faults: pg.Out.Faults, LeftOut: pg.Out.Skipped,
		Cursor: func(row int) (string, bool) { return pg.Feed.cursor(&pg.Out, row) }}
	rows, keep := pg.page.Look(&out)
	portion := wit.DecodeResult{}
	if pg.Out.Faults = out.Faults; keep {
		pg.Out.Data = pg.Feed.TellAll(rows, pg.Out.Data, ChangeRead)
		if pg.unmarked > 0 && len(rows) > 0 {
			pg.Out.Data, pg.unmarked = MarkEnded(&rows[0], pg.Out.Data, pg.unmarked), 0
		}
		rows, pg.Out.Data = pg.marks.Hold(rows, pg.Out.Data)
		portion = wit.DecodeResult{Rows: rows, Data: pg.Out.Data, Errors: pg.Out.Faults}
	}
	pg.Declare(&portion)
	return portion, pg.Followed(&portion)
}

// finish says where to go on after a page that was read to its end.
func (pg *Load) finish(portion *wit.DecodeResult) error {
	read := &pg.Out.Page
	answer := load.Answer{Rows: int(read.Rows), Count: int(read.Count), At: pg.Answer.ReceivedAt}
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
	next.SetUnmarked(pg.unmarked)
	if done, _ := next.Done(); pg.marks.Holds() {
		portion.Rows, portion.Data = pg.marks.Release(portion.Rows, portion.Data, done)
		pg.Out.Data = portion.Data
		pg.Declare(portion)
	} else if number, begun := pg.page.Position().Reload(); done && number > 0 && begun {
		next.SetUnmarked(number) // the page has no row that could say that it was the last one
	}
	return pg.goOn(portion, next, nil)
}

// refused goes on after an answer that is no success.
func (pg *Load) refused(portion *wit.DecodeResult) error {
	if at := pg.page.Position(); pg.RefusesFormat(pg.Feed.Pages.Target(at)) {
		return pg.goOn(portion, at.At(WithoutFormat(at.URL())), nil)
	}
	f := fault.Of(pg.What(), &pg.Answer, pg.Body)
	next, err := pg.page.Refused(load.Refusal{Status: int(pg.Answer.Status), At: pg.Answer.ReceivedAt, Fault: f,
		Said: fault.Said(pg.Answer.Target, string(pg.Body)), Lost: fault.LostToken(&pg.Answer, pg.Body)})
	return pg.goOn(portion, next, err)
}

func (pg *Load) goOn(portion *wit.DecodeResult, next *load.Position, err error) error {
	if err != nil {
		return err
	}
	fields := next.Fields()
	done, _ := next.Done()
	portion.Next, portion.More = &fields, !done
	return nil
}
