package convert

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

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
	"github.com/culvert-project/culvert/wit/java"
)

// Names and properties by which Confluent's AvroData keeps what Avro does not know of Kafka Connect's schemas
// (github.com/confluentinc/schema-registry, avro-data).
const (
	avroNamespace    = "io.confluent.connect.avro"
	avroUnion        = avroNamespace + ".Union"
	avroEnum         = avroNamespace + ".Enum"
	avroRecordDoc    = avroNamespace + ".record.doc"
	avroFieldDoc     = avroNamespace + ".field.doc."
	avroEnumDoc      = avroNamespace + ".enum.doc."
	avroEnumDefault  = avroNamespace + ".enum.default."
	avroFieldDefault = avroNamespace + ".field.default"
	avroDefaultName  = "ConnectDefault"
	avroMapEntry     = "MapEntry"

	fixedSize = "connect.fixed.size"
	// defaultPrecision is AvroData's for decimals that name none.
	defaultPrecision = 64
)

// schemaParseException is thrown for names that Avro does not allow.
const schemaParseException = "org.apache.avro.SchemaParseException"

// avroOptions are AvroDataConfig's.
type avroOptions struct {
	enhanced, scrub, meta, optionalKeys, flatten bool
	// keepNulls: a null in a field with a default stays null (`ignore.default.for.nullables`).
	keepNulls bool
}

// avroWriter writes the Avro schema of a schema of ours, and finds the steps from the one's bytes to the other's. The
// order of the JSON members is that of Avro's Schema.toString.
type avroWriter struct {
	schemaText
	nodes []wit.Node
	o     avroOptions
	// digests are of the nodes with all below, without their own optionality: two nodes
	// of one digest are the same type.
	digests [][sha256.Size]byte
	// defined are the named types so far, by full name.
	defined map[string][sha256.Size]byte
	// unnamed are the names that structures without one got; anonymous counts them.
	unnamed   map[[sha256.Size]byte]string
	anonymous int
	// root is the full name of the record that the root is.
	root string
}

// avroSchemaOf returns the text of the Avro schema for nodes, and the full name of the record that its root is.
func avroSchemaOf(k *budget, nodes []wit.Node, o avroOptions) (text []byte, name string, s *step, err error) {
	w := avroWriter{schemaText: schemaText{k: k}, nodes: nodes, o: o, digests: digestsOf(nodes),
		defined: map[string][sha256.Size]byte{}, unnamed: map[[sha256.Size]byte]string{}}
	top := w.node(0, "", false)
	return w.out, w.root, &top, w.err
}

// digestsOf digests each node with all that is below it. Nodes refer to higher numbers only.
func digestsOf(nodes []wit.Node) [][sha256.Size]byte {
	digests := make([][sha256.Size]byte, len(nodes))
	for id := len(nodes) - 1; id >= 0; id-- {
		n := nodes[id]
		below := n.Members
		switch n.Kind {
		case wit.Mapping:
			below = []wit.Member{{Node: n.Key}, {Node: n.Element}}
		case wit.Array:
			below = []wit.Member{{Node: n.Element}}
		}
		n.Optional, n.Members, n.Key, n.Element = false, nil, 0, 0
		text, _ := json.Marshal(n) // of texts and numbers, which always can be written
		for _, m := range below {
			text = fmt.Appendf(text, "%q %t %x", m.Name, nodes[m.Node].Optional, digests[m.Node])
		}
		digests[id] = sha256.Sum256(text)
	}
	return digests
}

// parameter is a parameter of a node.
func parameter(n *wit.Node, name string) (string, bool) {
	for i := range n.Parameters {
		if n.Parameters[i].Name == name {
			return n.Parameters[i].Value, true
		}
	}
	return "", false
}

func nameOf(n *wit.Node) string {
	if n.Name == nil {
		return ""
	}
	return *n.Name
}

// node writes the schema of a node inside a namespace. bare: its optionality is seen to by the caller.
func (w *avroWriter) node(id uint32, space string, bare bool) step {
	n := &w.nodes[id]
	switch {
	case w.ended():
		return step{}
	case n.Kind == wit.Structure && nameOf(n) == avroUnion:
		return w.union(id, space)
	case !n.Optional || bare:
		return w.value(id, space)
	}
	// Confluent's AvroData puts null in front in unions of structures whatever their default.
	valueFirst := n.DefaultValue != nil && n.Kind != wit.Structure
	lead, end, null := `["null",`, "]", int64(0)
	if valueFirst {
		lead, end, null = "[", `,"null"]`, 1
	}
	w.raw(lead)
	value := w.value(id, space)
	w.raw(end)
	s := optionalStep(n, branch{lead: datum.AppendNumber(nil, null)},
		branch{lead: datum.AppendNumber(nil, 1-null), step: &value})
	s.same = value.same && valueFirst == (n.DefaultValue != nil)
	return s
}

// optionalStep writes an optional value of a node.
func optionalStep(n *wit.Node, null, value branch) step {
	if n.DefaultValue != nil {
		return step{op: unionStep, branches: []branch{value, null}}
	}
	return step{op: unionStep, branches: []branch{null, value}}
}

// union writes a structure that stands for a union of several types.
func (w *avroWriter) union(id uint32, space string) step {
	n := &w.nodes[id]
	pick := step{op: pickStep}
	taken := map[string]bool{}
	w.raw("[")
	first := 0
	if n.Optional {
		w.raw(`"null"`)
		first = 1
	}
	for i, m := range n.Members {
		w.comma(first + i)
		member := &w.nodes[m.Node]
		if !member.Optional {
			w.fail(dataError("the member %s of a union must be optional", quoted(m.Name)))
		}
		kind := w.kindInUnion(m.Node)
		if kind == "union" || taken[kind] {
			w.fail(dataError("the member %s of a union: Avro has no union in a union, and no type twice in one",
				quoted(m.Name)))
		}
		taken[kind] = true
		s := w.node(m.Node, space, true)
		pick.members = append(pick.members, optionalStep(member, branch{},
			branch{lead: datum.AppendNumber(nil, int64(first+i)), step: &s}))
		pick.names = append(pick.names, m.Name)
	}
	w.raw("]")
	if !n.Optional {
		return pick
	}
	return optionalStep(n, branch{lead: datum.AppendNumber(nil, 0)}, branch{step: &pick})
}

// kindInUnion is what Avro tells the types of a union apart by: the name of a type, for which its digest stands where
// the schema defines it.
func (w *avroWriter) kindInUnion(id uint32) string {
	n := &w.nodes[id]
	named := n.Kind == wit.Structure
	switch n.Kind {
	case wit.Structure:
		if nameOf(n) == avroUnion {
			return "union"
		}
	case wit.Text:
		_, enum := parameter(n, avroEnum)
		named = enum && w.o.enhanced
	case wit.Bytes:
		_, named = parameter(n, fixedSize)
	case wit.Mapping:
		if !w.hasTextKeys(n) {
			return "array"
		}
	}
	if named {
		return string(w.digests[id][:])
	}
	return avroTypes[n.Kind]
}

// hasTextKeys tells whether a map is one of Avro's, which have texts for keys; others are arrays of entries.
func (w *avroWriter) hasTextKeys(n *wit.Node) bool {
	key := &w.nodes[n.Key]
	return key.Kind == wit.Text && (!key.Optional || w.o.optionalKeys)
}

// avroTypes are the names of Avro's types for kinds that have one.
var avroTypes = [...]string{"int", "int", "int", "long", "float", "double", "boolean", "string", "bytes", "array",
	"map", "record"}

func (w *avroWriter) value(id uint32, space string) (s step) {
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
	case wit.Text:
		if _, enum := parameter(n, avroEnum); enum && w.o.enhanced {
			return w.enum(n, id, space)
		}
		s = step{op: textStep, same: true}
	case wit.Bytes:
		if size, fixed := parameter(n, fixedSize); fixed {
			return w.fixed(n, id, space, size)
		}
		s = step{op: bytesStep, same: true}
	case wit.Structure:
		return w.structure(id, space)
	}
	lead := len(w.out)
	w.raw(`{"type":"`, avroTypes[n.Kind], `"`)
	switch {
	case n.Kind == wit.Array:
		w.raw(`,"items":`)
		element := w.node(n.Element, space, false)
		s = step{op: arrayStep, element: &element, same: element.same}
	case n.Kind == wit.Mapping && w.hasTextKeys(n):
		s = w.textMap(n, space)
	case n.Kind == wit.Mapping:
		w.out = w.out[:lead]
		w.raw(`{"type":"array","items":`)
		s = w.entries(n, id, space)
	}
	plain := len(w.out)
	if w.properties(id); len(w.out) == plain && n.Kind < wit.Array {
		// without properties the short form
		w.out = w.out[:lead]
		w.raw(`"`, avroTypes[n.Kind], `"`)
		return s
	}
	w.raw("}")
	return s
}

// textMap writes the values of a map with keys of text.
func (w *avroWriter) textMap(n *wit.Node, space string) step {
	w.raw(`,"values":`)
	element := w.node(n.Element, space, false)
	key := step{op: textStep, same: true}
	if k := &w.nodes[n.Key]; k.Optional {
		text := key
		key = optionalStep(k, branch{refused: "a null key, which maps of Avro do not have"}, branch{step: &text})
	}
	return step{op: mapStep, key: &key, element: &element, same: key.same && element.same}
}

// entries writes the record that stands for an entry of a map with other keys.
func (w *avroWriter) entries(n *wit.Node, id uint32, space string) step {
	name := avroNamespace + "." + avroMapEntry
	if n.Name != nil {
		name = *n.Name
	}
	full, seen := w.define(name, w.digests[id])
	start := len(w.out)
	w.head("record", full, space)
	w.raw(`,"fields":[`)
	key := w.field("key", n.Key, "", namespaceOf(full), true)
	w.raw(",")
	element := w.field("value", n.Element, "", namespaceOf(full), true)
	w.raw("]")
	if full != avroNamespace+"."+avroMapEntry {
		w.raw(`,"connect.internal.type":"MapEntry"`)
	}
	if w.raw("}"); seen {
		w.refer(start, full, space)
	}
	return step{op: mapStep, key: &key, element: &element, same: key.same && element.same}
}

// enum writes a text that came from an enum.
func (w *avroWriter) enum(n *wit.Node, id uint32, space string) step {
	name, _ := parameter(n, avroEnum)
	if n.Name == nil {
		w.anonymous++ // as AvroData, which asks for a name that it does not use
	}
	s := step{op: symbolStep, numbers: map[string]int{}}
	var symbols []string
	for _, p := range n.Parameters {
		if symbol, ok := strings.CutPrefix(p.Name, avroEnum+"."); ok {
			w.fail(checkName(symbol))
			s.numbers[symbol] = len(symbols)
			symbols = append(symbols, symbol)
		}
	}
	full, seen := w.define(name, w.digests[id])
	if seen {
		w.refer(len(w.out), full, space)
		return s
	}
	w.head("enum", full, space)
	local := lastPart(nameOf(n))
	if doc, ok := parameter(n, avroEnumDoc+local); ok {
		w.text(`,"doc":`, doc)
	}
	w.raw(`,"symbols":[`)
	for i, symbol := range symbols {
		w.comma(i)
		w.quote(symbol)
	}
	w.raw("]")
	if symbol, ok := parameter(n, avroEnumDefault+local); ok {
		if _, known := s.numbers[symbol]; !known {
			w.fail(dataError("the enum %s has the default %s, which is no symbol of it", full, quoted(symbol)))
		}
		w.text(`,"default":`, symbol)
	}
	w.properties(id)
	w.raw("}")
	return s
}

// fixed writes bytes that came from a fixed.
func (w *avroWriter) fixed(n *wit.Node, id uint32, space, text string) step {
	size, bad := strconv.ParseInt(text, 10, 32)
	if bad != nil || size < 0 {
		w.fail(dataError("expected a number of bytes in the parameter %s, found %s", fixedSize, quoted(text)))
	}
	s := step{op: padStep, size: int(size)}
	if nameOf(n) == wit.NameDecimal {
		s.op = padDecimalStep
	}
	full, seen := w.define(w.given(n, id), w.digests[id])
	if seen {
		w.refer(len(w.out), full, space)
		return s
	}
	w.head("fixed", full, space)
	w.raw(`,"size":`)
	w.number(size)
	w.properties(id)
	w.raw("}")
	return s
}

// given is a node's name, or one made up.
func (w *avroWriter) given(n *wit.Node, id uint32) string {
	if n.Name != nil {
		return *n.Name
	}
	if name := w.unnamed[w.digests[id]]; name != "" {
		return name
	}
	w.anonymous++
	name := avroNamespace + "." + avroDefaultName
	if w.anonymous > 1 {
		name += strconv.Itoa(w.anonymous)
	}
	w.unnamed[w.digests[id]] = name
	return name
}

func (w *avroWriter) structure(id uint32, space string) step {
	n := &w.nodes[id]
	full, seen := w.define(w.given(n, id), w.digests[id])
	if id == 0 {
		w.root = full
	}
	start := len(w.out)
	w.head("record", full, space)
	if doc, ok := parameter(n, avroRecordDoc); ok {
		w.text(`,"doc":`, doc)
	}
	s := step{op: recordStep, same: true, members: make([]step, len(n.Members)), names: make([]string, len(n.Members))}
	w.raw(`,"fields":[`)
	taken := map[string]bool{}
	for i, m := range n.Members {
		w.comma(i)
		name := w.scrubbed(m.Name)
		if taken[name] {
			w.fail(&Error{schemaParseException, "Duplicate field " + quoted(name) + " in record " + full})
		}
		taken[name] = true
		doc, _ := parameter(n, avroFieldDoc+m.Name)
		s.members[i], s.names[i] = w.field(name, m.Node, doc, namespaceOf(full), w.o.keepNulls), m.Name
		s.same = s.same && s.members[i].same
	}
	w.raw("]")
	if seen {
		w.refer(start, full, space)
		return s
	}
	w.properties(id)
	w.raw("}")
	return s
}

// field writes a field of a record. keepNulls: a null is written as such though there is a default.
func (w *avroWriter) field(name string, id uint32, doc, space string, keepNulls bool) step {
	w.fail(checkName(name))
	n := &w.nodes[id]
	w.text(`{"name":`, name)
	w.raw(`,"type":`)
	s := w.node(id, space, false)
	if n.Optional && n.DefaultValue != nil && !keepNulls && s.op == unionStep {
		s = w.replaceNull(s, *n.DefaultValue)
	}
	if doc != "" {
		w.text(`,"doc":`, doc)
	}
	entries := n.Kind == wit.Mapping && !w.hasTextKeys(n)
	switch {
	case n.DefaultValue != nil && entries && len(*n.DefaultValue) > 1:
		// AvroData has such a default in a form that is none of the field's type, and leaves it out; an empty one is
		// fine.
	case n.DefaultValue != nil:
		w.raw(`,"default":`)
		w.defaultValue(id)
	case n.Optional:
		w.raw(`,"default":null`)
	}
	w.raw("}")
	return s
}

// replaceNull has the step of an optional field with a default write the default for a null, as Kafka Connect's structs
// do.
func (w *avroWriter) replaceNull(s step, value []byte) step {
	full := &s.branches[0] // a node with a default has its value in front
	v := walk{ctx: context.Background(), in: value, most: maxEnvelopeBytes}
	lead := full.run(&v, nil)
	if v.err != nil {
		w.fail(v.err)
	}
	s.branches = slices.Clone(s.branches)
	s.branches[1] = branch{lead: lead}
	s.same = false
	return s
}

// define notes a named type. seen: it stands in the schema already. Of two different types with one name, which Avro
// cannot have and AvroData fails at, the second gets a number after its name; `connect.name` keeps the name.
func (w *avroWriter) define(name string, digest [sha256.Size]byte) (full string, seen bool) {
	parts := strings.Split(withoutSpace(name), ".")
	for i, part := range parts {
		// AvroData leaves a namespace as it is, also one that Avro refuses to read.
		if last := i == len(parts)-1; last || checkName(part) != nil {
			parts[i] = w.scrubbed(part)
		}
		if err := checkName(parts[i]); err != nil {
			w.fail(&Error{schemaParseException, "the name " + quoted(name) + ": " + err.Error()})
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

func lastPart(full string) string { return full[strings.LastIndexByte(full, '.')+1:] }

// head writes kind, name and namespace of a definition.
func (w *avroWriter) head(kind, full, space string) {
	w.raw(`{"type":"`, kind, `"`)
	w.text(`,"name":`, lastPart(full))
	if own := namespaceOf(full); own != space {
		w.text(`,"namespace":`, own)
	}
}

// refer writes the name of a type that was defined before, in the place of what was written from start on.
func (w *avroWriter) refer(start int, full, space string) {
	if namespaceOf(full) == space {
		full = lastPart(full)
	}
	w.out = w.out[:start]
	w.quote(full)
}

// scrubAdvice follows what a name is refused for.
const scrubAdvice = "; scrub.invalid.names=true of the converter writes such names in another way"

// errEmptyName is for a name, or a part of one between its dots, that has no character.
var errEmptyName = &Error{schemaParseException, "Empty name: names of Avro, and their parts between dots, have at " +
	"least one character"}

// checkName refuses what Avro's Java library does: a name is letters, digits and underscores, and does not begin with a
// digit.
func checkName(name string) error {
	if name == "" {
		return &Error{schemaParseException, errEmptyName.Text + scrubAdvice}
	}
	for i, r := range name {
		if unicode.IsLetter(r) || r == '_' || i > 0 && unicode.IsDigit(r) {
			continue
		}
		what := "Illegal character in: "
		if i == 0 {
			what = "Illegal initial character: "
		}
		return &Error{schemaParseException, what + cut(name) + scrubAdvice}
	}
	return nil
}

// scrubbed is a part of a name as `scrub.invalid.names` writes it: encoded as Java's URLEncoder does in UTF-8, after
// an x where the encoded text begins with no letter and no underscore, and with underscores for what Avro does not
// take.
func (w *avroWriter) scrubbed(name string) string {
	if !w.o.scrub {
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
	// NAME_START_CHAR looks at the encoded text: a percent sign, not the underscore that is written for it.
	if name == "" || !(name[0] == '_' || 'A' <= name[0] && name[0] <= 'Z' || 'a' <= name[0] && name[0] <= 'z') {
		return "x" + string(encoded)
	}
	return string(encoded)
}

// properties writes what Avro has no place for, as properties with a comma in front of each.
func (w *avroWriter) properties(id uint32) {
	n := &w.nodes[id]
	w.fail(logicalKind(n))
	name := nameOf(n)
	logical := map[string]string{wit.NameTime: "time-millis", wit.NameTimestamp: "timestamp-millis",
		wit.NameDate: "date"}[name]
	if strings.EqualFold(name, wit.NameDecimal) && n.Kind == wit.Bytes {
		logical = "decimal"
		w.decimal(n)
	}
	if w.o.meta {
		w.metaData(id)
	}
	if logical != "" {
		w.text(`,"logicalType":`, logical)
	}
	for _, p := range n.Parameters {
		if strings.HasPrefix(p.Name, "avro") {
			w.text(",", p.Name)
			w.text(":", p.Value)
		}
	}
}

// decimal writes scale and precision.
func (w *avroWriter) decimal(n *wit.Node) {
	text, _ := parameter(n, wit.ParameterScale)
	scale, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		w.fail(dataError("Invalid scale parameter found in Decimal schema: %s", quoted(text)))
	}
	precision := int64(defaultPrecision)
	if text, given := parameter(n, wit.ParameterPrecision); given {
		if precision, err = strconv.ParseInt(text, 10, 32); err != nil {
			w.fail(dataError("Invalid %s parameter found in Decimal schema: %s", wit.ParameterPrecision, quoted(text)))
		}
	}
	w.fail(checkPrecision(n, scale, precision))
	w.raw(`,"scale":`)
	w.number(scale)
	w.raw(`,"precision":`)
	w.number(precision)
}

// checkPrecision refuses decimals that Avro does not have, as its Java library does: without a digit, or of more digits
// than their fixed has room for. Where the scale is not within the precision, readers pass over the logical type, and
// AvroData writes it.
func checkPrecision(n *wit.Node, scale, precision int64) error {
	if scale < 0 || scale > precision {
		return nil
	}
	if precision == 0 {
		return dataError("Invalid decimal precision: 0 (must be positive)")
	}
	text, fixed := parameter(n, fixedSize)
	size, err := strconv.ParseInt(text, 10, 32)
	most := int64(math.Floor(math.Log10(2) * float64(8*size-1)))
	if !fixed || err != nil || precision <= most {
		return nil
	}
	return dataError("fixed(%d) cannot store %d digits (max %d): expected at most that in the parameter %s, or no "+
		"parameter %s", size, precision, most, wit.ParameterPrecision, fixedSize)
}

func (w *avroWriter) metaData(id uint32) {
	n := &w.nodes[id]
	w.option(`,"connect.doc":`, n.Doc)
	if n.Version != nil {
		w.raw(`,"connect.version":`)
		w.number(int64(*n.Version))
	}
	isDefault := func(p wit.Setting) bool { return p.Name == avroFieldDefault }
	w.parameters(`,"connect.parameters":`, slices.DeleteFunc(slices.Clone(n.Parameters), isDefault))
	if n.DefaultValue != nil && !slices.ContainsFunc(n.Parameters, isDefault) {
		w.raw(`,"connect.default":`)
		w.defaultValue(id)
	}
	w.option(`,"connect.name":`, n.Name)
	switch n.Kind {
	case wit.Int8:
		w.raw(`,"connect.type":"int8"`)
	case wit.Int16:
		w.raw(`,"connect.type":"int16"`)
	}
}

// defaultValue writes the default of a node as AvroData does.
func (w *avroWriter) defaultValue(id uint32) {
	n := &w.nodes[id]
	v, _, err := datum.Read(w.nodes, id, append(datum.AppendBranch(nil, n, false), *n.DefaultValue...))
	if err != nil {
		w.fail(dataError("the default of a schema: %v", err))
		return
	}
	w.json(id, v)
	w.ended()
}

func (w *avroWriter) json(id uint32, v any) {
	n := &w.nodes[id]
	switch x := v.(type) {
	case nil:
		w.raw("null")
	case bool, int8, int16, int32, int64:
		w.out = fmt.Append(w.out, x)
	case float32:
		w.out = java.AppendJSONReal(w.out, float64(x), 32)
	case float64:
		w.out = java.AppendJSONReal(w.out, x, 64)
	case string:
		w.quote(x)
	case []byte:
		runes := make([]rune, len(x)) // a character for each byte, as Avro has it
		for i, c := range x {
			runes[i] = rune(c)
		}
		w.quote(string(runes))
	case datum.List:
		w.raw("[")
		for i, item := range x {
			w.comma(i)
			w.json(n.Element, item)
		}
		w.raw("]")
	case datum.Map:
		w.jsonMap(n, x)
	case datum.Record:
		w.jsonRecord(n, x)
	}
}

func (w *avroWriter) jsonMap(n *wit.Node, m datum.Map) {
	marks := [...]string{"[", "[", ",", "]", "]"}
	if key := &w.nodes[n.Key]; key.Kind == wit.Text && !key.Optional {
		marks = [...]string{"{", "", ":", "", "}"}
	}
	w.raw(marks[0])
	for i, e := range m {
		w.comma(i)
		w.raw(marks[1])
		w.json(n.Key, e.Key)
		w.raw(marks[2])
		w.json(n.Element, e.Value)
		w.raw(marks[3])
	}
	w.raw(marks[4])
}

func (w *avroWriter) jsonRecord(n *wit.Node, r datum.Record) {
	if nameOf(n) == avroUnion {
		set := slices.IndexFunc(r, func(member any) bool { return member != nil })
		if set < 0 {
			w.fail(dataError("the default of a schema: %s", noValue))
			return
		}
		w.json(n.Members[set].Node, r[set])
		return
	}
	w.raw("{")
	for i, m := range n.Members {
		w.comma(i)
		w.quote(w.scrubbed(m.Name))
		w.raw(":")
		w.json(m.Node, r[i])
	}
	w.raw("}")
}
