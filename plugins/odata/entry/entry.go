package entry

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java/pattern"
)

// Component is the connector's class name, Alias the short one.
const (
	Component = "org.init.ohja.kafka.connect.odatav2.source.OData2SourceConnector"
	Alias     = "ODataSource"
)

// Names of the settings of one entity set, after `sap.odata#NN.`.
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
	namePartition      = "topic.partition"
	NameDerived        = "derived"

	MetadataRefresh = "sap.odata.metadata.refresh.ms"

	ScaleFallback   = "sap.odata.decimal.scale.fallback"
	DecimalRounding = "sap.odata.decimal.rounding.mode"
	DecimalOverflow = "sap.odata.decimal.overflow"
)

// ExactlyOnce is the worker's setting, which the host shows to sources where it is enabled.
const ExactlyOnce = "exactly.once.source.support"

// PagingTop is the value of paging for pages that are cut here.
const PagingTop = "top"

// maxSeconds is the longest period that the contract can say, in seconds.
const maxSeconds = 4_294_967

// allSets is the heading of what holds for all entity sets.
var allSets = setting.InGroup("All entity sets")

// HeadersEnable gives records headers that say where they come from, texts of Connect's type string.
const HeadersEnable = "sap.odata.headers.enable"

// Names of those headers.
const (
	HeaderService   = "sap.odata.service"
	HeaderEntitySet = "sap.odata.entityset"
	HeaderChange    = "sap.odata.change"
	HeaderVersion   = "culvert.plugin.version"
)

// FreshFor is how long what metadata lack is believed before they are read again, in milliseconds: at first, and up to
// StillFor where it goes on. A value that doesn't fit them is believed to be the row's fault while they are so new.
const (
	FreshFor = 60_000
	StillFor = 3_600_000
)

// Entry is one entity set of the connector, as its settings say. It is configuration: nothing changes it once it is
// read.
type Entry struct {
	Number                  string
	Service, Set, Topic, ID string
	// Period in seconds, -1: once, unless cron has the times of extractions.
	Period int
	Cron   string
	// Extra are the further fields of records' keys, as ExtraText of the setting ExtraSource says them.
	Extra                  []wit.Setting
	ExtraText, ExtraSource string
	// ToPartition is that of the topic to which rows go, -1: by key.
	ToPartition int
	// Headers: records say where they come from.
	Headers bool
	// DerivedTypes: rows have the properties of types that are derived from the set's, too.
	DerivedTypes bool
	// Cursor is the property of a cursor, "" for none.
	Cursor   string
	Lookback int
	// CronSource is the name of the setting that says it.
	CronSource string
	// Zone is that of the service's clock, as zoneSource says it.
	Zone, zoneSource string
	PageSize         int
	Count            bool
	Atom             bool
	Paging           string
	// Once: no row may come twice, so that a full load fails where its set would have to be read again.
	Once bool
	// Reads are which rows are read, and what of them.
	Reads query.Settings
	// Query of the requests that the connector builds itself.
	Query   uri.Query
	Options edm.Options
	// Tracking of changes; formatted: the settings name the format.
	Tracking  Tracking
	Formatted bool
	// Subscribing to notifications.
	Subscribing Subscribing
}

// Named reports whether notifications are the only reason for which a set in full mode is read: then the entities are
// read that they name.
func (e *Entry) Named() bool {
	return e.Subscribing.On && !e.Tracking.On && e.Period < 0 && e.Cron == ""
}

// OnlyNotified reports whether changes of a set in delta mode are asked for by notifications alone.
func (e *Entry) OnlyNotified() bool {
	return e.Subscribing.On && e.Tracking.On && e.Period < 0 && e.Cron == ""
}

// Tracking is how changes of an entity set are read, as its settings say.
type Tracking struct {
	On                 bool
	Deletes, Lost      string
	Regex, Replacement string
	DropBefore         bool
	Additive, Takeover bool
	// Patience with the first byte of a first extraction, in milliseconds.
	Patience int
	// NotFound are the further codes by which the service says that an entity isn't there.
	NotFound []string
}

// Rewrite replaces in a link what the settings say, as Java's String.replaceAll does.
func (t *Tracking) Rewrite(link string) (string, error) {
	p, err := pattern.Compile(t.Regex)
	if err != nil {
		return "", err // examineTracking has refused it
	}
	r, wrong := p.Replacement(t.Replacement)
	if wrong != nil {
		return "", wrong
	}
	return p.ReplaceAll(link, r)
}

// Subscribing is what an entry says of subscriptions.
type Subscribing struct {
	On bool
	// Catchup is what is done at a start, see above.
	Catchup string
	// Check is after how many seconds changes are asked for without a notification, where nothing else has them asked
	// for; -1: never.
	Check int
	// Confirm is after how many seconds an entity is read once more whose answer contradicts the notification; 0:
	// never.
	Confirm int
	// To is what addresses of notifications begin with: a channel of an RFC destination, or a URL.
	To string
}

// On reads a flag of a group.
func On(g setting.Group, name string) bool {
	flag, _ := setting.ParseBool(g.String(name))
	return flag
}

// ServicesOf are the paths of the services that entries name, each once.
func ServicesOf(all []Entry) []string {
	var services []string
	for _, e := range all {
		if !slices.Contains(services, e.Service) {
			services = append(services, e.Service)
		}
	}
	return services
}
