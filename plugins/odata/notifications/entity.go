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
func (se Set) FetchEntity(token string, offset []wit.OffsetEntry) wit.NextAction {
	r := se.entityRequest(token)
	r.Tag = se.TagWithGuidCase(r.Tag, offset)
	return wit.NextAction{Fetch: &wit.Fetch{Request: r}}
}

func (se Set) entityRequest(token string) wit.Request {
	return se.Request(EntityTag+token, se.EntityTarget(strings.TrimSuffix(token, deletedSuffix)))
}

// Set is an entity set with notifications.
type Set struct{ *feedreader.Feed }

// Entity reads an entity named by a notification, or the document of one row.
type Entity struct {
	*feedreader.Reader
	// predicate is the key predicate, "" for a document.
	predicate       string
	entities        int  // rows that were decoded
	notifiedDeleted bool // the notification reports that the entity was deleted
	fromStore       bool // SAP's notification store named the entity
}

// Base returns the reader, which the page's owner ends.
func (e *Entity) Base() *feedreader.Reader { return e.Reader }

func (e *Entity) set() Set { return Set{e.Feed} }

// BeginEntity starts reading the entity.
func BeginEntity(pool *feedreader.Pool, context *feedreader.Context, f *feedreader.Feed,
	response *wit.Response) *Entity {
	token, guids, _ := strings.Cut(strings.TrimPrefix(response.Tag, EntityTag), feedreader.GuidTag)
	token, ok := strings.CutSuffix(token, deletedSuffix)
	entity := beginEntity(pool, context, f, response, guids, strings.Clone(token))
	entity.notifiedDeleted = ok
	return entity
}

// BeginDocument starts reading the document of one row from a dead letter.
func BeginDocument(pool *feedreader.Pool, context *feedreader.Context, f *feedreader.Feed,
	response *wit.Response) *Entity {
	return beginEntity(pool, context, f, response, feedreader.HeaderValue(response.Headers,
		wit.OffsetHeader+feedreader.GuidField), "")
}

func beginEntity(pool *feedreader.Pool, context *feedreader.Context, feed *feedreader.Feed, response *wit.Response,
	guids, predicate string) *Entity {
	entity := &Entity{Reader: pool.Begin(context, feed, response, guids), predicate: predicate}
	entity.Single = true
	if entity.BaseURL == "" {
		entity.BaseURL = feed.Service + "/" + feed.Address + predicate
	}
	return entity
}

// Decode decodes a chunk.
func (e *Entity) Decode(tag string, linkedStatus uint16, chunk []byte,
	last bool) (result wit.DecodeResult, ended bool, err error) {
	set := e.set()
	subject := e.Label() + ": the entity " + e.predicate
	if status := e.Response.Status; status < 200 || status > 299 { // the entity may have been deleted
		e.CollectBody(chunk)
		switch {
		case !last:
			return result, false, nil
		case !set.IsNotFound(status, e.Body):
			return result, true, feedreader.ReadError(subject, &e.Response, e.Body)
		}
		keyParts, err := set.Keys.ParseAddress(e.predicate)
		if err != nil {
			return result, true, &wit.Error{Kind: wit.ErrorInternal, Message: subject + ": " + err.Error()}
		}
		e.FitKeys(keyParts)
		result.Data, result.Rows = e.DeletedRows(nil, nil, 0, keyParts, feedreader.ChangeDeleted, e.Response.ReceivedAt)
		e.AddSchemas(&result)
		e.scheduleConfirm(&result, !e.notifiedDeleted)
		return result, true, nil
	}
	if waits, err := e.DecodePage(tag, linkedStatus, chunk, last, &result); waits || err != nil {
		return result, err != nil, err
	}
	if err := e.ApplyFilter(); err != nil {
		return result, true, err
	}
	change := feedreader.ChangeUnknown
	e.entities += len(e.Out.Rows) + len(e.Out.RowErrors)
	if e.predicate != "" {
		change = feedreader.ChangeChanged
	}
	e.Out.Data = e.set().AddHeadersToAll(e.Out.Rows, e.Out.Data, change)
	result.Rows = e.Out.Rows
	result.Data = e.Out.Data
	result.Errors = e.Out.RowErrors
	e.AddSchemas(&result)
	if err := e.RequestNested(&result); err != nil { // the rest of expanded rows
		return result, true, err
	}
	if ended = e.Ended && e.Out.Page.Done; ended && e.entities != 1 {
		return result, true, &wit.Error{Kind: wit.ErrorData, Message: subject + ": expected one entity, found " +
			strconv.Itoa(e.entities)}
	}
	if ended {
		e.scheduleConfirm(&result, e.notifiedDeleted)
	}
	return result, ended, nil
}

// scheduleConfirm requests an entity that contradicts its notification again, after it was written. The host does so
// once per notification. A service may answer from an older copy of its data: a new entity is missing, a deleted one
// exists, and no other notification follows. Waiting before writing would block senders that send one notification at a
// time.
func (e *Entity) scheduleConfirm(result *wit.DecodeResult, contradicts bool) {
	after := uint32(e.set().Subscribing.Confirm) * 1000
	if !contradicts || e.predicate == "" || e.fromStore || after == 0 {
		return
	}
	observed := "does not exist, but no notification reports that it was deleted"
	if e.notifiedDeleted {
		observed = "exists, but a notification reports that it was deleted"
	}
	sdk.Log(wit.LevelDebug, e.Label()+": the entity "+e.predicate+" "+observed+
		": unless this is the second response, it is read again in "+strconv.Itoa(e.set().Subscribing.Confirm)+" s")
	result.More = true
	result.WaitMs = after
}
