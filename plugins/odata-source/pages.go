package main

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/delta"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/notifications"
	"github.com/culvert-project/culvert/wit"
)

// page decodes the response to one request, chunk by chunk.
type page interface {
	// Decode decodes a chunk. ended means that the page needs no further chunk.
	// last means that the response ends with this chunk.
	Decode(tag string, status uint16, chunk []byte, last bool) (result wit.DecodeResult, ended bool, err error)
	Base() *feedreader.Reader
}

// pages holds the open pages by their numbers.
type pages struct {
	feedreader.Pool
	open map[uint32]page
	last uint32 // number of the page that was opened last
}

// Begin opens a page for a response and returns its number. Decode closes it at its end, Abandon at any time.
func (p *plugin) Begin(context []byte, number uint32, position *[]wit.OffsetEntry,
	response wit.Response) (uint32, error) {
	opened, feed, err := p.contexts.Feed(context, number)
	if err != nil {
		return 0, err
	}
	reader, err := p.begin(opened, feed, position, &response)
	if err != nil {
		return 0, err
	}
	if p.pages.open == nil {
		p.pages.open = map[uint32]page{}
	}
	p.pages.last++
	p.pages.open[p.pages.last] = reader
	return p.pages.last, nil
}

// begin returns the page for a response. position is nil for responses that are not part of a load.
func (p *plugin) begin(opened *feedreader.Context, feed *feedreader.Feed, position *[]wit.OffsetEntry,
	response *wit.Response) (page, error) {
	pool := &p.pages.Pool
	switch {
	case position == nil && response.Tag == "" && feed.Tracking.On:
		return delta.BeginDocument(pool, opened, feed, response), nil
	case position == nil && response.Tag == "":
		return notifications.BeginDocument(pool, opened, feed, response), nil
	case position == nil && feed.NotificationOnly() && strings.HasPrefix(response.Tag, notifications.StoreTag):
		return notifications.BeginStore(pool, opened, feed, response), nil
	case position == nil && feed.NotificationOnly() && strings.HasPrefix(response.Tag, notifications.EntityTag):
		return notifications.BeginEntity(pool, opened, feed, response), nil
	case position == nil:
		return nil, &wit.Error{Kind: wit.ErrorInternal, Message: "a page without its position"}
	case feed.Tracking.On:
		return delta.Begin(pool, opened, feed, *position, response)
	}
	return feedreader.BeginPage(pool, opened, feed, *position, response)
}

// Abandon closes a page whose response is not read to its end.
func (p *plugin) Abandon(number uint32) { p.closePage(number, false) }

// closePage closes a page, if it is open. reuse returns its memory to the pool.
func (p *plugin) closePage(number uint32, reuse bool) {
	if pg := p.pages.open[number]; pg != nil {
		delete(p.pages.open, number)
		p.pages.End(pg.Base(), reuse)
	}
}

// Decode decodes a chunk. Rows point into memory that the next call reuses.
func (p *plugin) Decode(number uint32, tag string, status uint16, chunk []byte, last bool) (wit.DecodeResult, error) {
	pg := p.pages.open[number]
	if pg == nil {
		return wit.DecodeResult{}, &wit.Error{Kind: wit.ErrorInternal,
			Message: "no page " + strconv.FormatUint(uint64(number), 10) + " is open"}
	}
	result, ended, err := pg.Decode(tag, status, chunk, last)
	pg.Base().Finalize(&result)
	if err != nil || ended {
		p.closePage(number, err == nil)
	}
	return result, err
}
