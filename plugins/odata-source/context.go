package main

import (
	"errors"
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/zone"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// contextVersion stands first in a context: one of another version of this plugin is stale, not misread.
const contextVersion = "odata-source 12"

// decodedContext is what open worked out: what a context holds, and what an instance made of it.
type decodedContext struct {
	origin uri.Origin
	// at is when the metadata came, in milliseconds since 1970.
	at int64
	// refresh is after how many milliseconds they are read again, 0: never for their age alone.
	refresh int
	feeds   []feed
}

// feed is an entity set to read.
type feed struct {
	entry
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
	// alike are types of other sets whose rows could be taken for the set's.
	alike []string
	// derived are properties of types that are derived from the set's, each with its type behind a blank.
	derived []string
	// sets are those by which the feed's entities may be told.
	sets []string
	// guids are the members of the key that are GUIDs, where deletes can come.
	guids []int
	// absent are the properties that rows bring and metadata lack, see undeclared.go.
	absent map[string]absence
}

func (f *feed) structure() *edm.Structure { return f.model.Structures[0] }

// packContext writes a context.
func packContext(o *decodedContext) []byte {
	b := pack.Text(nil, contextVersion)
	b = pack.Text(pack.Text(b, o.origin.Scheme), o.origin.Host)
	b = pack.Texts(pack.Number(b, o.origin.Port), o.origin.Aliases)
	b = pack.Number(pack.Number(b, int(o.at)), o.refresh)
	b = pack.Number(b, len(o.feeds))
	for i := range o.feeds {
		f := &o.feeds[i]
		for _, s := range []string{f.number, f.service, f.set, f.topic, f.id, f.paging, f.cron, f.cursor,
			f.options.Zone.Name(),
			string(f.query), f.name, f.address} {
			b = pack.Text(b, s)
		}
		b = pack.Number(pack.Number(pack.Number(b, f.period), f.pageSize), f.lookback)
		b = pack.Number(pack.Number(b, f.toPartition), len(f.extra))
		for _, field := range f.extra {
			b = pack.Text(pack.Text(b, field.Name), field.Value)
		}
		for _, on := range []bool{f.count, f.atom, f.ordered, f.countable, f.pageable, f.options.PrimitiveDecimals,
			f.options.Lenient, f.options.Dates, f.options.Micros, f.headers} {
			b = pack.Flag(b, on)
		}
		b = pack.Number(pack.Number(b, f.options.ScaleFallback), int(f.options.Rounding))
		b = f.subscribing.pack(f.tracking.pack(b))
		b = f.odp.pack(pack.Flag(b, f.announced))
		b = pack.Texts(pack.Texts(pack.Texts(b, f.alike), f.sets), f.derived)
		b = edm.Pack(f.reads.Pack(b), f.model.Structures)
	}
	return b
}

// unpackContext reads a context and makes schemas and layouts anew.
func unpackContext(context []byte) (*decodedContext, error) {
	r := pack.Open(context)
	if r.Text() != contextVersion {
		return nil, &wit.Fault{Kind: wit.FaultStale, Message: "the context is of another version of this plugin"}
	}
	o := &decodedContext{origin: uri.Origin{Scheme: r.Text(), Host: r.Text(), Port: r.Number(), Aliases: r.Texts()},
		at: int64(r.Number()), refresh: r.Number()}
	for n := r.Count(); n > 0 && !r.Bad; n-- {
		f := feed{}
		for _, s := range []*string{&f.number, &f.service, &f.set, &f.topic, &f.id, &f.paging, &f.cron, &f.cursor,
			&f.zone,
			(*string)(&f.query), &f.name, &f.address} {
			*s = r.Text()
		}
		f.period, f.pageSize, f.lookback, f.toPartition = r.Number(), r.Number(), r.Number(), r.Number()
		for n := r.Count(); n > 0 && !r.Bad; n-- {
			f.extra = append(f.extra, wit.Setting{Name: r.Text(), Value: r.Text()})
		}
		for _, on := range []*bool{&f.count, &f.atom, &f.ordered, &f.countable, &f.pageable,
			&f.options.PrimitiveDecimals, &f.options.Lenient, &f.options.Dates,
			&f.options.Micros, &f.headers} {
			*on = r.Flag()
		}
		f.options.ScaleFallback, f.options.Rounding = r.Number(), edm.Rounding(r.Number())
		if f.zone != "" {
			f.options.Zone, _ = zone.Load(f.zone)
		}
		f.tracking.unpack(r)
		f.subscribing.unpack(r)
		f.options.Delta, f.announced = f.tracking.on || f.named(), r.Flag()
		f.odp = unpackODP(r)
		f.alike, f.sets, f.derived = r.Texts(), r.Texts(), r.Texts()
		f.reads = query.Unpack(r)
		f.reads.Zone = f.options.Zone
		f.model = edm.Unpack(r)
		if r.Bad || len(f.model.Structures) == 0 {
			break
		}
		o.feeds = append(o.feeds, f)
	}
	if !r.Done() {
		return nil, &wit.Fault{Kind: wit.FaultStale, Message: "the context can't be read"}
	}
	for i := range o.feeds {
		if err := o.feeds[i].compile(); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// compile makes schemas and layout of a feed's type.
func (f *feed) compile() error {
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
func (f *feed) extended(key []wit.Node) ([]wit.Node, error) {
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
func (f *feed) schemas() []wit.Schema {
	list := []wit.Schema{f.value}
	if f.key.Nodes != nil {
		list = append(list, f.key)
	}
	if f.blocks != nil {
		list = append(list, f.text)
	}
	return list
}

// cache keeps what the instance made of contexts, the one that was asked for last first: each task of the connector has
// one, a second while it is opened anew.
type cache struct{ entries []cached }

type cached struct {
	context string
	opened  *decodedContext
}

// maxCompiled is how many feeds the cached contexts have together, beyond the two that were asked for last: some 15 KB
// for each.
const maxCompiled = 256

func (c *cache) get(context []byte) (*decodedContext, error) {
	for i := range c.entries {
		if e := c.entries[i]; e.context == string(context) {
			if i > 0 {
				copy(c.entries[1:i+1], c.entries[:i])
				c.entries[0] = e
			}
			return e.opened, nil
		}
	}
	o, err := unpackContext(context)
	if err != nil {
		return nil, err
	}
	c.entries = slices.Insert(c.entries, 0, cached{string(context), o})
	compiled := 0
	for i, e := range c.entries {
		if compiled += len(e.opened.feeds); i >= 2 && compiled > maxCompiled {
			clear(c.entries[i:])
			c.entries = c.entries[:i]
			break
		}
	}
	return o, nil
}

// feed finds the feed that a call is about.
func (c *cache) feed(context []byte, number uint32) (*decodedContext, *feed, error) {
	o, err := c.get(context)
	if err != nil {
		return nil, nil, err
	}
	if int(number) >= len(o.feeds) {
		return nil, nil, &wit.Fault{Kind: wit.FaultInternal, Message: "no feed of that number"}
	}
	return o, &o.feeds[number], nil
}
