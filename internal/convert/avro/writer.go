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
	"unicode"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/java"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// Names and properties of Confluent's AvroData for what Avro cannot express of Kafka Connect's schemas
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
	// defaultPrecision is AvroData's for decimals without one.
	defaultPrecision = 64
)

// schemaParseException is the Java class for names that Avro does not allow.
const schemaParseException = "org.apache.avro.SchemaParseException"

// Options are the settings of AvroDataConfig.
type Options struct {
	enhanced, Scrub, Meta, optionalKeys, flatten bool
	// keepNulls writes a null despite a default (`ignore.default.for.nullables`).
	keepNulls bool
}

// OptionsOf returns the options of a converter.
func OptionsOf(v setting.Values) Options {
	return Options{enhanced: v.Bool("enhanced.avro.schema.support"), Scrub: v.Bool("scrub.invalid.names"),
		Meta: v.Bool("connect.meta.data"), optionalKeys: v.Bool("allow.optional.map.keys"),
		flatten: v.Bool("flatten.singleton.unions"), keepNulls: v.Bool("ignore.default.for.nullables")}
}

// schemaWriter converts a Connect schema to an Avro schema, and to the steps that convert its values. JSON members have
// the order of Avro's Schema.toString.
type schemaWriter struct {
	conversion.SchemaText
	nodes []wit.SchemaNode
	o     Options
	// digests are hashes of the nodes with their children, without their own optionality. Equal digests mean the same
	// type.
	digests [][sha256.Size]byte
	// defined has the digests of the named types so far, by full name.
	defined map[string][sha256.Size]byte
	// unnamed has the names of structs without one; anonymous counts them.
	unnamed   map[[sha256.Size]byte]string
	anonymous int
	// root is the full name of the root record.
	root string
}

// write returns the Avro schema of nodes, and the full name of the record that its root is.
func write(k *conversion.Budget, nodes []wit.SchemaNode, o Options) (text []byte, name string, s *step, err error) {
	w := schemaWriter{SchemaText: conversion.SchemaText{Budget: k}, nodes: nodes, o: o, digests: digestsOf(nodes),
		defined: map[string][sha256.Size]byte{}, unnamed: map[[sha256.Size]byte]string{}}
	top := w.node(0, "", false)
	return w.Out, w.root, &top, w.Err
}

// SchemaText returns the text of the Avro schema for nodes.
func SchemaText(ctx context.Context, nodes []wit.SchemaNode, o Options) ([]byte, error) {
	var k conversion.Budget
	k.Start(ctx, nil, conversion.MaxEnvelopeBytes)
	text, _, _, err := write(&k, nodes, o)
	return text, err
}

// digestsOf hashes each node with its children, which have higher numbers.
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
		n.Optional, n.Fields, n.Key, n.Element = false, nil, 0, 0
		text, _ := json.Marshal(n) // of texts and numbers, which always can be written
		for _, m := range below {
			text = fmt.Appendf(text, "%q %t %x", m.Name, nodes[m.Node].Optional, digests[m.Node])
		}
		digests[id] = sha256.Sum256(text)
	}
	return digests
}

// node writes a node's schema inside a namespace. With bare, the caller writes its optionality.
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
	// AvroData puts null first in unions with structs, whatever the default.
	valueFirst := n.DefaultValue != nil && n.Kind != wit.Struct
	lead, end, null := `["null",`, "]", int64(0)
	if valueFirst {
		lead, end, null = "[", `,"null"]`, 1
	}
	w.Raw(lead)
	value := w.value(id, space)
	w.Raw(end)
	s := optionalStep(n, branch{lead: connectdata.AppendNumber(nil, null)},
		branch{lead: connectdata.AppendNumber(nil, 1-null), step: &value})
	s.same = value.same && valueFirst == (n.DefaultValue != nil)
	return s
}

func optionalStep(n *wit.SchemaNode, null, value branch) step {
	if n.DefaultValue != nil {
		return step{op: unionStep, branches: []branch{value, null}}
	}
	return step{op: unionStep, branches: []branch{null, value}}
}

// union writes a struct that represents a union of several types.
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
	for i, m := range n.Fields {
		w.Comma(first + i)
		member := &w.nodes[m.Node]
		if !member.Optional {
			w.Fail(fault.Data("the member %s of a union must be optional", fault.Quoted(m.Name)))
		}
		kind := w.kindInUnion(m.Node)
		if kind == "union" || taken[kind] {
			w.Fail(fault.Data("the member %s of a union: Avro has no union in a union, and no type twice in one",
				fault.Quoted(m.Name)))
		}
		taken[kind] = true
		s := w.node(m.Node, space, true)
		pick.members = append(pick.members, optionalStep(member, branch{},
			branch{lead: connectdata.AppendNumber(nil, int64(first+i)), step: &s}))
		pick.names = append(pick.names, m.Name)
	}
	w.Raw("]")
	if !n.Optional {
		return pick
	}
	return optionalStep(n, branch{lead: connectdata.AppendNumber(nil, 0)}, branch{step: &pick})
}

// kindInUnion returns by what Avro distinguishes the types of a union: the name of a type, or its digest where the
// schema defines it.
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
	return types[n.Kind]
}

// hasTextKeys reports whether a map becomes an Avro map, with string keys; others become arrays of entries.
func (w *schemaWriter) hasTextKeys(n *wit.SchemaNode) bool {
	key := &w.nodes[n.Key]
	return key.Kind == wit.String && (!key.Optional || w.o.optionalKeys)
}

// types are Avro's type names by kind.
var types = [...]string{"int", "int", "int", "long", "float", "double", "boolean", "string", "bytes", "array",
	"map", "record"}

func (w *schemaWriter) value(id uint32, space string) (s step) {
	n := &w.nodes[id]
	switch n.Kind {
	case wit.Int8, wit.Int16, wit.Int32, wit.Int64:
		s = step{op: numberStep, size: 8 << n.Kind, same: true}
	case wit.Float32:
		s = step{op: floatStep, size: 4, same: true}
	case wit.Float64:
		s = step{op: floatStep, size: 8, same: true}
	case wit.Boolean:
		s = step{op: booleanStep, same: true}
	case wit.String:
		if _, enum := conversion.Parameter(n, enumName); enum && w.o.enhanced {
			return w.enum(n, id, space)
		}
		s = step{op: textStep, same: true}
	case wit.Bytes:
		if size, fixed := conversion.Parameter(n, fixedSize); fixed {
			return w.fixed(n, id, space, size)
		}
		s = step{op: bytesStep, same: true}
	case wit.Struct:
		return w.structure(id, space)
	}
	lead := len(w.Out)
	w.Raw(`{"type":"`, types[n.Kind], `"`)
	switch {
	case n.Kind == wit.Array:
		w.Raw(`,"items":`)
		element := w.node(n.Element, space, false)
		s = step{op: arrayStep, element: &element, same: element.same}
	case n.Kind == wit.Map && w.hasTextKeys(n):
		s = w.textMap(n, space)
	case n.Kind == wit.Map:
		w.Out = w.Out[:lead]
		w.Raw(`{"type":"array","items":`)
		s = w.entries(n, id, space)
	}
	plain := len(w.Out)
	if w.properties(id); len(w.Out) == plain && n.Kind < wit.Array {
		// the short form, because there are no properties
		w.Out = w.Out[:lead]
		w.Raw(`"`, types[n.Kind], `"`)
		return s
	}
	w.Raw("}")
	return s
}

// textMap writes a map with string keys.
func (w *schemaWriter) textMap(n *wit.SchemaNode, space string) step {
	w.Raw(`,"values":`)
	element := w.node(n.Element, space, false)
	key := step{op: textStep, same: true}
	if k := &w.nodes[n.Key]; k.Optional {
		text := key
		key = optionalStep(k, branch{refused: "a null key, which maps of Avro do not have"}, branch{step: &text})
	}
	return step{op: mapStep, key: &key, element: &element, same: key.same && element.same}
}

// entries writes a map with other keys, as an array of records.
func (w *schemaWriter) entries(n *wit.SchemaNode, id uint32, space string) step {
	name := namespace + "." + mapEntry
	if n.Name != nil {
		name = *n.Name
	}
	full, seen := w.define(name, w.digests[id])
	start := len(w.Out)
	w.head("record", full, space)
	w.Raw(`,"fields":[`)
	key := w.field("key", n.Key, "", namespaceOf(full), true)
	w.Raw(",")
	element := w.field("value", n.Element, "", namespaceOf(full), true)
	w.Raw("]")
	if full != namespace+"."+mapEntry {
		w.Raw(`,"connect.internal.type":"MapEntry"`)
	}
	if w.Raw("}"); seen {
		w.refer(start, full, space)
	}
	return step{op: mapStep, key: &key, element: &element, same: key.same && element.same}
}

// enum writes a string that was read from an enum.
func (w *schemaWriter) enum(n *wit.SchemaNode, id uint32, space string) step {
	name, _ := conversion.Parameter(n, enumName)
	if n.Name == nil {
		w.anonymous++ // as AvroData, which asks for a name that it does not use
	}
	s := step{op: symbolStep, numbers: map[string]int{}}
	var symbols []string
	for _, p := range n.Parameters {
		if symbol, ok := strings.CutPrefix(p.Name, enumName+"."); ok {
			w.Fail(checkName(symbol))
			s.numbers[symbol] = len(symbols)
			symbols = append(symbols, symbol)
		}
	}
	full, seen := w.define(name, w.digests[id])
	if seen {
		w.refer(len(w.Out), full, space)
		return s
	}
	w.head("enum", full, space)
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
		if _, known := s.numbers[symbol]; !known {
			w.Fail(fault.Data("the enum %s has the default %s, which is no symbol of it", full, fault.Quoted(symbol)))
		}
		w.Text(`,"default":`, symbol)
	}
	w.properties(id)
	w.Raw("}")
	return s
}

// fixed writes bytes that were read from a fixed.
func (w *schemaWriter) fixed(n *wit.SchemaNode, id uint32, space, text string) step {
	size, bad := strconv.ParseInt(text, 10, 32)
	if bad != nil || size < 0 {
		w.Fail(fault.Data("expected a number of bytes in the parameter %s, found %s", fixedSize, fault.Quoted(text)))
	}
	s := step{op: padStep, size: int(size)}
	if conversion.NameOf(n) == wit.NameDecimal {
		s.op = padDecimalStep
	}
	full, seen := w.define(w.nameOf(n, id), w.digests[id])
	if seen {
		w.refer(len(w.Out), full, space)
		return s
	}
	w.head("fixed", full, space)
	w.Raw(`,"size":`)
	w.Number(size)
	w.properties(id)
	w.Raw("}")
	return s
}

// nameOf returns a node's name, or a generated one.
func (w *schemaWriter) nameOf(n *wit.SchemaNode, id uint32) string {
	if n.Name != nil {
		return *n.Name
	}
	if name := w.unnamed[w.digests[id]]; name != "" {
		return name
	}
	w.anonymous++
	name := namespace + "." + defaultName
	if w.anonymous > 1 {
		name += strconv.Itoa(w.anonymous)
	}
	w.unnamed[w.digests[id]] = name
	return name
}

func (w *schemaWriter) structure(id uint32, space string) step {
	n := &w.nodes[id]
	full, seen := w.define(w.nameOf(n, id), w.digests[id])
	if id == 0 {
		w.root = full
	}
	start := len(w.Out)
	w.head("record", full, space)
	if doc, ok := conversion.Parameter(n, recordDoc); ok {
		w.Text(`,"doc":`, doc)
	}
	s := step{op: recordStep, same: true, members: make([]step, len(n.Fields)), names: make([]string, len(n.Fields))}
	w.Raw(`,"fields":[`)
	taken := map[string]bool{}
	for i, m := range n.Fields {
		w.Comma(i)
		name := w.scrubbed(m.Name)
		if taken[name] {
			w.Fail(fault.New(schemaParseException, "Duplicate field "+fault.Quoted(name)+" in record "+full))
		}
		taken[name] = true
		doc, _ := conversion.Parameter(n, fieldDoc+m.Name)
		s.members[i], s.names[i] = w.field(name, m.Node, doc, namespaceOf(full), w.o.keepNulls), m.Name
		s.same = s.same && s.members[i].same
	}
	w.Raw("]")
	if seen {
		w.refer(start, full, space)
		return s
	}
	w.properties(id)
	w.Raw("}")
	return s
}

// field writes a field of a record. keepNulls writes a null despite a default.
func (w *schemaWriter) field(name string, id uint32, doc, space string, keepNulls bool) step {
	w.Fail(checkName(name))
	n := &w.nodes[id]
	w.Text(`{"name":`, name)
	w.Raw(`,"type":`)
	s := w.node(id, space, false)
	if n.Optional && n.DefaultValue != nil && !keepNulls && s.op == unionStep {
		s = w.replaceNull(s, *n.DefaultValue)
	}
	if doc != "" {
		w.Text(`,"doc":`, doc)
	}
	entries := n.Kind == wit.Map && !w.hasTextKeys(n)
	switch {
	case n.DefaultValue != nil && entries && len(*n.DefaultValue) > 1:
		// AvroData has such a default in a form of another type and leaves it out, unless it is
		// empty.
	case n.DefaultValue != nil:
		w.Raw(`,"default":`)
		w.defaultValue(id)
	case n.Optional:
		w.Raw(`,"default":null`)
	}
	w.Raw("}")
	return s
}

// replaceNull writes the default for a null of an optional field, like Kafka Connect's structs.
func (w *schemaWriter) replaceNull(s step, value []byte) step {
	full := &s.branches[0] // a node with a default has its value in front
	v := transcoder{ctx: context.Background(), in: value, most: conversion.MaxEnvelopeBytes}
	lead := full.run(&v, nil)
	if v.err != nil {
		w.Fail(v.err)
	}
	s.branches = slices.Clone(s.branches)
	s.branches[1] = branch{lead: lead}
	s.same = false
	return s
}

// define adds a named type; seen reports whether the schema contains it already. If two different types have one name,
// at which AvroData fails, a number follows that of the second; `connect.name` has the original.
func (w *schemaWriter) define(name string, digest [sha256.Size]byte) (full string, seen bool) {
	parts := strings.Split(withoutSpace(name), ".")
	for i, part := range parts {
		// AvroData does not change a namespace, even one that Avro rejects.
		if last := i == len(parts)-1; last || checkName(part) != nil {
			parts[i] = w.scrubbed(part)
		}
		if err := checkName(parts[i]); err != nil {
			w.Fail(fault.New(schemaParseException, "the name "+fault.Quoted(name)+": "+err.Error()))
		}
	}
	name = strings.Join(parts, ".")
	full = name
	for number := 2; ; number++ {
		was, defined := w.defined[full]
		if !defined {
			w.defined[full] = digest
			return full, false
		}
		if was == digest {
			return full, true
		}
		full = name + "_" + strconv.Itoa(number)
	}
}

func namespaceOf(full string) string {
	if dot := strings.LastIndexByte(full, '.'); dot >= 0 {
		return full[:dot]
	}
	return ""
}

func (w *schemaWriter) head(kind, full, space string) {
	w.Raw(`{"type":"`, kind, `"`)
	w.Text(`,"name":`, conversion.SimpleName(full))
	if own := namespaceOf(full); own != space {
		w.Text(`,"namespace":`, own)
	}
}

// refer replaces what was written from start on by the name of a type.
func (w *schemaWriter) refer(start int, full, space string) {
	if namespaceOf(full) == space {
		full = conversion.SimpleName(full)
	}
	w.Out = w.Out[:start]
	w.Quote(full)
}

// scrubAdvice follows the error about a name.
const scrubAdvice = "; scrub.invalid.names=true of the converter writes such names in another way"

// errEmptyName is the error of an empty name or name part.
var errEmptyName = fault.New(schemaParseException, "Empty name: names of Avro, and their parts between dots, have at "+
	"least one character")

// checkName accepts the names of Avro's Java library: letters, digits and underscores, not beginning with a digit.
func checkName(name string) error {
	if name == "" {
		return fault.New(schemaParseException, errEmptyName.Text+scrubAdvice)
	}
	for i, r := range name {
		if unicode.IsLetter(r) || r == '_' || i > 0 && unicode.IsDigit(r) {
			continue
		}
		what := "Illegal character in: "
		if i == 0 {
			what = "Illegal initial character: "
		}
		return fault.New(schemaParseException, what+fault.Truncate(name)+scrubAdvice)
	}
	return nil
}

// scrubbed returns a name part as `scrub.invalid.names` writes it: URL-encoded like Java's URLEncoder in UTF-8, after
// an x if the result does not begin with a letter or underscore, and with underscores for other invalid characters.
func (w *schemaWriter) scrubbed(name string) string {
	if !w.o.Scrub {
		return name
	}
	encoded := make([]byte, 0, len(name)+1)
	for _, c := range []byte(name) {
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			encoded = append(encoded, c)
		case strings.IndexByte("_-.* ", c) >= 0: // URLEncoder writes them as they are, and a blank as a plus sign
			encoded = append(encoded, '_')
		default:
			encoded = fmt.Appendf(encoded, "_%02X", c)
		}
	}
	// NAME_START_CHAR is matched with the encoded text, where a percent sign is not yet an underscore.
	if name == "" || !(name[0] == '_' || 'A' <= name[0] && name[0] <= 'Z' || 'a' <= name[0] && name[0] <= 'z') {
		return "x" + string(encoded)
	}
	return string(encoded)
}

// properties writes what Avro cannot express, as properties with a comma before each.
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
	text, _ := conversion.Parameter(n, wit.ParameterScale)
	scale, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		w.Fail(fault.Data("Invalid scale parameter found in Decimal schema: %s", fault.Quoted(text)))
	}
	precision := int64(defaultPrecision)
	if text, given := conversion.Parameter(n, wit.ParameterPrecision); given {
		if precision, err = strconv.ParseInt(text, 10, 32); err != nil {
			w.Fail(fault.Data("Invalid %s parameter found in Decimal schema: %s", wit.ParameterPrecision,
				fault.Quoted(text)))
		}
	}
	w.Fail(checkPrecision(n, scale, precision))
	w.Raw(`,"scale":`)
	w.Number(scale)
	w.Raw(`,"precision":`)
	w.Number(precision)
}

// checkPrecision rejects decimals like Avro's Java library: without a digit, or with more digits than their fixed can
// hold. A scale outside the precision is written like AvroData does; readers ignore that logical type.
func checkPrecision(n *wit.SchemaNode, scale, precision int64) error {
	if scale < 0 || scale > precision {
		return nil
	}
	if precision == 0 {
		return fault.Data("Invalid decimal precision: 0 (must be positive)")
	}
	text, fixed := conversion.Parameter(n, fixedSize)
	size, err := strconv.ParseInt(text, 10, 32)
	maxBytes := int64(math.Floor(math.Log10(2) * float64(8*size-1)))
	if !fixed || err != nil || precision <= maxBytes {
		return nil
	}
	return fault.Data("fixed(%d) cannot store %d digits (max %d): expected at most that in the parameter %s, or no "+
		"parameter %s", size, precision, maxBytes, wit.ParameterPrecision, fixedSize)
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

// defaultValue writes the default of a node like AvroData.
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

func (w *schemaWriter) json(id uint32, v any) {
	n := &w.nodes[id]
	switch x := v.(type) {
	case nil:
		w.Raw("null")
	case bool, int8, int16, int32, int64:
		w.Out = fmt.Append(w.Out, x)
	case float32:
		w.Out = java.AppendJSONFloat(w.Out, float64(x), 32)
	case float64:
		w.Out = java.AppendJSONFloat(w.Out, x, 64)
	case string:
		w.Quote(x)
	case []byte:
		runes := make([]rune, len(x)) // a character for each byte, as Avro has it
		for i, c := range x {
			runes[i] = rune(c)
		}
		w.Quote(string(runes))
	case connectdata.List:
		w.Raw("[")
		for i, item := range x {
			w.Comma(i)
			w.json(n.Element, item)
		}
		w.Raw("]")
	case connectdata.Map:
		w.jsonMap(n, x)
	case connectdata.Struct:
		w.jsonRecord(n, x)
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
		w.Quote(w.scrubbed(m.Name))
		w.Raw(":")
		w.json(m.Node, r[i])
	}
	w.Raw("}")
}
