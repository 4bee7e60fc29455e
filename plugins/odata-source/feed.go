package main

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/service"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// Feed is an entity set to read.
type Feed struct {
	Entry
	name string
	// address is how the container names the set: bare, or with its container.
	address string
	// ordered: every key property can be sorted by. countable, pageable: as the metadata say.
	ordered, countable, pageable bool
	// announced: the metadata say that changes are tracked; odp is what an ODP service has beside the set, nil for
	// others.
	announced bool
	odp       *odp
	// model holds the set's type first, then the other types that its rows and the conditions on them need.
	model *edm.Model

	key, value wit.Schema
	layout     *decode.RowLayout
	// asked is which rows are read, and what of them; rows looks at them, nil where all are taken as they come.
	asked *query.Query
	rows  *query.Rows
	// mode is the column that says what happened to a row, deleted that for when it was deleted, counter ODP's; -1:
	// there is none.
	mode, deleted, counter int
	// watch is where what delta mode watches begins among the watched columns, -1: it watches none.
	watch int
	// pages is the set as it is read page by page.
	pages paging.Set
	// blocks are the headers of rows by what happened to their entity, nil where none are wanted; text is the schema of
	// those headers.
	blocks [][]byte
	text   wit.Schema
	// derived are properties of types that are derived from the set's, each with its type behind a blank.
	derived []string
	// guids are the members of the key that are GUIDs, where deletes can come.
	guids []int
	// absent are the properties that rows bring and metadata lack, see undeclared.go.
	absent map[string]absence
}

func (f *Feed) structure() *edm.Structure { return f.model.Structures[0] }

// compile makes schemas and layout of a feed's type.
func (f *Feed) compile() error {
	s := f.structure()
	fail := func(err error) error {
		return &wit.Fault{Kind: wit.FaultUnsupported, Message: "entity set " + f.set + " of " + f.service + ": " +
			err.Error()}
	}
	var err error
	if f.asked, err = query.Compile(f.reads, f.model, s); err != nil {
		return err
	}
	view := f.asked.View
	unreadable := func(err error) error {
		return fail(errors.New(err.Error() + "; " + f.setting(query.Select) + " with the properties that are wanted " +
			"reads the set without others"))
	}
	value, err := f.model.ViewSchema(view, f.options)
	if err != nil {
		return unreadable(err)
	}
	key, err := f.model.KeySchema(s, f.options)
	if err != nil {
		return fail(err)
	}
	own := key // what the service compares and sorts by
	if key, err = f.extended(key); err != nil {
		return err
	}
	for _, nodes := range [][]wit.Node{value, key} {
		if nodes == nil {
			continue
		}
		if _, err := datum.CheckSchema(nodes); err != nil {
			return fail(err)
		}
	}
	f.layout, err = decode.NewRowLayout(f.model, view, f.options)
	if err != nil {
		return unreadable(err)
	}
	if f.rows, err = f.asked.Rows(f.model, f.options); err != nil {
		return fail(err)
	}
	if f.rows != nil {
		f.layout.Watch = f.rows.Watch
	}
	f.makeHeaders()
	for _, field := range f.extra {
		f.layout.KeyTail = datum.AppendText(f.layout.KeyTail, field.Value)
	}
	f.advise(f.layout, view)
	f.watchModes()
	f.findGuids()
	f.layout.Addressed = f.options.Delta && f.odp == nil && f.watch < 0 && len(f.layout.Keys) > 0
	f.value = wit.Schema{ID: schemaID(), Nodes: value}
	f.layout.ValueSchema = f.value.ID
	if key != nil {
		f.key = wit.Schema{ID: schemaID(), Nodes: key}
		f.layout.KeySchema = f.key.ID
	}
	f.pages = paging.Set{Name: f.set, Number: f.number, Service: f.service, Address: f.address, Ordered: f.ordered,
		Countable: f.countable,
		Pageable:  f.pageable, Count: f.count, CountOption: "$inlinecount=allpages", Paging: f.paging, Period: f.period,
		Query: f.query,
		Type:  s, Layout: f.layout, Key: own}
	if f.paging == pagingTop {
		f.pages.Top = f.pageSize
	}
	f.pages.Repeated, f.pages.Tracked = f.cron != "", f.tracking.on
	if !f.reads.Empty() {
		f.pages.Filter, f.pages.Options = f.asked.Filter, f.asked.Options()
	}
	f.useFormat(false)
	if err := f.makeCursor(s); err != nil {
		return err
	}
	f.pages.Ready()
	return nil
}

// extended is the schema of keys with the further fields behind their own.
func (f *Feed) extended(key []wit.Node) ([]wit.Node, error) {
	if len(f.extra) == 0 {
		return key, nil
	}
	refuse := func(why string) error {
		return fault.Config(f.extraSource, setting.Invalid(f.extraSource, f.extraText, why))
	}
	if key == nil {
		return nil, refuse("entity set " + f.set + " of " + f.service + " has no key that they could join")
	}
	key = slices.Clone(key)
	key[0].Members = slices.Clone(key[0].Members)
	for _, field := range f.extra {
		if slices.ContainsFunc(key[0].Members, func(m wit.Member) bool { return m.Name == field.Name }) {
			return nil, refuse("expected other names than those of the key of entity set " + f.set + ", found " +
				field.Name)
		}
		key[0].Members = append(key[0].Members, wit.Member{Name: field.Name, Node: uint32(len(key))})
		key = append(key, wit.Node{Kind: wit.Text})
	}
	return key, nil
}

var lastSchema uint32 = wit.GuestSchemas

// schemaID gives the instance's next schema id.
func schemaID() uint32 {
	lastSchema++
	return lastSchema
}

// schemas are those that the feed's rows name.
func (f *Feed) schemas() []wit.Schema {
	list := []wit.Schema{f.value}
	if f.key.Nodes != nil {
		list = append(list, f.key)
	}
	if f.blocks != nil {
		list = append(list, f.text)
	}
	return list
}

// newFeed finds the set in the metadata.
func newFeed(e Entry, m *edm.Model) (*Feed, error) {
	set, s, err := findSet(&e, m)
	if err != nil {
		return nil, err
	}
	f := &Feed{Entry: e, address: service.Address(set), countable: set.Countable, pageable: set.Pageable}
	asked, err := query.Compile(e.reads, m, s)
	if err != nil {
		return nil, err
	}
	f.model = &edm.Model{Structures: asked.Structures()}
	f.derived = derivedProperties(m, s)
	if !set.Addressable || set.RequiresFilter && asked.Filter("") == "" {
		sdk.Log(wit.LevelWarn, "entity set "+e.set+" of "+e.service+": its metadata say that it can't be read "+
			"without a filter or not by itself; trying all the same")
	}
	f.ordered = len(s.Key) > 0
	for _, k := range s.Key {
		p := s.Property(k)
		f.ordered = f.ordered && p != nil && p.Sortable
	}
	f.announced = set.ChangeTracking
	if err := f.track(m, set); err != nil {
		return nil, err
	}
	if err := f.subscribable(m); err != nil {
		return nil, err
	}
	return f, f.compile()
}

// partition is the key of the feed's offsets.
func (f *Feed) partition() []wit.Field {
	p := []wit.Field{wit.TextField("service", f.service), wit.TextField("entityset", f.set)}
	if f.id != "" {
		p = append(p, wit.TextField("id", f.id))
	}
	return p
}

// fingerprint is what an offset belongs to (P7), readable so that the host can name what differs.
func fingerprint(o *Context, f *Feed, v setting.Values) string {
	format := "json"
	if f.atom {
		format = "atom"
	}
	mode, cursor := "full", ""
	if f.tracking.on {
		mode = "delta"
	}
	if f.cursor != "" {
		cursor = " cursor=" + f.cursor
	}
	extra := ""
	if len(f.extra) > 0 {
		extra = " key.extra=" + f.extraText
	}
	origin := o.origin.String()
	if o.origin.Host == "" {
		origin = "destination:" + v.Text(config.Destination)
	}
	return "origin=" + origin + " client=" + v.Text(config.Client) + " user=" + v.Text(config.User) +
		" set=" + f.service + "/" + f.address + " mode=" + mode + " format=" +
		format + f.asked.Fingerprint() + cursor + extra
}

// startsWith says what a start reads of a set that was read until some time.
func (f *Feed) startsWith(what, was string, until int64, next string) {
	sdk.Log(wit.LevelInfo, f.what()+": this start reads "+what+" into topic "+f.topic+": the set was "+was+
		time.UnixMilli(until).UTC().Format(time.RFC3339)+", "+next+"; to read it again reset the connector's offsets, "+
		"or ask for a snapshot")
}

// request asks for a page, or for more of a feed inside one. A link of the service's own gets the client, too.
func (f *Feed) request(tag, target string) wit.Request {
	accept := "application/json"
	if f.atom {
		accept = "application/atom+xml"
	}
	return wit.Request{Tag: tag, Method: "GET", Target: f.query.On(target), Repeatable: true, Headers: []wit.Header{
		{Name: "Accept", Value: accept},
		{Name: "MaxDataServiceVersion", Value: "2.0"},
		{Name: "Prefer", Value: "odata.maxpagesize=" + strconv.Itoa(f.pageSize)},
	}}
}

func (f *Feed) what() string { return f.pages.What() }
