package records

import (
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/plugins/smt/rowerror"
	"github.com/culvert-project/culvert/plugins/smt/settings"
	"github.com/culvert-project/culvert/wit"
)

// Classes lists the transforms of the package.
var Classes = []operation.Class{
	{Name: operation.KafkaPackage + "DropHeaders", Keys: dropHeadersKeys, Transform: newDropHeaders,
		Doc: "Removes one or more headers from each record."},
	{Name: operation.KafkaPackage + "Filter", Transform: newFilter,
		Doc: "Drops all records, filtering them from subsequent transformations in the chain. This is intended " +
			"to be used conditionally to filter out records matching (or not matching) a particular predicate."},
	{Name: operation.KafkaPackage + "HoistField", Keys: hoistFieldKeys, PerTarget: newHoistField,
		Doc: "Wrap the record's {target} using the specified field name in a Struct when schema present, or a Map " +
			"in the case of schemaless data."},
	{Name: operation.KafkaPackage + "InsertHeader", Keys: insertHeaderKeys, Transform: newInsertHeader,
		Doc: "Add a header to each record."},
	{Name: operation.CulvertPackage + "Split", Keys: splitKeys, Transform: newSplit,
		Doc: "Create a record from each item of an array in the record's value. Key, topic, headers and " +
			"timestamp are copied; use ValueToKey after it for keys of the new records."},
	{Name: operation.CulvertPackage + "ToTombstone", Keys: toTombstoneKeys, Transform: newToTombstone,
		Doc: "Create a tombstone from a record that reports a deletion, as the OData source writes it with " +
			"deletes=record."},
}

// Filter drops every record.
type Filter struct{}

func newFilter(settings.Values) (operation.Operation, *wit.Error) { return Filter{}, nil }

func (Filter) Apply(_ *operation.Context, rec *record.Record, _ int) (*rowerror.Failure, error) {
	rec.Dropped = true
	return nil, nil
}
