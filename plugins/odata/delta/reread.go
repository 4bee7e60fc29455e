package delta

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

const rereadTag = "again "

func (pg *Page) requestReread(portion *wit.DecodeResult, raws [][]byte, when int64) {
	c, f := pg.rows, pg.Feed
	at, err := f.Keys.Predicate(raws)
	if err != nil {
		c.rowErrors = append(c.rowErrors, wit.RowError{RowIndex: c.rowIndex, ErrorClass: decode.ErrorClass,
			Error: wit.Error{Kind: wit.ErrorData,
				Message: pg.Label() + ": an entity must be read again, but its key cannot be encoded: " + err.Error()}})
		return
	}
	if c.rereads.pending == nil {
		c.rereads.pending = map[string]*rereadEntity{}
	}
	c.rereads.lastNumber++
	number := strconv.Itoa(c.rereads.lastNumber)
	a := &rereadEntity{keys: raws, predicate: at, target: f.EntityTarget(at), when: when}
	tolerated := f.NotFoundStatuses()
	if a.viaFilter = f.RowQuery.Selects(); a.viaFilter {
		// Its URL would return it even if it does not match the user's $filter, which only the service can tell.
		a.target, tolerated = f.Paging.FilteredURL(f.Keys.FilterEqual(raws)), nil
	}
	c.rereads.pending[number] = a
	sdk.Log(wit.LevelInfo, pg.Label()+": "+at+" occurs as a row and as deleted, or may do so: reading it again")
	portion.Linked = append(portion.Linked, wit.LinkedRequest{Request: f.Request(rereadTag+number, a.target),
		Tolerate: tolerated})
}

// reread decodes a chunk of an entity, or of a nested page of it, whose tag follows the entity's.
func (pg *Page) reread(tag string, status uint16, piece []byte, last bool) (portion wit.DecodeResult, waits bool,
	err error) {
	c, f := pg.rows, pg.Feed
	number, nested, _ := strings.Cut(strings.TrimPrefix(tag, rereadTag), " ")
	a := c.rereads.pending[number]
	if a == nil {
		return portion, false, &wit.Error{Kind: wit.ErrorInternal, Message: "no entity is read again under " + tag}
	}
	what := pg.Label() + ": the entity " + a.predicate + ", read again"
	deleted := status < 200 || status > 299
	if deleted {
		a.body = append(a.body, piece[:min(len(piece), feedreader.MaxErrorBody-len(a.body))]...)
		switch {
		case !last:
			return portion, true, nil
		case !f.IsNotFound(status, a.body):
			return portion, false, feedreader.ReadError(what, &wit.Response{Status: status,
				ReceivedAt: pg.Response.ReceivedAt},
				a.body)
		}
	} else {
		waits, err := pg.decodeEntity(a, feedreader.Chunk{TagPrefix: rereadTag + number + " ", Tag: nested, Data: piece,
			Last: last},
			&portion)
		if waits || err != nil {
			return portion, waits, err
		}
		if a.outsideFilter = a.outsideFilter || a.viaFilter && a.entities == 0; a.entities != 1 && !a.outsideFilter {
			return portion, false, &wit.Error{Kind: wit.ErrorData, Message: what + ": expected one entity, found " +
				strconv.Itoa(a.entities)}
		}
		deleted = a.outsideFilter
	}
	delete(c.rereads.pending, number)
	if portion.Data, portion.Rows = a.data, a.rows; deleted {
		if a.when == 0 {
			a.when = pg.Response.ReceivedAt
		}
		portion.Data, portion.Rows = pg.DeletedRows(nil, nil, c.rowIndex, a.keys, a.when)
	}
	portion.Rows, portion.Data = c.markers.Add(portion.Rows, portion.Data)
	pg.AddSchemas(&portion)
	return portion, false, nil
}

func (pg *Page) decodeEntity(a *rereadEntity, part feedreader.Chunk, portion *wit.DecodeResult) (waits bool,
	err error) {
	c, f := pg.rows, pg.Feed
	if a.decoder == nil {
		if len(part.Data) == 0 && !part.Last {
			return true, nil
		}
		a.decoder = f.NewDecoder(part.Data)
	}
	a.complete = a.complete || part.Tag == "" && part.Last
	if waits, err := pg.DecodeChunk(a.decoder, &c.rereads.out, part, portion); waits || err != nil {
		return waits, err
	}
	if err := pg.addEntityRows(a); err != nil {
		return false, err
	}
	if portion.Linked, err = pg.nestedRequests(a, part.TagPrefix); err != nil {
		return false, err
	}
	return !a.complete || !c.rereads.out.Page.Done, nil
}

func (pg *Page) addEntityRows(a *rereadEntity) error {
	c, f := pg.rows, pg.Feed
	if len(c.rereads.out.RowErrors) > 0 {
		failed := c.rereads.out.RowErrors[0].Error
		return &failed
	}
	// It was requested by its URL, which takes no filter: if it does not match, it is not in the set that is read.
	switch outside := f.Rows.Check(&c.rereads.out, nil); {
	case outside != nil && outside.Kind != wit.ErrorData:
		return outside
	case outside != nil:
		a.outsideFilter = true
	}
	if err := pg.Reader.Rewrite(&c.rereads.out); err != nil {
		return err
	}
	a.entities += len(c.rereads.out.Rows)
	for _, row := range c.rereads.out.Rows {
		for _, d := range []*wit.ValueSlice{&row.Key, &row.Value} {
			from := c.rereads.out.Data[d.Start : d.Start+d.Size]
			d.Start = uint32(len(a.data))
			a.data = append(a.data, from...)
		}
		row.RowIndex = c.rowIndex
		a.data = f.AddHeaders(&row, a.data, pg.changeOf(nil))
		a.rows = append(a.rows, row)
	}
	return nil
}

func (pg *Page) nestedRequests(a *rereadEntity, tag string) (follows []wit.LinkedRequest, err error) {
	base := pg.BaseURL
	defer func() { pg.BaseURL = base }()
	pg.BaseURL = a.target
	for _, follow := range pg.rows.rereads.out.NestedPages {
		target, err := pg.Resolve(follow.Link)
		if err != nil {
			return nil, err
		}
		follows = append(follows, wit.LinkedRequest{Request: pg.Feed.Request(tag+follow.Tag, target)})
	}
	return follows, nil
}
