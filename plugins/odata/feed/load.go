package feed

import (
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/wit"
)

// Load reads a page of a set that is read whole.
type Load struct{ *Reader }

// BeginLoad opens it.
func BeginLoad(pool *Pool, o *Context, f *Feed, position []wit.Field, response *wit.Response) (*Load, error) {
	at, err := paging.Read(position)
	if err != nil {
		return nil, err
	}
	if at == nil {
		return nil, &wit.Fault{Kind: wit.FaultInternal, Message: "a page without its position"}
	}
	refused := Unformatted(position)
	f.UseFormat(refused)
	pg := &Load{pool.Begin(o, f, response, GuidCase(position))}
	pg.At, pg.Unformatted = *at, refused
	pg.Page.Begin()
	if pg.Base == "" {
		pg.Base = f.Pages.PageURL(at)
	}
	return pg, nil
}

// Reading is what it reads by.
func (pg *Load) Reading() *Reader { return pg.Reader }

// Decode reads a piece.
func (pg *Load) Decode(tag string, _ uint16, piece []byte, last bool) (portion wit.Portion, ended bool, err error) {
	if pg.Answer.Status < 200 || pg.Answer.Status > 299 {
		if pg.Refusal(piece); !last {
			return portion, false, nil
		}
		if pg.RefusesFormat(pg.PageURL(&pg.At)) {
			next := pg.At.At(WithoutFormat(pg.At.URL())).Fields()
			return wit.Portion{Next: &next, More: true}, true, nil
		}
		portion, err = pg.Refused()
		return portion, true, err
	}
	if waits, err := pg.Read(tag, piece, last, &portion); waits || err != nil {
		return portion, err != nil, err
	}
	if len(pg.Out.Tombstones) > 0 {
		return portion, true, &wit.Fault{Kind: wit.FaultUnsupported, Message: pg.What() +
			": the feed holds deleted entries, which only delta mode reads: " +
			pg.Feed.Setting(entry.NameTrackChanges) +
			" = 1"}
	}
	if err := pg.Filtered(); err != nil {
		return portion, true, err
	}
	portion, err = pg.portion()
	if err != nil {
		return wit.Portion{}, true, err
	}
	if ended = pg.Ended && pg.Out.Page.Done; ended {
		err = pg.finish(&portion)
	}
	return portion, ended, err
}

// portion is what the piece came to.
func (pg *Load) portion() (wit.Portion, error) {
	rows, keep := pg.Look()
	portion := wit.Portion{}
	if keep {
		pg.Out.Data = pg.Feed.TellAll(rows, pg.Out.Data, ChangeRead)
		portion = wit.Portion{Rows: rows, Data: pg.Out.Data, Faults: pg.Out.Faults}
	}
	pg.Declare(&portion)
	return portion, pg.Followed(&portion)
}

// finish says where to go on after a page that was read to its end.
func (pg *Load) finish(portion *wit.Portion) error {
	next, err := pg.After()
	if err != nil {
		return err
	}
	fields := next.Fields()
	done, _ := next.Done()
	portion.Next, portion.More = &fields, !done
	return nil
}
