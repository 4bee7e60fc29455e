package decode

import (
	"bytes"
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/decode/kernel"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// JSON4 decodes pages of OData v4: `{"value":[…]}` and single entities. Annotations may be anywhere, with or without
// `odata.` in their names; they are recognized by name in each version of OData v4.
type JSON4 struct {
	JSON
	options     JSON4Options
	pageContext string // the context whose set is pageSet
	pageSet     string // the set of the page, "" if it is not known
}

// JSON4Options are the settings of a [JSON4].
type JSON4Options struct {
	// Exact means that the response repeated IEEE754Compatible=true, so that its numbers were not rounded. Otherwise
	// [Page.LongNumber] reports the first one that may be.
	Exact bool
	// Partial lists rows in [Output.Partial] if they or structs in them lack columns, which is usual in a delta feed.
	// Missing columns are null or, if they are required, empty. Without Partial a missing column that is required or
	// was expanded makes the row fail, others are null.
	Partial bool
}

// NewJSON4 returns a decoder for rows of an initialized schema.
func NewJSON4(schema *RowSchema, options JSON4Options) *JSON4 {
	d := &JSON4{options: options}
	d.form = d
	d.oneLink = true
	d.endObject = d.checkObject
	d.init(d, schema, 0)
	if options.Partial {
		d.batch = 0 // checkObject must see each struct
	}
	return d
}

func (j *JSON4) nestedDecoder() *stream {
	child := NewJSON4(j.schema, j.options)
	child.collector = &j.nestedPages
	return &child.stream
}

const (
	exactInteger  = 1 << 53 // an integer of this size may have been rounded to fit a float64
	exactUnscaled = 1e15    // unscaled decimals below fit a float64
)

// prepareStructure implements [format]. Package kernel leaves to Go what checkObject and appendPrimitive have to check.
func (j *JSON4) prepareStructure(s *structure) {
	j.JSON.prepareStructure(s)
	for i := range s.properties {
		p := &s.properties[i]
		switch {
		case p.column.Inline && !j.options.Partial:
			s.optionals[i] = 0
		case p.Kind == kernel.Integer && !j.options.Exact:
			p.Low = max(p.Low, 1-exactInteger)
			p.High = min(p.High, exactInteger-1)
		case p.Kind == kernel.Decimal && !j.options.Exact:
			p.Limit = min(p.Limit, exactUnscaled)
		}
	}
}

// annotation returns the property and the term of an annotation, without `odata.`. The property is empty for an
// annotation of the object, the term for a member that is no annotation.
func annotation(name []byte) (property, term []byte) {
	property, term, _ = bytes.Cut(name, []byte("@"))
	return property, bytes.TrimPrefix(term, []byte("odata."))
}

// role implements [jsonForm].
func (j *JSON4) role(name []byte) memberRole {
	switch string(name) {
	case "value":
		return rowsRole
	case "error", "odata.error":
		return errorRole
	}
	property, term := annotation(name)
	if len(property) > 0 {
		return otherRole
	}
	switch string(term) {
	case "nextLink":
		return nextRole
	case "deltaLink":
		return deltaRole
	case "count":
		return countRole
	case "context":
		return contextRole
	case "error":
		return errorRole
	}
	return otherRole
}

// findRows implements [jsonForm].
//
// Assumption: an array named value has the rows of the page, unless the object is an entity with such a property. Then
// the context before it ends in /$entity, or another property of the entity precedes it.
func (j *JSON4) findRows(start int, out *Output) *scan.Error {
	b := j.buf
	if b[start] != '{' {
		return &scan.Error{At: start, Expected: "an object with the rows in value", Found: "an array"}
	}
	var context, failure string
	var hasProperty, isPage, hasOther bool
	i, closed, err := scan.JSONFirst(b, start+1, '}')
	for err == nil && !closed { // each member before the rows
		var member jsonMember
		if member, err = j.readMember(i); err != nil {
			if utf16(b[start:]) {
				return notUTF8(start)
			}
			return err
		}
		role := j.role(member.name)
		opens := b[member.value]
		if role == rowsRole && opens == '[' && !hasProperty && lastSegment(context) != "$entity" {
			if lastSegment(context) == "$metadata" {
				return &scan.Error{At: member.value, Expected: "rows", Found: "a service document"}
			}
			j.pos = member.value + 1
			j.state = jsonFirstRow
			j.open++
			j.serviceError += failure // an error before the rows, which fails the page
			return nil
		}
		isProperty := j.schema.hasProperty(string(member.name))
		if version := olderVersion(string(member.name), opens); version != "" && !isProperty {
			return &scan.Error{At: i, Expected: "rows of OData v4", Found: version +
				": the path belongs to a service of another version"}
		}
		if member.end, err = scan.JSONValue(b, member.value, maxDepth-1); err != nil {
			return err
		}
		property, term := annotation(member.name)
		switch {
		case isProperty:
			hasProperty = true
		case role == errorRole && opens != 'n':
			failure = quoted(b[member.value:member.end])
		case len(property) > 0 && len(term) == 0:
			hasOther = true
		default:
			isPaging, problem := j.pageMember(member)
			if problem != nil {
				return problem
			}
			isPage = isPage || isPaging
			context = j.page.Next.Base
		}
		i, closed, err = scan.JSONNext(b, member.end, '}')
	}
	if err != nil {
		return err
	}
	// The object has no array of rows.
	if hasProperty {
		j.serviceError += failure
		j.pos = i
		j.endContainer()
		return j.row(b[start:i], j.base+int64(start), out)
	}
	problem := &scan.Error{At: start, Expected: "rows"}
	switch isSet := lastSegment(context) != "$entity" && bytes.IndexByte([]byte(context), '#') >= 0; {
	case failure != "":
		problem.Found = "an error document: " + failure
	case hasOther:
		problem.Found = "JSON with none of the set's properties, as gateways return it: " + quoted(b[start:i])
	case isPage, isSet: // a page without rows may omit their array
		j.pos = i
		j.endContainer()
		return nil
	default:
		problem.Found = "an object without properties"
	}
	return problem
}

// olderVersion names the older version of OData whose responses have this member, or returns an empty string.
func olderVersion(name string, opens byte) string {
	switch {
	case name == "d" && (opens == '{' || opens == '['):
		return "a response of OData v2 (d)"
	case len(name) > len("odata.") && name[:len("odata.")] == "odata." && name != "odata.error":
		return "a response of OData v3 (" + name + ")"
	}
	return ""
}

// rowDocument implements [format]. The document of an item of another set names the set of the page.
func (j *JSON4) rowDocument(dst, row []byte) []byte {
	dst = append(dst, '{')
	if j.item.otherSet != "" {
		dst = append(strconv.AppendQuote(append(dst, `"@odata.context":`...), "$metadata#"+j.pageSet), ',')
	}
	return append(append(append(dst, `"value":[`...), row...), "]}"...)
}

// typeName implements [jsonForm].
func (j *JSON4) typeName(row []byte) []byte {
	return bytes.TrimPrefix(j.memberText(row, textRange{0, len(row)}, "@odata.type", "@type"), []byte("#"))
}

// appendPrimitive implements [jsonForm].
func (j *JSON4) appendPrimitive(dst []byte, s *structure, column *Column, text []byte) ([]byte, *conversionError) {
	isNumber := text[0] == '-' || ('0' <= text[0] && text[0] <= '9')
	switch {
	case column.Type == edm.Geo && text[0] == '{':
		j.scalar = compact(j.scalar[:0], text)
		return j.values.appendColumn(dst, s.schema, column, j.scalar, text)
	case isNumber && !j.options.Exact && j.page.LongNumber == "" && column.losesDigits() && mayBeRounded(text):
		j.page.LongNumber = s.path + column.Name + " " + quoted(text)
	}
	return j.JSON.appendPrimitive(dst, s, column, text)
}
