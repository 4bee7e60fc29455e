package main

import (
	"github.com/culvert-project/culvert/wit"
)

// place is where a full load stands: the page to ask for next, and what is known of the load so far. Its fields are the plugin's
// part of a stored offset.
type place struct {
	// url is the page's path and query, as it is or was asked for.
	url string
	// seen is the number of rows in the pages before, count the number that the service says there are; -1: it didn't say.
	seen, count int
	// base is the number of rows before the filter by key that url holds, 0: it holds none.
	base int
	// unordered, uncounted: the service refused $orderby, $inlinecount. links: it refused to be asked by key.
	unordered, uncounted, links bool
	// sorted: the first page's rows came in the order of their keys.
	sorted bool
	// key is the last key before the page that url asks for by key, as a key predicate.
	key string
	// link is the next link in whose place the page is asked for by key, to be followed if the service refuses that.
	link string
	// done: the load is complete; at is when its last page came, in milliseconds since 1970.
	done bool
	at   int64
}

// Names of the fields.
const (
	fieldURL       = "url"
	fieldSeen      = "seen"
	fieldCount     = "count"
	fieldBase      = "base"
	fieldUnordered = "unordered"
	fieldUncounted = "uncounted"
	fieldLinks     = "links"
	fieldLink      = "next"
	fieldSorted    = "sorted"
	fieldKey       = "key"
	fieldDone      = "done"
	fieldAt        = "at"
)

// fields writes a place as fields of an offset; what is not the case is left out.
func (p *place) fields() []wit.Field {
	f := []wit.Field{wit.TextField(fieldURL, p.url), wit.IntegerField(fieldSeen, int64(p.seen))}
	if p.count >= 0 {
		f = append(f, wit.IntegerField(fieldCount, int64(p.count)))
	}
	if p.base > 0 {
		f = append(f, wit.IntegerField(fieldBase, int64(p.base)))
	}
	for _, flag := range []struct {
		name string
		on   bool
	}{{fieldUnordered, p.unordered}, {fieldUncounted, p.uncounted}, {fieldLinks, p.links}, {fieldSorted, p.sorted}, {fieldDone, p.done}} {
		if flag.on {
			f = append(f, wit.BooleanField(flag.name, true))
		}
	}
	if p.key != "" {
		f = append(f, wit.TextField(fieldKey, p.key))
	}
	if p.link != "" {
		f = append(f, wit.TextField(fieldLink, p.link))
	}
	if p.done {
		f = append(f, wit.IntegerField(fieldAt, p.at))
	}
	return f
}

// readPlace reads a stored offset; nil if it is empty. Fields that aren't the plugin's are the host's.
func readPlace(offset []wit.Field) (*place, error) {
	if len(offset) == 0 {
		return nil, nil
	}
	p := &place{count: -1}
	for _, f := range offset {
		ok := true
		switch f.Name {
		case fieldURL:
			ok = text(f.Value, &p.url)
		case fieldLink:
			ok = text(f.Value, &p.link)
		case fieldKey:
			ok = text(f.Value, &p.key)
		case fieldSorted:
			ok = flag(f.Value, &p.sorted)
		case fieldSeen:
			ok = number(f.Value, &p.seen)
		case fieldCount:
			ok = number(f.Value, &p.count)
		case fieldBase:
			ok = number(f.Value, &p.base)
		case fieldAt:
			at := 0
			ok = number(f.Value, &at)
			p.at = int64(at)
		case fieldUnordered:
			ok = flag(f.Value, &p.unordered)
		case fieldUncounted:
			ok = flag(f.Value, &p.uncounted)
		case fieldLinks:
			ok = flag(f.Value, &p.links)
		case fieldDone:
			ok = flag(f.Value, &p.done)
		}
		if !ok {
			return nil, &wit.Fault{Kind: wit.FaultIncompatible, Message: "offset: field " + f.Name + " isn't of the form that this connector writes"}
		}
	}
	if len(p.url) == 0 || p.url[0] != '/' {
		return nil, &wit.Fault{Kind: wit.FaultIncompatible, Message: "offset: expected field " + fieldURL + " with a path, found \"" + p.url + "\""}
	}
	return p, nil
}

func text(v wit.Scalar, into *string) bool {
	if v.Text == nil {
		return false
	}
	*into = string([]byte(*v.Text))
	return true
}

func number(v wit.Scalar, into *int) bool {
	if v.Integer == nil || *v.Integer < 0 {
		return false
	}
	*into = int(*v.Integer)
	return true
}

func flag(v wit.Scalar, into *bool) bool {
	if v.Boolean == nil {
		return false
	}
	*into = *v.Boolean
	return true
}
