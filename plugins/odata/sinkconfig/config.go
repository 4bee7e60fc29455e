package sinkconfig

import (
	"cmp"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// EntitySet is the configuration of one entity set.
type EntitySet struct {
	Number  string // of its settings group
	Service string // path without a trailing slash
	Name    string
	Topic   string
	Query   uri.Query // SAP client and language, if they are part of URLs
}

// EntitySets returns the configured entity sets.
func EntitySets(values setting.Values) []EntitySet {
	var sets []EntitySet
	for _, g := range config.Groups(values) {
		sets = append(sets, EntitySet{Number: g.Digits, Service: "/" + strings.Trim(g.String(NameService), "/"),
			Name: strings.Trim(g.String(NameEntitySet), "/"), Topic: g.String(NameTopic), Query: config.Query(values)})
	}
	return sets
}

// ServicePaths returns the paths of the services, each once.
func ServicePaths(sets []EntitySet) (services []string) {
	for _, set := range sets {
		if !slices.Contains(services, set.Service) {
			services = append(services, set.Service)
		}
	}
	return services
}

// Config is the parsed configuration. It does not change while the connector runs.
type Config struct {
	Operations
	Inserts
	Values
	Batches
	*Component
	Atom         bool // requests in Atom, not JSON
	MethodTunnel bool // PUT, MERGE, PATCH and DELETE as POST with X-HTTP-Method
}

// Operations are the settings that decide on the request for a record.
type Operations struct {
	Mode               string   // insert, update, merge, patch, upsert or dynamic
	ModeProperty       string   // field with the operation, if Mode is dynamic
	UpsertFirst        string   // update or insert
	UpsertMethod       string   // merge, patch or put
	DeleteTombstones   bool     // a record without value deletes its entity
	DeleteRecords      bool     // a record of a deleted entity deletes its entity
	KeyFromRecord      bool     // the entity's key is read from the record's key only
	UseETags           bool     // an update sends the ETag that was read before
	NoIfMatch          bool     // an update sends no If-Match, else If-Match: *
	RetryETagConflicts bool     // a changed ETag is read again, else the record is rejected
	NestedUpdates      bool     // nested entities are updated in the same changeset
	ExpectsNested      bool     // NestedUpdates is configured, not a default
	DeepUpdates        bool     // updates contain nested entities, as inserts do
	ExistsCodes        []string // mean that the entity exists
	NotFoundCodes      []string // mean that the entity does not exist
}

// Inserts are the settings for inserts without a response.
type Inserts struct {
	InsertUncertain string // fail, check, repeatable or retry
	CheckFilter     string // finds an entity that may have been inserted
}

// Values are the settings for values that do not fit their property.
type Values struct {
	Lossy bool // such values are converted, else their record is rejected
	// Without both of these, an unknown field rejects its record.
	IgnoreUnknownFields bool // it is not sent
	FailOnUnknownFields bool // it fails the task
}

// Batches are the settings for $batch and concurrent requests.
type Batches struct {
	Batch            bool     // requests are sent in batches
	SingleChangesets bool     // each operation is a changeset
	SharedChangesets bool     // all operations of a batch are one changeset
	MaxBatchSize     int      // operations in a batch
	OrderingKeys     int      // number of ordering keys for batches
	RetryCodes       []string // after which an operation is repeated
	BatchFormat      string   // multipart, json or auto
}

// Parse returns the configuration in settings that [Component.Validate] accepts.
func (c *Component) Parse(values setting.Values) Config {
	parsed := Config{
		Component: c,
		Operations: Operations{
			Mode:               values.Lower(NameOperationMode),
			ModeProperty:       values.String(NameModeProperty),
			UpsertFirst:        values.Lower(NameUpsertFirst),
			UpsertMethod:       values.Lower(NameUpsertMethod),
			DeleteTombstones:   values.Bool(NameEnableDelete),
			DeleteRecords:      values.Bool(NameDeleteRecords),
			KeyFromRecord:      values.Lower(NameKeyFrom) == "record",
			UseETags:           values.Lower(NameETag) == "use",
			NoIfMatch:          values.Lower(NameETag) == "none",
			RetryETagConflicts: values.Lower(NameETagConflict) == "retry",
			NestedUpdates:      values.Lower(NameNestedUpdates) == nestedOperations,
			DeepUpdates:        values.Lower(NameNestedUpdates) == "deep",
			ExistsCodes:        values.List(nameExistsCodes),
			NotFoundCodes:      values.List(NameNotFoundCodes),
		},
		Inserts: Inserts{
			InsertUncertain: values.Lower(NameInsertUncertain),
			CheckFilter:     values.String(NameCheckFilter),
		},
		Values: Values{
			Lossy:               values.Lower(nameLossy) == "allow",
			IgnoreUnknownFields: values.Lower(NameUnknownFields) == "ignore",
			FailOnUnknownFields: values.Lower(NameUnknownFields) == "fail",
		},
		Batches: Batches{
			Batch:            values.Bool(NameEnableBatch) && values.Int(NameMaxBatchSize) > 1,
			SingleChangesets: values.Lower(nameChangesets) == "one",
			SharedChangesets: values.Lower(nameChangesets) == "all",
			MaxBatchSize:     values.Int(NameMaxBatchSize),
			OrderingKeys:     max(1, min(values.Int(nameMaxInFlight), values.Int(nameMaxConcurrent))),
			RetryCodes:       values.List(NameHTTPCodes),
			BatchFormat:      values.Lower(nameBatchFormat),
		},
		Atom:         values.Lower(NameRequestFormat) == "atom",
		MethodTunnel: values.Bool(nameMethodTunnel),
	}
	_, isSet := values.Lookup(NameNestedUpdates)
	parsed.ExpectsNested = parsed.NestedUpdates && isSet
	parsed.NestedUpdates = parsed.NestedUpdates && (isSet || (parsed.Batch && !parsed.UseETags))
	return parsed
}

// NestedAdvice returns the reason why updates have no nested content, for errors.
func (c *Config) NestedAdvice() string { return cmp.Or(c.Component, V2).nestedAdvice }

// MediaType returns the media type of request bodies.
func (c *Config) MediaType() string {
	if c.Atom {
		return "application/atom+xml"
	}
	return c.Dialect.JSON
}

// Validate checks all settings and adds the errors to their values.
func (c *Component) Validate(settings []wit.Setting) []wit.ConfigValue {
	examined := config.Examine(c.Table, settings)
	values := c.Values(settings)
	examined = c.checkTopics(examined, EntitySets(values))
	addError := func(name, reason string) {
		setting.AddError(examined, name, setting.Invalid(name, values.String(name), reason))
	}
	if _, isSet := values.Lookup(NameNestedUpdates); isSet && values.Lower(NameNestedUpdates) == nestedOperations {
		switch {
		case !values.Bool(NameEnableBatch) || values.Int(NameMaxBatchSize) == 1:
			addError(NameNestedUpdates,
				"the operations need batches, which "+NameEnableBatch+" or "+NameMaxBatchSize+" disables")
		case values.Lower(NameETag) == "use":
			addError(NameNestedUpdates, NameETag+" = use reads no ETags of nested entities")
		}
	}
	isDynamic := values.Lower(NameOperationMode) == ModeDynamic
	if isDynamic && values.String(NameModeProperty) == "" {
		setting.AddError(examined, NameModeProperty, setting.Missing(NameModeProperty)+"; "+NameOperationMode+" = "+
			ModeDynamic+" requires it")
	}
	if _, isSet := values.Lookup(NameModeProperty); isSet && !isDynamic {
		addError(NameModeProperty, "it requires "+NameOperationMode+" = "+ModeDynamic)
	}
	return examined
}

// checkTopics checks that there are entity sets, each with a topic of its own.
func (c *Component) checkTopics(examined []wit.ConfigValue, sets []EntitySet) []wit.ConfigValue {
	if len(sets) == 0 {
		name := func(name string) string { return config.InGroup("00", name) }
		return c.Table.AddMissing(examined, name(NameService), "No entity set is configured: expected "+
			name(NameService)+", "+name(NameEntitySet)+" and "+name(NameTopic))
	}
	for i, set := range sets {
		for _, other := range sets[:i] {
			if other.Topic == set.Topic {
				setting.AddError(examined, config.InGroup(set.Number, NameTopic), "Topic "+set.Topic+
					" is already in "+config.InGroup(other.Number, NameTopic)+
					": its records can be written to one entity set only")
			}
		}
	}
	return examined
}
