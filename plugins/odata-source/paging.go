package main

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// fewerOptions is the first page asked for with fewer options, nil if there is nothing left to leave out. The one that the error
// names goes first, else $orderby, then $inlinecount in its place, then both.
func (f *feed) fewerOptions(at *place, body []byte) *place {
	orders, counts := f.ordered && !at.unordered, f.count && f.countable && !at.uncounted
	namesCount := bytes.Contains(bytes.ToLower(body), []byte("inlinecount"))
	switch {
	case orders && counts && namesCount:
		return f.first(false, true)
	case orders && counts:
		return f.first(true, false)
	case counts && f.ordered && !namesCount:
		// Without $orderby it wasn't accepted either.
		return f.first(false, true)
	case counts, orders:
		return f.first(true, true)
	}
	return nil
}

// preferKey replaces a next link by a filter on the last key where the link counts rows: rows deleted or inserted before it would
// shift what it leads to, and hide others (P3).
func (pg *page) preferKey(next *place, link string) {
	f := pg.feed
	if f.paging == "links" || next.links || f.paging == "auto" && !positional(link, next.seen-next.base) {
		return
	}
	if pg.byKey(next) {
		next.link = link
	}
}

// positional tells whether a link says how many rows to skip: $skip, or a $skiptoken that is the number of rows read so far.
// Assumption: a token that happens to be both that number and a key does no harm, since going by key reads the same rows.
func positional(link string, seen int) bool {
	_, query, _ := strings.Cut(link, "?")
	for _, option := range strings.Split(query, "&") {
		name, text, _ := strings.Cut(option, "=")
		text = strings.Trim(uri.Unescape(text), "'")
		switch uri.Unescape(name) {
		case "$skip":
			return true
		case "$skiptoken":
			return text == strconv.Itoa(seen) || text == strconv.Itoa(seen+1)
		}
	}
	return false
}

// missing goes on behind a page without next link where the service has more rows than came: by key, else by number (P4).
func (pg *page) missing(next *place) (*place, error) {
	if pg.out.Page.Rows == 0 {
		return nil, pg.short(next, "and "+pg.at.url+" brings none")
	}
	if pg.feed.paging == "links" || !pg.byKey(next) {
		if next.url, next.base = pg.feed.url(next, "", next.seen), 0; !pg.feed.pageable {
			return nil, pg.short(next, "and its metadata say that it can't be paged")
		}
	}
	sdk.Log(wit.LevelInfo, pg.what()+": "+strconv.Itoa(next.seen)+" of "+strconv.Itoa(next.count)+" rows came without a next link; going on with "+next.url)
	return next, nil
}

func (pg *page) short(next *place, why string) error {
	return &wit.Fault{Kind: wit.FaultData, Message: pg.what() + ": the service says that it has " + strconv.Itoa(next.count) + " rows, " +
		strconv.Itoa(next.seen) + " came, " + why}
}

// byKey makes next the page behind the last row, where the rows come in the order of their keys; false where it can't be: a last
// row that is a fault, a service that doesn't heed $orderby.
func (pg *page) byKey(next *place) bool {
	rows := pg.out.Page.Rows
	if !next.sorted || next.links || rows == 0 || pg.lastAt != rows-1 {
		return false
	}
	texts := pg.feed.keyTexts(pg.last)
	if texts == nil {
		return false
	}
	url := pg.feed.url(next, behind(pg.feed.keyLiterals(texts)), 0)
	if url == pg.at.url {
		return false
	}
	next.url, next.base, next.key = url, next.seen, pg.feed.packKey(texts)
	return true
}
