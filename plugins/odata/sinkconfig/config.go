package sinkconfig

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// EntitySet is the configuration of one entity set. Number is the number of its settings group.
type EntitySet struct {
	Number, Service, Name, Topic string
	Query                        uri.Query
}

// EntitySets returns the configured entity sets.
func EntitySets(v setting.Values) []EntitySet {
	var all []EntitySet
	for _, g := range config.Groups(v) {
		all = append(all, EntitySet{Number: g.Digits, Service: "/" + strings.Trim(g.String(NameService), "/"),
			Name:  strings.Trim(g.String(NameEntitySet), "/"),
			Topic: g.String(NameTopic), Query: config.Query(v)})
	}
	return all
}

// ServicePaths returns the paths of the services, each once.
func ServicePaths(all []EntitySet) (services []string) {
	for _, e := range all {
		if !slices.Contains(services, e.Service) {
			services = append(services, e.Service)
		}
	}
	return services
}

// Config is the parsed configuration. It does not change while the connector runs.
type Config struct {
	Mode, ModeProperty        string
	UpsertFirst, UpsertMethod string
	// InsertUncertain is the policy for inserts in doubt, CheckFilter the filter that finds them.
	InsertUncertain, CheckFilter              string
	DeleteTombstones, DeleteRecords           bool
	MethodTunnel, KeyFromRecord               bool
	UseETags, NoIfMatch, RetryETagConflicts   bool
	Lossy                                     bool
	IgnoreUnknownFields, FailOnUnknownFields  bool
	NestedUpdates                             bool
	Atom                                      bool
	Batch, SingleChangesets, SharedChangesets bool
	MaxBatchSize                              int
	// OrderingKeys is the number of ordering keys for batches.
	OrderingKeys                           int
	ExistsCodes, NotFoundCodes, RetryCodes []string
}

// Parse returns the configuration in settings that [Validate] accepts.
func Parse(v setting.Values) Config {
	c := Config{
		Mode:                v.Lower(NameOperationMode),
		ModeProperty:        v.String(NameModeProperty),
		UpsertFirst:         v.Lower(NameUpsertFirst),
		UpsertMethod:        v.Lower(NameUpsertMethod),
		InsertUncertain:     v.Lower(NameInsertUncertain),
		CheckFilter:         v.String(NameCheckFilter),
		DeleteTombstones:    v.Bool(NameEnableDelete),
		DeleteRecords:       v.Bool(NameDeleteRecords),
		MethodTunnel:        v.Bool(nameMethodTunnel),
		KeyFromRecord:       v.Lower(NameKeyFrom) == "record",
		UseETags:            v.Lower(NameETag) == "use",
		NoIfMatch:           v.Lower(NameETag) == "none",
		RetryETagConflicts:  v.Lower(NameETagConflict) == "retry",
		Lossy:               v.Lower(nameLossy) == "allow",
		IgnoreUnknownFields: v.Lower(NameUnknownFields) == "ignore",
		FailOnUnknownFields: v.Lower(NameUnknownFields) == "fail",
		NestedUpdates:       v.Lower(NameNestedUpdates) == "operations",
		Atom:                v.Lower(NameRequestFormat) == "atom",
		Batch:               v.Bool(nameEnableBatch) && v.Int(nameMaxBatchSize) > 1,
		SingleChangesets:    v.Lower(nameChangesets) == "one",
		SharedChangesets:    v.Lower(nameChangesets) == "all",
		MaxBatchSize:        v.Int(nameMaxBatchSize),
		OrderingKeys:        max(1, min(v.Int(nameMaxInFlight), v.Int(nameMaxConcurrent))),
		ExistsCodes:         v.List(nameExistsCodes),
		NotFoundCodes:       v.List(NameNotFoundCodes),
		RetryCodes:          v.List(nameHTTPCodes),
	}
	if c.NestedUpdates {
		c.OrderingKeys = 1 // rows with different keys may update the same nested entity
	}
	return c
}

// MediaType returns the media type of request bodies.
func (c *Config) MediaType() string {
	if c.Atom {
		return "application/atom+xml"
	}
	return "application/json"
}

// Validate checks all settings and adds the errors to their values.
func Validate(settings []wit.Setting) []wit.ConfigValue {
	examined := config.Examine(Table, settings)
	v := Table.Values(settings)
	all := EntitySets(v)
	if len(all) == 0 {
		examined = Table.AddMissing(examined, config.InGroup("00", NameService),
			"No entity set is configured: expected "+
				config.InGroup("00", NameService)+", "+config.InGroup("00", NameEntitySet)+" and "+config.InGroup("00",
				NameTopic))
	}
	for i, e := range all {
		for _, other := range all[:i] {
			if other.Topic == e.Topic {
				setting.AddError(examined, config.InGroup(e.Number, NameTopic),
					"Topic "+e.Topic+" is already in "+config.InGroup(other.Number,
						NameTopic)+
						": its records can be written to one entity set only")
			}
		}
	}
	if v.Lower(NameNestedUpdates) == "operations" {
		switch {
		case !v.Bool(nameEnableBatch) || v.Int(nameMaxBatchSize) == 1:
			setting.AddError(examined, NameNestedUpdates, setting.Invalid(NameNestedUpdates,
				v.String(NameNestedUpdates),
				"the operations need batches, which "+nameEnableBatch+" or "+nameMaxBatchSize+" disables"))
		case v.Lower(NameETag) == "use":
			setting.AddError(examined, NameNestedUpdates, setting.Invalid(NameNestedUpdates,
				v.String(NameNestedUpdates),
				NameETag+" = use reads no ETags of nested entities"))
		}
	}
	if v.Lower(NameOperationMode) == ModeDynamic && v.String(NameModeProperty) == "" {
		setting.AddError(examined, NameModeProperty,
			setting.Missing(NameModeProperty)+"; "+NameOperationMode+" = "+ModeDynamic+
				" requires it")
	}
	if _, settings := v.Lookup(NameModeProperty); settings && v.Lower(NameOperationMode) != ModeDynamic {
		setting.AddError(examined, NameModeProperty, setting.Invalid(NameModeProperty, v.String(NameModeProperty),
			"it requires "+NameOperationMode+" = "+ModeDynamic))
	}
	return examined
}
