package delta

import (
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/plugins/odata/paging"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// The links of a load in delta mode hold the service's token, so that its pages can't be asked for by key. Where the
// links count rows, or nothing shows that they don't, a row that is deleted meanwhile shifts another one to where
// nobody reads it. That row hasn't changed, so no changes tell of it, and many services don't tell of the deleted one
// either. So the set is read once more behind such a load, as full mode reads it: by key, or by what else completes it
// there. The changes since the load began follow.

// secondField begins the names of the fields that say where that reading stands.
const secondField = "second."

// secondOf is the reading behind a load, from whose token or from whose kept link the changes follow.
func (f Set) secondOf(load *position, link string, now int64) *position {
	sdk.Log(wit.LevelInfo, f.What()+": the load's next links count rows, or nothing shows that they don't: rows that "+
		"were deleted meanwhile may have hidden others, so the set is read once more, page by page")
	return &position{phase: phaseSecond, url: link, inside: true, second: f.Pages.First(now), began: load.began,
		rewritten: load.rewritten, snapshot: load.snapshot, kept: load.kept, pass: load.pass, resumed: load.resumed,
		owed: load.owed}
}

// fetchSecond is the request for a page of it.
func (f Set) fetchSecond(at *position) wit.Request {
	target, _ := f.Pages.Request(at.second)
	return f.Request("", target)
}

// beginSecond readies a page of it.
func (pg *Page) beginSecond() {
	pg.At = *pg.delta.second
	pg.Page.Begin()
}

// decodeSecond reads a piece of such a page.
func (pg *Page) decodeSecond(tag string, status uint16, piece []byte, last bool) (portion wit.Portion, ended bool,
	err error) {
	portion, ended, err = (&feed.Load{Reader: pg.Reader}).Decode(tag, status, piece, last)
	if err != nil {
		return portion, ended, err
	}
	pg.hold(&portion)
	if portion.Next == nil {
		return portion, ended, nil
	}
	at, err := paging.Read(*portion.Next)
	if err != nil {
		return wit.Portion{}, true, err
	}
	next := pg.afterSecond(at)
	portion.Rows, portion.Data = pg.changes.marks.Release(portion.Rows, portion.Data, next.phase != phaseSecond)
	pg.goesOn(next)
	fields := next.fields()
	portion.Next, portion.More = &fields, true
	return portion, ended, nil
}

// afterSecond is the position behind a page of it. The changes behind it are asked for at once: they are those since
// the load before it began.
func (pg *Page) afterSecond(at *paging.Position) *position {
	next := pg.delta
	if done, _ := at.Done(); !done {
		next.second = at
		return &next
	}
	owed := next.owed
	if pg.changes.marks.Snapshot > 0 {
		owed = 0
		if !pg.changes.marks.Holds() {
			owed = next.snapshot // the page has no row that could say that it was the last one
		}
	}
	return &position{phase: PhaseChanges, url: next.url, began: int(pg.Answer.At), rewritten: next.rewritten,
		pass: next.pass, owed: owed}
}
