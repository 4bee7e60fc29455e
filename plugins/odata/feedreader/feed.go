package feedreader

import (
	"strconv"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
)

// Feed is an entity set to read: its configuration, what the metadata say about it, and what is compiled from both.
// Instances of the plugin rebuild it from the context.
type Feed struct {
	sourceconfig.EntitySetConfig
	setMetadata
	Name      string     // unique in the connector, for logs and notification paths
	Key       wit.Schema // without nodes if rows have no key
	Value     wit.Schema
	RowSchema *decode.RowSchema // decodes rows
	RowQuery  *query.Query      // selects rows and properties
	Rows      *query.RowChecker // checks the rows of responses; nil if nothing needs to be checked
	changeColumns
	Keys *paging.Keys // nil if rows have no key
	// Paging describes how the set is paged through. Its FormatOption depends on the offset, see
	// [Feed.SetFormatRefused].
	Paging  paging.Set
	cursor  func(out *decode.Output, row int) (text string, ok bool) // see [paging.Rows.Cursor]
	headers encodedHeaders
	// hasLongNumber means that the warning of [Reader.warnOfLongNumber] was logged.
	hasLongNumber bool
	guids         []int            // the parts of the key that are GUIDs; only in delta mode
	keysOnly      map[string]*Feed // by the setting whose condition they lack, see [Feed.keysWithout]
	// absent caches properties that rows have and the metadata lack.
	absent map[string]absence
}

// setMetadata is what the metadata say about a set. It is packed into the context.
type setMetadata struct {
	Address string
	support paging.Support
	// DeclaresTracking means that the metadata announce change tracking.
	DeclaresTracking bool
	Subscriptions    string     // address of the entity set for subscriptions
	ODP              *ODP       // nil for other services
	model            *edm.Model // starts with the set's type
	// Derived holds properties of derived types as "property type".
	Derived []string
	// Subtypes holds types that derive from expanded types, as "type base" with base being any of its bases.
	Subtypes []string
}

// changeColumns are the columns of delta mode, -1 if missing.
type changeColumns struct {
	ModeColumn      int // the kind of change
	DeletedAtColumn int // the deletion time
	CounterColumn   int // ODP's entity counter
	// FirstTracked is the index of the mode among the tracked columns; keys and counter follow.
	FirstTracked int
}

// EntityType returns the entity type of the set.
func (f *Feed) EntityType() *edm.StructuredType { return f.model.Structures[0] }

var lastSchema uint32 = wit.GuestSchemas

// schemaID returns an ID that no other schema of the instance has.
func schemaID() uint32 {
	lastSchema++
	return lastSchema
}

func (f *Feed) schemas() []wit.Schema {
	schemas := []wit.Schema{f.Value}
	if f.Key.Nodes != nil {
		schemas = append(schemas, f.Key)
	}
	if f.headers.blocks != nil {
		schemas = append(schemas, f.headers.schema)
	}
	return schemas
}

// Partition returns the key of the feed's offsets.
func (f *Feed) Partition() []wit.OffsetEntry {
	partition := []wit.OffsetEntry{wit.StringEntry("service", f.Service), wit.StringEntry("entityset", f.Set)}
	if f.ID != "" {
		partition = append(partition, wit.StringEntry("id", f.ID))
	}
	return partition
}

// LogStart logs what a start of the connector reads of a set that was read before. until is in milliseconds since 1970.
func (f *Feed) LogStart(subject, state string, until int64, next string) {
	sdk.Log(wit.LevelInfo, f.Label()+": this start reads "+subject+" into topic "+f.Topic+": the set was "+state+
		time.UnixMilli(until).UTC().Format(time.RFC3339)+", "+next+"; to read it again, reset the connector's offsets "+
		"or request a snapshot")
}

// Request returns a request for rows. The SAP client is added to links of the service, too.
func (f *Feed) Request(tag, target string) wit.Request {
	accept := f.Dialect.JSON
	if f.Atom {
		accept = "application/atom+xml"
	}
	r := document.Get(f.Dialect, tag, f.Query.AppendTo(target), accept)
	r.Headers = append(r.Headers, wit.Header{Name: "Prefer", Value: "odata.maxpagesize=" + strconv.Itoa(f.PageSize)})
	return r
}

// CheckProof returns an error if a load is not proven to be complete, or cannot be, and the settings require it.
func (f *Feed) CheckProof(isUnproven bool) error {
	if !isUnproven || !f.RequiresProof() {
		return nil
	}
	name := f.Setting(sourceconfig.NameCompleteness)
	return odataerror.ForSetting(name, f.Label()+": nothing proves that a load of the set is complete: the "+
		"service, as far as it is configured, offers no proof by key or by count. "+name+" = warn reads it "+
		"nevertheless; after another change, reset the connector's offsets to read the set again")
}

// Label names the set in messages.
func (f *Feed) Label() string { return f.Paging.Label() }

// ODP holds the addresses that an ODP service has for a set.
type ODP struct {
	Links      string // entity set of the delta links
	Subscribed string // function that returns whether a subscription is open
	Terminate  string // function that ends the subscription; may be empty
}

// absence is a property that the metadata lack. Times are in milliseconds since 1970.
type absence struct {
	since      int64 // when the property was found missing
	validUntil int64 // when the metadata are checked again
}

// Setting returns the full name of one of the set's settings.
func (f *Feed) Setting(name string) string { return config.InGroup(f.Number, name) }

// SetFormatRefused adds $format to the feed's requests unless the service refuses it.
func (f *Feed) SetFormatRefused(refused bool) {
	f.Paging.FormatOption = f.Dialect.FormatOption
	if f.Atom || refused {
		f.Paging.FormatOption = ""
	}
}
