package source

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// PagePlugin is a simpler form of a source, for services whose responses fit into memory: a page is one request, and
// its records are Go values. A [Plugin] decodes a response piece by piece, may follow links inside a page, and
// distributes its feeds over tasks.
type PagePlugin interface {
	sdk.Plugin
	// Feeds returns what a connector reads. The result must be the same for the same settings.
	Feeds(component string, settings []wit.Setting) ([]Feed, error)
}

// Feed is a sequence of pages that are written to one topic.
type Feed struct {
	// Name is short, stable and unique in the connector. Offsets are stored under this name.
	Name  string
	Topic string // the topic of the feed's records
	// Identity contains everything that decides which rows the feed reads, except the address of the service and the
	// user: path, filter and the like. If it changes, stored offsets are not used and the task fails.
	Identity string
	// PollEvery is the pause between two polls if no more pages are available. Zero means that the feed is read once.
	PollEvery time.Duration
	// Request returns the request for the page at an offset. The offset of the first page is empty. The host adds the
	// address and the credentials. An empty method means GET.
	Request func(at Offset) (wit.Request, error)
	// Read returns the records of a response with a status from 200 to 299. It is not called for 304, which means that
	// nothing has changed, nor for other statuses, which fail the page.
	Read func(at Offset, response wit.Response) (Page, error)
}

// Offset is the position of a feed: strings, int64, float64, booleans or nil. Names like "sdk.x" are reserved.
type Offset map[string]any

// String returns the string with that name, or "" if there is none.
func (o Offset) String(name string) string {
	s, _ := o[name].(string)
	return s
}

// Page is the result of [Feed.Read]. The host stores its records and Next together: after a crash it requests the page
// again unless all records were stored.
type Page struct {
	Records []Record // written to the feed's topic
	// Next is the position of the next page. Nil means that this page is requested again at the next poll.
	Next Offset
	More bool // whether the next page is available now, without waiting for a poll
}

// Record is a Kafka record. Key and Value are structs, pointers, slices, maps with string keys, time.Time, signed
// integers, floats, strings, booleans or []byte. Their schema follows from the Go type: a field is named by its json
// tag, else as in Go, and pointers are optional. [connectdata.Map] and [connectdata.List] are schemaless. Nil means
// absent.
type Record struct{ Key, Value any }

// MaxPageBytes is the maximum size of a response that a [PagePlugin] accepts.
const MaxPageBytes = 32 << 20

// RegisterPages makes p the source of the module. Call it from an init function.
func RegisterPages(p PagePlugin) { Register(Pages(p)) }

// Pages returns a [Plugin] that runs a [PagePlugin].
func Pages(p PagePlugin) Plugin {
	return &pages{PagePlugin: p, feeds: map[string][]Feed{}, open: map[uint32]*openPage{}}
}

// Names of offset fields that the SDK adds.
const (
	// fieldStart replaces the empty offset, which Kafka Connect does not store.
	fieldStart = "sdk.start"
	// fieldFinished marks a feed without polling that was read.
	fieldFinished = "sdk.finished"
)

// pages is the [Plugin] of a [PagePlugin].
type pages struct {
	PagePlugin
	// feeds caches the feeds by context.
	feeds   map[string][]Feed
	open    map[uint32]*openPage // the open pages by their numbers
	last    uint32               // the number of the page that was opened last
	schemas schemas
}

// openPage is a page whose body is not complete.
type openPage struct {
	feed     *Feed
	offset   Offset
	response wit.Response
}

// Plan assigns all feeds to one task.
func (p *pages) Plan(component string, settings []wit.Setting, _ uint32) (wit.PlanResult, error) {
	if _, err := p.PagePlugin.Feeds(component, settings); err != nil {
		return wit.PlanResult{}, err
	}
	return wit.PlanResult{Tasks: [][]wit.Setting{settings},
		ExactlyOnce: wit.Support{Unsupported: wit.Ptr("its pages are not known to repeat exactly")}}, nil
}

// Open encodes component and settings as the context.
func (p *pages) Open(component string, settings []wit.Setting, _ []byte,
	_ []wit.Response) (wit.SourceOpenResult, error) {
	list := connectdata.List{component}
	for _, s := range settings {
		list = append(list, s.Name, s.Value)
	}
	context, err := connectdata.AppendSchemaless(nil, list)
	if err != nil {
		return wit.SourceOpenResult{}, err
	}
	feeds, err := p.feedsOf(context)
	if err != nil {
		return wit.SourceOpenResult{}, err
	}
	opened := &wit.SourceOpened{Context: context}
	for _, f := range feeds {
		feed := wit.Feed{Name: f.Name, Topic: f.Topic, Partition: []wit.OffsetEntry{wit.StringEntry("feed", f.Name)},
			Fingerprint: f.Identity}
		if f.PollEvery > 0 {
			feed.PollEveryMs = wit.Ptr(uint32(min(f.PollEvery.Milliseconds(), 1<<31))) // 25 days
		}
		opened.Feeds = append(opened.Feeds, feed)
	}
	return wit.SourceOpenResult{Ready: opened}, nil
}

// feedsOf returns the feeds of a context, which Open has written: the component, then names and values of settings.
func (p *pages) feedsOf(context []byte) ([]Feed, error) {
	if feeds, ok := p.feeds[string(context)]; ok {
		return feeds, nil
	}
	tree, _, err := connectdata.ReadSchemaless(context)
	if err != nil {
		return nil, err
	}
	list := tree.(connectdata.List)
	settings := []wit.Setting(nil)
	for i := 1; i+1 < len(list); i += 2 {
		settings = append(settings, wit.Setting{Name: list[i].(string), Value: list[i+1].(string)})
	}
	feeds, err := p.PagePlugin.Feeds(list[0].(string), settings)
	if err == nil {
		p.feeds[string(context)] = feeds
	}
	return feeds, err
}

func (p *pages) feed(context []byte, number uint32) (*Feed, error) {
	feeds, err := p.feedsOf(context)
	if err == nil && int(number) >= len(feeds) {
		err = sdk.NewError(wit.ErrorInternal, "no feed "+strconv.Itoa(int(number)))
	}
	if err != nil {
		return nil, err
	}
	return &feeds[number], nil
}

func (p *pages) Next(context []byte, number uint32, offset []wit.OffsetEntry, reason wit.PollReason,
	_ int64) (wit.NextAction, error) {
	f, err := p.feed(context, number)
	if err != nil {
		return wit.NextAction{}, err
	}
	if _, done := wit.Lookup(offset, fieldFinished); done && f.PollEvery == 0 {
		return wit.NextAction{Finished: wit.Set}, nil
	}
	if reason.Trigger != nil { // such feeds have no notifications
		return wit.NextAction{Idle: wit.Set}, nil
	}
	pageOffset := offsetOf(offset)
	request, err := f.Request(maps.Clone(pageOffset))
	if err != nil {
		return wit.NextAction{}, err
	}
	request.Method = cmp.Or(request.Method, "GET")
	request.Repeatable = request.Repeatable || request.Method == "GET"
	position, err := pageOffset.entries()
	return wit.NextAction{Fetch: &wit.Fetch{Request: request, Position: &position}}, err
}

func (p *pages) Begin(context []byte, number uint32, position *[]wit.OffsetEntry,
	response wit.Response) (uint32, error) {
	f, err := p.feed(context, number)
	if err != nil {
		return 0, err
	}
	page := &openPage{feed: f, offset: Offset{}, response: response}
	if position != nil {
		page.offset = offsetOf(*position)
	}
	p.last++
	p.open[p.last] = page
	return p.last, nil
}

// Decode collects the body and decodes it once it is complete.
func (p *pages) Decode(number uint32, _ string, _ uint16, piece []byte, last bool) (wit.DecodeResult, error) {
	page := p.open[number]
	if page == nil {
		return wit.DecodeResult{}, sdk.NewError(wit.ErrorInternal, "no page "+strconv.Itoa(int(number)))
	}
	if len(page.response.Body)+len(piece) > MaxPageBytes {
		delete(p.open, number)
		return wit.DecodeResult{}, sdk.NewError(wit.ErrorData, "the page has more than "+strconv.Itoa(MaxPageBytes)+
			" bytes: request smaller pages")
	}
	page.response.Body = append(page.response.Body, piece...)
	if !last {
		return wit.DecodeResult{}, nil
	}
	delete(p.open, number)
	if status := page.response.Status; status == 304 {
		return p.finish(page, Page{})
	} else if status < 200 || status > 299 {
		return wit.DecodeResult{}, sdk.NewError(wit.ErrorKindOf(page.response.Status),
			"the service responded with status "+strconv.Itoa(int(page.response.Status))+": "+
				strconv.Quote(string(page.response.Body[:min(300, len(page.response.Body))])))
	}
	result, err := page.feed.Read(page.offset, page.response)
	if err != nil {
		return wit.DecodeResult{}, dataError(err)
	}
	return p.finish(page, result)
}

func (p *pages) finish(page *openPage, result Page) (out wit.DecodeResult, err error) {
	for i, r := range result.Records {
		row := wit.Row{RowIndex: uint32(i), Partition: -1, Offset: -1, Timestamp: -1}
		if row.Key, out.Data, err = p.schemas.append(&out, r.Key); err == nil {
			row.Value, out.Data, err = p.schemas.append(&out, r.Value)
		}
		if err != nil {
			p.schemas.forget(out.Schemas)
			return wit.DecodeResult{}, sdk.NewError(wit.ErrorData, "record "+strconv.Itoa(i)+": "+err.Error())
		}
		out.Rows = append(out.Rows, row)
	}
	next := result.Next
	if next == nil {
		next = page.offset // the page is requested again
	}
	if page.feed.PollEvery == 0 && !result.More {
		next = maps.Clone(next)
		next[fieldFinished] = true
	}
	fields, err := next.entries()
	out.Next = &fields
	out.More = result.More
	return out, err
}

// dataError returns err as an error of the contract, of kind data unless it has a kind.
func dataError(err error) error {
	if f, ok := err.(*wit.Error); ok {
		return f
	}
	return sdk.NewError(wit.ErrorData, err.Error())
}

func (p *pages) Abandon(number uint32) { delete(p.open, number) }

// CheckOffset accepts every offset: only the feed knows its content.
func (p *pages) CheckOffset([]wit.OffsetEntry, []wit.OffsetEntry) error { return nil }

func offsetOf(fields []wit.OffsetEntry) Offset {
	offset := Offset{}
	for _, entry := range fields {
		if entry.Name == fieldStart || entry.Name == fieldFinished {
			continue
		}
		switch v := entry.Value; {
		case v.String != nil:
			offset[entry.Name] = *v.String
		case v.Integer != nil:
			offset[entry.Name] = *v.Integer
		case v.Real != nil:
			offset[entry.Name] = *v.Real
		case v.Boolean != nil:
			offset[entry.Name] = *v.Boolean
		default:
			offset[entry.Name] = nil
		}
	}
	return offset
}

// entries returns the offset as the contract's entries, sorted by name.
func (o Offset) entries() ([]wit.OffsetEntry, error) {
	fields := []wit.OffsetEntry{}
	for _, name := range slices.Sorted(maps.Keys(o)) {
		switch v := o[name].(type) {
		case nil:
			fields = append(fields, wit.NullEntry(name))
		case string:
			fields = append(fields, wit.StringEntry(name, v))
		case bool:
			fields = append(fields, wit.BooleanEntry(name, v))
		case int:
			fields = append(fields, wit.IntegerEntry(name, int64(v)))
		case int64:
			fields = append(fields, wit.IntegerEntry(name, v))
		case float64:
			fields = append(fields, wit.OffsetEntry{Name: name, Value: wit.Scalar{Real: &v}})
		default:
			return nil, sdk.NewError(wit.ErrorInternal,
				"offset "+name+": expected a string, int64, float64, boolean or nil")
		}
	}
	if len(fields) == 0 {
		fields = append(fields, wit.BooleanEntry(fieldStart, true))
	}
	return fields, nil
}
