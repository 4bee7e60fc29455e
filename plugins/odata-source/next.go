package main

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// Next says which page comes next. A load that broke off goes on where it was; a complete one is repeated when its period is
// over, also when the period ended while the connector was down.
func (p *plugin) Next(context []byte, number uint32, offset []wit.Field, cause wit.Cause, now int64) (wit.Step, error) {
	_, f, err := p.contexts.feed(context, number)
	if err != nil {
		return wit.Step{}, err
	}
	at, err := readPlace(offset)
	if err != nil {
		return wit.Step{}, err
	}
	if at != nil && at.done {
		due := cause.Poll != nil || cause.Wake != nil || cause.Start != nil && now-int64(at.at) >= int64(f.period)*1000
		switch {
		case f.period < 0:
			return wit.Step{Finished: wit.Chosen}, nil
		case !due:
			return wit.Step{Idle: wit.Chosen}, nil
		}
		at = nil
	}
	if at == nil {
		at = f.first(false, false)
		at.began = int(now)
	}
	if at.keyed() {
		// A page of ours, perhaps of a time before the settings wanted a query.
		at.url = f.query.On(at.url)
	}
	position := at.fields()
	return wit.Step{Fetch: &wit.Fetch{Request: f.request("", f.target(at)), Position: &position, RepeatsExactly: f.ordered && !at.unordered}}, nil
}

// first is the place of a load's first page.
func (f *feed) first(unordered, uncounted bool) *place {
	at := &place{count: -1, unordered: unordered, uncounted: uncounted}
	at.url = f.url(at, "", 0)
	return at
}

// target is what is asked for at a place: its page, or the question that goes before it.
func (f *feed) target(at *place) string {
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
	case checkWithout:
		return f.first(true, at.uncounted).url
	}
	return at.url
}

// url is path and query of a page of ours: the first one, the one behind a key, or the one behind so many rows.
func (f *feed) url(at *place, filter string, skip int) string { return f.sorted(at, filter, "", skip) }

// sorted is url in the order of the keys, or with " desc" in the reverse one.
func (f *feed) sorted(at *place, filter, direction string, skip int) string {
	var options []string
	if filter != "" {
		options = append(options, "$filter="+string(uri.AppendEscaped(nil, filter)))
	}
	if f.ordered && !at.unordered {
		by := strings.Join(f.structure().Key, direction+",") + direction
		options = append(options, "$orderby="+strings.ReplaceAll(by, " ", "%20"))
	}
	if skip > 0 {
		options = append(options, "$skip="+strconv.Itoa(skip))
	}
	if f.count && f.countable && !at.uncounted {
		options = append(options, "$inlinecount=allpages")
	}
	if !f.atom {
		options = append(options, "$format=json")
	}
	url := f.service + "/" + f.address
	if len(options) > 0 {
		url += "?" + strings.Join(options, "&")
	}
	return f.query.On(url)
}

// request asks for a page, or for more of a feed inside one.
func (f *feed) request(tag, target string) wit.Request {
	accept := "application/json"
	if f.atom {
		accept = "application/atom+xml"
	}
	return wit.Request{Tag: tag, Method: "GET", Target: target, Repeatable: true, Headers: []wit.Header{
		{Name: "Accept", Value: accept},
		{Name: "MaxDataServiceVersion", Value: "2.0"},
		{Name: "Prefer", Value: "odata.maxpagesize=" + strconv.Itoa(f.pageSize)},
	}}
}

// CheckOffset tells whether an offset, stored by another version or set by an operator, can be gone on from.
func (p *plugin) CheckOffset(partition []wit.Field, offset []wit.Field) error {
	for _, name := range []string{"service", "entityset"} {
		v, ok := wit.Lookup(partition, name)
		if !ok || v.Text == nil {
			return &wit.Fault{Kind: wit.FaultIncompatible, Message: "partition: expected the texts service and entityset, found no " + name}
		}
	}
	_, err := readPlace(offset)
	return err
}
