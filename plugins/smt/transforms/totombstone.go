package transforms

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

var toTombstoneKeys = []wit.ConfigKey{
	{Name: "field", Kind: wit.KindString, DefaultValue: wit.Ptr("RECORDMODE,ODQ_CHANGEMODE"), Importance: wit.Medium,
		Documentation: "Comma-separated fields of the value that report a deletion. The first one that exists is " +
			"used. The defaults are those of the OData source."},
	{Name: "values", Kind: wit.KindList, DefaultValue: wit.Ptr("D"), Importance: wit.Medium,
		Documentation: "Values of the field that report a deletion."},
}

// toTombstone removes the value of records that report a deletion. Kafka Connect has no such transform.
type toTombstone struct {
	fields []string
	values []string
}

func newToTombstone(values Settings) (Operation, *wit.Error) {
	transform := &toTombstone{fields: []string{"RECORDMODE", "ODQ_CHANGEMODE"}, values: []string{"D"}}
	for name, list := range map[string]*[]string{"field": &transform.fields, "values": &transform.values} {
		if _, isSet := values.Find(name); !isSet {
			continue
		}
		if *list = values.List(name); len(*list) == 0 || slices.Contains(*list, "") {
			return nil, invalidSetting(name, strings.Join(*list, ","),
				"expected at least one string, none of them empty")
		}
	}
	return transform, nil
}

func (t *toTombstone) Apply(ctx *Context, rec *record.Record, stage int) (*record.Failure, error) {
	part := &rec.Parts[record.Value]
	obj := &ctx.Object
	switch part.Encoding {
	case wit.Absent:
		return nil, nil
	case wit.Schemaless:
		class, invalid := obj.ReadMap(&ctx.Scratch, part.Bytes)
		switch {
		case invalid:
			return record.BadValue(stage, 0), nil
		case class != "":
			return nil, nil
		}
	default:
		reader, err := ctx.Reader(part.Schema)
		if err != nil || !reader.IsStruct() {
			return nil, err
		}
		isNull, start, ok := reader.Null(part.Bytes)
		switch {
		case !ok:
			return record.BadValue(stage, 0), nil
		case isNull:
			return nil, nil
		}
		obj.Open(&ctx.Scratch, reader, part.Bytes, start)
	}
	if mode, failure := t.fieldText(obj, stage); failure != nil || !slices.Contains(t.values, mode) {
		return failure, nil
	}
	isNull, err := rec.Parts[record.Key].IsNull(&ctx.Schemas)
	if err != nil {
		return nil, err
	}
	if isNull {
		return record.DataFailure(stage, "A tombstone needs a key: without it, the deleted entity is unknown"), nil
	}
	part.Set(wit.Absent, 0, nil)
	return nil, nil
}

// fieldText returns the text of the first of the fields that exists, "" if it is null or not a string.
func (t *toTombstone) fieldText(obj *record.Object, stage int) (string, *record.Failure) {
	for _, name := range t.fields {
		field := obj.Find(name)
		switch {
		case field == nil:
			continue
		case obj.IsMap:
			return record.TextOf(field.Bytes), nil
		case field.Schema().Kind != wit.String:
			return "", nil
		case !obj.Load(stage):
			return "", obj.Pending
		}
		isNull, size, ok := connectdata.IsNull(field.Schema(), field.Bytes)
		if isNull || !ok {
			return "", nil
		}
		content, _ := connectdata.LengthPrefixed(field.Bytes[size:])
		return string(content), nil
	}
	return "", nil
}

// Filter drops every record.
type Filter struct{}

func (Filter) Apply(_ *Context, rec *record.Record, _ int) (*record.Failure, error) {
	rec.Dropped = true
	return nil, nil
}
