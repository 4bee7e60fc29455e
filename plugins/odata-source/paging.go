package main

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
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
	if url := pg.keyURL(next); url != "" && url != pg.at.url {
		next.url, next.link, next.base = url, link, next.seen
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
	byKey := pg.feed.paging != "links" && !next.links
	if url := pg.keyURL(next); byKey && url != "" && url != pg.at.url {
		next.url, next.base = url, next.seen
	} else if next.url, next.base = pg.feed.url(next, "", next.seen), 0; !pg.feed.pageable {
		return nil, pg.short(next, "and its metadata say that it can't be paged")
	}
	sdk.Log(wit.LevelInfo, pg.what()+": "+strconv.Itoa(next.seen)+" of "+strconv.Itoa(next.count)+" rows came without a next link; going on with "+next.url)
	return next, nil
}

func (pg *page) short(next *place, why string) error {
	return &wit.Fault{Kind: wit.FaultData, Message: pg.what() + ": the service says that it has " + strconv.Itoa(next.count) + " rows, " +
		strconv.Itoa(next.seen) + " came, " + why}
}

// keyURL is the page behind the last row, "" where that can't be asked for: keys that can't be sorted or compared exactly, a last
// row that is a fault.
func (pg *page) keyURL(next *place) string {
	f := pg.feed
	rows := pg.out.Page.Rows
	if !f.ordered || next.unordered || rows == 0 || pg.lastAt != rows-1 || len(pg.last) == 0 || len(f.layout.Keys) != len(f.structure().Key) {
		return ""
	}
	var names []string
	var literals []string
	rest := pg.last
	for i, column := range f.layout.Keys {
		p := f.structure().Property(f.layout.Columns[column].Name)
		if f.layout.Columns[column].As != decode.AsUsual && f.layout.Columns[column].As != decode.AsInt64 || !comparable(p) {
			return ""
		}
		node := f.key.Nodes[0].Members[i].Node
		text, size, err := value.Text(p.Type.Primitive, f.key.Nodes, node, rest)
		if err != nil {
			return ""
		}
		rest = rest[size:]
		names = append(names, p.Name)
		literals = append(literals, string(uri.AppendLiteral(nil, uri.Literal{Type: p.Type.Primitive, Text: text})))
	}
	return f.url(next, behind(names, literals), 0)
}

// comparable tells whether a service compares values of a property exactly as they are written.
func comparable(p *edm.Property) bool {
	if !p.Filterable {
		return false
	}
	switch p.Type.Primitive {
	case edm.Binary, edm.Single, edm.Double, edm.NotPrimitive:
		return false
	}
	return true
}

// behind is the filter for the rows behind a key in the order of its parts: A gt 1 or A eq 1 and B gt 2.
func behind(names, literals []string) string {
	var out strings.Builder
	for i := range names {
		if i > 0 {
			out.WriteString(" or ")
		}
		if len(names) > 1 {
			out.WriteByte('(')
		}
		for j := 0; j < i; j++ {
			out.WriteString(names[j] + " eq " + literals[j] + " and ")
		}
		out.WriteString(names[i] + " gt " + literals[i])
		if len(names) > 1 {
			out.WriteByte(')')
		}
	}
	return out.String()
}
