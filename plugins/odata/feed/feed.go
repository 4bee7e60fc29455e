package feed

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/load"
	"github.com/culvert-project/culvert/plugins/odata/load/rowkey"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/service"

	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// Feed is an entity set to read.
type Feed struct {
	entry.Entry
	Name string
	// Address is how the container names the set: bare, or with its container.
	Address string
	// ordered: every key property can be sorted by. countable, pageable: as the metadata say.
	ordered, countable, pageable bool
	// Announced: the metadata say that changes are tracked; odp is what an ODP service has in addition to the set, nil
	// for others.
	Announced bool
	// Subscriptions is the entity set of the service's subscriptions, "" where nobody subscribes.
	Subscriptions string
	ODP           *ODP
	// model holds the set's type first, then the other types that its rows and the conditions on them need.
	model *edm.Model

	Key, Value wit.Schema
	Layout     *decode.RowLayout
	// Asked is which rows are read, and what of them; rows looks at them, nil where all are taken as they come.
	Asked *query.Query
	Rows  *query.Rows
	// Mode is the column that says what happened to a row, Deleted that for when it was deleted, Counter ODP's; -1:
	// there is none.
	Mode, Deleted, Counter int
	// Watch is where what delta mode watches begins among the watched columns, -1: it watches none.
	Watch int
	// Keys are those of rows, nil where they have none. Pages is the set as it is read page by page.
	Keys  *rowkey.Keys
	Pages load.Set
	// cursor reads the cursor's property of a row, nil where there is none.
	cursor func(out *decode.Output, row int) (text string, ok bool)
	// blocks are the headers of rows by what happened to their entity, nil where none are wanted; text is the schema of
	// those headers.
	blocks [][]byte
	text   wit.Schema
	// Derived are properties of types that are derived from the set's, each followed by a blank and its type.
	Derived []string
	// guids are the members of the key that are GUIDs, where deletes can come.
	guids []int
	// keys is what KeysOnly made.
	keys *Feed
	// absent are the properties that rows bring and metadata lack, see undeclared.go.
	absent map[string]absence
}

// Structure is the entity type of the set.
func (f *Feed) Structure() *edm.Structure { return f.model.Structures[0] }

// compile makes schemas and layout of a feed's type.
func (f *Feed) compile() error {
	s := f.Structure()
	fail := func(err error) error {
		return &wit.Fault{Kind: wit.FaultUnsupported, Message: "entity set " + f.Set + " of " + f.Service + ": " +
			err.Error()}
	}
	var err error
	if f.Asked, err = query.Compile(f.Reads, f.model, s); err != nil {
		return err
	}
	view := f.Asked.View
	unreadable := func(err error) error {
		return fail(errors.New(err.Error() + "; " + f.Setting(query.Select) + " with the properties that are wanted " +
			"reads the set without others"))
	}
	value, err := f.model.ViewSchema(view, f.Options)
	if err != nil {
		return unreadable(err)
	}
	key, err := f.model.KeySchema(s, f.Options)
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
	f.Layout, err = decode.NewRowLayout(f.model, view, f.Options)
	if err != nil {
		return unreadable(err)
	}
	if f.Rows, err = f.Asked.Rows(f.model, f.Options); err != nil {
		return fail(err)
	}
	if f.Rows != nil {
		f.Layout.Watch = f.Rows.Watch
	}
	f.makeHeaders()
	for _, field := range f.Extra {
		f.Layout.KeyTail = datum.AppendText(f.Layout.KeyTail, field.Value)
	}
	f.advise(f.Layout, view)
	f.watchModes()
	f.findGuids()
	f.Value = wit.Schema{ID: schemaID(), Nodes: value}
	f.Layout.ValueSchema = f.Value.ID
	if key != nil {
		f.Key = wit.Schema{ID: schemaID(), Nodes: key}
		f.Layout.KeySchema = f.Key.ID
	}
	ordered := f.ordered && f.ODP == nil // whose rows have a key of the queue
	f.Pages = load.Set{Name: f.Set, Setting: f.Setting, Service: f.Service, Address: f.Address, Ordered: ordered,
		Countable: f.countable, Pageable: f.pageable, Count: f.Count, CountOption: "$inlinecount=allpages",
		TokenOption: "$skiptoken", Paging: f.Paging, Query: f.Query, Next: f.follows(), Once: f.Once && !f.Tracking.On}
	if own != nil {
		f.Keys = rowkey.New(s, f.Layout, own)
		f.Pages.Keys = f.Keys
	}
	if f.Paging == entry.PagingTop {
		f.Pages.Top = f.PageSize
	}
	if !f.Reads.Empty() {
		f.Pages.Filter, f.Pages.Options = f.Asked.Filter, f.Asked.Options()
	}
	if slices.Contains(f.Pages.Options, "paging=snapshot") {
		f.Pages.Paging = "links" // SAP SuccessFactors blocks clients that leave snapshots unread (SAP KBA 2749091)
	}
	f.UseFormat(false)
	return f.makeCursor(s)
}

// follows says what does after a complete load.
func (f *Feed) follows() string {
	switch {
	case f.Tracking.On:
		return "changes follow"
	case f.Period > 0:
		return "the next one begins in " + (time.Duration(f.Period) * time.Second).String()
	case f.Cron != "":
		return "the next one begins at its time"
	}
	return "nothing more: exec-period=-1"
}

// KeysOnly is the feed with nothing of its rows but their keys.
func (f *Feed) KeysOnly() (*Feed, error) {
	if f.keys == nil {
		keys := *f
		keys.Headers, keys.Reads.Select, keys.Reads.Expand = false, slices.Clone(f.Structure().Key), nil
		if err := keys.compile(); err != nil {
			return nil, err
		}
		f.keys = &keys
	}
	f.keys.Pages.FormatOption = f.Pages.FormatOption
	return f.keys, nil
}

// extended is the schema of keys with the further fields after their own.
func (f *Feed) extended(key []wit.Node) ([]wit.Node, error) {
	if len(f.Extra) == 0 {
		return key, nil
	}
	refuse := func(why string) error {
		return fault.Config(f.ExtraSource, setting.Invalid(f.ExtraSource, f.ExtraText, why))
	}
	if key == nil {
		return nil, refuse("entity set " + f.Set + " of " + f.Service + " has no key that they could join")
	}
	key = slices.Clone(key)
	key[0].Members = slices.Clone(key[0].Members)
	for _, field := range f.Extra {
		if slices.ContainsFunc(key[0].Members, func(m wit.Member) bool { return m.Name == field.Name }) {
			return nil, refuse("expected other names than those of the key of entity set " + f.Set + ", found " +
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
	list := []wit.Schema{f.Value}
	if f.Key.Nodes != nil {
		list = append(list, f.Key)
	}
	if f.blocks != nil {
		list = append(list, f.text)
	}
	return list
}

// New finds the set in the metadata.
func New(e entry.Entry, m *edm.Model) (*Feed, error) {
	set, s, err := entry.FindSet(&e, m)
	if err != nil {
		return nil, err
	}
	f := &Feed{Entry: e, Address: service.Address(set), countable: set.Countable, pageable: set.Pageable}
	asked, err := query.Compile(e.Reads, m, s)
	if err != nil {
		return nil, err
	}
	f.model = &edm.Model{Structures: asked.Structures()}
	f.Derived = derivedProperties(m, s)
	if !set.Addressable || set.RequiresFilter && asked.Filter("") == "" {
		sdk.Log(wit.LevelWarn, "entity set "+e.Set+" of "+e.Service+": its metadata say that it can't be read "+
			"without a filter or not by itself; trying all the same")
	}
	f.ordered = len(s.Key) > 0
	for _, k := range s.Key {
		p := s.Property(k)
		f.ordered = f.ordered && p != nil && p.Sortable
	}
	f.Announced = set.ChangeTracking
	if err := f.Track(m, set); err != nil {
		return nil, err
	}
	if err := f.subscribable(m); err != nil {
		return nil, err
	}
	return f, f.compile()
}

// Partition is the key of the feed's offsets.
func (f *Feed) Partition() []wit.Field {
	p := []wit.Field{wit.TextField("service", f.Service), wit.TextField("entityset", f.Set)}
	if f.ID != "" {
		p = append(p, wit.TextField("id", f.ID))
	}
	return p
}

// Fingerprint is what an offset belongs to (P7), readable so that the host can name what differs.
func Fingerprint(o *Context, f *Feed, v setting.Values) string {
	format := "json"
	if f.Atom {
		format = "atom"
	}
	mode, cursor := "full", ""
	if f.Tracking.On {
		mode = "delta"
	}
	if f.Cursor != "" {
		cursor = " cursor=" + f.Cursor
	}
	extra := ""
	if len(f.Extra) > 0 {
		extra = " key.extra=" + f.ExtraText
	}
	origin := o.Origin.String()
	if o.Origin.Host == "" {
		origin = "destination:" + v.Text(config.Destination)
	}
	return "origin=" + origin + " client=" + v.Text(config.Client) + " user=" + v.Text(config.User) +
		" set=" + f.Service + "/" + f.Address + " mode=" + mode + " format=" +
		format + f.Asked.Fingerprint() + cursor + extra
}

// StartsWith says what a start reads of a set that was read until some time.
func (f *Feed) StartsWith(what, was string, until int64, next string) {
	sdk.Log(wit.LevelInfo, f.What()+": this start reads "+what+" into topic "+f.Topic+": the set was "+was+
		time.UnixMilli(until).UTC().Format(time.RFC3339)+", "+next+"; to read it again reset the connector's offsets, "+
		"or ask for a snapshot")
}

// Request asks for a page, or for more of a feed inside one. A link of the service's own gets the client, too.
func (f *Feed) Request(tag, target string) wit.Request {
	accept := "application/json"
	if f.Atom {
		accept = "application/atom+xml"
	}
	r := service.Get(tag, f.Query.On(target), accept)
	r.Headers = append(r.Headers, wit.Header{Name: "Prefer", Value: "odata.maxpagesize=" + strconv.Itoa(f.PageSize)})
	return r
}

// What names the set in messages.
func (f *Feed) What() string { return f.Pages.What() }
