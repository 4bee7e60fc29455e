package main

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/delta"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/notifications"
	"github.com/culvert-project/culvert/wit"
)

type page interface {
	Decode(tag string, status uint16, piece []byte, last bool) (portion wit.DecodeResult, ended bool, err error)
	Base() *feedreader.Reader
}

type pages struct {
	feedreader.Pool
	open map[uint32]page
	last uint32
}

func (p *plugin) Begin(context []byte, number uint32, position *[]wit.OffsetEntry, response wit.Response) (uint32,
	error) {
	o, f, err := p.contexts.Feed(context, number)
	if err != nil {
		return 0, err
	}
	pg, err := p.begin(o, f, position, &response)
	if err != nil {
		return 0, err
	}
	if p.pages.open == nil {
		p.pages.open = map[uint32]page{}
	}
	p.pages.last++
	p.pages.open[p.pages.last] = pg
	return p.pages.last, nil
}

func (p *plugin) begin(o *feedreader.Context, f *feedreader.Feed, position *[]wit.OffsetEntry,
	response *wit.Response) (page,
	error) {
	pool := &p.pages.Pool
	switch {
	case position == nil && response.Tag == "" && f.Tracking.On:
		return delta.BeginDocument(pool, o, f, response), nil
	case position == nil && response.Tag == "":
		return notifications.BeginDocument(pool, o, f, response), nil
	case position == nil && f.NotificationOnly() && strings.HasPrefix(response.Tag, notifications.StoreTag):
		return notifications.BeginStore(pool, o, f, response), nil
	case position == nil && f.NotificationOnly() && strings.HasPrefix(response.Tag, notifications.EntityTag):
		return notifications.BeginEntity(pool, o, f, response), nil
	case position == nil:
		return nil, &wit.Error{Kind: wit.ErrorInternal, Message: "a page without its position"}
	case f.Tracking.On:
		return delta.Begin(pool, o, f, *position, response)
	}
	return feedreader.BeginPage(pool, o, f, *position, response)
}

func (p *plugin) Abandon(number uint32) { p.closePage(number, false) }

func (p *plugin) closePage(number uint32, sound bool) {
	if pg := p.pages.open[number]; pg != nil {
		delete(p.pages.open, number)
		p.pages.End(pg.Base(), sound)
	}
}

// Decode decodes a chunk. Rows point into memory that the next call reuses.
func (p *plugin) Decode(number uint32, tag string, status uint16, piece []byte, last bool) (wit.DecodeResult, error) {
	pg := p.pages.open[number]
	if pg == nil {
		return wit.DecodeResult{}, &wit.Error{Kind: wit.ErrorInternal,
			Message: "no page " + strconv.FormatUint(uint64(number), 10) + " is open"}
	}
	portion, ended, err := pg.Decode(tag, status, piece, last)
	pg.Base().Finalize(&portion)
	if err != nil || ended {
		p.closePage(number, err == nil)
	}
	return portion, err
}
