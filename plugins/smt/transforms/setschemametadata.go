package transforms

import (
	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

var setSchemaMetadataKeys = []wit.ConfigKey{
	{Name: "schema.name", Kind: wit.KindString, Importance: wit.High, Documentation: "Schema name to set."},
	{Name: "schema.version", Kind: wit.KindInt, Importance: wit.High, Documentation: "Schema version to set."},
	replaceNullKey,
}

// setSchemaMetadata sets the name or version of the schema.
type setSchemaMetadata struct {
	FieldOptions
	name    *string
	version *int32
}

func newSetSchemaMetadata(target record.Target, values Settings) (Operation, *wit.Error) {
	transform := &setSchemaMetadata{FieldOptions: FieldOptions{Target: target,
		Purpose: "updating schema metadata", RequireSchema: true, ConvertNull: true, FieldAction: "list",
		RequireStruct: true}}
	if name, isSet := values.Find("schema.name"); isSet {
		transform.name = wit.Ptr(setting.Trim(name))
	}
	if version, isSet := values.Find("schema.version"); isSet {
		n, ok := setting.ParseInt(wit.KindInt, version)
		if !ok {
			return nil, invalidSetting("schema.version", values.Raw("schema.version"), "Not a number of type INT")
		}
		transform.version = wit.Ptr(int32(n))
	}
	err := transform.configure(values)
	if err == nil && transform.name == nil && transform.version == nil {
		err = settingError("", "Neither schema name nor version configured")
	}
	return transform, err
}

func (s *setSchemaMetadata) Apply(obj *record.Object, step Step) *record.Failure {
	if obj.IsMap {
		return record.NotTraceable // the interpreter fails the row, see RequireSchema
	}
	if s.ReplaceNull {
		obj.ReplaceNulls(step.Stage)
	}
	obj.KeepsSchema = false
	if s.name != nil {
		obj.Root.Name = s.name
	}
	if s.version != nil {
		obj.Root.Version = s.version
	}
	return nil
}
