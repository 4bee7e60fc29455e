package feedreader

import (
	"strconv"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/plugins/odata/paging/rowkey"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Feed is an entity set to read. It is rebuilt from the context, except for absent, a cache, and Paging.FormatOption,
// which depends on the offset, see [Feed.SetFormatRefused].
type Feed struct {
	sourceconfig.EntitySetConfig
	Name    string
	Address string
	support paging.Support
	// DeclaresTracking is from the metadata. ODP is nil for other services.
	DeclaresTracking bool
	Subscriptions    string
	ODP              *ODP
	// model starts with the set's type.
	model *edm.Model

	Key, Value wit.Schema
	RowSchema  *decode.RowSchema
	// RowQuery selects rows and properties. Rows checks them; nil if nothing needs to be checked.
	RowQuery *query.Query
	Rows     *query.RowChecker
	// ModeColumn, Deleted and Counter are the columns with the change, the deletion time and ODP's counter, or -1.
	ModeColumn, DeletedAtColumn, CounterColumn int
	// FirstTracked is the index of delta mode's columns among the watched ones, or -1.
	FirstTracked int
	Keys         *rowkey.Keys
	Paging       paging.Set
	cursor       func(out *decode.Output, row int) (text string, ok bool)
	// headerBlocks holds the encoded headers by change, or is nil.
	headerBlocks [][]byte
	headerSchema wit.Schema
	// Derived holds properties of derived types as "property type".
	Derived []string
	guids   []int
	// absent caches properties that rows have and the metadata lack.
	absent map[string]absence
}

// EntityType returns the entity type of the set.
func (f *Feed) EntityType() *edm.StructuredType { return f.model.Structures[0] }

var lastSchema uint32 = wit.GuestSchemas

func schemaID() uint32 {
	lastSchema++
	return lastSchema
}

func (f *Feed) schemas() []wit.Schema {
	list := []wit.Schema{f.Value}
	if f.Key.Nodes != nil {
		list = append(list, f.Key)
	}
	if f.headerBlocks != nil {
		list = append(list, f.headerSchema)
	}
	return list
}

// Partition returns the key of the feed's offsets.
func (f *Feed) Partition() []wit.OffsetEntry {
	p := []wit.OffsetEntry{wit.StringEntry("service", f.Service), wit.StringEntry("entityset", f.Set)}
	if f.ID != "" {
		p = append(p, wit.StringEntry("id", f.ID))
	}
	return p
}

// LogStart logs what a start reads of a set that was read before.
func (f *Feed) LogStart(subject, was string, until int64, next string) {
	sdk.Log(wit.LevelInfo, f.Label()+": this start reads "+subject+" into topic "+f.Topic+": the set was "+was+
		time.UnixMilli(until).UTC().Format(time.RFC3339)+", "+next+"; to read it again, reset the connector's offsets "+
		"or request a snapshot")
}

// Request returns a request for rows. Links of the service get the SAP client too.
func (f *Feed) Request(tag, target string) wit.Request {
	accept := "application/json"
	if f.Atom {
		accept = "application/atom+xml"
	}
	r := service.Get(tag, f.Query.AppendTo(target), accept)
	r.Headers = append(r.Headers, wit.Header{Name: "Prefer", Value: "odata.maxpagesize=" + strconv.Itoa(f.PageSize)})
	return r
}

// Label names the set in messages.
func (f *Feed) Label() string { return f.Paging.Label() }

// ODP holds the names of what an ODP service has next to a set.
type ODP struct{ Links, Subscribed, Terminate string }

// absence is when a missing property was found and until when that is believed, in milliseconds since 1970.
type absence struct {
	since, validUntil int64
}

// Setting returns the full name of one of the set's settings.
func (f *Feed) Setting(name string) string { return config.InGroup(f.Number, name) }

const formatOption = "$format=json"

// SetFormatRefused adds $format to the feed's requests unless it was refused.
func (f *Feed) SetFormatRefused(refused bool) {
	f.Paging.FormatOption = formatOption
	if f.Atom || refused {
		f.Paging.FormatOption = ""
	}
}
