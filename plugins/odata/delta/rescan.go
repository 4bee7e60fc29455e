package delta

import (
	"errors"

	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/plugins/odata/load"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// The links of a load in delta mode hold the service's token, so that its pages can't be asked for by key. Where the
// links count rows, or nothing shows that they don't, a row that is deleted meanwhile shifts another one to where
// nobody reads it. That row hasn't changed, so no changes name it, and many services don't report the deleted one
// either (CAP, see SERVICES.md). So the set is read once more after such a load, as full mode reads it and without a
// token (P13), and the changes since the load began follow. All its rows are delivered: to tell which of them came with
// the load takes all keys, for which no offset has room.

// rescan is the reading after a load. It has marks of its own (P8): rows that came before its begin,
// and not up to its end, were deleted meanwhile.
func (f Set) rescan(c course, link string, now int64) phase {
	c.snapshot = max(int(now), c.snapshot+1)
	return &rescanning{course: c, link: link, walk: f.Pages.First(now).Fields()}
}

// walkRequest is the request for a page of it.
func (f Set) walkRequest(p *rescanning) (wit.Request, error) {
	at, err := load.Read(p.walk)
	if err != nil {
		return wit.Request{}, err
	}
	at = f.Pages.Restored(at)
	p.walk = at.Fields()
	target, _ := f.Pages.Request(at)
	return f.Request("", target), nil
}

// beginWalk readies a page of it.
func (pg *Page) beginWalk(p *rescanning, pool *feed.Pool, o *feed.Context, response *wit.Response) (err error) {
	*pg.rows.marks = feed.Marks{Snapshot: p.snapshot, Begun: p.begun}
	if pg.walk, err = feed.BeginLoad(pool, o, pg.Feed, p.walk, response); err != nil {
		return err
	}
	pg.walk.Unformatted = pg.Unformatted
	pg.Feed.UseFormat(pg.Unformatted)
	return nil
}

// decodeWalk reads a piece of a page of it.
func (pg *Page) decodeWalk(p *rescanning, tag string, status uint16, piece []byte, last bool) (portion wit.DecodeResult,
	ended bool, err error) {
	portion, ended, err = pg.walk.Decode(tag, status, piece, last)
	pg.Learn(pg.walk.Reader)
	if next := pg.without(p, err); next != nil {
		portion = wit.DecodeResult{}
		pg.goOn(&portion, next)
		return portion, true, nil
	}
	if err != nil {
		return portion, true, err
	}
	if portion.Rows, portion.Data = pg.rows.marks.Hold(portion.Rows, portion.Data); ended {
		err = pg.endWalk(p, &portion)
	}
	return portion, ended, err
}

// without is the phase after a load that somebody has asked for and that can't be read: it is begun once more, then
// given up, since the changes depend on it in nothing. It is nil where the failure stands.
func (pg *Page) without(p *rescanning, err error) phase {
	var failed *wit.Error
	if !p.onDemand || !errors.As(err, &failed) || failed.Kind != wit.ErrorData && failed.Kind != wit.ErrorGone &&
		failed.Kind != wit.ErrorNotFound {
		return nil
	}
	if p.pass == 0 {
		sdk.Log(wit.LevelWarn, failed.Message+"; the snapshot is read from its beginning again")
		c := course{began: int(pg.Answer.ReceivedAt), rewritten: p.rewritten, snapshot: p.snapshot, pass: 1}
		return &rescanning{course: c, link: p.link, onDemand: true,
			walk: pg.Feed.Pages.First(pg.Answer.ReceivedAt).Fields()}
	}
	sdk.Log(wit.LevelError, failed.Message+"; the snapshot is given up, its last row has no mark "+feed.HeaderMark+
		"; going on with changes")
	return &resting{course: course{rewritten: p.rewritten}, link: p.link, at: int(pg.Answer.ReceivedAt)}
}

// endWalk ends a page of it. The changes after it are asked for at once: they are those since the load before it began.
func (pg *Page) endWalk(p *rescanning, portion *wit.DecodeResult) error {
	at, err := load.Read(*portion.Next)
	if err != nil {
		return err
	}
	var next phase
	if done, _ := at.Done(); done {
		c := course{began: int(pg.Answer.ReceivedAt), rewritten: p.rewritten, pass: p.pass, unmarked: p.unmarked}
		if p.onDemand {
			c.pass = 0
		}
		if p.snapshot > 0 && !pg.rows.marks.Holds() {
			c.unmarked = p.snapshot // the page has no row that could say that it was the last one
		}
		next = &changing{course: c, url: p.link}
	} else {
		walk := *p
		walk.walk, walk.begun = *portion.Next, p.begun || pg.rows.marks.Begun || pg.rows.marks.Holds()
		next = &walk
	}
	pg.release(portion, next)
	pg.goOn(portion, next)
	return nil
}
