package main

import (
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/wit"
)

// Load reads a page of a set that is read whole.
type Load struct{ *Reader }

// beginLoad opens it.
func beginLoad(pool *Pool, o *Context, f *Feed, position []wit.Field, response *wit.Response) (*Load, error) {
	at, err := paging.Read(position)
	if err != nil {
		return nil, err
	}
	if at == nil {
		return nil, &wit.Fault{Kind: wit.FaultInternal, Message: "a page without its position"}
	}
	refused := unformatted(position)
	f.useFormat(refused)
	pg := &Load{pool.begin(o, f, response, casesOf(position))}
	pg.At, pg.refused = *at, refused
	pg.Page.Begin()
	if pg.Base == "" {
		pg.Base = f.pages.PageURL(at)
	}
	return pg, nil
}

// Reading is what it reads by.
func (pg *Load) Reading() *Reader { return pg.Reader }

// Decode reads a piece.
func (pg *Load) Decode(tag string, _ uint16, piece []byte, last bool) (portion wit.Portion, ended bool, err error) {
	if pg.Answer.Status < 200 || pg.Answer.Status > 299 {
		if pg.refusal(piece); !last {
			return portion, false, nil
		}
		if pg.refusesFormat(pg.PageURL(&pg.At)) {
			next := pg.At.At(withoutFormat(pg.At.URL())).Fields()
			return wit.Portion{Next: &next, More: true}, true, nil
		}
		portion, err = pg.Refused()
		return portion, true, err
	}
	if waits, err := pg.read(tag, piece, last, &portion); waits || err != nil {
		return portion, err != nil, err
	}
	if len(pg.Out.Tombstones) > 0 {
		return portion, true, &wit.Fault{Kind: wit.FaultUnsupported, Message: pg.What() +
			": the feed holds deleted entries, which only delta mode reads: " + pg.feed.setting(nameTrackChanges) +
			" = 1"}
	}
	if err := pg.filtered(); err != nil {
		return portion, true, err
	}
	portion, err = pg.portion()
	if err != nil {
		return wit.Portion{}, true, err
	}
	if ended = pg.ended && pg.Out.Page.Done; ended {
		err = pg.finish(&portion)
	}
	return portion, ended, err
}

// portion is what the piece came to.
func (pg *Load) portion() (wit.Portion, error) {
	rows, keep := pg.Look()
	portion := wit.Portion{}
	if keep {
		pg.Out.Data = pg.fitRows(rows, pg.Out.Data)
		pg.Out.Data = pg.feed.tellAll(rows, pg.Out.Data, changeRead)
		portion = wit.Portion{Rows: rows, Data: pg.Out.Data, Faults: pg.Out.Faults}
	}
	pg.declare(&portion)
	return portion, pg.followed(&portion)
}

// finish says where to go on behind a page that was read to its end.
func (pg *Load) finish(portion *wit.Portion) error {
	next, err := pg.After()
	if err != nil {
		return err
	}
	fields := next.Fields()
	done, _ := next.Done()
	if done {
		pg.settleGuids()
	}
	portion.Next, portion.More = &fields, !done
	return nil
}
