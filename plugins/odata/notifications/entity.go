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

// deletedSuffix follows the key predicate if the notification says that the entity was deleted.
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

func beginEntity(pool *feedreader.Pool, o *feedreader.Context, f *feedreader.Feed, response *wit.Response, guids,
	named string) *Entity {
	pg := &Entity{Reader: pool.Begin(o, f, response, guids), predicate: named}
	pg.Single = true
	if pg.BaseURL == "" {
		pg.BaseURL = f.Service + "/" + f.Address + named
	}
	return pg
}

// Decode decodes a chunk.
func (pg *Entity) Decode(tag string, _ uint16, piece []byte, last bool) (portion wit.DecodeResult, ended bool,
	err error) {
	f, what := pg.set(), pg.Label()+": the entity "+pg.predicate
	if status := pg.Response.Status; status < 200 || status > 299 {
		pg.CollectBody(piece)
		switch {
		case !last:
			return portion, false, nil
		case !f.IsNotFound(status, pg.Body):
			return portion, true, feedreader.ReadError(what, &pg.Response, pg.Body)
		}
		raws, err := f.Keys.ParseAddress(pg.predicate)
		if err != nil {
			return portion, true, &wit.Error{Kind: wit.ErrorInternal, Message: what + ": " + err.Error()}
		}
		pg.FitKeys(raws)
		portion.Data, portion.Rows = pg.DeletedRows(nil, nil, 0, raws, pg.Response.ReceivedAt)
		pg.AddSchemas(&portion)
		pg.scheduleConfirm(&portion, !pg.notifiedDeleted)
		return portion, true, nil
	}
	if waits, err := pg.DecodePage(tag, piece, last, &portion); waits || err != nil {
		return portion, err != nil, err
	}
	if err := pg.ApplyFilter(); err != nil {
		return portion, true, err
	}
	if err := pg.addRows(&portion); err != nil {
		return portion, true, err
	}
	if ended = pg.Ended && pg.Out.Page.Done; ended && pg.entities != 1 {
		return portion, true, &wit.Error{Kind: wit.ErrorData, Message: what + ": expected one entity, found " +
			strconv.Itoa(pg.entities)}
	}
	if ended {
		pg.scheduleConfirm(&portion, pg.notifiedDeleted)
	}
	return portion, ended, nil
}

func (pg *Entity) addRows(portion *wit.DecodeResult) error {
	f, change := pg.set(), feedreader.ChangeUnknown
	if pg.entities += len(pg.Out.Rows) + len(pg.Out.RowErrors); pg.predicate != "" {
		change = feedreader.ChangeChanged
	}
	pg.Out.Data = f.AddHeadersToAll(pg.Out.Rows, pg.Out.Data, change)
	portion.Rows, portion.Data, portion.Errors = pg.Out.Rows, pg.Out.Data, pg.Out.RowErrors
	pg.AddSchemas(portion)
	return pg.RequestNested(portion)
}

// A service may answer from an older copy of its data: a new entity is missing, a deleted one still exists. No other
// notification follows, so the wrong record would stay in Kafka. So an entity that contradicts its notification is
// written and read again later. Waiting instead would block senders that send one notification at a time. An outdated
// state of a changed entity cannot be recognized.

// scheduleConfirm has a contradicting entity read again. The host does so once per notification.
func (pg *Entity) scheduleConfirm(portion *wit.DecodeResult, contradicts bool) {
	after := uint32(pg.set().Subscribing.Confirm) * 1000
	if !contradicts || pg.predicate == "" || pg.fromStore || after == 0 {
		return
	}
	says := "does not exist, but no notification says that it was deleted"
	if pg.notifiedDeleted {
		says = "exists, but a notification says that it was deleted"
	}
	sdk.Log(wit.LevelInfo, pg.Label()+": the entity "+pg.predicate+" "+says+": unless this is the second response, it "+
		"is "+
		"read again in "+strconv.Itoa(pg.set().Subscribing.Confirm)+" s")
	portion.More, portion.WaitMs = true, after
}
