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
func EntitySets(values setting.Values) []EntitySet {
	var all []EntitySet
	for _, g := range config.Groups(values) {
		all = append(all, EntitySet{Number: g.Digits, Service: "/" + strings.Trim(g.String(NameService), "/"),
			Name:  strings.Trim(g.String(NameEntitySet), "/"),
			Topic: g.String(NameTopic), Query: config.Query(values)})
	}
	return all
}

// ServicePaths returns the paths of the services, each once.
func ServicePaths(all []EntitySet) (services []string) {
	for _, set := range all {
		if !slices.Contains(services, set.Service) {
			services = append(services, set.Service)
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
func Parse(values setting.Values) Config {
	parsed := Config{
		Mode:                values.Lower(NameOperationMode),
		ModeProperty:        values.String(NameModeProperty),
		UpsertFirst:         values.Lower(NameUpsertFirst),
		UpsertMethod:        values.Lower(NameUpsertMethod),
		InsertUncertain:     values.Lower(NameInsertUncertain),
		CheckFilter:         values.String(NameCheckFilter),
		DeleteTombstones:    values.Bool(NameEnableDelete),
		DeleteRecords:       values.Bool(NameDeleteRecords),
		MethodTunnel:        values.Bool(nameMethodTunnel),
		KeyFromRecord:       values.Lower(NameKeyFrom) == "record",
		UseETags:            values.Lower(NameETag) == "use",
		NoIfMatch:           values.Lower(NameETag) == "none",
		RetryETagConflicts:  values.Lower(NameETagConflict) == "retry",
		Lossy:               values.Lower(nameLossy) == "allow",
		IgnoreUnknownFields: values.Lower(NameUnknownFields) == "ignore",
		FailOnUnknownFields: values.Lower(NameUnknownFields) == "fail",
		NestedUpdates:       values.Lower(NameNestedUpdates) == "operations",
		Atom:                values.Lower(NameRequestFormat) == "atom",
		Batch:               values.Bool(nameEnableBatch) && values.Int(nameMaxBatchSize) > 1,
		SingleChangesets:    values.Lower(nameChangesets) == "one",
		SharedChangesets:    values.Lower(nameChangesets) == "all",
		MaxBatchSize:        values.Int(nameMaxBatchSize),
		OrderingKeys:        max(1, min(values.Int(nameMaxInFlight), values.Int(nameMaxConcurrent))),
		ExistsCodes:         values.List(nameExistsCodes),
		NotFoundCodes:       values.List(NameNotFoundCodes),
		RetryCodes:          values.List(nameHTTPCodes),
	}
	if parsed.NestedUpdates {
		parsed.OrderingKeys = 1 // rows with different keys may update the same nested entity
	}
	return parsed
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
	values := Table.Values(settings)
	all := EntitySets(values)
	if len(all) == 0 {
		examined = Table.AddMissing(examined, config.InGroup("00", NameService),
			"No entity set is configured: expected "+
				config.InGroup("00", NameService)+", "+config.InGroup("00", NameEntitySet)+" and "+config.InGroup("00",
				NameTopic))
	}
	for i, set := range all {
		for _, other := range all[:i] {
			if other.Topic == set.Topic {
				setting.AddError(examined, config.InGroup(set.Number, NameTopic),
					"Topic "+set.Topic+" is already in "+config.InGroup(other.Number,
						NameTopic)+
						": its records can be written to one entity set only")
			}
		}
	}
	if values.Lower(NameNestedUpdates) == "operations" {
		switch {
		case !values.Bool(nameEnableBatch) || values.Int(nameMaxBatchSize) == 1:
			setting.AddError(examined, NameNestedUpdates, setting.Invalid(NameNestedUpdates,
				values.String(NameNestedUpdates),
				"the operations need batches, which "+nameEnableBatch+" or "+nameMaxBatchSize+" disables"))
		case values.Lower(NameETag) == "use":
			setting.AddError(examined, NameNestedUpdates, setting.Invalid(NameNestedUpdates,
				values.String(NameNestedUpdates),
				NameETag+" = use reads no ETags of nested entities"))
		}
	}
	if values.Lower(NameOperationMode) == ModeDynamic && values.String(NameModeProperty) == "" {
		setting.AddError(examined, NameModeProperty,
			setting.Missing(NameModeProperty)+"; "+NameOperationMode+" = "+ModeDynamic+
				" requires it")
	}
	if _, settings := values.Lookup(NameModeProperty); settings && values.Lower(NameOperationMode) != ModeDynamic {
		setting.AddError(examined, NameModeProperty, setting.Invalid(NameModeProperty, values.String(NameModeProperty),
			"it requires "+NameOperationMode+" = "+ModeDynamic))
	}
	return examined
}
