package convert

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
	"github.com/culvert-project/culvert/wit/java"
	"github.com/culvert-project/culvert/wit/java/json"
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
	nodes []wit.Node
	o     avroOptions
	k     *budget
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
	w := avroWriter{nodes: nodes, o: o, k: k, digests: digestsOf(nodes), defined: map[string][sha256.Size]byte{},
		unnamed: map[[sha256.Size]byte]string{}}
	text, top, err := w.node(nil, 0, "", false)
	if err != nil {
		return nil, "", nil, err
	}
	return text, w.root, &top, nil
}

// digestsOf digests each node with all that is below it. Nodes refer to higher numbers only.
func digestsOf(nodes []wit.Node) [][sha256.Size]byte {
	digests := make([][sha256.Size]byte, len(nodes))
	var b []byte
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	child := func(id uint32) {
		b = append(b, flagOf(nodes[id].Optional))
		b = append(b, digests[id][:]...)
	}
	for id := len(nodes) - 1; id >= 0; id-- {
		n := &nodes[id]
		b = append(b[:0], byte(n.Kind), flagOf(n.Name != nil), flagOf(n.Doc != nil), flagOf(n.Version != nil),
			flagOf(n.DefaultValue != nil))
		for _, s := range []*string{n.Name, n.Doc} {
			if s != nil {
				text(*s)
			}
		}
		if n.Version != nil {
			b = binary.AppendVarint(b, int64(*n.Version))
		}
		if n.DefaultValue != nil {
			text(string(*n.DefaultValue))
		}
		b = binary.AppendUvarint(b, uint64(len(n.Parameters)))
		for _, p := range n.Parameters {
			text(p.Name)
			text(p.Value)
		}
		for _, m := range n.Members {
			text(m.Name)
			child(m.Node)
		}
		switch n.Kind {
		case wit.Mapping:
			child(n.Key)
			child(n.Element)
		case wit.Array:
			child(n.Element)
		}
		digests[id] = sha256.Sum256(b)
	}
	return digests
}

func flagOf(b bool) byte {
	if b {
		return 1
	}
	return 0
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

// node appends the schema of a node inside a namespace. bare: its optionality is seen to by the caller.
func (w *avroWriter) node(dst []byte, id uint32, space string, bare bool) ([]byte, step, error) {
	n := &w.nodes[id]
	if len(dst) > w.k.most {
		return dst, step{}, w.k.room(dst, 0)
	}
	if n.Kind == wit.Structure && nameOf(n) == avroUnion {
		return w.union(dst, id, space)
	}
	optional := n.Optional && !bare
	// Confluent's AvroData puts null in front in unions of structures whatever their default.
	valueFirst := n.DefaultValue != nil && n.Kind != wit.Structure
	if optional {
		dst = append(dst, '[')
		if !valueFirst {
			dst = append(dst, `"null",`...)
		}
	}
	dst, s, err := w.value(dst, id, space)
	if err != nil {
		return dst, s, err
	}
	if !optional {
		return dst, s, nil
	}
	value, null := int64(1), int64(0)
	if valueFirst {
		dst = append(dst, `,"null"`...)
		value, null = 0, 1
	}
	inner := s
	branches := []branch{{lead: datum.AppendNumber(nil, null)}, {lead: datum.AppendNumber(nil, value), step: &inner}}
	if n.DefaultValue != nil {
		branches[0], branches[1] = branches[1], branches[0]
	}
	return append(dst, ']'), step{op: unionStep, branches: branches, same: s.same &&
		valueFirst == (n.DefaultValue != nil)}, nil
}

// union appends a structure that stands for a union of several types.
func (w *avroWriter) union(dst []byte, id uint32, space string) ([]byte, step, error) {
	n := &w.nodes[id]
	pick := step{op: pickStep}
	taken := map[string]bool{}
	dst = append(dst, '[')
	first := int64(0)
	if n.Optional {
		dst = append(dst, `"null"`...)
		first = 1
	}
	for i, m := range n.Members {
		if i > 0 || n.Optional {
			dst = append(dst, ',')
		}
		member := &w.nodes[m.Node]
		if !member.Optional {
			return dst, step{}, dataError("the member %s of a union must be optional", quoted(m.Name))
		}
		kind := w.kindInUnion(m.Node)
		if kind == "union" || taken[kind] {
			return dst, step{}, dataError("the member %s of a union: Avro has no union in a union, and no type twice "+
				"in one", quoted(m.Name))
		}
		taken[kind] = true
		var s step
		var err error
		if dst, s, err = w.node(dst, m.Node, space, true); err != nil {
			return dst, s, err
		}
		branches := []branch{{}, {lead: datum.AppendNumber(nil, first+int64(i)), step: &s}}
		if member.DefaultValue != nil {
			branches[0], branches[1] = branches[1], branches[0]
		}
		pick.members = append(pick.members, step{op: unionStep, branches: branches})
		pick.names = append(pick.names, m.Name)
	}
	dst = append(dst, ']')
	if !n.Optional {
		return dst, pick, nil
	}
	branches := []branch{{lead: datum.AppendNumber(nil, 0)}, {step: &pick}}
	if n.DefaultValue != nil {
		branches[0], branches[1] = branches[1], branches[0]
	}
	return dst, step{op: unionStep, branches: branches}, nil
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

func (w *avroWriter) value(dst []byte, id uint32, space string) ([]byte, step, error) {
	n := &w.nodes[id]
	var s step
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
			return w.enum(dst, n, id, space)
		}
		s = step{op: textStep, same: true}
	case wit.Bytes:
		if size, fixed := parameter(n, fixedSize); fixed {
			return w.fixed(dst, n, id, space, size)
		}
		s = step{op: bytesStep, same: true}
	case wit.Structure:
		return w.structure(dst, id, space)
	}
	var err error
	lead := len(dst)
	dst = append(append(append(dst, `{"type":"`...), avroTypes[n.Kind]...), '"')
	switch n.Kind {
	case wit.Array:
		var element step
		dst, element, err = w.node(append(dst, `,"items":`...), n.Element, space, false)
		s = step{op: arrayStep, element: &element, same: element.same}
	case wit.Mapping:
		if w.hasTextKeys(n) {
			dst, s, err = w.textMap(dst, n, space)
			break
		}
		dst, s, err = w.entries(append(dst[:lead], `{"type":"array","items":`...), n, id, space)
	}
	if err != nil {
		return dst, s, err
	}
	plain := len(dst)
	if dst, err = w.properties(dst, id); err != nil {
		return dst, s, err
	}
	if len(dst) == plain && n.Kind < wit.Array {
		// without properties the short form
		return append(append(append(dst[:lead], '"'), avroTypes[n.Kind]...), '"'), s, nil
	}
	return append(dst, '}'), s, nil
}

// textMap appends the values of a map with keys of text.
func (w *avroWriter) textMap(dst []byte, n *wit.Node, space string) ([]byte, step, error) {
	dst, element, err := w.node(append(dst, `,"values":`...), n.Element, space, false)
	key := step{op: textStep, same: true}
	if k := &w.nodes[n.Key]; k.Optional {
		text := key
		branches := []branch{{refused: "a null key, which maps of Avro do not have"}, {step: &text}}
		if k.DefaultValue != nil {
			branches[0], branches[1] = branches[1], branches[0]
		}
		key = step{op: unionStep, branches: branches}
	}
	return dst, step{op: mapStep, key: &key, element: &element, same: key.same && element.same}, err
}

// entries appends the record that stands for an entry of a map with other keys.
func (w *avroWriter) entries(dst []byte, n *wit.Node, id uint32, space string) ([]byte, step, error) {
	name := avroNamespace + "." + avroMapEntry
	if n.Name != nil {
		name = *n.Name
	}
	digest := w.digests[id]
	full, seen, err := w.define(name, digest)
	if err != nil {
		return dst, step{}, err
	}
	if seen {
		// What was written before is the same; only its steps are needed.
		before := len(dst)
		dst, s, err := w.entryFields(dst, n, namespaceOf(full))
		return appendReference(dst[:before], full, space), s, err
	}
	dst = appendHead(append(dst, `{"type":"record"`...), full, space)
	dst, s, err := w.entryFields(dst, n, namespaceOf(full))
	if err != nil {
		return dst, s, err
	}
	if full != avroNamespace+"."+avroMapEntry {
		dst = append(dst, `,"connect.internal.type":"MapEntry"`...)
	}
	return append(dst, '}'), s, nil
}

func (w *avroWriter) entryFields(dst []byte, n *wit.Node, space string) ([]byte, step, error) {
	var key, element step
	dst = append(dst, `,"fields":[`...)
	dst, key, err := w.field(dst, "key", n.Key, "", space, true)
	if err == nil {
		dst, element, err = w.field(append(dst, ','), "value", n.Element, "", space, true)
	}
	return append(dst, ']'), step{op: mapStep, key: &key, element: &element, same: key.same && element.same}, err
}

// enum appends a text that came from an enum.
func (w *avroWriter) enum(dst []byte, n *wit.Node, id uint32, space string) ([]byte, step, error) {
	name, _ := parameter(n, avroEnum)
	if n.Name == nil {
		w.anonymous++ // as AvroData, which asks for a name that it does not use
	}
	s := step{op: symbolStep, numbers: map[string]int{}}
	var symbols []string
	for _, p := range n.Parameters {
		if symbol, ok := strings.CutPrefix(p.Name, avroEnum+"."); ok {
			if err := checkName(symbol); err != nil {
				return dst, s, err
			}
			s.numbers[symbol] = len(symbols)
			symbols = append(symbols, symbol)
		}
	}
	full, seen, err := w.define(name, w.digests[id])
	if err != nil || seen {
		return appendReference(dst, full, space), s, err
	}
	dst = appendHead(append(dst, `{"type":"enum"`...), full, space)
	local := lastPart(nameOf(n))
	if doc, ok := parameter(n, avroEnumDoc+local); ok {
		dst = appendJSON(append(dst, `,"doc":`...), doc)
	}
	dst = append(dst, `,"symbols":[`...)
	for i, symbol := range symbols {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSON(dst, symbol)
	}
	dst = append(dst, ']')
	if symbol, ok := parameter(n, avroEnumDefault+local); ok {
		if _, known := s.numbers[symbol]; !known {
			return dst, s, dataError("the enum %s has the default %s, which is no symbol of it", full, quoted(symbol))
		}
		dst = appendJSON(append(dst, `,"default":`...), symbol)
	}
	if dst, err = w.properties(dst, id); err != nil {
		return dst, s, err
	}
	return append(dst, '}'), s, nil
}

// fixed appends bytes that came from a fixed.
func (w *avroWriter) fixed(dst []byte, n *wit.Node, id uint32, space, text string) ([]byte, step, error) {
	size, bad := strconv.ParseInt(text, 10, 32)
	if bad != nil || size < 0 {
		return dst, step{}, dataError("expected a number of bytes in the parameter %s, found %s", fixedSize,
			quoted(text))
	}
	s := step{op: padStep, size: int(size)}
	if nameOf(n) == wit.NameDecimal {
		s.op = padDecimalStep
	}
	full, seen, err := w.define(w.given(n, id), w.digests[id])
	if err != nil || seen {
		return appendReference(dst, full, space), s, err
	}
	dst = appendHead(append(dst, `{"type":"fixed"`...), full, space)
	dst = strconv.AppendInt(append(dst, `,"size":`...), size, 10)
	if dst, err = w.properties(dst, id); err != nil {
		return dst, s, err
	}
	return append(dst, '}'), s, nil
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

func (w *avroWriter) structure(dst []byte, id uint32, space string) ([]byte, step, error) {
	n := &w.nodes[id]
	full, seen, err := w.define(w.given(n, id), w.digests[id])
	if err != nil {
		return dst, step{}, err
	}
	if id == 0 {
		w.root = full
	}
	start := len(dst)
	dst = appendHead(append(dst, `{"type":"record"`...), full, space)
	if doc, ok := parameter(n, avroRecordDoc); ok {
		dst = appendJSON(append(dst, `,"doc":`...), doc)
	}
	s := step{op: recordStep, same: true, members: make([]step, len(n.Members)), names: make([]string, len(n.Members))}
	dst = append(dst, `,"fields":[`...)
	taken := map[string]bool{}
	for i, m := range n.Members {
		if i > 0 {
			dst = append(dst, ',')
		}
		name := w.scrubbed(m.Name)
		if taken[name] {
			return dst, s, &Error{schemaParseException, "Duplicate field " + quoted(name) + " in record " + full}
		}
		taken[name] = true
		doc, _ := parameter(n, avroFieldDoc+m.Name)
		var member step
		if dst, member, err = w.field(dst, name, m.Node, doc, namespaceOf(full), w.o.keepNulls); err != nil {
			return dst, s, err
		}
		s.members[i], s.names[i] = member, m.Name
		s.same = s.same && member.same
	}
	if seen {
		return appendReference(dst[:start], full, space), s, nil
	}
	if dst, err = w.properties(append(dst, ']'), id); err != nil {
		return dst, s, err
	}
	return append(dst, '}'), s, nil
}

// field appends a field of a record. keepNulls: a null is written as such though there is a default.
func (w *avroWriter) field(dst []byte, name string, id uint32, doc, space string, keepNulls bool) ([]byte, step,
	error) {
	if err := checkName(name); err != nil {
		return dst, step{}, err
	}
	n := &w.nodes[id]
	dst = append(appendJSON(append(dst, `{"name":`...), name), `,"type":`...)
	dst, s, err := w.node(dst, id, space, false)
	if err != nil {
		return dst, s, err
	}
	if n.Optional && n.DefaultValue != nil && !keepNulls && s.op == unionStep {
		if s, err = replaceNull(s, *n.DefaultValue); err != nil {
			return dst, s, err
		}
	}
	if doc != "" {
		dst = appendJSON(append(dst, `,"doc":`...), doc)
	}
	entries := n.Kind == wit.Mapping && !w.hasTextKeys(n)
	switch {
	case n.DefaultValue != nil && entries && len(*n.DefaultValue) > 1:
		// AvroData has such a default in a form that is none of the field's type, and leaves it out; an empty one is
		// fine.
	case n.DefaultValue != nil:
		dst, err = w.defaultValue(append(dst, `,"default":`...), id)
	case n.Optional:
		dst = append(dst, `,"default":null`...)
	}
	return append(dst, '}'), s, err
}

// replaceNull has the step of an optional field with a default write the default for a null, as Kafka Connect's structs
// do.
func replaceNull(s step, value []byte) (step, error) {
	full := &s.branches[0] // a node with a default has its value in front
	w := walk{ctx: context.Background(), in: value, most: maxEnvelopeBytes}
	lead, err := full.run(&w, nil)
	if err != nil {
		return s, err
	}
	s.branches = slices.Clone(s.branches)
	s.branches[1] = branch{lead: lead}
	s.same = false
	return s, nil
}

// define notes a named type. seen: it stands in the schema already. Of two different types with one name, which Avro
// cannot have and AvroData fails at, the second gets a number behind its name; `connect.name` keeps the name.
func (w *avroWriter) define(name string, digest [sha256.Size]byte) (full string, seen bool, err error) {
	parts := strings.Split(withoutSpace(name), ".")
	for i, part := range parts {
		// AvroData leaves a namespace as it is, also one that Avro refuses to read.
		if last := i == len(parts)-1; last || checkName(part) != nil {
			parts[i] = w.scrubbed(part)
		}
		if err := checkName(parts[i]); err != nil {
			return name, false, &Error{schemaParseException, "the name " + quoted(name) + ": " + err.Error()}
		}
	}
	name = strings.Join(parts, ".")
	full = name
	for number := 2; ; number++ {
		was, defined := w.defined[full]
		if !defined {
			w.defined[full] = digest
			return full, false, nil
		}
		if was == digest {
			return full, true, nil
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

// appendHead appends name and namespace of a definition.
func appendHead(dst []byte, full, space string) []byte {
	own := namespaceOf(full)
	dst = appendJSON(append(dst, `,"name":`...), lastPart(full))
	if own != space {
		dst = appendJSON(append(dst, `,"namespace":`...), own)
	}
	return dst
}

// appendReference appends the name of a type that was defined before.
func appendReference(dst []byte, full, space string) []byte {
	if namespaceOf(full) == space {
		full = lastPart(full)
	}
	return appendJSON(dst, full)
}

// appendJSON appends a JSON string. Texts of schemas are UTF-8.
func appendJSON(dst []byte, s string) []byte {
	out, ok := json.AppendText(dst, []byte(s))
	if !ok {
		out, _ = json.AppendText(dst, []byte(strings.ToValidUTF8(s, "\uFFFD")))
	}
	return out
}

// scrubAdvice stands behind what a name is refused for.
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

// scrubbed is a part of a name as `scrub.invalid.names` writes it: encoded as Java's URLEncoder does in UTF-8, behind
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

// properties appends what Avro has no place for, as properties behind a comma each.
func (w *avroWriter) properties(dst []byte, id uint32) ([]byte, error) {
	n := &w.nodes[id]
	if err := logicalKind(n); err != nil {
		return dst, err
	}
	name := nameOf(n)
	decimal := strings.EqualFold(name, wit.NameDecimal) && n.Kind == wit.Bytes
	scale, precision := int64(0), int64(defaultPrecision)
	if decimal {
		text, _ := parameter(n, wit.ParameterScale)
		var err error
		if scale, err = strconv.ParseInt(text, 10, 32); err != nil {
			return dst, dataError("Invalid scale parameter found in Decimal schema: %s", quoted(text))
		}
		if text, given := parameter(n, wit.ParameterPrecision); given {
			if precision, err = strconv.ParseInt(text, 10, 32); err != nil {
				return dst, dataError("Invalid %s parameter found in Decimal schema: %s", wit.ParameterPrecision,
					quoted(text))
			}
		}
		if err := checkPrecision(n, scale, precision); err != nil {
			return dst, err
		}
		dst = strconv.AppendInt(append(dst, `,"scale":`...), scale, 10)
		dst = strconv.AppendInt(append(dst, `,"precision":`...), precision, 10)
	}
	if w.o.meta {
		var err error
		if dst, err = w.metaData(dst, id); err != nil {
			return dst, err
		}
	}
	logical := map[string]string{wit.NameTime: "time-millis", wit.NameTimestamp: "timestamp-millis",
		wit.NameDate: "date"}[name]
	if decimal {
		logical = "decimal"
	}
	if logical != "" {
		dst = appendJSON(append(dst, `,"logicalType":`...), logical)
	}
	for _, p := range n.Parameters {
		if strings.HasPrefix(p.Name, "avro") {
			dst = appendJSON(append(appendJSON(append(dst, ','), p.Name), ':'), p.Value)
		}
	}
	return dst, nil
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

func (w *avroWriter) metaData(dst []byte, id uint32) ([]byte, error) {
	n := &w.nodes[id]
	if n.Doc != nil {
		dst = appendJSON(append(dst, `,"connect.doc":`...), *n.Doc)
	}
	if n.Version != nil {
		dst = strconv.AppendInt(append(dst, `,"connect.version":`...), int64(*n.Version), 10)
	}
	fromField := false
	lead := `,"connect.parameters":{`
	for _, p := range n.Parameters {
		if p.Name == avroFieldDefault {
			fromField = true
			continue
		}
		dst = append(appendJSON(append(dst, lead...), p.Name), ':')
		dst = appendJSON(dst, p.Value)
		lead = ","
	}
	if lead == "," {
		dst = append(dst, '}')
	}
	if n.DefaultValue != nil && !fromField {
		var err error
		if dst, err = w.defaultValue(append(dst, `,"connect.default":`...), id); err != nil {
			return dst, err
		}
	}
	if n.Name != nil {
		dst = appendJSON(append(dst, `,"connect.name":`...), *n.Name)
	}
	switch n.Kind {
	case wit.Int8:
		dst = append(dst, `,"connect.type":"int8"`...)
	case wit.Int16:
		dst = append(dst, `,"connect.type":"int16"`...)
	}
	return dst, nil
}

// defaultValue appends the default of a node as AvroData does.
func (w *avroWriter) defaultValue(dst []byte, id uint32) ([]byte, error) {
	n := &w.nodes[id]
	b := append(datum.AppendBranch(nil, n, false), *n.DefaultValue...)
	if !n.Optional {
		b = *n.DefaultValue
	}
	v, _, err := datum.Read(w.nodes, id, b)
	if err != nil {
		return dst, dataError("the default of a schema: %v", err)
	}
	if dst, err = w.json(dst, id, v); err != nil {
		return dst, err
	}
	if len(dst) > w.k.most {
		return dst, w.k.room(dst, 0)
	}
	return dst, nil
}

func (w *avroWriter) json(dst []byte, id uint32, v any) (_ []byte, err error) {
	n := &w.nodes[id]
	switch x := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, x), nil
	case int8:
		return strconv.AppendInt(dst, int64(x), 10), nil
	case int16:
		return strconv.AppendInt(dst, int64(x), 10), nil
	case int32:
		return strconv.AppendInt(dst, int64(x), 10), nil
	case int64:
		return strconv.AppendInt(dst, x, 10), nil
	case float32:
		return java.AppendJSONReal(dst, float64(x), 32), nil
	case float64:
		return java.AppendJSONReal(dst, x, 64), nil
	case string:
		return appendJSON(dst, x), nil
	case []byte:
		runes := make([]rune, len(x)) // a character for each byte, as Avro has it
		for i, c := range x {
			runes[i] = rune(c)
		}
		return appendJSON(dst, string(runes)), nil
	case datum.List:
		dst = append(dst, '[')
		for i, item := range x {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = w.json(dst, n.Element, item); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case datum.Map:
		key := &w.nodes[n.Key]
		object := key.Kind == wit.Text && !key.Optional
		opening, closing := byte('['), byte(']')
		if object {
			opening, closing = '{', '}'
		}
		dst = append(dst, opening)
		for i, e := range x {
			if i > 0 {
				dst = append(dst, ',')
			}
			between := byte(':')
			if !object {
				dst, between = append(dst, '['), ','
			}
			if dst, err = w.json(dst, n.Key, e.Key); err != nil {
				return dst, err
			}
			if dst, err = w.json(append(dst, between), n.Element, e.Value); err != nil {
				return dst, err
			}
			if !object {
				dst = append(dst, ']')
			}
		}
		return append(dst, closing), nil
	case datum.Record:
		if nameOf(n) == avroUnion {
			set := slices.IndexFunc(x, func(member any) bool { return member != nil })
			if set < 0 {
				return dst, dataError("the default of a schema: %s", noValue)
			}
			return w.json(dst, n.Members[set].Node, x[set])
		}
		dst = append(dst, '{')
		for i, m := range n.Members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendJSON(dst, w.scrubbed(m.Name)), ':')
			if dst, err = w.json(dst, m.Node, x[i]); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	}
	return dst, nil
}
