package delta

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

const rereadTag = "again "

// ask has an entity read by its key.
func (pg *Page) ask(portion *wit.DecodeResult, raws [][]byte, when int64) {
	c, f := pg.rows, pg.Feed
	at, err := f.Keys.Predicate(raws)
	if err != nil {
		c.faults = append(c.faults, wit.RowError{RowIndex: c.origin, ErrorClass: decode.ErrorClass,
			Error: wit.Error{Kind: wit.ErrorData,
				Message: pg.What() + ": an entity is to be read again, and its key can't be written: " + err.Error()}})
		return
	}
	if c.asked.open == nil {
		c.asked.open = map[string]*rereadEntity{}
	}
	c.asked.number++
	number := strconv.Itoa(c.asked.number)
	a := &rereadEntity{keys: raws, predicate: at, target: f.EntityTarget(at), when: when}
	tolerated := f.Tolerated()
	if a.listed = f.Asked.Selects(); a.listed {
		// By its key it comes also where it doesn't meet the user's own $filter, which only the service can tell.
		a.target, tolerated = f.Pages.Only(f.Keys.Equals(raws)), nil
	}
	c.asked.open[number] = a
	sdk.Log(wit.LevelInfo, pg.What()+": "+at+" came as a row and as deleted, or may have: reading it again")
	portion.Linked = append(portion.Linked, wit.LinkedRequest{Request: f.Request(rereadTag+number, a.target),
		Tolerate: tolerated})
}

// reread takes a piece of an entity that is read again, or of a further page of a feed expanded in it, whose tag stands
// after the entity's. waits: all of it has not come yet.
func (pg *Page) reread(tag string, status uint16, piece []byte, last bool) (portion wit.DecodeResult, waits bool,
	err error) {
	c, f := pg.rows, pg.Feed
	number, nested, _ := strings.Cut(strings.TrimPrefix(tag, rereadTag), " ")
	a := c.asked.open[number]
	if a == nil {
		return portion, false, &wit.Error{Kind: wit.ErrorInternal, Message: "no entity is read again under " + tag}
	}
	what := pg.What() + ": the entity " + a.predicate + ", read again"
	deleted := status < 200 || status > 299
	if deleted {
		a.body = append(a.body, piece[:min(len(piece), feed.MaxErrorBody-len(a.body))]...)
		switch {
		case !last:
			return portion, true, nil
		case !f.Gone(status, a.body):
			return portion, false, feed.NotRead(what, &wit.Response{Status: status, ReceivedAt: pg.Answer.ReceivedAt},
				a.body)
		}
	} else {
		waits, err := pg.entity(a, feed.Part{Within: rereadTag + number + " ", Tag: nested, Piece: piece, Last: last},
			&portion)
		if waits || err != nil {
			return portion, waits, err
		}
		if a.left = a.left || a.listed && a.entities == 0; a.entities != 1 && !a.left {
			return portion, false, &wit.Error{Kind: wit.ErrorData, Message: what + ": expected one entity, found " +
				strconv.Itoa(a.entities)}
		}
		deleted = a.left
	}
	delete(c.asked.open, number)
	if portion.Data, portion.Rows = a.data, a.rows; deleted {
		if a.when == 0 {
			a.when = pg.Answer.ReceivedAt
		}
		portion.Data, portion.Rows = pg.DeletedRows(nil, nil, c.origin, a.keys, a.when)
	}
	portion.Rows, portion.Data = c.marks.Hold(portion.Rows, portion.Data)
	pg.Declare(&portion)
	return portion, false, nil
}

// entity takes a piece of an answer that holds the entity. waits: all of it has not come yet.
func (pg *Page) entity(a *rereadEntity, part feed.Part, portion *wit.DecodeResult) (waits bool, err error) {
	c, f := pg.rows, pg.Feed
	if a.decoder == nil {
		if len(part.Piece) == 0 && !part.Last {
			return true, nil
		}
		a.decoder = f.NewDecoder(part.Piece)
	}
	a.ended = a.ended || part.Tag == "" && part.Last
	if waits, err := pg.Take(a.decoder, &c.asked.out, part, portion); waits || err != nil {
		return waits, err
	}
	if err := pg.keep(a); err != nil {
		return false, err
	}
	if portion.Linked, err = pg.further(a, part.Within); err != nil {
		return false, err
	}
	return !a.ended || !c.asked.out.Page.Done, nil
}

// keep takes what was decoded of an entity that is read again.
func (pg *Page) keep(a *rereadEntity) error {
	c, f := pg.rows, pg.Feed
	if len(c.asked.out.Faults) > 0 {
		failed := c.asked.out.Faults[0].Error
		return &failed
	}
	// It was asked for by its key, which takes no filter: one that no longer meets it is not in the set that is read.
	switch outside := f.Rows.Check(&c.asked.out, nil); {
	case outside != nil && outside.Kind != wit.ErrorData:
		return outside
	case outside != nil:
		a.left = true
	}
	if err := pg.Reader.Rewrite(&c.asked.out); err != nil {
		return err
	}
	a.entities += len(c.asked.out.Rows)
	for _, row := range c.asked.out.Rows {
		for _, d := range []*wit.ValueSlice{&row.Key, &row.Value} {
			from := c.asked.out.Data[d.Start : d.Start+d.Size]
			d.Start = uint32(len(a.data))
			a.data = append(a.data, from...)
		}
		row.RowIndex = c.origin
		a.data = f.Tell(&row, a.data, pg.changeOf(nil))
		a.rows = append(a.rows, row)
	}
	return nil
}

// further are the requests for further pages of feeds expanded in an entity that is read again.
func (pg *Page) further(a *rereadEntity, tag string) (follows []wit.LinkedRequest, err error) {
	base := pg.Base
	defer func() { pg.Base = base }()
	pg.Base = a.target
	for _, follow := range pg.rows.asked.out.NestedPages {
		target, err := pg.Resolve(follow.Link)
		if err != nil {
			return nil, err
		}
		follows = append(follows, wit.LinkedRequest{Request: pg.Feed.Request(tag+follow.Tag, target)})
	}
	return follows, nil
}
