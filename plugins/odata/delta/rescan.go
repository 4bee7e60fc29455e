package delta

import (
	"errors"

	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// The links of a load in delta mode hold the service's token, so that its pages can't be asked for by key. Where the
// links count rows, or nothing shows that they don't, a row that is deleted meanwhile shifts another one to where
// nobody reads it. That row hasn't changed, so no changes name it, and many services don't report the deleted one
// either (CAP, see SERVICES.md). So the set is read once more after such a load, as full mode reads it and without a
// token (P13), and the changes since the load began follow. All its rows are delivered: to tell which of them came with
// the load takes all keys, for which no offset has room.

// startSnapshot is the reading after a load. It has marks of its own (P8): rows that came before its begin,
// and not up to its end, were deleted meanwhile.
func (f Set) startSnapshot(c common, link string, now int64) phase {
	c.snapshot = max(int(now), c.snapshot+1)
	return &readingSnapshot{common: c, link: link, position: f.Paging.First(now).Fields()}
}

// snapshotRequest is the request for a page of it.
func (f Set) snapshotRequest(p *readingSnapshot) (wit.Request, error) {
	at, err := paging.Read(p.position)
	if err != nil {
		return wit.Request{}, err
	}
	at = f.Paging.RestoreLink(at)
	p.position = at.Fields()
	target, _ := f.Paging.Request(at)
	return f.Request("", target), nil
}

// beginSnapshotPage readies a page of it.
func (pg *Page) beginSnapshotPage(p *readingSnapshot, pool *entityset.Pool, o *entityset.Context,
	response *wit.Response) (err error) {
	*pg.rows.markers = entityset.SnapshotMarkers{Snapshot: p.snapshot, Started: p.started}
	if pg.snapshotPage, err = entityset.BeginPage(pool, o, pg.Feed, p.position, response); err != nil {
		return err
	}
	pg.snapshotPage.Unformatted = pg.Unformatted
	pg.Feed.UseFormat(pg.Unformatted)
	return nil
}

// decodeSnapshotPage reads a piece of a page of it.
func (pg *Page) decodeSnapshotPage(p *readingSnapshot, tag string, status uint16, piece []byte,
	last bool) (portion wit.DecodeResult,
	ended bool, err error) {
	portion, ended, err = pg.snapshotPage.Decode(tag, status, piece, last)
	pg.CopyLearned(pg.snapshotPage.Reader)
	if next := pg.afterSnapshotFailure(p, err); next != nil {
		portion = wit.DecodeResult{}
		pg.continueWith(&portion, next)
		return portion, true, nil
	}
	if err != nil {
		return portion, true, err
	}
	if portion.Rows, portion.Data = pg.rows.markers.Hold(portion.Rows, portion.Data); ended {
		err = pg.endSnapshotPage(p, &portion)
	}
	return portion, ended, err
}

// afterSnapshotFailure is the phase after a load that somebody has asked for and that can't be read: it is begun once
// more, then given up, since the changes depend on it in nothing. It is nil where the failure stands.
func (pg *Page) afterSnapshotFailure(p *readingSnapshot, err error) phase {
	var failed *wit.Error
	if !p.onDemand || !errors.As(err, &failed) || failed.Kind != wit.ErrorData && failed.Kind != wit.ErrorGone &&
		failed.Kind != wit.ErrorNotFound {
		return nil
	}
	if p.lostTokens == 0 {
		sdk.Log(wit.LevelWarn, failed.Message+"; the snapshot is read from its beginning again")
		c := common{startedAt: int(pg.Answer.ReceivedAt), rewritten: p.rewritten, snapshot: p.snapshot, lostTokens: 1}
		return &readingSnapshot{common: c, link: p.link, onDemand: true,
			position: pg.Feed.Paging.First(pg.Answer.ReceivedAt).Fields()}
	}
	sdk.Log(wit.LevelError, failed.Message+"; the snapshot is given up, its last row has no mark "+entityset.HeaderMark+
		"; going on with changes")
	return &idle{common: common{rewritten: p.rewritten}, link: p.link, at: int(pg.Answer.ReceivedAt)}
}

// endSnapshotPage ends a page of it. The changes after it are asked for at once: they are those since the load before
// it began.
func (pg *Page) endSnapshotPage(p *readingSnapshot, portion *wit.DecodeResult) error {
	at, err := paging.Read(*portion.Next)
	if err != nil {
		return err
	}
	var next phase
	if done, _ := at.Done(); done {
		c := common{startedAt: int(pg.Answer.ReceivedAt), rewritten: p.rewritten, lostTokens: p.lostTokens,
			endMarkerPending: p.endMarkerPending}
		if p.onDemand {
			c.lostTokens = 0
		}
		if p.snapshot > 0 && !pg.rows.markers.HasHeldRow() {
			c.endMarkerPending = p.snapshot // the page has no row that could say that it was the last one
		}
		next = &readingChanges{common: c, url: p.link}
	} else {
		walk := *p
		walk.position, walk.started = *portion.Next, p.started || pg.rows.markers.Started ||
			pg.rows.markers.HasHeldRow()
		next = &walk
	}
	pg.release(portion, next)
	pg.continueWith(portion, next)
	return nil
}
