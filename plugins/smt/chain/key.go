package chain

import "github.com/culvert-project/culvert/wit"

var valueToKeySpecs = []wit.ConfigKey{
	needsList("fields", "Field names on the record value to extract as the record key."),
	replaceNullSpec,
}

// valueToKey is ValueToKey: the key becomes a structure, or a map, of fields of the value.
type valueToKey struct {
	target
	fields []string
}

func newValueToKey(s settings) (operation, *wit.Error) {
	fields, err := s.distinct("fields")
	if err != nil {
		return nil, err
	}
	o := &valueToKey{fields: fields}
	o.target = target{at: valueSide, purpose: "copying fields from value to key", needed: true, keeps: true}
	return o, o.configure(s)
}

func (o *valueToKey) apply(x *object, s step) *failure {
	x.load(s.stage)
	key := &object{w: x.w, isMap: x.isMap, root: wit.SchemaNode{Kind: wit.Struct}, loaded: true, changed: true,
		trace: x.trace}
	for _, name := range o.fields {
		f := x.find(name)
		switch {
		case f != nil && x.isMap:
			key.add(name, *f)
		case f != nil:
			key.fields = append(key.fields, *f)
		case x.isMap:
			key.add(name, nullValue)
		default:
			return &failure{s.stage, dataException, "Field does not exist: " + name}
		}
	}
	x.key = key
	if o.replaceNull && !x.isMap && x.pending == nil {
		key.replaceNulls(s.stage)
	}
	return nil
}
