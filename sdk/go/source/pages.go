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

// PagePlugin is the easy way to write a source, for services whose answers fit into memory: a page is one request and
// the records of its answer, which are Go values. A [Plugin] sees the answer piece by piece, may fetch what a page
// nests, and decides itself how it is spread over tasks.
type PagePlugin interface {
	sdk.Plugin
	// Feeds are what a connector with these settings reads. It is called for each instance and must give the same
	// answer for the same settings.
	Feeds(component string, settings []wit.Setting) ([]Feed, error)
}

// Feed is one stream of pages into one topic.
type Feed struct {
	// Name is short, stable and unique in the connector: offsets are stored under it.
	Name  string
	Topic string
	// Identity is what the offsets belong to besides the service's address and the user: path, filter and what else
	// decides which rows come. Offsets of another identity are not used: the task fails and says so.
	Identity string
	// PollEvery is how long to wait before the feed is asked again when nothing more is there; 0: it is read once.
	PollEvery time.Duration
	// Request makes the request for the page at an offset, which is empty for the first page. The host adds address and
	// credentials.
	Request func(at Offset) (wit.Request, error)
	// Read makes records of an answer with status 2xx. Of the others 304 means nothing new, and all from 400 on fail
	// the page.
	Read func(at Offset, answer wit.Response) (Page, error)
}

// Offset says where a feed goes on: texts, int64, float64, booleans and nil by name. Names beginning with "sdk." are
// taken.
type Offset map[string]any

// String is a field that is a text, "" where there is none.
func (o Offset) String(name string) string {
	text, _ := o[name].(string)
	return text
}

// Page is what an answer holds. Its records and Next are stored together: after a crash the page is asked for again
// unless all of it had arrived.
type Page struct {
	Records []Record
	// Next is where to go on; nil: where this page was, at the next poll.
	Next Offset
	// More: another page is there now.
	More bool
}

// Record is a record of Kafka. Key and Value are structs, pointers, slices, maps with text keys, time.Time, numbers,
// texts, booleans or []byte, from which the schema is made: a field is named as its json tag says, else as in Go, and a
// pointer is optional. A [connectdata.Map] or [connectdata.List] has no schema. nil is absent.
type Record struct{ Key, Value any }

// MaxPageBytes is the size in bytes of the longest answer that a PagePlugin takes.
const MaxPageBytes = 32 << 20

// RegisterPages makes p the module's source. Call it from init.
func RegisterPages(p PagePlugin) { Register(Pages(p)) }

// Pages makes a [Plugin] of a [PagePlugin].
func Pages(p PagePlugin) Plugin {
	return &pages{PagePlugin: p, feeds: map[string][]Feed{}, open: map[uint32]*openPage{}}
}

// Names of offset fields of our own.
const (
	// fieldStart stands for the empty offset: Kafka Connect takes an empty one for none.
	fieldStart = "sdk.start"
	// fieldFinished says that a feed that is read once was read.
	fieldFinished = "sdk.finished"
)

type pages struct {
	PagePlugin
	// feeds are those of a context, made once for each instance.
	feeds   map[string][]Feed
	open    map[uint32]*openPage
	last    uint32
	schemas schemas
}

// openPage is a page whose body has not ended.
type openPage struct {
	feed     *Feed
	at       Offset
	response wit.Response
}

// Plan reads all feeds in one task.
func (p *pages) Plan(component string, settings []wit.Setting, _ uint32) (wit.PlanResult, error) {
	if _, err := p.PagePlugin.Feeds(component, settings); err != nil {
		return wit.PlanResult{}, err
	}
	return wit.PlanResult{Tasks: [][]wit.Setting{settings},
		ExactlyOnce: wit.Support{Unsupported: wit.Ptr("its pages are not known to repeat exactly")}}, nil
}

// Open keeps component and settings as the context.
func (p *pages) Open(component string, settings []wit.Setting, _ []byte, _ []wit.Response) (wit.SourceOpenResult,
	error) {
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
			feed.PollEveryMs = wit.Ptr(uint32(min(f.PollEvery.Milliseconds(), 1<<31)))
		}
		opened.Feeds = append(opened.Feeds, feed)
	}
	return wit.SourceOpenResult{Ready: opened}, nil
}

// feedsOf are the feeds of a context.
func (p *pages) feedsOf(context []byte) ([]Feed, error) {
	if feeds, ok := p.feeds[string(context)]; ok {
		return feeds, nil
	}
	tree, _, err := connectdata.ReadSchemaless(context)
	if err != nil {
		return nil, err
	}
	list, settings := tree.(connectdata.List), []wit.Setting(nil)
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

// Next asks for the page at the offset.
func (p *pages) Next(context []byte, number uint32, offset []wit.OffsetEntry, reason wit.PollReason,
	_ int64) (wit.NextAction, error) {
	f, err := p.feed(context, number)
	if err != nil {
		return wit.NextAction{}, err
	}
	if _, done := wit.Lookup(offset, fieldFinished); done && f.PollEvery == 0 {
		return wit.NextAction{Finished: wit.Set}, nil
	}
	if reason.Trigger != nil {
		return wit.NextAction{Idle: wit.Set}, nil
	}
	at := offsetOf(offset)
	request, err := f.Request(maps.Clone(at))
	if err != nil {
		return wit.NextAction{}, err
	}
	request.Method = cmp.Or(request.Method, "GET")
	request.Repeatable = request.Repeatable || request.Method == "GET"
	position, err := at.entries()
	return wit.NextAction{Fetch: &wit.Fetch{Request: request, Position: &position}}, err
}

// Begin refuses answers of failure.
func (p *pages) Begin(context []byte, number uint32, position *[]wit.OffsetEntry, response wit.Response) (uint32,
	error) {
	f, err := p.feed(context, number)
	if err != nil {
		return 0, err
	}
	page := &openPage{feed: f, at: Offset{}, response: response}
	if position != nil {
		page.at = offsetOf(*position)
	}
	p.last++
	p.open[p.last] = page
	return p.last, nil
}

// Decode gathers the body, and makes rows of it at its end.
func (p *pages) Decode(number uint32, _ string, _ uint16, piece []byte, last bool) (wit.DecodeResult, error) {
	page := p.open[number]
	if page == nil {
		return wit.DecodeResult{}, sdk.NewError(wit.ErrorInternal, "no page "+strconv.Itoa(int(number)))
	}
	if len(page.response.Body)+len(piece) > MaxPageBytes {
		delete(p.open, number)
		return wit.DecodeResult{}, sdk.NewError(wit.ErrorData, "the page has more than "+strconv.Itoa(MaxPageBytes)+
			" bytes: ask for smaller pages")
	}
	page.response.Body = append(page.response.Body, piece...)
	if !last {
		return wit.DecodeResult{}, nil
	}
	delete(p.open, number)
	if status := page.response.Status; status == 304 {
		return p.finish(page, Page{})
	} else if status < 200 || status > 299 {
		return wit.DecodeResult{}, statusError(page.response)
	}
	read, err := page.feed.Read(page.at, page.response)
	if err != nil {
		return wit.DecodeResult{}, dataError(err)
	}
	return p.finish(page, read)
}

// finish is what a page comes to.
func (p *pages) finish(page *openPage, read Page) (out wit.DecodeResult, err error) {
	for i, r := range read.Records {
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
	next := read.Next
	if next == nil {
		next = page.at
	}
	if page.feed.PollEvery == 0 && !read.More {
		next = maps.Clone(next)
		next[fieldFinished] = true
	}
	fields, err := next.entries()
	out.Next, out.More = &fields, read.More
	return out, err
}

// statusError is the fault of an answer that is none.
func statusError(answer wit.Response) error {
	return sdk.NewError(wit.ErrorKindOf(answer.Status), "answered "+strconv.Itoa(int(answer.Status))+": "+
		strconv.Quote(string(answer.Body[:min(300, len(answer.Body))])))
}

// dataError makes a fault of an error that is none.
func dataError(err error) error {
	if f, ok := err.(*wit.Error); ok {
		return f
	}
	return sdk.NewError(wit.ErrorData, err.Error())
}

// Abandon forgets a page.
func (p *pages) Abandon(number uint32) { delete(p.open, number) }

// CheckOffset takes every offset: what is in it is the feed's.
func (p *pages) CheckOffset([]wit.OffsetEntry, []wit.OffsetEntry) error { return nil }

func offsetOf(fields []wit.OffsetEntry) Offset {
	o := Offset{}
	for _, f := range fields {
		if f.Name == fieldStart || f.Name == fieldFinished {
			continue
		}
		switch v := f.Value; {
		case v.String != nil:
			o[f.Name] = *v.String
		case v.Integer != nil:
			o[f.Name] = *v.Integer
		case v.Real != nil:
			o[f.Name] = *v.Real
		case v.Boolean != nil:
			o[f.Name] = *v.Boolean
		default:
			o[f.Name] = nil
		}
	}
	return o
}

// entries are the offset's, by name.
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
				"offset "+name+": expected a text, int64, float64, boolean or nil")
		}
	}
	if len(fields) == 0 {
		fields = append(fields, wit.BooleanEntry(fieldStart, true))
	}
	return fields, nil
}
