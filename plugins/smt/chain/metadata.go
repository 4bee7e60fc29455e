package chain

import (
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

var metadataSpecs = []wit.ConfigKey{
	{Name: "schema.name", Kind: wit.KindString, Importance: wit.High, Documentation: "Schema name to set."},
	{Name: "schema.version", Kind: wit.KindInt, Importance: wit.High, Documentation: "Schema version to set."},
	replaceNullSpec,
}

// metadata is SetSchemaMetadata: another name or version of the schema.
type metadata struct {
	target
	name    *string
	version *int32
}

func newMetadata(at side, s settings) (operation, *wit.Error) {
	o := &metadata{target: target{at: at, purpose: "updating schema metadata", schema: true, nulls: true, looks: "list",
		listing: true}}
	if text, given := s.find("schema.name"); given {
		o.name = wit.Ptr(setting.Trim(text))
	}
	if text, given := s.find("schema.version"); given {
		n, ok := setting.Integer(wit.KindInt, text)
		if !ok {
			return nil, invalid("schema.version", s.asGiven("schema.version"), "Not a number of type INT")
		}
		o.version = wit.Ptr(int32(n))
	}
	err := o.configure(s)
	if err == nil && o.name == nil && o.version == nil {
		err = fail("", "Neither schema name nor version configured")
	}
	return o, err
}

func (o *metadata) apply(x *object, s step) *failure {
	if x.isMap {
		return unfit
	}
	if o.replaceNull {
		x.replaceNulls(s.stage)
	}
	x.stays = false
	if o.name != nil {
		x.root.Name = o.name
	}
	if o.version != nil {
		x.root.Version = o.version
	}
	return nil
}
