// Package sourceconfig declares the settings of the source and reads them into one [EntitySetConfig] per entity set.
//
// [Component.Examine] validates, [Component.EntitySets] reads; [FindSet] finds the entity set, function import or path
// (path.go) in the metadata. component.go has the connector classes, one for each version of OData.
//
// Invariants: the name of a setting is declared once. Two configurations never read the same set with one identity.
package sourceconfig

import (
	"slices"

	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Settings of one entity set, without the prefix `sap.odata#NN.`.
const (
	NameService        = "service"
	NameEntitySet      = "entityset"
	NameTopic          = "topic"
	nameID             = "id"
	NameTrackChanges   = "track-changes"
	NameExecPeriod     = "exec-period"
	NameDecimalMapping = "decimal.mapping"
	namePageSize       = "page.size"
	NameCount          = "count"
	NameFormat         = "format"
	NameNullable       = "nullable"
	namePaging         = "paging"
	NameCron           = "cron.expression"
	nameDateMapping    = "date.mapping"
	nameTimestamps     = "timestamp.precision"
	nameZone           = "datetime.zone"
	NameSubscription   = "subscription.enable"
	nameKeyExtra       = "key.extra"
	NameIncompleteLoad = "incomplete.load"
	NameCompleteness   = "completeness"
	namePartition      = "topic.partition"
	NameDerived        = "derived"
	NameDrafts         = "drafts"

	MetadataRefresh = "sap.odata.metadata.refresh.ms"

	ScaleFallback   = "sap.odata.decimal.scale.fallback"
	DecimalRounding = "sap.odata.decimal.rounding.mode"
	DecimalOverflow = "sap.odata.decimal.overflow"
)

// ExactlyOnce is the worker's setting, which the host passes to sources.
const ExactlyOnce = "exactly.once.source.support"

// PagingTop is the paging mode with $top.
const PagingTop = "top"

// DraftsActive reads no drafts of entities.
const DraftsActive = "active"

const maxSeconds = 4_294_967 // the host's intervals are in milliseconds of 32 bits

var allSets = setting.InGroup("All entity sets")

// HeadersEnable adds headers of Connect's type string to records.
const HeadersEnable = "sap.odata.headers.enable"

const (
	HeaderService   = "sap.odata.service"
	HeaderEntitySet = "sap.odata.entityset"
	HeaderChange    = "sap.odata.change"
	HeaderVersion   = "culvert.plugin.version"
)

// Metadata that lack a property are trusted for FreshFor at first, and up to StillFor if the property stays missing, in
// milliseconds. While metadata are fresh, a value that does not fit is an error of the row.
const (
	FreshFor = 60_000
	StillFor = 3_600_000
)

// EntitySetConfig is the configuration of one entity set.
type EntitySetConfig struct {
	Identity
	Dialect *edm.Dialect
	Schedule
	KeyExtra
	// TopicPartition is the partition for all rows; -1 means by key.
	TopicPartition int
	Headers        bool   // records get headers with their origin
	DerivedTypes   bool   // properties of derived types become fields
	Drafts         string // [DraftsActive], all, or "" in a class without drafts
	Cursor         string // property that grows with each change of a row
	Lookback       int    // how far below the cursor's highest value a load starts
	PagingConfig
	Format
	QueryOptions query.Settings // select the rows and properties
	Query        uri.Query      // SAP client and language, if they are part of URLs
	Options      edm.Options    // affect the schemas
	Tracking     Tracking
	Subscribing  Subscribing
}

// Identity specifies which set is read into which topic.
type Identity struct {
	Number  string // digits of the settings' group
	Service string // path without a trailing slash
	Set     string
	Topic   string
	ID      string // distinguishes several configurations of one set
}

// Schedule specifies when a set is read.
type Schedule struct {
	// Period is in seconds; -1 means once, unless Cron is set.
	Period int
	Cron   string // a Quartz expression; may be empty
	// CronSource is the name of the setting that Cron comes from.
	CronSource string
}

// KeyExtra holds additional fields of keys, parsed from ExtraText of the setting ExtraSource.
type KeyExtra struct {
	Extra       []wit.Setting
	ExtraText   string
	ExtraSource string
}

// PagingConfig specifies the pages in which a set is read.
type PagingConfig struct {
	PageSize   int    // most rows in a page
	Count      bool   // requests include the number of rows
	PagingMode string // auto, links, keys or top
	// ExactlyOnce fails a full load that would have to start over.
	ExactlyOnce bool
	// Completeness specifies the handling of a load that is not proven to be complete: warn, require or off.
	Completeness string
}

// RequiresProof reports whether a load that is not proven to be complete fails.
func (c *PagingConfig) RequiresProof() bool { return c.Completeness == "require" }

// Format is the format of rows and the zone of their times.
type Format struct {
	Atom       bool   // rows are requested in Atom instead of JSON
	Formatted  bool   // the user has chosen the format
	Zone       string // IANA name of the zone of Edm.DateTime, "" for UTC
	zoneSource string // the setting that Zone comes from
}

// NotificationOnly reports whether the set is in full mode and read only when a notification names an entity.
func (e *EntitySetConfig) NotificationOnly() bool {
	return e.Subscribing.On && !e.Tracking.On && e.Period < 0 && e.Cron == ""
}

// PolledOnNotification reports whether the set is in delta mode and changes are requested on notification only.
func (e *EntitySetConfig) PolledOnNotification() bool {
	return e.Subscribing.On && e.Tracking.On && e.Period < 0 && e.Cron == ""
}

// Tracking holds the settings of delta mode.
type Tracking struct {
	On               bool
	Deletes          string // how deleted entities are written: record, tombstone or both
	OnLostToken      string // fail, recover or reload
	Regex            string // Java pattern whose matches in the delta link are replaced
	Replacement      string
	DropBefore       bool // ODP's rows with the state before a change are dropped
	Additive         bool // the values of ODP's rows are added up, so all rows are needed
	TakeOver         bool // an ODP subscription of another reader is ended
	FirstByteTimeout int  // of a first extraction, in milliseconds
	// NotFound holds additional codes of an entity that does not exist.
	NotFound []string
}

// Rewrite applies the configured replacement to a link, like Java's String.replaceAll.
func (t *Tracking) Rewrite(link string) (string, error) {
	p, err := pattern.Compile(t.Regex)
	if err != nil {
		return "", err // examineTracking has reported it
	}
	r, wrong := p.Replacement(t.Replacement)
	if wrong != nil {
		return "", wrong
	}
	return p.ReplaceAll(link, r)
}

// Subscribing holds the settings of subscriptions.
type Subscribing struct {
	On      bool
	Catchup string // what a start does about missed changes
	// Check is the interval of polls without notifications in seconds; -1 means never.
	Check int
	// Confirm is the delay in seconds before an entity that contradicts its notification is read again. Zero means
	// never.
	Confirm int
	// DeliveryPrefix starts delivery addresses: it is a channel of an RFC destination, or a URL.
	DeliveryPrefix string
}

// Flag reads a flag of a group.
func Flag(g setting.Group, name string) bool {
	flag, _ := setting.ParseBool(g.String(name))
	return flag
}

// ServicePaths returns the paths of the services, each once.
func ServicePaths(entitySets []EntitySetConfig) []string {
	var services []string
	for _, cfg := range entitySets {
		if !slices.Contains(services, cfg.Service) {
			services = append(services, cfg.Service)
		}
	}
	return services
}
