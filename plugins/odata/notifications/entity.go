package notifications

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// EntityTag starts the tags of requests for an entity; its key predicate follows.
const EntityTag = "entity "

// deletedSuffix follows the key predicate if the notification reports a deleted entity.
const deletedSuffix = " deleted"

// FetchEntity requests the current state of an entity: notifications arrive late, twice and in any order.
func (f Set) FetchEntity(token string, offset []wit.OffsetEntry) wit.NextAction {
	r := f.entityRequest(token)
	r.Tag = f.TagWithGuidCase(r.Tag, offset)
	return wit.NextAction{Fetch: &wit.Fetch{Request: r}}
}

func (f Set) entityRequest(token string) wit.Request {
	return f.Request(EntityTag+token, f.EntityTarget(strings.TrimSuffix(token, deletedSuffix)))
}

// Set is an entity set with notifications.
type Set struct{ *feedreader.Feed }

// Entity reads an entity named by a notification, or the document of one row.
type Entity struct {
	*feedreader.Reader
	// predicate is the key predicate, "" for a document.
	predicate       string
	entities        int
	notifiedDeleted bool
	fromStore       bool
}

// Base returns the reader.
func (pg *Entity) Base() *feedreader.Reader { return pg.Reader }

func (pg *Entity) set() Set { return Set{pg.Feed} }

// BeginEntity starts reading the entity.
func BeginEntity(pool *feedreader.Pool, o *feedreader.Context, f *feedreader.Feed, response *wit.Response) *Entity {
	token, guids, _ := strings.Cut(strings.TrimPrefix(response.Tag, EntityTag), feedreader.GuidTag)
	token, deleted := strings.CutSuffix(token, deletedSuffix)
	pg := beginEntity(pool, o, f, response, guids, strings.Clone(token))
	pg.notifiedDeleted = deleted
	return pg
}

// BeginDocument starts reading the document of one row from a dead letter.
func BeginDocument(pool *feedreader.Pool, o *feedreader.Context, f *feedreader.Feed, response *wit.Response) *Entity {
	return beginEntity(pool, o, f, response, feedreader.HeaderValue(response.Headers,
		wit.OffsetHeader+feedreader.GuidField), "")
}

func beginEntity(pool *feedreader.Pool, o *feedreader.Context, feed *feedreader.Feed, response *wit.Response, guids,
	named string) *Entity {
	pg := &Entity{Reader: pool.Begin(o, feed, response, guids), predicate: named}
	pg.Single = true
	if pg.BaseURL == "" {
		pg.BaseURL = feed.Service + "/" + feed.Address + named
	}
	return pg
}

// Decode decodes a chunk.
func (pg *Entity) Decode(tag string, linkedStatus uint16, chunk []byte, last bool) (result wit.DecodeResult, ended bool,
	err error) {
	set, subject := pg.set(), pg.Label()+": the entity "+pg.predicate
	if status := pg.Response.Status; status < 200 || status > 299 {
		pg.CollectBody(chunk)
		switch {
		case !last:
			return result, false, nil
		case !set.IsNotFound(status, pg.Body):
			return result, true, feedreader.ReadError(subject, &pg.Response, pg.Body)
		}
		keyParts, err := set.Keys.ParseAddress(pg.predicate)
		if err != nil {
			return result, true, &wit.Error{Kind: wit.ErrorInternal, Message: subject + ": " + err.Error()}
		}
		pg.FitKeys(keyParts)
		result.Data, result.Rows = pg.DeletedRows(nil, nil, 0, keyParts, pg.Response.ReceivedAt)
		pg.AddSchemas(&result)
		pg.scheduleConfirm(&result, !pg.notifiedDeleted)
		return result, true, nil
	}
	if waits, err := pg.DecodePage(tag, linkedStatus, chunk, last, &result); waits || err != nil {
		return result, err != nil, err
	}
	if err := pg.ApplyFilter(); err != nil {
		return result, true, err
	}
	if err := pg.addRows(&result); err != nil {
		return result, true, err
	}
	if ended = pg.Ended && pg.Out.Page.Done; ended && pg.entities != 1 {
		return result, true, &wit.Error{Kind: wit.ErrorData, Message: subject + ": expected one entity, found " +
			strconv.Itoa(pg.entities)}
	}
	if ended {
		pg.scheduleConfirm(&result, pg.notifiedDeleted)
	}
	return result, ended, nil
}

func (pg *Entity) addRows(result *wit.DecodeResult) error {
	f, change := pg.set(), feedreader.ChangeUnknown
	if pg.entities += len(pg.Out.Rows) + len(pg.Out.RowErrors); pg.predicate != "" {
		change = feedreader.ChangeChanged
	}
	pg.Out.Data = f.AddHeadersToAll(pg.Out.Rows, pg.Out.Data, change)
	result.Rows, result.Data, result.Errors = pg.Out.Rows, pg.Out.Data, pg.Out.RowErrors
	pg.AddSchemas(result)
	return pg.RequestNested(result)
}

// scheduleConfirm requests an entity that contradicts its notification again, after it was written. The host does so
// once per notification. A service may answer from an older copy of its data: a new entity is missing, a deleted one
// exists, and no other notification follows. Waiting before writing would block senders that send one notification at a
// time.
func (pg *Entity) scheduleConfirm(result *wit.DecodeResult, contradicts bool) {
	after := uint32(pg.set().Subscribing.Confirm) * 1000
	if !contradicts || pg.predicate == "" || pg.fromStore || after == 0 {
		return
	}
	observed := "does not exist, but no notification reports that it was deleted"
	if pg.notifiedDeleted {
		observed = "exists, but a notification reports that it was deleted"
	}
	sdk.Log(wit.LevelDebug, pg.Label()+": the entity "+pg.predicate+" "+observed+
		": unless this is the second response, it is read again in "+strconv.Itoa(pg.set().Subscribing.Confirm)+" s")
	result.More, result.WaitMs = true, after
}
