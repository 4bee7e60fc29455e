package avro

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Names and properties by which Confluent's AvroData keeps the parts of Kafka Connect's schemas that Avro does not have
// (github.com/confluentinc/schema-registry, avro-data).
const (
	namespace    = "io.confluent.connect.avro"
	unionName    = namespace + ".Union"
	enumName     = namespace + ".Enum"
	recordDoc    = namespace + ".record.doc"
	fieldDoc     = namespace + ".field.doc."
	enumDoc      = namespace + ".enum.doc."
	enumDefault  = namespace + ".enum.default."
	fieldDefault = namespace + ".field.default"
	defaultName  = "ConnectDefault"
	mapEntry     = "MapEntry"

	fixedSize = "connect.fixed.size"
	// defaultPrecision is AvroData's precision for decimals that do not specify one.
	defaultPrecision = 64
)

// Options are the settings that AvroDataConfig has in Confluent's converter.
type Options struct {
	enhanced     bool // `enhanced.avro.schema.support`
	Scrub        bool // Scrub replaces characters that Avro does not allow in names (`scrub.invalid.names`)
	Meta         bool // Meta keeps Kafka Connect's attributes as properties (`connect.meta.data`)
	optionalKeys bool // `allow.optional.map.keys`
	flatten      bool // `flatten.singleton.unions`
	// keepNulls writes null for a field with a default as null (`ignore.default.for.nullables`).
	keepNulls bool
}

// OptionsOf returns the options in the values of [Settings].
func OptionsOf(v setting.Values) Options {
	return Options{enhanced: v.Bool("enhanced.avro.schema.support"), Scrub: v.Bool("scrub.invalid.names"),
		Meta: v.Bool("connect.meta.data"), optionalKeys: v.Bool("allow.optional.map.keys"),
		flatten: v.Bool("flatten.singleton.unions"), keepNulls: v.Bool("ignore.default.for.nullables")}
}

// schemaWriter writes a Connect schema as Avro, with members like Schema.toString, and creates the steps for values.
type schemaWriter struct {
	conversion.SchemaText
	nodes []wit.SchemaNode
	o     Options
	// digests of nodes include their children but not their optionality: nodes with equal digests are the same type.
	digests   [][sha256.Size]byte
	defined   map[string][sha256.Size]byte // named types so far, by full name
	unnamed   map[[sha256.Size]byte]string // the names that were invented for types without one, by digest
	anonymous int                          // counts the invented names
	root      string                       // full name of a root record
}

// writeSchema returns the Avro schema of nodes, the full name of a root record, and the step of values.
func writeSchema(k *conversion.Budget, nodes []wit.SchemaNode,
	o Options) (text []byte, name string, s *step, err error) {
	digests := make([][sha256.Size]byte, len(nodes))
	for id := len(nodes) - 1; id >= 0; id-- { // nodes refer to higher indexes only
		n := nodes[id]
		children := n.Fields
		switch n.Kind {
		case wit.Map:
			children = []wit.Field{{Node: n.Key}, {Node: n.Element}}
		case wit.Array:
			children = []wit.Field{{Node: n.Element}}
		}
		n.Optional = false
		n.Fields = nil
		n.Key = 0
		n.Element = 0
		encoded, _ := json.Marshal(n) // cannot fail
		for _, child := range children {
			encoded = fmt.Appendf(encoded, "%q %t %x", child.Name, nodes[child.Node].Optional, digests[child.Node])
		}
		digests[id] = sha256.Sum256(encoded)
	}
	w := schemaWriter{SchemaText: conversion.SchemaText{Budget: k}, nodes: nodes, o: o, digests: digests,
		defined: map[string][sha256.Size]byte{}, unnamed: map[[sha256.Size]byte]string{}}
	root := w.writeNode(0, "")
	return w.Out, w.root, &root, w.Err
}

// SchemaText returns the Avro schema of nodes.
func SchemaText(ctx context.Context, nodes []wit.SchemaNode, o Options) ([]byte, error) {
	var k conversion.Budget
	k.Start(ctx, nil, conversion.MaxEnvelopeBytes)
	schemaText, _, _, err := writeSchema(&k, nodes, o)
	return schemaText, err
}

// writeNode writes the schema of a node in a namespace, and returns the step of its values.
func (w *schemaWriter) writeNode(id uint32, space string) step {
	n := &w.nodes[id]
	switch {
	case w.Done():
		return step{}
	case n.Kind == wit.Struct && conversion.NameOf(n) == unionName:
		return w.writeUnion(id, space)
	case !n.Optional:
		return w.writeValue(id, space)
	}
	// AvroData puts null first in unions with structs, whatever their default.
	valueFirst := n.DefaultValue != nil && n.Kind != wit.Struct
	lead := `["null",`
	end := "]"
	null := int64(0)
	if valueFirst {
		lead = "["
		end = `,"null"]`
		null = 1
	}
	w.Raw(lead)
	value := w.writeValue(id, space)
	w.Raw(end)
	s := optionalStep(n, branch{prefix: connectdata.AppendNumber(nil, null)},
		branch{prefix: connectdata.AppendNumber(nil, 1-null), step: &value})
	s.identity = value.identity && valueFirst == (n.DefaultValue != nil)
	return s
}

// optionalStep returns the step of an optional node by the branches of its input.
func optionalStep(n *wit.SchemaNode, null, value branch) step {
	if n.DefaultValue != nil {
		return step{op: unionStep, branches: []branch{value, null}}
	}
	return step{op: unionStep, branches: []branch{null, value}}
}

// writeUnion writes a struct that represents a union.
func (w *schemaWriter) writeUnion(id uint32, space string) step {
	n := &w.nodes[id]
	pick := step{op: pickStep}
	seenKinds := map[string]bool{}
	w.Raw("[")
	firstBranch := 0
	if n.Optional {
		w.Raw(`"null"`)
		firstBranch = 1
	}
	for i, field := range n.Fields {
		w.Comma(firstBranch + i)
		member := &w.nodes[field.Node]
		if !member.Optional {
			w.Fail(fault.Data("the member %s of a union must be optional", fault.Quoted(field.Name)))
		}
		kind := w.kindInUnion(field.Node)
		if kind == "union" || seenKinds[kind] {
			w.Fail(fault.Data("the member %s of a union: Avro has no union in a union, and no type twice in one",
				fault.Quoted(field.Name)))
		}
		seenKinds[kind] = true
		s := w.writeValue(field.Node, space)
		pick.members = append(pick.members, optionalStep(member, branch{},
			branch{prefix: connectdata.AppendNumber(nil, int64(firstBranch+i)), step: &s}))
		pick.names = append(pick.names, field.Name)
	}
	w.Raw("]")
	if !n.Optional {
		return pick
	}
	return optionalStep(n, branch{prefix: connectdata.AppendNumber(nil, 0)}, branch{step: &pick})
}

// kindInUnion returns the text that distinguishes types in a union: the type, or the digest of a named type.
func (w *schemaWriter) kindInUnion(id uint32) string {
	n := &w.nodes[id]
	isNamed := n.Kind == wit.Struct
	switch n.Kind {
	case wit.Struct:
		if conversion.NameOf(n) == unionName {
			return "union"
		}
	case wit.String:
		_, isEnum := conversion.Parameter(n, enumName)
		isNamed = isEnum && w.o.enhanced
	case wit.Bytes:
		_, isNamed = conversion.Parameter(n, fixedSize)
	case wit.Map:
		if !w.hasTextKeys(n) {
			return "array"
		}
	}
	if isNamed {
		return string(w.digests[id][:])
	}
	return avroTypes[n.Kind]
}

// hasTextKeys reports whether a map is a map in Avro; others are arrays of entries.
func (w *schemaWriter) hasTextKeys(n *wit.SchemaNode) bool {
	key := &w.nodes[n.Key]
	return key.Kind == wit.String && (!key.Optional || w.o.optionalKeys)
}

// avroTypes are Avro's types by wit.Kind.
var avroTypes = [...]string{"int", "int", "int", "long", "float", "double", "boolean", "string", "bytes", "array",
	"map", "record"}

// writeValue writes the schema of a node's values other than null.
func (w *schemaWriter) writeValue(id uint32, space string) (result step) {
	if w.Done() {
		return step{}
	}
	n := &w.nodes[id]
	switch n.Kind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		result = step{op: numberStep, size: 8 << n.Kind, identity: true}
	case wit.Float32:
		result = step{op: floatStep, size: 4, identity: true}
	case wit.Float64:
		result = step{op: floatStep, size: 8, identity: true}
	case wit.Boolean:
		result = step{op: booleanStep, identity: true}
	case wit.String:
		if _, isEnum := conversion.Parameter(n, enumName); isEnum && w.o.enhanced {
			return w.writeEnum(n, id, space)
		}
		result = step{op: textStep, identity: true}
	case wit.Bytes:
		if size, isFixed := conversion.Parameter(n, fixedSize); isFixed {
			return w.writeFixed(n, id, space, size)
		}
		result = step{op: bytesStep, identity: true}
	case wit.Struct:
		return w.writeStructure(id, space)
	}
	start := len(w.Out)
	w.Raw(`{"type":"`, avroTypes[n.Kind], `"`)
	switch {
	case n.Kind == wit.Array:
		w.Raw(`,"items":`)
		element := w.writeNode(n.Element, space)
		result = step{op: arrayStep, element: &element, identity: element.identity}
	case n.Kind == wit.Map && w.hasTextKeys(n):
		w.Raw(`,"values":`)
		element := w.writeNode(n.Element, space)
		key := step{op: textStep, identity: true}
		if k := &w.nodes[n.Key]; k.Optional {
			nonNullKey := key
			key = optionalStep(k, branch{problem: "a null key, which maps of Avro do not have"},
				branch{step: &nonNullKey})
		}
		result = step{op: mapStep, key: &key, element: &element, identity: key.identity && element.identity}
	case n.Kind == wit.Map: // an array of entries
		w.Out = w.Out[:start]
		w.Raw(`{"type":"array","items":`)
		name := namespace + "." + mapEntry
		if n.Name != nil {
			name = *n.Name
		}
		fullName, isDefined := w.define(name, w.digests[id])
		definitionStart := len(w.Out)
		w.beginDefinition("record", fullName, space)
		const keepNulls = true // entries are no structs, so a null does not become the default
		w.Raw(`,"fields":[`)
		key := w.writeField("key", n.Key, "", namespaceOf(fullName), keepNulls)
		w.Raw(",")
		element := w.writeField("value", n.Element, "", namespaceOf(fullName), keepNulls)
		w.Raw("]")
		if fullName != namespace+"."+mapEntry {
			w.Raw(`,"connect.internal.type":"MapEntry"`)
		}
		w.Raw("}")
		if isDefined {
			w.replaceWithName(definitionStart, fullName, space)
		}
		result = step{op: mapStep, key: &key, element: &element, identity: key.identity && element.identity}
	}
	withoutProperties := len(w.Out)
	w.writeProperties(id)
	if len(w.Out) == withoutProperties && n.Kind < wit.Array {
		// Without properties a scalar has the short form.
		w.Out = w.Out[:start]
		w.Raw(`"`, avroTypes[n.Kind], `"`)
		return result
	}
	w.Raw("}")
	return result
}

// writeEnum writes a string that came from an enum.
func (w *schemaWriter) writeEnum(n *wit.SchemaNode, id uint32, space string) step {
	name, _ := conversion.Parameter(n, enumName)
	if n.Name == nil {
		w.anonymous++ // as AvroData, which invents an unused name
	}
	result := step{op: symbolStep, numbers: map[string]int{}}
	var symbols []string
	for _, p := range n.Parameters {
		if symbol, ok := strings.CutPrefix(p.Name, enumName+"."); ok {
			w.Fail(checkName(symbol))
			result.numbers[symbol] = len(symbols)
			symbols = append(symbols, symbol)
		}
	}
	fullName, isDefined := w.define(name, w.digests[id])
	if isDefined {
		w.replaceWithName(len(w.Out), fullName, space)
		return result
	}
	w.beginDefinition("enum", fullName, space)
	local := conversion.SimpleName(conversion.NameOf(n))
	if doc, ok := conversion.Parameter(n, enumDoc+local); ok {
		w.Text(`,"doc":`, doc)
	}
	w.Raw(`,"symbols":[`)
	for i, symbol := range symbols {
		w.Comma(i)
		w.Quote(symbol)
	}
	w.Raw("]")
	if symbol, ok := conversion.Parameter(n, enumDefault+local); ok {
		if _, ok := result.numbers[symbol]; !ok {
			w.Fail(fault.Data("the enum %s has the default %s, which is no symbol of it", fullName,
				fault.Quoted(symbol)))
		}
		w.Text(`,"default":`, symbol)
	}
	w.writeProperties(id)
	w.Raw("}")
	return result
}

// writeFixed writes bytes that came from a fixed.
func (w *schemaWriter) writeFixed(n *wit.SchemaNode, id uint32, space, sizeText string) step {
	size, err := strconv.ParseInt(sizeText, 10, 32)
	if err != nil || size < 0 {
		w.Fail(fault.Data("expected a number of bytes in the parameter %s, found %s", fixedSize,
			fault.Quoted(sizeText)))
	}
	result := step{op: padStep, size: int(size)}
	if conversion.NameOf(n) == wit.NameDecimal {
		result.op = padDecimalStep
	}
	fullName, isDefined := w.define(w.nameOf(n, id), w.digests[id])
	if isDefined {
		w.replaceWithName(len(w.Out), fullName, space)
		return result
	}
	w.beginDefinition("fixed", fullName, space)
	w.Raw(`,"size":`)
	w.Number(size)
	w.writeProperties(id)
	w.Raw("}")
	return result
}

func (w *schemaWriter) writeStructure(id uint32, space string) step {
	n := &w.nodes[id]
	fullName, isDefined := w.define(w.nameOf(n, id), w.digests[id])
	if id == 0 {
		w.root = fullName
	}
	start := len(w.Out)
	w.beginDefinition("record", fullName, space)
	if doc, ok := conversion.Parameter(n, recordDoc); ok {
		w.Text(`,"doc":`, doc)
	}
	result := step{op: recordStep, identity: true, members: make([]step, len(n.Fields)),
		names: make([]string, len(n.Fields))}
	w.Raw(`,"fields":[`)
	seenNames := map[string]bool{}
	for i, m := range n.Fields {
		w.Comma(i)
		name := w.scrub(m.Name)
		if seenNames[name] {
			w.Fail(fault.New(schemaParseException, "Duplicate field "+fault.Quoted(name)+" in record "+fullName))
		}
		seenNames[name] = true
		doc, _ := conversion.Parameter(n, fieldDoc+m.Name)
		result.members[i] = w.writeField(name, m.Node, doc, namespaceOf(fullName), w.o.keepNulls)
		result.names[i] = m.Name
		result.identity = result.identity && result.members[i].identity
	}
	w.Raw("]")
	if isDefined {
		w.replaceWithName(start, fullName, space)
		return result
	}
	w.writeProperties(id)
	w.Raw("}")
	return result
}

// writeField writes a field of a record. With keepNulls a null is not replaced with the default.
func (w *schemaWriter) writeField(name string, id uint32, doc, space string, keepNulls bool) step {
	w.Fail(checkName(name))
	n := &w.nodes[id]
	w.Text(`{"name":`, name)
	w.Raw(`,"type":`)
	result := w.writeNode(id, space)
	if n.Optional && n.DefaultValue != nil && !keepNulls && result.op == unionStep {
		// A null becomes the default, as in Kafka Connect's Struct.
		valueBranch := &result.branches[0] // a node with a default has its value first
		defaultRewrite := rewrite{ctx: context.Background(), input: *n.DefaultValue,
			maxOutput: conversion.MaxEnvelopeBytes}
		encoded := valueBranch.run(&defaultRewrite, nil)
		if defaultRewrite.err != nil {
			w.Fail(defaultRewrite.err)
		}
		result.branches = slices.Clone(result.branches)
		result.branches[1] = branch{prefix: encoded}
		result.identity = false
	}
	if doc != "" {
		w.Text(`,"doc":`, doc)
	}
	isEntries := n.Kind == wit.Map && !w.hasTextKeys(n)
	switch {
	case n.DefaultValue != nil && isEntries && len(*n.DefaultValue) > 1:
		// AvroData omits the default of a map of entries: its form is not the field's type.
	case n.DefaultValue != nil:
		w.Raw(`,"default":`)
		w.writeDefault(id)
	case n.Optional:
		w.Raw(`,"default":null`)
	}
	w.Raw("}")
	return result
}

// writeProperties writes the attributes that Avro does not have as properties, with a comma before each.
func (w *schemaWriter) writeProperties(id uint32) {
	n := &w.nodes[id]
	w.Fail(checkLogicalKind(n))
	name := conversion.NameOf(n)
	logical := map[string]string{wit.NameTime: "time-millis", wit.NameTimestamp: "timestamp-millis",
		wit.NameDate: "date"}[name]
	if strings.EqualFold(name, wit.NameDecimal) && n.Kind == wit.Bytes {
		logical = "decimal"
		scaleText, _ := conversion.Parameter(n, wit.ParameterScale)
		scale, err := strconv.ParseInt(scaleText, 10, 32)
		if err != nil {
			w.Fail(fault.Data("Invalid scale parameter found in Decimal schema: %s", fault.Quoted(scaleText)))
		}
		precision := int64(defaultPrecision)
		if precisionText, ok := conversion.Parameter(n, wit.ParameterPrecision); ok {
			if precision, err = strconv.ParseInt(precisionText, 10, 32); err != nil {
				w.Fail(fault.Data("Invalid %s parameter found in Decimal schema: %s", wit.ParameterPrecision,
					fault.Quoted(precisionText)))
			}
		}
		w.Fail(checkPrecision(n, scale, precision))
		w.Raw(`,"scale":`)
		w.Number(scale)
		w.Raw(`,"precision":`)
		w.Number(precision)
	}
	if w.o.Meta {
		w.OptionalText(`,"connect.doc":`, n.Doc)
		if n.Version != nil {
			w.Raw(`,"connect.version":`)
			w.Number(int64(*n.Version))
		}
		isDefault := func(p wit.Setting) bool { return p.Name == fieldDefault }
		w.Parameters(`,"connect.parameters":`, slices.DeleteFunc(slices.Clone(n.Parameters), isDefault))
		if n.DefaultValue != nil && !slices.ContainsFunc(n.Parameters, isDefault) {
			w.Raw(`,"connect.default":`)
			w.writeDefault(id)
		}
		w.OptionalText(`,"connect.name":`, n.Name)
		switch n.Kind {
		case wit.Int8:
			w.Raw(`,"connect.type":"int8"`)
		case wit.Int16:
			w.Raw(`,"connect.type":"int16"`)
		}
	}
	if logical != "" {
		w.Text(`,"logicalType":`, logical)
	}
	for _, p := range n.Parameters {
		if strings.HasPrefix(p.Name, "avro") {
			w.Text(",", p.Name)
			w.Text(":", p.Value)
		}
	}
}

// checkPrecision rejects decimals as Avro's Java library does: without a digit, or with more digits than fit their
// fixed. A scale outside the precision makes readers ignore the logical type, and AvroData write it.
func checkPrecision(n *wit.SchemaNode, scale, precision int64) error {
	if scale < 0 || scale > precision {
		return nil
	}
	if precision == 0 {
		return fault.Data("Invalid decimal precision: 0 (must be positive)")
	}
	sizeText, isFixed := conversion.Parameter(n, fixedSize)
	size, err := strconv.ParseInt(sizeText, 10, 32)
	maxDigits := int64(math.Floor(math.Log10(2) * float64(8*size-1))) // one bit is the sign
	if !isFixed || err != nil || precision <= maxDigits {
		return nil
	}
	return fault.Data("fixed(%d) cannot store %d digits (max %d): expected at most that in the parameter %s, or no "+
		"parameter %s", size, precision, maxDigits, wit.ParameterPrecision, fixedSize)
}

// writeDefault writes the default of a node, which has one, as JSON.
func (w *schemaWriter) writeDefault(id uint32) {
	n := &w.nodes[id]
	v, _, err := connectdata.Read(w.nodes, id, append(connectdata.AppendBranch(nil, n, false), *n.DefaultValue...))
	if err != nil {
		w.Fail(fault.Data("the default of a schema: %v", err))
		return
	}
	w.writeJSON(id, v)
	w.Done()
}

func (w *schemaWriter) writeJSON(id uint32, value any) {
	n := &w.nodes[id]
	switch typed := value.(type) {
	case nil:
		w.Raw("null")
	case bool, int8, int16, int32, int64:
		w.Out = fmt.Append(w.Out, typed)
	case float32:
		w.Out = java.AppendJSONFloat(w.Out, float64(typed), 32)
	case float64:
		w.Out = java.AppendJSONFloat(w.Out, typed, 64)
	case string:
		w.Quote(typed)
	case []byte:
		runes := make([]rune, len(typed)) // one character for each byte, as in Avro
		for i, c := range typed {
			runes[i] = rune(c)
		}
		w.Quote(string(runes))
	case connectdata.List:
		w.Raw("[")
		for i, item := range typed {
			w.Comma(i)
			w.writeJSON(n.Element, item)
		}
		w.Raw("]")
	case connectdata.Map:
		// before all entries, before a key, between key and value, after a value, after all entries
		marks := [...]string{"[", "[", ",", "]", "]"}
		if key := &w.nodes[n.Key]; key.Kind == wit.String && !key.Optional {
			marks = [...]string{"{", "", ":", "", "}"}
		}
		w.Raw(marks[0])
		for i, e := range typed {
			w.Comma(i)
			w.Raw(marks[1])
			w.writeJSON(n.Key, e.Key)
			w.Raw(marks[2])
			w.writeJSON(n.Element, e.Value)
			w.Raw(marks[3])
		}
		w.Raw(marks[4])
	case connectdata.Struct:
		w.writeJSONRecord(n, typed)
	}
}

func (w *schemaWriter) writeJSONRecord(n *wit.SchemaNode, r connectdata.Struct) {
	if conversion.NameOf(n) == unionName {
		member := slices.IndexFunc(r, func(v any) bool { return v != nil })
		if member < 0 {
			w.Fail(fault.Data("the default of a schema: %s", fault.NoValue))
			return
		}
		w.writeJSON(n.Fields[member].Node, r[member])
		return
	}
	w.Raw("{")
	for i, m := range n.Fields {
		w.Comma(i)
		w.Quote(w.scrub(m.Name))
		w.Raw(":")
		w.writeJSON(m.Node, r[i])
	}
	w.Raw("}")
}
