package delta

import (
	"errors"

	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// startSnapshot returns the phase after a load whose next links count rows: a row deleted during the load may have
// hidden another one, which no change reports because it did not change. The load's links contain the service's token,
// so it cannot continue by key. The set is therefore read again without a token, and the changes since the load follow.
// Rows delivered before the begin marker and not again up to the end marker were deleted (RATIONALE.md P8).
func (s Set) startSnapshot(c common, link string, now int64) phase {
	c.snapshot = max(int(now), c.snapshot+1)
	return &readingSnapshot{common: c, link: link, position: s.Paging.First(now).Fields()}
}

// snapshotRequest returns the request for the snapshot's next page. It restores the options of the snapshot's link.
func (s Set) snapshotRequest(feed *feedreader.Feed, snapshot *readingSnapshot) (wit.Request, error) {
	position, err := paging.Read(snapshot.position)
	if err != nil {
		return wit.Request{}, err
	}
	position = feed.Paging.RestoreLink(position)
	snapshot.position = position.Fields()
	target, _ := feed.Paging.Request(position)
	return s.Request("", target), nil
}

// beginSnapshotPage begins a page of the feed, or of its keys.
func (pg *Page) beginSnapshotPage(feed *feedreader.Feed, snapshot *readingSnapshot, pool *feedreader.Pool,
	context *feedreader.Context, response *wit.Response) (err error) {
	*pg.rows.markers = feedreader.SnapshotMarkers{Snapshot: snapshot.snapshot, Started: snapshot.started}
	if pg.snapshotPage, err = feedreader.BeginPage(pool, context, feed, snapshot.position, response); err != nil {
		return err
	}
	pg.snapshotPage.FormatRefused = pg.FormatRefused
	feed.SetFormatRefused(pg.FormatRefused)
	return nil
}

// decodeSnapshotPage decodes a chunk of a snapshot, and adds markers to its rows.
func (pg *Page) decodeSnapshotPage(snapshot *readingSnapshot, tag string, status uint16, chunk []byte,
	last bool) (result wit.DecodeResult, ended bool, err error) {
	result, ended, err = pg.snapshotPage.Decode(tag, status, chunk, last)
	pg.CopyLearned(pg.snapshotPage.Reader)
	if next := pg.afterSnapshotFailure(snapshot, err); next != nil {
		result = wit.DecodeResult{}
		pg.continueWith(&result, next)
		return result, true, nil
	}
	if err != nil {
		return result, true, err
	}
	result.Rows, result.Data = pg.rows.markers.Add(result.Rows, result.Data)
	if ended {
		err = pg.endSnapshotPage(snapshot, &result)
	}
	return result, ended, err
}

// afterSnapshotFailure logs the failure of a snapshot on demand and returns the phase after it. The snapshot is tried
// twice, then abandoned. It returns nil for other failures, and if err is nil.
func (pg *Page) afterSnapshotFailure(snapshot *readingSnapshot, err error) phase {
	var serviceError *wit.Error
	if !snapshot.onDemand || !errors.As(err, &serviceError) {
		return nil
	}
	kind := serviceError.Kind
	if kind != wit.ErrorData && kind != wit.ErrorGone && kind != wit.ErrorNotFound {
		return nil
	}
	if isFirstFailure := snapshot.lostTokens == 0; isFirstFailure {
		sdk.Log(wit.LevelWarn, serviceError.Message+"; restarting the snapshot")
		c := common{startedAt: int(pg.Response.ReceivedAt), rewriteSettings: snapshot.rewriteSettings,
			snapshot: snapshot.snapshot, lostTokens: 1, verdict: snapshot.verdict}
		return &readingSnapshot{common: c, link: snapshot.link, onDemand: true,
			position: pg.Feed.Paging.First(pg.Response.ReceivedAt).Fields()}
	}
	sdk.Log(wit.LevelError, serviceError.Message+"; the snapshot is abandoned, its last row has no header "+
		feedreader.HeaderMark+"; continuing with changes")
	return &idle{common: common{rewriteSettings: snapshot.rewriteSettings, verdict: snapshot.verdict},
		link: snapshot.link, readAt: int(pg.Response.ReceivedAt)}
}

// endSnapshotPage ends a page. After the last one, the changes since the load before the snapshot follow.
func (pg *Page) endSnapshotPage(snapshot *readingSnapshot, result *wit.DecodeResult) error {
	position, err := paging.Read(*result.Next)
	if err != nil {
		return err
	}
	var nextPhase phase
	if done, _ := position.Done(); done {
		shared := common{startedAt: int(pg.Response.ReceivedAt), rewriteSettings: snapshot.rewriteSettings,
			lostTokens: snapshot.lostTokens, endMarkerPending: snapshot.endMarkerPending}
		if snapshot.onDemand {
			shared.lostTokens = 0
		}
		shared.verdict = position.Verdict()
		// No row is left for the end marker, which reports that all rows were read.
		if snapshot.snapshot > 0 && !pg.rows.markers.HasBufferedRow() && shared.verdict != paging.Unproven {
			shared.endMarkerPending = snapshot.snapshot
		}
		nextPhase = &readingChanges{common: shared, url: snapshot.link}
	} else {
		next := *snapshot
		next.position = *result.Next
		next.started = snapshot.started || pg.rows.markers.Started || pg.rows.markers.HasBufferedRow()
		nextPhase = &next
	}
	pg.flushMarkers(result, nextPhase)
	pg.continueWith(result, nextPhase)
	return nil
}
