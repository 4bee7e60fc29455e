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

// schemaWriter writes the Avro schema of a Connect schema, in the member order of Avro's Schema.toString, and finds the
// steps that convert values.
type schemaWriter struct {
	conversion.SchemaText
	nodes []wit.SchemaNode
	o     Options
	// digests of nodes include all below but not their own optionality: nodes with equal digests are the same type.
	digests [][sha256.Size]byte
	defined map[string][sha256.Size]byte // named types so far, by full name
	unnamed map[[sha256.Size]byte]string // the names that were invented for types without one, by digest
	// anonymous counts the invented names.
	anonymous int
	root      string // full name of a root record
}

// write returns the Avro schema of nodes, the full name of a root record, and the step of values.
func write(k *conversion.Budget, nodes []wit.SchemaNode, o Options) (text []byte, name string, s *step, err error) {
	w := schemaWriter{SchemaText: conversion.SchemaText{Budget: k}, nodes: nodes, o: o, digests: digestsOf(nodes),
		defined: map[string][sha256.Size]byte{}, unnamed: map[[sha256.Size]byte]string{}}
	top := w.node(0, "", false)
	return w.Out, w.root, &top, w.Err
}

// SchemaText returns the Avro schema of nodes.
func SchemaText(ctx context.Context, nodes []wit.SchemaNode, o Options) ([]byte, error) {
	var k conversion.Budget
	k.Start(ctx, nil, conversion.MaxEnvelopeBytes)
	schemaText, _, _, err := write(&k, nodes, o)
	return schemaText, err
}

// digestsOf relies on nodes referring to higher indexes only.
func digestsOf(nodes []wit.SchemaNode) [][sha256.Size]byte {
	digests := make([][sha256.Size]byte, len(nodes))
	for id := len(nodes) - 1; id >= 0; id-- {
		n := nodes[id]
		below := n.Fields
		switch n.Kind {
		case wit.Map:
			below = []wit.Field{{Node: n.Key}, {Node: n.Element}}
		case wit.Array:
			below = []wit.Field{{Node: n.Element}}
		}
		n.Optional = false
		n.Fields = nil
		n.Key = 0
		n.Element = 0
		encoded, _ := json.Marshal(n) // cannot fail
		for _, m := range below {
			encoded = fmt.Appendf(encoded, "%q %t %x", m.Name, nodes[m.Node].Optional, digests[m.Node])
		}
		digests[id] = sha256.Sum256(encoded)
	}
	return digests
}

// node writes the schema of a node in a namespace. bare leaves optionality to the caller.
func (w *schemaWriter) node(id uint32, space string, bare bool) step {
	n := &w.nodes[id]
	switch {
	case w.Done():
		return step{}
	case n.Kind == wit.Struct && conversion.NameOf(n) == unionName:
		return w.union(id, space)
	case !n.Optional || bare:
		return w.value(id, space)
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
	value := w.value(id, space)
	w.Raw(end)
	s := optionalStep(n, branch{prefix: connectdata.AppendNumber(nil, null)},
		branch{prefix: connectdata.AppendNumber(nil, 1-null), step: &value})
	s.identity = value.identity && valueFirst == (n.DefaultValue != nil)
	return s
}

func optionalStep(n *wit.SchemaNode, null, value branch) step {
	if n.DefaultValue != nil {
		return step{op: unionStep, branches: []branch{value, null}}
	}
	return step{op: unionStep, branches: []branch{null, value}}
}

// union writes a struct that stands for a union.
func (w *schemaWriter) union(id uint32, space string) step {
	n := &w.nodes[id]
	pick := step{op: pickStep}
	taken := map[string]bool{}
	w.Raw("[")
	first := 0
	if n.Optional {
		w.Raw(`"null"`)
		first = 1
	}
	for i, field := range n.Fields {
		w.Comma(first + i)
		member := &w.nodes[field.Node]
		if !member.Optional {
			w.Fail(fault.Data("the member %s of a union must be optional", fault.Quoted(field.Name)))
		}
		kind := w.kindInUnion(field.Node)
		if kind == "union" || taken[kind] {
			w.Fail(fault.Data("the member %s of a union: Avro has no union in a union, and no type twice in one",
				fault.Quoted(field.Name)))
		}
		taken[kind] = true
		s := w.node(field.Node, space, true)
		pick.members = append(pick.members, optionalStep(member, branch{},
			branch{prefix: connectdata.AppendNumber(nil, int64(first+i)), step: &s}))
		pick.names = append(pick.names, field.Name)
	}
	w.Raw("]")
	if !n.Optional {
		return pick
	}
	return optionalStep(n, branch{prefix: connectdata.AppendNumber(nil, 0)}, branch{step: &pick})
}

// kindInUnion returns what distinguishes types in a union: the type, or the digest of a named type.
func (w *schemaWriter) kindInUnion(id uint32) string {
	n := &w.nodes[id]
	named := n.Kind == wit.Struct
	switch n.Kind {
	case wit.Struct:
		if conversion.NameOf(n) == unionName {
			return "union"
		}
	case wit.String:
		_, enum := conversion.Parameter(n, enumName)
		named = enum && w.o.enhanced
	case wit.Bytes:
		_, named = conversion.Parameter(n, fixedSize)
	case wit.Map:
		if !w.hasTextKeys(n) {
			return "array"
		}
	}
	if named {
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

func (w *schemaWriter) value(id uint32, space string) (result step) {
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
		if _, enum := conversion.Parameter(n, enumName); enum && w.o.enhanced {
			return w.enum(n, id, space)
		}
		result = step{op: textStep, identity: true}
	case wit.Bytes:
		if size, fixed := conversion.Parameter(n, fixedSize); fixed {
			return w.fixed(n, id, space, size)
		}
		result = step{op: bytesStep, identity: true}
	case wit.Struct:
		return w.structure(id, space)
	}
	lead := len(w.Out)
	w.Raw(`{"type":"`, avroTypes[n.Kind], `"`)
	switch {
	case n.Kind == wit.Array:
		w.Raw(`,"items":`)
		element := w.node(n.Element, space, false)
		result = step{op: arrayStep, element: &element, identity: element.identity}
	case n.Kind == wit.Map && w.hasTextKeys(n):
		result = w.textMap(n, space)
	case n.Kind == wit.Map:
		w.Out = w.Out[:lead]
		w.Raw(`{"type":"array","items":`)
		result = w.entries(n, id, space)
	}
	plain := len(w.Out)
	w.properties(id)
	if len(w.Out) == plain && n.Kind < wit.Array {
		// without properties the short form
		w.Out = w.Out[:lead]
		w.Raw(`"`, avroTypes[n.Kind], `"`)
		return result
	}
	w.Raw("}")
	return result
}

func (w *schemaWriter) textMap(n *wit.SchemaNode, space string) step {
	w.Raw(`,"values":`)
	element := w.node(n.Element, space, false)
	key := step{op: textStep, identity: true}
	if k := &w.nodes[n.Key]; k.Optional {
		plainKey := key
		key = optionalStep(k, branch{problem: "a null key, which maps of Avro do not have"}, branch{step: &plainKey})
	}
	return step{op: mapStep, key: &key, element: &element, identity: key.identity && element.identity}
}

// entries writes the record of a map's entry.
func (w *schemaWriter) entries(n *wit.SchemaNode, id uint32, space string) step {
	name := namespace + "." + mapEntry
	if n.Name != nil {
		name = *n.Name
	}
	full, seen := w.define(name, w.digests[id])
	start := len(w.Out)
	w.definitionStart("record", full, space)
	w.Raw(`,"fields":[`)
	key := w.field("key", n.Key, "", namespaceOf(full), true)
	w.Raw(",")
	element := w.field("value", n.Element, "", namespaceOf(full), true)
	w.Raw("]")
	if full != namespace+"."+mapEntry {
		w.Raw(`,"connect.internal.type":"MapEntry"`)
	}
	w.Raw("}")
	if seen {
		w.replaceWithName(start, full, space)
	}
	return step{op: mapStep, key: &key, element: &element, identity: key.identity && element.identity}
}

// enum writes a string that came from an enum.
func (w *schemaWriter) enum(n *wit.SchemaNode, id uint32, space string) step {
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
	full, seen := w.define(name, w.digests[id])
	if seen {
		w.replaceWithName(len(w.Out), full, space)
		return result
	}
	w.definitionStart("enum", full, space)
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
			w.Fail(fault.Data("the enum %s has the default %s, which is no symbol of it", full, fault.Quoted(symbol)))
		}
		w.Text(`,"default":`, symbol)
	}
	w.properties(id)
	w.Raw("}")
	return result
}

// fixed writes bytes that came from a fixed.
func (w *schemaWriter) fixed(n *wit.SchemaNode, id uint32, space, sizeText string) step {
	size, bad := strconv.ParseInt(sizeText, 10, 32)
	if bad != nil || size < 0 {
		w.Fail(fault.Data("expected a number of bytes in the parameter %s, found %s", fixedSize,
			fault.Quoted(sizeText)))
	}
	result := step{op: padStep, size: int(size)}
	if conversion.NameOf(n) == wit.NameDecimal {
		result.op = padDecimalStep
	}
	full, seen := w.define(w.nameOf(n, id), w.digests[id])
	if seen {
		w.replaceWithName(len(w.Out), full, space)
		return result
	}
	w.definitionStart("fixed", full, space)
	w.Raw(`,"size":`)
	w.Number(size)
	w.properties(id)
	w.Raw("}")
	return result
}

func (w *schemaWriter) structure(id uint32, space string) step {
	n := &w.nodes[id]
	full, seen := w.define(w.nameOf(n, id), w.digests[id])
	if id == 0 {
		w.root = full
	}
	start := len(w.Out)
	w.definitionStart("record", full, space)
	if doc, ok := conversion.Parameter(n, recordDoc); ok {
		w.Text(`,"doc":`, doc)
	}
	result := step{op: recordStep, identity: true, members: make([]step, len(n.Fields)),
		names: make([]string, len(n.Fields))}
	w.Raw(`,"fields":[`)
	taken := map[string]bool{}
	for i, m := range n.Fields {
		w.Comma(i)
		name := w.scrub(m.Name)
		if taken[name] {
			w.Fail(fault.New(schemaParseException, "Duplicate field "+fault.Quoted(name)+" in record "+full))
		}
		taken[name] = true
		doc, _ := conversion.Parameter(n, fieldDoc+m.Name)
		result.members[i] = w.field(name, m.Node, doc, namespaceOf(full), w.o.keepNulls)
		result.names[i] = m.Name
		result.identity = result.identity && result.members[i].identity
	}
	w.Raw("]")
	if seen {
		w.replaceWithName(start, full, space)
		return result
	}
	w.properties(id)
	w.Raw("}")
	return result
}

// field writes a field of a record. With keepNulls a null is not replaced with the default.
func (w *schemaWriter) field(name string, id uint32, doc, space string, keepNulls bool) step {
	w.Fail(checkName(name))
	n := &w.nodes[id]
	w.Text(`{"name":`, name)
	w.Raw(`,"type":`)
	result := w.node(id, space, false)
	if n.Optional && n.DefaultValue != nil && !keepNulls && result.op == unionStep {
		result = w.replaceNull(result, *n.DefaultValue)
	}
	if doc != "" {
		w.Text(`,"doc":`, doc)
	}
	entries := n.Kind == wit.Map && !w.hasTextKeys(n)
	switch {
	case n.DefaultValue != nil && entries && len(*n.DefaultValue) > 1:
		// AvroData omits the default of a map of entries: its form is not the field's type.
	case n.DefaultValue != nil:
		w.Raw(`,"default":`)
		w.defaultValue(id)
	case n.Optional:
		w.Raw(`,"default":null`)
	}
	w.Raw("}")
	return result
}

// replaceNull makes a step write the default for a null, as Kafka Connect's Struct does.
func (w *schemaWriter) replaceNull(optional step, value []byte) step {
	full := &optional.branches[0] // a node with a default has its value first
	rewriting := rewrite{ctx: context.Background(), input: value, maxOutput: conversion.MaxEnvelopeBytes}
	lead := full.run(&rewriting, nil)
	if rewriting.err != nil {
		w.Fail(rewriting.err)
	}
	optional.branches = slices.Clone(optional.branches)
	optional.branches[1] = branch{prefix: lead}
	optional.identity = false
	return optional
}

// properties writes what Avro does not have as properties, with a comma before each.
func (w *schemaWriter) properties(id uint32) {
	n := &w.nodes[id]
	w.Fail(logicalKind(n))
	name := conversion.NameOf(n)
	logical := map[string]string{wit.NameTime: "time-millis", wit.NameTimestamp: "timestamp-millis",
		wit.NameDate: "date"}[name]
	if strings.EqualFold(name, wit.NameDecimal) && n.Kind == wit.Bytes {
		logical = "decimal"
		w.decimal(n)
	}
	if w.o.Meta {
		w.metaData(id)
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

func (w *schemaWriter) decimal(n *wit.SchemaNode) {
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

// checkPrecision rejects decimals as Avro's Java library does: without a digit, or with more digits than fit their
// fixed. A scale outside the precision makes readers ignore the logical type, and AvroData write it.
func checkPrecision(n *wit.SchemaNode, scale, precision int64) error {
	if scale < 0 || scale > precision {
		return nil
	}
	if precision == 0 {
		return fault.Data("Invalid decimal precision: 0 (must be positive)")
	}
	sizeText, fixed := conversion.Parameter(n, fixedSize)
	size, err := strconv.ParseInt(sizeText, 10, 32)
	maxDigits := int64(math.Floor(math.Log10(2) * float64(8*size-1)))
	if !fixed || err != nil || precision <= maxDigits {
		return nil
	}
	return fault.Data("fixed(%d) cannot store %d digits (max %d): expected at most that in the parameter %s, or no "+
		"parameter %s", size, precision, maxDigits, wit.ParameterPrecision, fixedSize)
}

func (w *schemaWriter) metaData(id uint32) {
	n := &w.nodes[id]
	w.OptionalText(`,"connect.doc":`, n.Doc)
	if n.Version != nil {
		w.Raw(`,"connect.version":`)
		w.Number(int64(*n.Version))
	}
	isDefault := func(p wit.Setting) bool { return p.Name == fieldDefault }
	w.Parameters(`,"connect.parameters":`, slices.DeleteFunc(slices.Clone(n.Parameters), isDefault))
	if n.DefaultValue != nil && !slices.ContainsFunc(n.Parameters, isDefault) {
		w.Raw(`,"connect.default":`)
		w.defaultValue(id)
	}
	w.OptionalText(`,"connect.name":`, n.Name)
	switch n.Kind {
	case wit.Int8:
		w.Raw(`,"connect.type":"int8"`)
	case wit.Int16:
		w.Raw(`,"connect.type":"int16"`)
	}
}

func (w *schemaWriter) defaultValue(id uint32) {
	n := &w.nodes[id]
	v, _, err := connectdata.Read(w.nodes, id, append(connectdata.AppendBranch(nil, n, false), *n.DefaultValue...))
	if err != nil {
		w.Fail(fault.Data("the default of a schema: %v", err))
		return
	}
	w.json(id, v)
	w.Done()
}

func (w *schemaWriter) json(id uint32, value any) {
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
			w.json(n.Element, item)
		}
		w.Raw("]")
	case connectdata.Map:
		w.jsonMap(n, typed)
	case connectdata.Struct:
		w.jsonRecord(n, typed)
	}
}

func (w *schemaWriter) jsonMap(n *wit.SchemaNode, m connectdata.Map) {
	marks := [...]string{"[", "[", ",", "]", "]"}
	if key := &w.nodes[n.Key]; key.Kind == wit.String && !key.Optional {
		marks = [...]string{"{", "", ":", "", "}"}
	}
	w.Raw(marks[0])
	for i, e := range m {
		w.Comma(i)
		w.Raw(marks[1])
		w.json(n.Key, e.Key)
		w.Raw(marks[2])
		w.json(n.Element, e.Value)
		w.Raw(marks[3])
	}
	w.Raw(marks[4])
}

func (w *schemaWriter) jsonRecord(n *wit.SchemaNode, r connectdata.Struct) {
	if conversion.NameOf(n) == unionName {
		set := slices.IndexFunc(r, func(member any) bool { return member != nil })
		if set < 0 {
			w.Fail(fault.Data("the default of a schema: %s", fault.NoValue))
			return
		}
		w.json(n.Fields[set].Node, r[set])
		return
	}
	w.Raw("{")
	for i, m := range n.Fields {
		w.Comma(i)
		w.Quote(w.scrub(m.Name))
		w.Raw(":")
		w.json(m.Node, r[i])
	}
	w.Raw("}")
}
