package paging

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/uri"
)

// startOf is the position of the first page of the load that another position is of.
func (f *Set) startOf(load *Position, unordered, uncounted bool) *Position {
	at := &Position{cursor: load.cursor, count: -1, unordered: unordered, uncounted: uncounted, proven: load.proven,
		fell: load.fell}
	at.url = f.url(at, "", 0)
	return at
}

// PageURL is what is asked for at a position: its page, or the question that goes before it.
func (f *Set) PageURL(at *Position) string {
	key := f.unpackKey(at.key)
	switch at.check {
	case checkRows:
		filter := upTo(f.keyLiterals(key))
		if floor := f.unpackKey(at.floor); floor != nil {
			filter = "(" + behind(f.keyLiterals(floor)) + ") and (" + filter + ")"
		}
		return f.url(at, filter, 0)
	case checkOrder:
		return f.sorted(at, upTo(f.keyLiterals(key)), " desc", 0)
	case checkEnd:
		return f.url(at, "", 0)
	case checkCount:
		one := *f
		one.Top = 1
		return one.url(at, "", 0)
	case checkHigh:
		return f.highest(at)
	case checkWithout:
		return f.startOf(at, true, at.uncounted).url
	}
	return at.url
}

// Plain is path and query of the whole set, in no order, with a count or without one.
func (f *Set) Plain(counted bool) string {
	return f.url(&Position{unordered: true, uncounted: !counted}, "", 0)
}

// Only is path and query of the rows of the set that meet a condition, in no order and without a count.
func (f *Set) Only(condition string) string {
	return f.asked([]string{"$filter=" + f.filter(condition)})
}

// url is path and query of a page of ours: the first one, the one behind a key, or the one behind so many rows.
func (f *Set) url(at *Position, filter string, skip int) string {
	return f.sorted(at, filter, "", skip)
}

// sorted is url in the order of the keys, or with " desc" in the reverse one.
func (f *Set) sorted(at *Position, filter, direction string, skip int) string {
	var options []string
	if from := f.Cursor.above(at); from != "" && filter != "" {
		filter = from + " and (" + filter + ")"
	} else {
		filter += from
	}
	if filter = f.filter(filter); filter != "" {
		options = append(options, "$filter="+filter)
	}
	if f.Ordered && !at.unordered {
		by := strings.Join(f.Type.Key, direction+",") + direction
		options = append(options, "$orderby="+strings.ReplaceAll(by, " ", "%20"))
	}
	if f.Top > 0 {
		options = append(options, "$top="+strconv.Itoa(f.Top))
	}
	if skip > 0 {
		options = append(options, "$skip="+strconv.Itoa(skip))
	}
	if f.Count && f.Countable && !at.uncounted {
		options = append(options, f.CountOption)
	}
	return f.asked(options)
}

// highest asks for the row with the highest value of the cursor.
func (f *Set) highest(at *Position) string {
	options := []string{"$orderby=" + f.Cursor.Property.Name + "%20desc", "$top=1"}
	if filter := f.filter(f.Cursor.above(at)); filter != "" {
		options = append([]string{"$filter=" + filter}, options...)
	}
	return f.asked(options)
}

// asked is path and query with the options that all requests have behind others.
func (f *Set) asked(options []string) string {
	if f.FormatOption != "" {
		options = append(options, f.FormatOption)
	}
	options = append(options, f.Options...)
	url := f.Service + "/" + f.Address
	if len(options) > 0 {
		url += "?" + strings.Join(options, "&")
	}
	return f.Query.On(url)
}

// filter is the value of $filter for a condition of the connector's own, "" for none.
func (f *Set) filter(own string) string {
	if f.Filter != nil {
		return f.Filter(own)
	}
	return string(uri.AppendEscaped(nil, own))
}
