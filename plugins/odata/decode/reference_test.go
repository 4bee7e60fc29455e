package decode

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// A second decoder, slow and simple, over encoding/json, encoding/xml and math/big. It shares the Layout with the real
// ones and nothing else: where both agree, a mistake would have to be made twice.

type refPage struct {
	rows               []refRow
	next, delta, count string
}

type refRow struct {
	fault      bool
	ref        string // of a tombstone
	when       int64
	key, value []byte
}

var errMisfit = errors.New("misfit")

// refDecode decodes a document of either format.
func refDecode(l *RowLayout, doc []byte) (refPage, error) {
	doc = bytes.TrimPrefix(doc, []byte("\xef\xbb\xbf"))
	if isMarkup(doc) {
		return refAtom(l, doc)
	}
	return refJSON(l, doc)
}

func (p *refPage) add(l *RowLayout, get func(name string) (any, bool)) {
	var values [][]byte
	for i := range l.Columns {
		v, err := refColumn(&l.Columns[i], get)
		if err != nil {
			p.rows = append(p.rows, refRow{fault: true})
			return
		}
		values = append(values, v)
	}
	r := refRow{value: bytes.Join(values[:l.Visible], nil)}
	for _, i := range l.Keys {
		v := values[i]
		if l.Columns[i].Optional {
			if v[0] == 0 {
				p.rows = append(p.rows, refRow{fault: true})
				return
			}
			v = v[1:]
		}
		r.key = append(r.key, v...)
	}
	if len(l.Keys) > 0 {
		r.key = append(r.key, l.KeyTail...)
	}
	p.rows = append(p.rows, r)
}

// refColumn takes values as nil, string (the text), func getters for structures, and lists of them.
func refColumn(c *Column, get func(name string) (any, bool)) ([]byte, error) {
	v, ok := get(c.Name)
	if !ok || c.Shape == Blank {
		v = nil
	}
	if s, isText := v.(string); isText && s == "" && c.Type != edm.String && c.Type != edm.Binary {
		v = nil
	}
	if v == nil {
		if !c.Optional {
			return nil, errMisfit
		}
		return []byte{0}, nil
	}
	var front []byte
	if c.Optional {
		front = []byte{2}
	}
	body, err := refValue(c, v)
	return append(front, body...), err
}

type refStruct func(name string) (any, bool)

func refValue(c *Column, v any) ([]byte, error) {
	switch x := v.(type) {
	case string:
		if c.Shape != Primitive {
			return nil, errMisfit
		}
		return refPrimitive(c, x)
	case refStruct:
		if c.Shape != Complex && c.Shape != One {
			return nil, errMisfit
		}
		return refMembers(c.Nested, x)
	case []refStruct:
		if c.Shape != Many {
			return nil, errMisfit
		}
		if len(x) == 0 {
			return []byte{0}, nil
		}
		out := binary.AppendVarint(nil, int64(len(x)))
		for _, s := range x {
			b, err := refMembers(c.Nested, s)
			if err != nil {
				return nil, err
			}
			out = append(out, b...)
		}
		return append(out, 0), nil
	}
	return nil, errMisfit
}

func refMembers(l *RowLayout, get refStruct) ([]byte, error) {
	var out []byte
	for i := range l.Columns {
		b, err := refColumn(&l.Columns[i], get)
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
	}
	return out, nil
}

func refBlock(b []byte) []byte { return append(binary.AppendVarint(nil, int64(len(b))), b...) }

var refBounds = map[edm.Primitive][2]string{edm.Byte: {"0", "255"}, edm.SByte: {"-128", "127"},
	edm.Int16: {"-32768", "32767"}, edm.Int32: {"-2147483648", "2147483647"}, edm.Int64: {"-9223372036854775808", "9223372036854775807"}}

var (
	refInteger = regexp.MustCompile(`^[-+]?[0-9]+$`)
	refReal    = regexp.MustCompile(`^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$`)
	refTicks   = regexp.MustCompile(`^/Date\((-?[0-9]+)(?:([-+])([0-9]{1,4}))?\)/$`)
	refISO     = regexp.MustCompile(
		`^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T([0-9]{2}:[0-9]{2})(:[0-9]{2})?([.,][0-9]+)?(Z|z|[-+][0-9]{2}(?::?[0-9]{2})?)?)?$`)
	refDuration = regexp.MustCompile(`^P(?:0+Y)?(?:0+M)?(?:0+D)?T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)([.,][0-9]+)?S)?$`)
	refGUID     = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

func refPrimitive(c *Column, s string) ([]byte, error) {
	switch c.Type {
	case edm.String:
		return refBlock([]byte(s)), nil
	case edm.Guid:
		if !refGUID.MatchString(s) {
			return nil, errMisfit
		}
		return refBlock([]byte(s)), nil
	case edm.Binary:
		s = strings.NewReplacer("-", "+", "_", "/", " ", "", "\n", "", "\t", "", "\r", "").Replace(s)
		s = strings.TrimRight(s, "=")
		b, err := base64.RawStdEncoding.DecodeString(s)
		return refBlock(b), err
	case edm.Boolean:
		if s != "true" && s != "false" && s != "1" && s != "0" {
			return nil, errMisfit
		}
		if s == "true" || s == "1" {
			return []byte{1}, nil
		}
		return []byte{0}, nil
	case edm.Decimal:
		return refDecimal(c, s)
	case edm.Double, edm.Single:
		return refFloat(c, s)
	case edm.DateTime, edm.DateTimeOffset:
		return refInstant(c, s)
	case edm.Time:
		return refClock(s)
	}
	n, ok := new(big.Int).SetString(s, 10)
	low, _ := new(big.Int).SetString(refBounds[c.Type][0], 10)
	high, _ := new(big.Int).SetString(refBounds[c.Type][1], 10)
	if !ok || !refInteger.MatchString(s) || n.Cmp(low) < 0 || n.Cmp(high) > 0 {
		return nil, errMisfit
	}
	return binary.AppendVarint(nil, n.Int64()), nil
}

func refDecimal(c *Column, s string) ([]byte, error) {
	r, ok := new(big.Rat).SetString(s)
	if !ok || !refReal.MatchString(s) {
		return nil, errMisfit
	}
	if c.As == AsFloat64 {
		f, _ := r.Float64()
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(f)), nil
	}
	scale := int64(c.Scale)
	if c.As == AsInt64 {
		scale = 0
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(scale), nil)))
	n := new(big.Int).Quo(r.Num(), r.Denom())
	if !r.IsInt() {
		if c.Rounding != edm.RoundHalfEven {
			return nil, errMisfit
		}
		rest := new(big.Rat).Sub(r, new(big.Rat).SetInt(n))
		rest.Abs(rest)
		half := rest.Cmp(big.NewRat(1, 2))
		if half > 0 || half == 0 && n.Bit(0) == 1 {
			n.Add(n, big.NewInt(int64(r.Sign())))
		}
	}
	if c.Precision > 0 && len(new(big.Int).Abs(n).String()) > c.Precision && n.Sign() != 0 {
		return nil, errMisfit
	}
	if c.As == AsInt64 {
		if !n.IsInt64() {
			return nil, errMisfit
		}
		return binary.AppendVarint(nil, n.Int64()), nil
	}
	// the shortest two's complement: the least size whose range holds n
	for size := 1; ; size++ {
		limit := new(big.Int).Lsh(big.NewInt(1), uint(8*size-1))
		if n.Cmp(limit) < 0 && n.Cmp(new(big.Int).Neg(limit)) >= 0 {
			m := new(big.Int).Set(n)
			if m.Sign() < 0 {
				m.Add(m, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
			}
			return refBlock(m.FillBytes(make([]byte, size))), nil
		}
	}
}

func refFloat(c *Column, s string) ([]byte, error) {
	special := map[string]float64{"INF": math.Inf(1), "+INF": math.Inf(1), "Infinity": math.Inf(1),
		"-INF": math.Inf(-1), "-Infinity": math.Inf(-1), "NaN": math.NaN()}
	bits := 64
	if c.Type == edm.Single {
		bits = 32
	}
	f, ok := special[s]
	if !ok {
		if !refReal.MatchString(s) {
			return nil, errMisfit
		}
		var err error
		if f, err = strconv.ParseFloat(s, bits); err != nil {
			return nil, err
		}
	}
	if bits == 32 {
		return binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(f))), nil
	}
	return binary.LittleEndian.AppendUint64(nil, math.Float64bits(f)), nil
}

func refInstant(c *Column, s string) ([]byte, error) {
	var wall, at time.Time
	if m := refTicks.FindStringSubmatch(s); m != nil {
		ms, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			return nil, err
		}
		offset, _ := strconv.Atoi(m[2] + m[3])
		wall = time.UnixMilli(ms).UTC()
		first := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
		switch julian := first.AddDate(0, 0, -2); {
		case !wall.Before(julian) && wall.Before(first):
			wall = wall.AddDate(0, 0, 2)
		case wall.Equal(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)):
			wall = wall.Add(-time.Millisecond)
		}
		at = wall.Add(-time.Duration(offset) * time.Minute)
	} else {
		m := refISO.FindStringSubmatch(s)
		if m == nil || m[3] == "" && m[4] != "" {
			return nil, errMisfit
		}
		text := m[1] + "T" + cmp.Or(m[2], "00:00") + cmp.Or(m[3], ":00")
		var err error
		if wall, err = time.Parse("2006-01-02T15:04:05", text); err != nil {
			return nil, err
		}
		if m[4] != "" {
			digits := (m[4][1:] + "000000")[:6]
			micros, _ := strconv.Atoi(digits)
			wall = wall.Add(time.Duration(micros) * time.Microsecond)
		}
		at = wall
		if zone := strings.ReplaceAll(m[5], ":", ""); len(zone) > 1 {
			h, _ := strconv.Atoi(zone[1:3])
			minutes, _ := strconv.Atoi(cmp.Or(zone[3:], "0"))
			if h > 23 || minutes > 59 {
				return nil, errMisfit
			}
			shift := time.Duration(h)*time.Hour + time.Duration(minutes)*time.Minute
			if zone[0] == '+' {
				shift = -shift
			}
			at = wall.Add(shift)
		}
	}
	if wall.Year() < 1 || wall.Year() > 9999 {
		return nil, errMisfit
	}
	if c.As == AsDate {
		day := time.Date(wall.Year(), wall.Month(), wall.Day(), 0, 0, 0, 0, time.UTC)
		return binary.AppendVarint(nil, day.Unix()/86400), nil
	}
	if c.As == AsMicros {
		return binary.AppendVarint(nil, at.UnixMicro()), nil
	}
	return binary.AppendVarint(nil, at.UnixMilli()), nil
}

func refClock(s string) ([]byte, error) {
	m := refDuration.FindStringSubmatch(s)
	if m == nil || strings.HasSuffix(s, "T") {
		return nil, errMisfit
	}
	total := new(big.Rat)
	for i, seconds := range []int64{3600, 60, 1} {
		text := m[i+1]
		if i == 2 && m[4] != "" {
			text += "." + m[4][1:]
		}
		if text != "" {
			v, _ := new(big.Rat).SetString(text)
			total.Add(total, v.Mul(v, big.NewRat(seconds*1000, 1)))
		}
	}
	ms := new(big.Int).Quo(total.Num(), total.Denom())
	if ms.Cmp(big.NewInt(86_400_000)) >= 0 {
		return nil, errMisfit
	}
	return binary.AppendVarint(nil, ms.Int64()), nil
}

// JSON

func refJSON(l *RowLayout, doc []byte) (refPage, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var root any
	if err := d.Decode(&root); err != nil {
		return refPage{}, err
	}
	if _, err := d.Token(); err != io.EOF {
		return refPage{}, errors.New("more behind the document")
	}
	var p refPage
	if object, ok := root.(map[string]any); ok {
		if inner, ok := object["d"]; ok {
			root = inner
		}
	}
	rows := p.refUnwrap(l, root)
	for _, r := range rows {
		object, ok := r.(map[string]any)
		if !ok {
			p.rows = append(p.rows, refRow{fault: true})
			continue
		}
		if kind, _ := object["@odata.context"].(string); strings.HasSuffix(kind, "/$deletedEntity") {
			id, _ := object["id"].(string)
			when, _ := object["when"].(string)
			ms, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(when, "/Date("), ")/"), 10, 64)
			p.rows = append(p.rows, refRow{ref: id, when: ms})
			continue
		}
		p.add(l, refObject(object))
	}
	return p, nil
}

func (p *refPage) refUnwrap(l *RowLayout, v any) []any {
	switch x := v.(type) {
	case nil:
		return nil
	case []any:
		return x
	case map[string]any:
		text := func(name string) string { s, _ := x[name].(string); return s }
		rows, isFeed := x["results"].([]any)
		own := 0
		for _, name := range []string{"__next", "__delta", "__count"} {
			if _, some := x[name]; some {
				own++
			}
		}
		if isFeed || own > 0 && own == len(x) {
			p.next, p.delta, p.count = text("__next"), text("__delta"), fmt.Sprint(x["__count"])
			return rows
		}
		if len(x) == 1 {
			for name, inner := range x {
				if _, column := l.names[name]; !column {
					return p.refUnwrap(l, inner)
				}
			}
		}
	}
	return []any{v}
}

func refObject(object map[string]any) refStruct {
	return func(name string) (any, bool) {
		v, ok := object[name]
		switch x := v.(type) {
		case json.Number:
			return x.String(), ok
		case bool:
			return strconv.FormatBool(x), ok
		case []any:
			return refList(x), ok
		case map[string]any:
			if _, deferred := x["__deferred"]; deferred {
				return nil, false
			}
			if rows, isFeed := x["results"].([]any); isFeed {
				return refList(rows), ok
			}
			return refObject(x), ok
		}
		return v, ok
	}
}

func refList(items []any) any {
	out := []refStruct{}
	for _, item := range items {
		object, ok := item.(map[string]any)
		if !ok {
			return 0
		}
		out = append(out, refObject(object))
	}
	return out
}

// Atom

type refNode struct {
	XMLName xml.Name
	Attrs   []xml.Attr `xml:",any,attr"`
	Text    string     `xml:",chardata"`
	Nodes   []refNode  `xml:",any"`
}

const (
	refAtomSpace = "http://www.w3.org/2005/Atom"
	refData      = "http://schemas.microsoft.com/ado/2007/08/dataservices"
	refMeta      = refData + "/metadata"
)

func (n *refNode) is(space, local string) bool {
	return n.XMLName.Space == space && n.XMLName.Local == local
}

func (n *refNode) attr(space, local string) string {
	for _, a := range n.Attrs {
		if a.Name.Space == space && a.Name.Local == local {
			return a.Value
		}
	}
	return ""
}

func (n *refNode) child(space, local string) *refNode {
	for i := range n.Nodes {
		if n.Nodes[i].is(space, local) {
			return &n.Nodes[i]
		}
	}
	return nil
}

func refAtom(l *RowLayout, doc []byte) (refPage, error) {
	var root refNode
	if err := xml.Unmarshal(doc, &root); err != nil {
		return refPage{}, err
	}
	var p refPage
	nodes := []refNode{root}
	switch {
	case root.is(refAtomSpace, "feed"):
		nodes = root.Nodes
	case root.is(refAtomSpace, "entry"):
	default:
		return p, errors.New("no feed and no entry")
	}
	for i := range nodes {
		n := &nodes[i]
		switch {
		case n.is(refAtomSpace, "entry"):
			p.add(l, refEntry(l, n))
		case n.XMLName.Local == "deleted-entry":
			when, _ := time.Parse(time.RFC3339, n.attr("", "when"))
			p.rows = append(p.rows, refRow{ref: n.attr("", "ref"), when: when.UnixMilli()})
		case n.is(refAtomSpace, "link") && n.attr("", "rel") == "next":
			p.next = n.attr("", "href")
		case n.is(refAtomSpace, "link") && n.attr("", "rel") == "delta":
			p.delta = n.attr("", "href")
		case n.is(refMeta, "count"):
			p.count = n.Text
		}
	}
	return p, nil
}

func columnsOf(l *RowLayout) map[string]*Column {
	columns := map[string]*Column{}
	for i := range l.Columns {
		columns[l.Columns[i].Name] = &l.Columns[i]
	}
	return columns
}

func refEntry(l *RowLayout, entry *refNode) refStruct {
	properties := entry.child(refMeta, "properties")
	if c := entry.child(refAtomSpace, "content"); c != nil && properties == nil {
		properties = c.child(refMeta, "properties")
	}
	columns := columnsOf(l)
	return func(name string) (any, bool) {
		c := columns[name]
		if c.Shape == One || c.Shape == Many {
			return refInline(c, entry)
		}
		if properties != nil {
			if n := properties.child(refData, name); n != nil {
				return refProperty(c, n)
			}
		}
		path := map[string]string{"SyndicationTitle": "title", "SyndicationSummary": "summary",
			"SyndicationUpdated":    "updated",
			"SyndicationAuthorName": "author name"}[c.Target]
		n := entry
		for _, step := range strings.Fields(path) {
			if n != nil {
				n = n.child(refAtomSpace, step)
			}
		}
		if n == nil || path == "" {
			return nil, false
		}
		return refProperty(c, n)
	}
}

func refProperty(c *Column, n *refNode) (any, bool) {
	if n.attr(refMeta, "null") == "true" {
		return nil, true
	}
	if c.Shape == Complex {
		columns := columnsOf(c.Nested)
		return refStruct(func(name string) (any, bool) {
			inner := n.child(refData, name)
			if inner == nil {
				return nil, false
			}
			return refProperty(columns[name], inner)
		}), true
	}
	if c.Type != edm.String {
		return strings.Trim(n.Text, " \t\r\n"), true
	}
	return n.Text, true
}

func refInline(c *Column, entry *refNode) (any, bool) {
	for i := range entry.Nodes {
		link := &entry.Nodes[i]
		if !link.is(refAtomSpace, "link") || link.attr("", "rel") != refData+"/related/"+c.Name {
			continue
		}
		inline := link.child(refMeta, "inline")
		if inline == nil {
			continue
		}
		if c.Shape == One {
			if e := inline.child(refAtomSpace, "entry"); e != nil {
				return refEntry(c.Nested, e), true
			}
			return nil, true
		}
		items := []refStruct{}
		if feed := inline.child(refAtomSpace, "feed"); feed != nil {
			for k := range feed.Nodes {
				if feed.Nodes[k].is(refAtomSpace, "entry") {
					items = append(items, refEntry(c.Nested, &feed.Nodes[k]))
				}
			}
		}
		return items, true
	}
	return nil, false
}
