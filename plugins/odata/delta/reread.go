package delta

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

const rereadTag = "again "

// rereads tracks entities that are read again by key. The page ends when no request is pending.
type rereads struct {
	pending    map[string]*rereadEntity // by number, which counts from 1
	lastNumber int
	out        decode.Output // the last decoded chunk
}

// rereadEntity is an entity that is a row and deleted. Only the service knows which is newer (RATIONALE.md P22).
type rereadEntity struct {
	keys          [][]byte // encoded parts of the key
	predicate     string
	target        string         // path and query of the request
	deletedAt     int64          // in milliseconds since 1970, zero if unknown
	decoder       decode.Decoder // nil before the first bytes
	rows          []wit.Row      // decoded so far
	data          []byte         // the bytes of rows
	body          []byte         // of an error response
	entities      int            // entities in the response
	viaFilter     bool           // requested by a filter instead of its URL
	outsideFilter bool           // the entity no longer matches the filter
	complete      bool           // the last chunk was read
}

// requestReread requests an entity again instead of adding it. deletedAt is zero if the deletion was not the last
// occurrence; then the time of the response is used.
func (pg *Page) requestReread(result *wit.DecodeResult, keyParts [][]byte, deletedAt int64) {
	rows := pg.rows
	feed := pg.Feed
	predicate, err := feed.Keys.Predicate(keyParts)
	if err != nil {
		rows.rowErrors = append(rows.rowErrors, wit.RowError{RowIndex: rows.rowIndex, ErrorClass: decode.ErrorClass,
			Error: wit.Error{Kind: wit.ErrorData,
				Message: pg.Label() + ": an entity must be read again, but its key cannot be encoded: " + err.Error()}})
		return
	}
	if rows.rereads.pending == nil {
		rows.rereads.pending = map[string]*rereadEntity{}
	}
	rows.rereads.lastNumber++
	number := strconv.Itoa(rows.rereads.lastNumber)
	entity := &rereadEntity{keys: keyParts, predicate: predicate, target: feed.EntityTarget(predicate),
		deletedAt: deletedAt}
	tolerated := feed.EntityStatuses()
	entity.viaFilter = feed.RowQuery.Selects()
	if entity.viaFilter {
		// The entity's URL would return it even if it does not match the user's $filter.
		entity.target = feed.Paging.FilteredURL(feed.Keys.FilterEqual(keyParts))
		tolerated = odataerror.RouterStatuses
	}
	rows.rereads.pending[number] = entity
	sdk.Log(wit.LevelDebug, pg.Label()+": "+predicate+" occurs as a row and as deleted, or may do so: reading it again")
	result.Linked = append(result.Linked, wit.LinkedRequest{Request: feed.Request(rereadTag+number, entity.target),
		Tolerate: tolerated})
}

// reread decodes a chunk of an entity, or of a nested page of it, whose tag follows the entity's. After the last one,
// result has the entity's rows, or its deletion; needsMore is true before.
func (pg *Page) reread(tag string, status uint16, chunk []byte,
	last bool) (result wit.DecodeResult, needsMore bool, err error) {
	rows := pg.rows
	feed := pg.Feed
	number, nested, _ := strings.Cut(strings.TrimPrefix(tag, rereadTag), " ")
	entity := rows.rereads.pending[number]
	if entity == nil {
		return result, false, &wit.Error{Kind: wit.ErrorInternal, Message: "no entity is read again under " + tag}
	}
	subject := pg.Label() + ": the entity " + entity.predicate + ", read again"
	isDeleted := status < 200 || status > 299
	if isDeleted {
		entity.body = append(entity.body, chunk[:min(len(chunk), feedreader.MaxErrorBody-len(entity.body))]...)
		switch {
		case !last:
			return result, true, nil
		case nested != "" || entity.viaFilter:
			return result, false, pg.LinkedError(subject, status, entity.body)
		case !feed.IsNotFound(status, entity.body):
			response := &wit.Response{Status: status, ReceivedAt: pg.Response.ReceivedAt}
			return result, false, feedreader.ReadError(subject, response, entity.body)
		}
	} else {
		part := feedreader.Chunk{TagPrefix: rereadTag + number + " ", Tag: nested, Data: chunk, Last: last}
		needsMore, err := pg.decodeEntity(entity, part, &result)
		if needsMore || err != nil {
			return result, needsMore, err
		}
		entity.outsideFilter = entity.outsideFilter || (entity.viaFilter && entity.entities == 0)
		if entity.entities != 1 && !entity.outsideFilter {
			return result, false, &wit.Error{Kind: wit.ErrorData, Message: subject + ": expected one entity, found " +
				strconv.Itoa(entity.entities)}
		}
		isDeleted = entity.outsideFilter
	}
	delete(rows.rereads.pending, number)
	result.Data = entity.data
	result.Rows = entity.rows
	if isDeleted {
		if entity.deletedAt == 0 {
			entity.deletedAt = pg.Response.ReceivedAt
		}
		result.Data, result.Rows = pg.DeletedRows(nil, nil, rows.rowIndex, entity.keys, feedreader.ChangeDeleted,
			entity.deletedAt)
	}
	result.Rows, result.Data = rows.markers.Add(result.Rows, result.Data)
	pg.AddSchemas(&result)
	return result, false, nil
}

// decodeEntity decodes a chunk of an entity that is read again, and keeps its rows.
func (pg *Page) decodeEntity(entity *rereadEntity, part feedreader.Chunk,
	result *wit.DecodeResult) (needsMore bool, err error) {
	rows := pg.rows
	feed := pg.Feed
	if entity.decoder == nil {
		if len(part.Data) == 0 && !part.Last {
			return true, nil
		}
		entity.decoder = feed.NewDecoder(part.Data, decode.JSON4Options{Exact: pg.Options.Exact})
	}
	entity.complete = entity.complete || (part.Tag == "" && part.Last)
	if needsMore, err := pg.DecodeChunk(entity.decoder, &rows.rereads.out, part, result); needsMore || err != nil {
		return needsMore, err
	}
	if len(rows.rereads.out.RowErrors) > 0 {
		rowError := rows.rereads.out.RowErrors[0].Error
		return false, &rowError
	}
	// An entity that was requested by its URL may not match the filter: then it is not in the set that is read.
	switch filterError := feed.Rows.Check(&rows.rereads.out, nil, nil); {
	case filterError != nil && filterError.Kind != wit.ErrorData:
		return false, filterError
	case filterError != nil:
		entity.outsideFilter = true
	}
	if err := pg.Reader.Rewrite(&rows.rereads.out); err != nil {
		return false, err
	}
	entity.entities += len(rows.rereads.out.Rows)
	for _, row := range rows.rereads.out.Rows {
		for _, slice := range []*wit.ValueSlice{&row.Key, &row.Value} {
			bytes := rows.rereads.out.Data[slice.Start : slice.Start+slice.Size]
			slice.Start = uint32(len(entity.data))
			entity.data = append(entity.data, bytes...)
		}
		row.RowIndex = rows.rowIndex
		entity.data = feed.AddHeaders(&row, entity.data, pg.changeOf(nil))
		entity.rows = append(entity.rows, row)
	}
	if result.Linked, err = pg.NestedRequests(&rows.rereads.out, part.TagPrefix, entity.target); err != nil {
		return false, err
	}
	return !entity.complete || !rows.rereads.out.Page.Done, nil
}
