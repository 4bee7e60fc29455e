package chain

import (
	"encoding/base64"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
	"github.com/culvert-project/culvert/wit/java"
	"github.com/culvert-project/culvert/wit/java/values"
)

// A slow second implementation, over value trees and one stage at a time, the way Kafka's own classes go about it. It
// shares nothing with the plans but the wording of settings.

type refDatum struct {
	absent bool
	nodes  []wit.Node // nil: no schema
	tree   any
	// missing: it became a null of a type that has none, which stages are told of only within one chain.
	missing bool
}

type refRecord struct {
	topic             string
	partition         int32
	offset, timestamp int64
	key, value        refDatum
	headers           []refHeader
	dropped           bool
	failedStage       int
	failed            string // Java class
}

type refHeader struct {
	Name  string
	Nodes []wit.Node
	Value any
}

type refField struct {
	name  string
	nodes []wit.Node // its own subtree
	value any
}

// text is the value of a setting, empty where there is none.
func (s settings) text(name string) string {
	value, _ := s.find(name)
	return value
}

// defaults reports whether nulls are replaced by the defaults of their fields.
func (s settings) defaults() bool { return s.text("replace.null.with.default") != "false" }

func (r *refRecord) fail(stage int, class string) { r.failedStage, r.failed = stage, class }

func refRun(stages []wit.Stage, r *refRecord) {
	r.failedStage = -1
	for i, s := range stages {
		if c := s.Condition; c != nil && refMatches(c, r) == c.Negate {
			continue
		}
		at := &r.value
		if strings.HasSuffix(s.Component, "Key") {
			at = &r.key
		}
		of, class := settings{s.Settings}, ""
		switch {
		case strings.Contains(s.Component, "Filter"):
			r.dropped = true
			return
		case strings.Contains(s.Component, "RegexRouter"):
			// the only replacement that the test uses
			if from := of.text("regex"); from == "(.*)" || from == r.topic {
				r.topic = strings.ReplaceAll(of.text("replacement"), "$0", r.topic)
			}
		case strings.Contains(s.Component, "TimestampRouter"):
			// the only formats that the test uses
			if class = dataException; r.timestamp >= 0 {
				class, r.topic = "", r.topic+"-"+time.UnixMilli(r.timestamp).UTC().Format("20060102")
			}
		case strings.Contains(s.Component, "DropHeaders"):
			names := of.list("headers")
			r.headers = slices.DeleteFunc(slices.Clone(r.headers),
				func(h refHeader) bool { return slices.Contains(names, h.Name) })
			if len(r.headers) == 0 {
				r.headers = nil
			}
		case strings.Contains(s.Component, "ExtractField"):
			class = refExtract(of, at)
		case strings.Contains(s.Component, "HoistField"):
			class = refHoist(of.text("field"), at)
		case strings.Contains(s.Component, "SetSchemaMetadata"):
			class = refMetadata(of, at)
		case strings.Contains(s.Component, "InsertHeader"):
			// what the texts are that the test uses
			h := map[string]refHeader{
				"":     {Nodes: []wit.Node{{Kind: wit.Text}}, Value: ""},
				"null": {},
				"text": {Nodes: []wit.Node{{Kind: wit.Text}}, Value: "text"},
				"-7":   {Nodes: []wit.Node{{Kind: wit.Int8}}, Value: int8(-7)},
				"[1, 2.5]": {Nodes: []wit.Node{{Kind: wit.Array, Element: 1}, {Kind: wit.Float32}},
					Value: datum.List{float32(1), float32(2.5)}},
			}[of.text("value.literal")]
			h.Name = of.text("header")
			r.headers = append(slices.Clip(r.headers), h)
		case strings.Contains(s.Component, "Flatten"):
			class = refFlatten(of.text("delimiter"), at)
		case strings.Contains(s.Component, "Cast"):
			class = refCast(of, at)
		case strings.Contains(s.Component, "MaskField"):
			class = refMask(of, at)
		case strings.Contains(s.Component, "ValueToKey"):
			class = refValueToKey(of, r)
		case strings.Contains(s.Component, "HeaderFrom"):
			class = refHeaderFrom(of, r, at)
		case strings.Contains(s.Component, "InsertField"):
			class = refInsert(of, r, at)
		default:
			class = refReplace(of, at)
		}
		if class != "" {
			r.fail(i, class)
			return
		}
	}
}

func refMatches(c *wit.Condition, r *refRecord) bool {
	switch c.Component {
	case ClassIsTombstone:
		return r.value.absent || r.value.tree == nil
	case ClassHasHeaderKey:
		name := settings{c.Settings}.text("name")
		return slices.ContainsFunc(r.headers, func(h refHeader) bool { return h.Name == name })
	}
	p, _ := newTopicName(settings{c.Settings})
	matches, _ := p.(topicCondition).matchesTopic(r.topic)
	return matches
}

// refPick returns the fields of a structure or the entries of a map, in the order of the names; rest is what is left.
func refPick(d *refDatum, names []string, defaults bool) (picked, rest []refField, class string) {
	switch {
	case d.absent || d.tree == nil:
		return nil, nil, dataException
	case d.nodes == nil:
		m, ok := d.tree.(datum.Map)
		if !ok {
			return nil, nil, dataException
		}
		for _, name := range names {
			picked = append(picked, refField{name: name, value: refEntry(m, name)})
		}
		return picked, nil, ""
	case d.nodes[0].Kind != wit.Structure:
		return nil, nil, dataException
	}
	fields := refFields(d)
	refDefaults(fields, defaults)
	for _, name := range names {
		i := slices.IndexFunc(fields, func(f refField) bool { return f.name == name })
		if i < 0 {
			return nil, nil, "no such field"
		}
		picked = append(picked, fields[i])
	}
	for _, f := range fields {
		if !slices.Contains(names, f.name) {
			rest = append(rest, f)
		}
	}
	return picked, rest, ""
}

func refExtract(s settings, d *refDatum) string {
	name := s.text("field")
	if d.absent {
		return ""
	}
	if d.nodes == nil {
		m, ok := d.tree.(datum.Map)
		if !ok {
			return dataException
		}
		v := refEntry(m, name)
		*d = refDatum{tree: v, absent: v == nil}
		return ""
	}
	if d.nodes[0].Kind != wit.Structure {
		return dataException
	}
	for i, m := range d.nodes[0].Members {
		if m.Name != name {
			continue
		}
		f := refField{nodes: refSubtree(d.nodes, m.Node)}
		if d.tree == nil && !f.nodes[0].Optional {
			d.missing = true
			return dataException
		}
		if d.tree != nil {
			f.value = d.tree.(datum.Record)[i]
			one := []refField{f}
			refDefaults(one, s.defaults())
			f = one[0]
		}
		*d = refDatum{nodes: f.nodes, tree: f.value}
		return ""
	}
	return illegalArgument
}

func refHoist(name string, d *refDatum) string {
	if d.nodes == nil {
		*d = refDatum{tree: datum.Map{{Key: name, Value: d.tree}}}
		return ""
	}
	f := refField{name, d.nodes, d.tree}
	*d = refDatum{nodes: []wit.Node{{Kind: wit.Structure}}}
	return refStruct(d, []refField{f})
}

func refMetadata(s settings, d *refDatum) string {
	if d.absent {
		return ""
	}
	if d.nodes == nil || d.nodes[0].Kind != wit.Structure {
		return dataException
	}
	if s.defaults() && d.tree != nil {
		fields := refFields(d)
		refDefaults(fields, true)
		tree := datum.Record{}
		for _, f := range fields {
			tree = append(tree, f.value)
		}
		d.tree = tree
	}
	d.nodes = slices.Clone(d.nodes)
	if name, ok := s.find("schema.name"); ok {
		d.nodes[0].Name = &name
	}
	if version, ok := s.find("schema.version"); ok {
		n, _ := strconv.ParseInt(version, 10, 32)
		d.nodes[0].Version = wit.Ptr(int32(n))
	}
	return ""
}

// refCast knows the types that the test casts to.
func refCast(s settings, d *refDatum) string {
	if d.absent || d.tree == nil {
		return ""
	}
	spec := s.text("spec")
	name, to, _ := strings.Cut(spec, ":")
	class := ""
	made := func(v any) any {
		text, isText := v.(string)
		var n int64
		switch x := v.(type) {
		case nil:
			return nil
		case datum.List, datum.Map, datum.Record:
			class = dataException
			return nil
		case []byte:
			if to != "string" {
				class = dataException
				return nil
			}
			return base64.StdEncoding.EncodeToString(x)
		case bool:
			if text = strconv.FormatBool(x); x {
				n = 1
			}
		case float32, float64:
			b, _ := (&values.Writer{}).Append(nil, x)
			text = string(b)
			f := reflect.ValueOf(x).Float()
			low, high := int64(math.MinInt64), int64(math.MaxInt64)
			if to == "int16" {
				low, high = math.MinInt32, math.MaxInt32
			}
			if n = int64(f); f >= float64(high) {
				n = high
			} else if f <= float64(low) {
				n = low
			}
		case string:
		default:
			n = reflect.ValueOf(x).Int()
			text = strconv.FormatInt(n, 10)
		}
		switch {
		case to == "string":
			return text
		case to == "boolean":
			return !isText && n != 0
		case isText:
			class = dataException // the test's texts are no numbers
		}
		return int16(n)
	}
	if d.nodes == nil {
		m, ok := d.tree.(datum.Map)
		if !ok {
			return dataException
		}
		d.tree = refPut(slices.Clone(m), name, made(refEntry(m, name)))
		return class
	}
	if d.nodes[0].Kind != wit.Structure || d.nodes[0].DefaultValue != nil {
		return dataException
	}
	fields := refFields(d)
	refDefaults(fields, s.defaults())
	kind := map[string]wit.Kind{"string": wit.Text, "boolean": wit.Boolean, "int16": wit.Int16}[to]
	for i := range fields {
		f := &fields[i]
		if f.name != name {
			continue
		}
		n := wit.Node{Kind: kind, Optional: f.nodes[0].Optional}
		if f.nodes[0].DefaultValue != nil {
			byDefault := []refField{{nodes: f.nodes}}
			refDefaults(byDefault, true)
			v := made(byDefault[0].value)
			if class != "" {
				return class
			}
			b, err := datum.AppendDefault(nil, []wit.Node{{Kind: kind}}, 0, v)
			if err != nil {
				return err.Error()
			}
			n.DefaultValue = &b
		}
		f.value = made(f.value)
		f.nodes = []wit.Node{n}
	}
	optional := d.nodes[0].Optional
	if class == "" {
		class = refStruct(d, fields)
		d.nodes[0].Optional = optional
	}
	return class
}

func refFlatten(delimiter string, d *refDatum) string {
	if d.absent || d.tree == nil {
		return ""
	}
	join := func(prefix, name string) string {
		if prefix != "" {
			return prefix + delimiter + name
		}
		return name
	}
	if d.nodes == nil {
		top, ok := d.tree.(datum.Map)
		if !ok {
			return dataException
		}
		out := datum.Map{}
		var walk func(m datum.Map, prefix string) string
		walk = func(m datum.Map, prefix string) string {
			for _, e := range m {
				name, ok := e.Key.(string)
				if !ok {
					return classCastException
				}
				name = join(prefix, name)
				if below, ok := e.Value.(datum.Map); !ok {
					out = refPut(out, name, e.Value)
				} else if class := walk(below, name); class != "" {
					return class
				}
			}
			return ""
		}
		class := walk(top, "")
		d.tree = out
		return class
	}
	if d.nodes[0].Kind != wit.Structure {
		return dataException
	}
	var out []refField
	seen := map[string]bool{}
	var walk func(s *refDatum, prefix string, optional bool) string
	walk = func(s *refDatum, prefix string, optional bool) string {
		for i, m := range s.nodes[0].Members {
			f := refField{name: join(prefix, m.Name), nodes: refSubtree(s.nodes, m.Node)}
			if s.tree != nil {
				f.value = s.tree.(datum.Record)[i]
				one := []refField{f}
				refDefaults(one, true)
				f.value = one[0].value
			}
			optional := optional || f.nodes[0].Optional
			switch f.nodes[0].Kind {
			case wit.Mapping:
				return dataException
			case wit.Structure:
				if class := walk(&refDatum{nodes: f.nodes, tree: f.value}, f.name, optional); class != "" {
					return class
				}
				continue
			}
			if seen[f.name] {
				return schemaBuilderException
			}
			seen[f.name] = true
			f.nodes[0].Optional = optional
			out = append(out, f)
		}
		return ""
	}
	if class := walk(d, "", d.nodes[0].Optional); class != "" {
		return class
	}
	return refStruct(d, out)
}

func refMask(s settings, d *refDatum) string {
	names := s.list("fields")
	text, given := s.find("replacement")
	// the numbers that the test uses
	number, isNumber := map[string]float64{"7": 7, "-3e2": -300, "1.5": 1.5}[text]
	class := ""
	masked := func(v any) any {
		whole := int64(number)
		switch v.(type) {
		case int8:
			v = int8(whole)
		case int16:
			v = int16(whole)
		case int32:
			v = int32(whole)
		case int64:
			v = whole
		case float32:
			v = float32(number)
		case float64:
			v = number
		case string:
			return text
		case nil:
			return nil
		default:
			if given {
				class = dataException
				return nil
			}
			switch v.(type) {
			case bool:
				return false
			case datum.List:
				return datum.List{}
			case datum.Map:
				return datum.Map{}
			}
			class = dataException
		}
		if given && !isNumber {
			class = dataException
		}
		return v
	}
	if d.absent || d.tree == nil {
		return dataException
	}
	if d.nodes == nil {
		m, ok := d.tree.(datum.Map)
		if !ok {
			return dataException
		}
		for _, name := range names {
			m = refPut(slices.Clone(m), name, masked(refEntry(m, name)))
		}
		d.tree = m
		return class
	}
	if d.nodes[0].Kind != wit.Structure {
		return dataException
	}
	fields := refFields(d)
	refDefaults(fields, s.defaults())
	tree := datum.Record{}
	for _, f := range fields {
		if slices.Contains(names, f.name) {
			f.value = masked(f.value)
		}
		tree = append(tree, f.value)
	}
	d.tree = tree
	return class
}

func refValueToKey(s settings, r *refRecord) string {
	var names []string
	for _, n := range s.list("fields") {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	picked, _, class := refPick(&r.value, names, s.defaults())
	if class == "no such field" {
		class = dataException
	}
	if class != "" {
		return class
	}
	if r.value.nodes == nil {
		key := datum.Map{}
		for _, f := range picked {
			key = append(key, datum.Entry{Key: f.name, Value: f.value})
		}
		r.key = refDatum{tree: key}
		return ""
	}
	r.key = refDatum{nodes: []wit.Node{{Kind: wit.Structure}}}
	return refStruct(&r.key, picked)
}

func refHeaderFrom(s settings, r *refRecord, d *refDatum) string {
	names, headers := s.list("fields"), s.list("headers")
	how := s.text("operation")
	picked, rest, class := refPick(d, names, s.defaults())
	if class == "no such field" {
		class = nullPointer
	}
	if class != "" {
		return class
	}
	for i, f := range picked {
		r.headers = append(slices.Clip(r.headers), refHeader{headers[i], normal(f.nodes), f.value})
	}
	if how == "copy" {
		return ""
	}
	if d.nodes == nil {
		d.tree = slices.DeleteFunc(slices.Clone(d.tree.(datum.Map)), func(e datum.Entry) bool {
			name, ok := e.Key.(string)
			return ok && slices.Contains(names, name)
		})
		return ""
	}
	return refStruct(d, rest)
}

func refFields(d *refDatum) []refField {
	var out []refField
	for i, m := range d.nodes[0].Members {
		out = append(out, refField{m.Name, refSubtree(d.nodes, m.Node), d.tree.(datum.Record)[i]})
	}
	return out
}

// refSubtree copies a whole schema and moves one node to the front: wasteful, but another way than graft's.
func refSubtree(nodes []wit.Node, node uint32) []wit.Node {
	n := nodes[node]
	out := []wit.Node{n}
	child := func(id uint32) uint32 {
		shift := uint32(len(out))
		out = refJoin(out, refSubtree(nodes, id))
		return shift
	}
	switch n.Kind {
	case wit.Array:
		n.Element = child(n.Element)
	case wit.Mapping:
		n.Key = child(n.Key)
		n.Element = child(n.Element)
	case wit.Structure:
		n.Members = slices.Clone(n.Members)
		for i := range n.Members {
			n.Members[i].Node = child(n.Members[i].Node)
		}
	}
	out[0] = n
	return out
}

// refJoin appends a schema to nodes.
func refJoin(nodes, more []wit.Node) []wit.Node {
	shift := uint32(len(nodes))
	for _, x := range more {
		x.Members = slices.Clone(x.Members)
		for i := range x.Members {
			x.Members[i].Node += shift
		}
		if x.Kind == wit.Array || x.Kind == wit.Mapping {
			x.Element += shift
		}
		if x.Kind == wit.Mapping {
			x.Key += shift
		}
		nodes = append(nodes, x)
	}
	return nodes
}

// refStruct puts fields together, as SchemaBuilder does.
func refStruct(d *refDatum, fields []refField) (class string) {
	old := d.nodes[0]
	nodes := []wit.Node{{Kind: wit.Structure, Name: old.Name, Version: old.Version, Doc: old.Doc,
		Parameters: old.Parameters}}
	tree := datum.Record{}
	seen := map[string]bool{}
	for _, f := range fields {
		if f.name == "" || seen[f.name] {
			return schemaBuilderException
		}
		seen[f.name] = true
		nodes[0].Members = append(nodes[0].Members, wit.Member{Name: f.name, Node: uint32(len(nodes))})
		nodes = refJoin(nodes, f.nodes)
		tree = append(tree, f.value)
	}
	if nodes[0].Members == nil {
		nodes[0].Members = []wit.Member{}
	}
	d.nodes, d.tree = nodes, tree
	return ""
}

func refDefaults(fields []refField, on bool) {
	for i := range fields {
		f := &fields[i]
		if n := f.nodes[0]; on && f.value == nil && n.DefaultValue != nil {
			n.Optional, n.DefaultValue = false, nil
			bare := append([]wit.Node{n}, f.nodes[1:]...)
			f.value, _, _ = datum.Read(bare, 0, *f.nodes[0].DefaultValue)
		}
	}
}

func refInsert(s settings, r *refRecord, d *refDatum) (class string) {
	if d.absent || d.nodes != nil && d.tree == nil {
		return ""
	}
	type insertion struct {
		name, setting string
		optional      bool
		value         any
		nodes         []wit.Node
	}
	static := s.text("static.value")
	var list []insertion
	for _, x := range []insertion{
		{setting: "topic.field", value: r.topic, nodes: []wit.Node{{Kind: wit.Text}}},
		{setting: "partition.field", value: r.partition, nodes: []wit.Node{{Kind: wit.Int32}}},
		{setting: "offset.field", value: r.offset, nodes: []wit.Node{{Kind: wit.Int64}}},
		{setting: "timestamp.field", value: r.timestamp,
			nodes: []wit.Node{{Kind: wit.Int64, Name: wit.Ptr(wit.NameTimestamp),
				Version: wit.Ptr(int32(1))}}},
		{setting: "static.field", value: static, nodes: []wit.Node{{Kind: wit.Text}}},
	} {
		name, given := s.find(x.setting)
		if !given {
			continue
		}
		x.optional = !strings.HasSuffix(name, "!")
		x.name = strings.TrimRight(name, "!?")
		x.nodes[0].Optional = x.optional
		if x.value == int32(-1) || x.value == int64(-1) {
			x.value = nil
		}
		list = append(list, x)
	}
	if d.nodes == nil {
		m, ok := d.tree.(datum.Map)
		if !ok {
			return dataException
		}
		m = slices.Clone(m)
		for _, x := range list {
			if x.setting == "offset.field" && x.value == nil {
				return dataException
			}
			if x.value != nil {
				m = refPut(m, x.name, x.value)
			}
		}
		d.tree = m
		return ""
	}
	if d.nodes[0].Kind != wit.Structure {
		return dataException
	}
	fields := refFields(d)
	refDefaults(fields, s.defaults())
	for _, x := range list {
		fields = append(fields, refField{x.name, x.nodes, x.value})
	}
	before := *d
	if class := refStruct(d, fields); class != "" {
		return class
	}
	for _, x := range list {
		if x.value == nil && (!x.optional || x.setting == "offset.field") {
			*d = before
			return dataException
		}
	}
	return ""
}

// refEntry is the value of an entry, nil where there is none.
func refEntry(m datum.Map, name string) any {
	for _, e := range m {
		if e.Key == name {
			return e.Value
		}
	}
	return nil
}

func refPut(m datum.Map, name string, value any) datum.Map {
	for i := range m {
		if m[i].Key == name {
			m[i].Value = value
			return m
		}
	}
	return append(m, datum.Entry{Key: name, Value: value})
}

func refReplace(s settings, d *refDatum) (class string) {
	if d.absent || d.nodes != nil && d.tree == nil {
		return ""
	}
	exclude, include := s.list("exclude"), s.list("include")
	renames, reverse := map[string]string{}, map[string]string{}
	var inOrder []rename // of Java's hash table: golden cases say that it is right
	for _, pair := range s.list("renames") {
		from, to, _ := strings.Cut(pair, ":")
		renames[from] = to
		inOrder = append(inOrder, rename{from, to})
	}
	for _, r := range java.InHashMap(inOrder, func(r rename) string { return r.from }) {
		reverse[r.to] = r.from
	}
	stays := func(n string) bool {
		return !slices.Contains(exclude, n) && (len(include) == 0 || slices.Contains(include, n))
	}
	if d.nodes == nil {
		m, ok := d.tree.(datum.Map)
		if !ok {
			return dataException
		}
		out := datum.Map{}
		take := func(m datum.Map) {
			for _, e := range m {
				name := e.Key.(string)
				if !stays(name) {
					continue
				}
				if to, ok := renames[name]; ok {
					name = to
				}
				out = refPut(out, name, e.Value)
			}
		}
		for _, e := range m {
			if _, ok := e.Key.(string); !ok {
				return classCastException
			}
		}
		take(m) // for the places of the names; their values are those that Java's hash table has last
		take(java.InHashMap(m, func(e datum.Entry) string { return e.Key.(string) }))
		d.tree = out
		return ""
	}
	if d.nodes[0].Kind != wit.Structure {
		return dataException
	}
	fields := refFields(d)
	byName := map[string]refField{}
	for _, f := range fields {
		byName[f.name] = f
	}
	var out []refField
	wrong := ""
	for _, f := range fields {
		if !stays(f.name) {
			continue
		}
		if to, ok := renames[f.name]; ok {
			f.name = to
		}
		from := f.name
		if back, ok := reverse[f.name]; ok {
			from = back
		}
		source, ok := byName[from]
		if !ok || !reflect.DeepEqual(source.nodes, f.nodes) {
			wrong = dataException
		}
		f.value = source.value
		out = append(out, f)
	}
	before := *d
	refDefaults(out, s.defaults())
	if class := refStruct(d, out); class != "" {
		return class
	}
	if wrong != "" {
		*d = before
	}
	return wrong
}
