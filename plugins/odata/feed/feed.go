package feed

import (
	"strconv"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/load"
	"github.com/culvert-project/culvert/plugins/odata/load/rowkey"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/service"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Feed is an entity set to read, made of its entry and of what the metadata say. It is configuration, which an instance
// makes again from the context, but for two fields: absent is a cache, and Pages.FormatOption is what the
// offset of the page at hand says, see [Feed.UseFormat].
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
	Layout     *decode.RowSchema
	// Asked is which rows are read, and what of them; rows looks at them, nil where all are taken as they come.
	Asked *query.Query
	Rows  *query.RowChecker
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
	// absent are the properties that rows bring and metadata lack, see undeclared.go.
	absent map[string]absence
}

// Structure is the entity type of the set.
func (f *Feed) Structure() *edm.StructuredType { return f.model.Structures[0] }

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

// Partition is the key of the feed's offsets.
func (f *Feed) Partition() []wit.OffsetEntry {
	p := []wit.OffsetEntry{wit.StringEntry("service", f.Service), wit.StringEntry("entityset", f.Set)}
	if f.ID != "" {
		p = append(p, wit.StringEntry("id", f.ID))
	}
	return p
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
	r := service.Get(tag, f.Query.AppendTo(target), accept)
	r.Headers = append(r.Headers, wit.Header{Name: "Prefer", Value: "odata.maxpagesize=" + strconv.Itoa(f.PageSize)})
	return r
}

// What names the set in messages.
func (f *Feed) What() string { return f.Pages.What() }

// ODP is what an ODP service has in addition to a set, as requests name it.
type ODP struct{ Links, Subscribed, Terminate string }

// absence says that metadata lack a property that rows bring. One that an instance forgets costs a request.
type absence struct {
	// since is when the page was answered for which that was found first, until is for pages up to when it is
	// believed, both in milliseconds since 1970.
	since, until int64
}

// Setting is the name of one of the entity set's settings.
func (f *Feed) Setting(name string) string { return config.InGroup(f.Number, name) }

// formatOption is what it refuses.
const formatOption = "$format=json"

// UseFormat has the feed's requests hold $format, or not.
func (f *Feed) UseFormat(refused bool) {
	f.Pages.FormatOption = formatOption
	if f.Atom || refused {
		f.Pages.FormatOption = ""
	}
}
