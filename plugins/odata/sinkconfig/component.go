package sinkconfig

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Component is a connector class of the sink. Each class writes to services of one dialect.
type Component struct {
	config.Component
	// nestedAdvice is the part of errors with the reason why updates have no nested content, and the setting that
	// changes that.
	nestedAdvice string
}

// V2 and V4 are the classes. The name of V4 follows the package of INIT's connector for OData v4, and is not confirmed.
var (
	V2 = &Component{
		Component: config.Component{
			Class:   "org.init.ohja.kafka.connect.odatav2.sink.OData2SinkConnector",
			Alias:   "ODataSink",
			Dialect: edm.V2,
			Table:   declareV2(),
		},
		nestedAdvice: "because OData v2 cannot update an entity together with others (" + NameNestedUpdates +
			" = operations sends separate updates)",
	}
	V4 = &Component{
		Component: config.Component{
			Class:   "org.init.ohja.kafka.connect.odatav4.sink.OData4SinkConnector",
			Alias:   "OData4Sink",
			Dialect: edm.V4,
			Table:   declareV4(),
		},
		nestedAdvice: "because " + NameNestedUpdates + " is refuse, or needs batches and no ETags (operations sends " +
			"separate updates, deep sends the content with the update, which replaces lists)",
	}
)

// Components are all classes.
var Components = []*Component{V2, V4}

// declareV4 declares the settings of the class for OData v4: those of the class for v2, as far as v4 has their subject.
func declareV4() *setting.Table {
	table := &setting.Table{Prefixes: config.Prefixes}
	for _, key := range declareV2().Keys() {
		switch key.Name {
		case NameRequestFormat:
			table.DeclareRefused(key, "requests of OData v4 are in JSON")
			continue
		case NameOperationMode:
			key.Documentation = strings.Replace(key.Documentation, "merge MERGE, patch PATCH", "merge and patch PATCH",
				1)
		case NameModeProperty:
			key.Documentation = strings.Replace(key.Documentation, "M is MERGE", "M is PATCH", 1)
		case NameUpsertMethod:
			key.Documentation = "Method of the updates of upsert: merge and patch are PATCH, put is PUT."
		case nameMethodTunnel:
			key.Documentation = strings.Replace(key.Documentation, "PUT, MERGE, PATCH", "PUT, PATCH", 1)
		case NameNestedUpdates:
			declareNestedUpdates(table)
			continue
		}
		table.Declare(key)
	}
	table.Declare(setting.Define(nameBatchFormat, wit.KindString, wit.Low, setting.Default("multipart"),
		"Format of $batch requests: multipart, which all services read; json; or auto, which is json unless the "+
			"service refuses the first batch, then multipart.",
		setting.Allowed("multipart", "json", FormatAuto), setting.InGroup("Batches"), setting.Display("Format of batches")))
	return table
}

func declareNestedUpdates(table *setting.Table) {
	table.Declare(setting.Define(NameNestedUpdates, wit.KindString, wit.Low, setting.Default(nestedOperations),
		"What to do with an update whose record contains nested entities: operations updates each of them in one "+
			"changeset with the record's own entity, so all or none are applied: nested entities need their keys, are "+
			"not inserted, and missing ones are not deleted; deep sends them with the update, which replaces lists: "+
			"services delete the entities that the record does not contain; refuse rejects the record. Without "+
			"batches, and for "+NameETag+" = use, the default is refuse.",
		setting.Allowed("refuse", nestedOperations, "deep"), setting.InGroup("Entities"),
		setting.Display("Nested updates")))
}

// FindComponent returns the class with this name or alias.
func FindComponent(name string) (*Component, error) { return config.FindComponent(Components, name) }

// ConfiguredComponent returns the class of a connector's settings, [V2] unless they name another one.
func ConfiguredComponent(settings []wit.Setting) *Component {
	return config.ConfiguredComponent(Components, settings)
}

const (
	formatJSON = "json"
	// FormatAuto sends batches in JSON until the service refuses one.
	FormatAuto = "auto"
)

// InJSON reports whether batches are sent in JSON. isRefused means that the service has refused one.
func (b *Batches) InJSON(isRefused bool) bool {
	return b.BatchFormat == formatJSON || (b.BatchFormat == FormatAuto && !isRefused)
}
