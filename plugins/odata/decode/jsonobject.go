package decode

import (
	"bytes"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode/kernel"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// prepareStructure sets the texts that package kernel expects.
func (j *JSON) prepareStructure(s *structure) {
	s.end.Prefix = kernel.NewPattern([]byte("}"))
	s.pendingValue.Kind = kernel.Value
	for i := range s.properties {
		if p := &s.properties[i]; p.column.Kind != Synthetic {
			p.Prefix = memberPrefix(p.column.Name)
			s.add(p, []byte(p.column.Name))
		}
	}
}

// object decodes the object at pos and returns the ends of its text and of its output, which starts at o. depth limits
// its nesting. Values that do not fit their columns are the structure's problem, and not an error.
func (j *JSON) object(s *structure, pos, o, depth int) (next, end int, err *scan.Error) {
	if depth <= 0 {
		_, err = scan.JSONValue(j.text, pos, depth)
		return 0, 0, err
	}
	s.begin(pos, o)
	s.FirstMask = ^uint64(0xff) // without the comma of the first Prefix: the text has '{' there
	s.Depth = depth - 1
	for {
		isEnd := false
		switch kernel.Read(&s.Struct) {
		case kernel.AtEnd:
			isEnd = true
		case kernel.NoValue:
			if p := propertyOf(s.Property); p.column == nil {
				err = j.skip(s, p, s.P)
			} else {
				err = j.readValue(s, p)
			}
		case kernel.Repeated:
			err = j.skipRepeated(s, propertyOf(s.Property), s.P)
		default:
			isEnd, err = j.readProperty(s)
		}
		if err != nil {
			return 0, 0, err
		}
		if isEnd {
			if j.endObject != nil {
				j.endObject(s)
			}
			return s.P, s.complete(), nil
		}
	}
}

// readProperty reads a property in an unusual form, or the end of the object.
func (j *JSON) readProperty(s *structure) (isEnd bool, err *scan.Error) {
	b := j.text
	start := s.P
	i := 0
	if s.FirstMask == ^uint64(0) { // not the first property
		i, isEnd, err = scan.JSONNext(b, start, '}')
	} else {
		i, isEnd, err = scan.JSONFirst(b, start+1, '}')
	}
	if err != nil {
		return false, err
	}
	if isEnd {
		s.P = i
		return true, nil
	}
	nameEnd, value, err := scan.JSONName(b, i)
	if err != nil {
		return false, err
	}
	name := b[i+1 : nameEnd-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		j.name, _ = scan.Unescape(j.name[:0], b[i:nameEnd], false)
		name = j.name
	}
	p := s.names[string(name)]
	if p == nil {
		p = j.otherProperty(s, name)
	}
	s.FirstMask = ^uint64(0)
	if p == nil {
		return false, j.skipRare(s, name, value)
	}
	s.expect(p)
	if p.column == nil {
		return false, j.skip(s, p, value)
	}
	if p.Kind < kernel.GoValue && !s.has(p.Column) {
		s.P = value // package kernel can read it
		s.Target = &p.Property
		s.Property = &s.pendingValue.Property
		return false, nil
	}
	if !s.BeginColumn(p.Column) {
		return false, j.skipRepeated(s, p, value)
	}
	s.P = value
	return false, j.readValue(s, p)
}

// skipRepeated skips the value of a column that the object already has.
func (j *JSON) skipRepeated(s *structure, p *property, value int) *scan.Error {
	s.fail(wholeStruct, repeated(p.column))
	end, err := scan.JSONValue(j.text, scan.JSONSpace(j.text, value), s.Depth)
	s.advance(p, end)
	return err
}

// otherProperty returns a new property that is no column, or nil for one that Go has to look at each time.
func (j *JSON) otherProperty(s *structure, name []byte) *property {
	kind := j.form.control(s, name)
	if kind == controlRead || bytes.ContainsAny(name, "\"\\") { // the text of such a name has escapes
		return nil
	}
	p := s.addOther(name, kind == controlSkipped || s.schema.isIgnored[string(name)])
	if p != nil {
		p.Prefix = memberPrefix(string(name))
	}
	return p
}

func memberPrefix(name string) kernel.Pattern { return kernel.NewPattern([]byte(`,"` + name + `":`)) }

// control implements [jsonForm].
func (j *JSON) control(s *structure, name []byte) controlKind {
	switch {
	case string(name) == contextName && s == j.root:
		return controlRead
	case (len(name) > 1 && name[0] == '_' && name[1] == '_') || bytes.IndexByte(name, '@') >= 0:
		return controlSkipped
	}
	return controlUnknown
}

// readControl implements [jsonForm].
func (j *JSON) readControl(s *structure, _ []byte, value textRange) {
	j.item.isDeleted = bytes.HasSuffix(j.scalarText(j.text[value.start:value.end]), []byte("/$deletedEntity"))
	s.MaxRows = 0 // finishObject must see each row that may be deleted
}

// skip skips the value of a property that is no column.
func (j *JSON) skip(s *structure, p *property, value int) *scan.Error {
	value = scan.JSONSpace(j.text, value)
	end, err := scan.JSONValue(j.text, value, s.Depth)
	if err != nil {
		return err
	}
	if p.SkipsAny == 0 && j.checkUnknown(s, p.name, value) {
		j.allowAny(p)
	}
	s.advance(p, end)
	return nil
}

// checkUnknown reports a property of the page that the schema does not have. It returns false for a navigation property
// that was not expanded, and in a deleted entry.
func (j *JSON) checkUnknown(s *structure, name []byte, value int) bool {
	if j.item.isDeleted || isDeferred(j.text[value:]) {
		return false
	}
	j.reportUnknown(s.path, name)
	return true
}

// skipRare skips the value of a property that has no entry in the structure's table.
func (j *JSON) skipRare(s *structure, name []byte, value int) *scan.Error {
	end, err := scan.JSONValue(j.text, value, s.Depth)
	if err != nil {
		return err
	}
	switch kind := j.form.control(s, name); {
	case kind == controlRead:
		j.form.readControl(s, name, textRange{value, end})
	case kind == controlUnknown && !s.schema.isIgnored[string(name)]:
		j.checkUnknown(s, name, value)
	}
	s.P = end
	s.Property = s.Previous.Next
	return nil
}

// isDeferred reports whether a value is a navigation that was not expanded: its first member is __deferred.
func isDeferred(value []byte) bool {
	return value[0] == '{' && bytes.HasPrefix(value[scan.JSONSpace(value, 1):], []byte(`"__deferred"`))
}

// readValue reads the value of a column in an unusual form.
func (j *JSON) readValue(s *structure, p *property) *scan.Error {
	b := j.text
	c := p.column
	pos := scan.JSONSpace(b, s.P)
	if pos >= len(b) {
		return scan.ErrNeedMore
	}
	if c.Kind != Primitive && (b[pos] == '{' || (b[pos] == '[' && c.isArray())) && !isDeferred(b[pos:]) {
		return j.readNested(s, p, pos)
	}
	end, err := scan.JSONValue(b, pos, s.Depth)
	if err != nil {
		return err
	}
	raw := b[pos:end]
	dst := j.out.Data[:s.O]
	var problem *conversionError
	switch {
	case c.Kind != Primitive && isDeferred(raw):
		if c.Inline {
			problem = c.conversionError(expectedInline, "a link to it")
		} else {
			dst, problem = appendNull(dst, c, true)
		}
	case raw[0] == 'n' && c.isArray() && !c.Optional:
		dst = append(dst, 0) // expanded, without entities
	case raw[0] == 'n':
		dst, problem = appendNull(dst, c, true)
	case c.Kind == Primitive:
		dst, problem = j.form.appendPrimitive(dst, s, c, raw)
	case c.isArray():
		problem = expectedResults(raw).within(c.Name)
	default:
		problem = (&conversionError{expected: "an object", found: quoted(raw)}).within(c.Name)
	}
	s.endValue(p, end, dst, problem)
	return nil
}

// appendPrimitive implements [jsonForm].
func (j *JSON) appendPrimitive(dst []byte, s *structure, column *Column, text []byte) ([]byte, *conversionError) {
	source := text
	switch text[0] {
	case '{', '[':
		return dst, &conversionError{path: column.Name, expected: column.Type.String(), found: quoted(text)}
	case '"':
		ok := false
		if j.scalar, ok = scan.Unescape(j.scalar[:0], text, false); !ok {
			return dst, column.conversionError("a string of valid escapes and UTF-8", quoted(text))
		}
		text = j.scalar
	}
	return j.values.appendColumn(dst, s.schema, column, text, source)
}

// readNested reads the struct or the expanded feed at pos, the value of a column.
func (j *JSON) readNested(s *structure, p *property, pos int) *scan.Error {
	inner := s.structureIn(p.Column)
	o := s.O + p.Optional
	kernel.Put(s.Arena, s.O, branchValue)
	if p.column.Kind == Collection {
		return j.readCollection(s, p, inner, pos, o)
	}
	if p.column.Kind != NavigationToMany {
		inner.MaxRows = 0
		next, end, err := j.object(inner, pos, o, s.Depth)
		if err != nil {
			return err
		}
		s.endStruct(p, next, end, inner.result)
		return nil
	}
	next, end, feedResult, err := j.readFeed(inner, pos, o, s.Depth)
	if err != nil {
		return err
	}
	s.endStruct(p, next, end, feedResult)
	return nil
}

func expectedResults(value []byte) *conversionError {
	return &conversionError{expected: "an array of results", found: quoted(value)}
}

// readFeed reads an expanded feed: `{"results":[…],"__next":…}`, or `[…]` in version 1.
func (j *JSON) readFeed(s *structure, pos, o, depth int) (next, end int, feedResult result, err *scan.Error) {
	b := j.text
	if b[pos] == '[' {
		next, _, end, feedResult, err = j.readItems(s, pos, o, depth)
		return next, end, feedResult, err
	}
	if depth <= 0 {
		_, err = scan.JSONValue(b, pos, depth)
		return 0, 0, feedResult, err
	}
	var hasResults, isArray, isRepeated bool
	var rows, last int // the start of the array's items and the end of the last one
	var href textRange
	i, isEnd, err := scan.JSONFirst(b, pos+1, '}')
	for err == nil && !isEnd {
		nameEnd, value, problem := scan.JSONName(b, i)
		if problem != nil {
			return 0, 0, feedResult, problem
		}
		valueEnd := 0
		switch string(nameIn(b[i:nameEnd])) {
		case "results":
			isRepeated = hasResults
			hasResults = true
			isArray = b[value] == '['
			if isArray && !isRepeated {
				rows = value + 1
				valueEnd, last, end, feedResult, err = j.readItems(s, value, o, depth-1)
				break
			}
			valueEnd, err = scan.JSONValue(b, value, depth-1)
		case "__next":
			valueEnd, err = scan.JSONValue(b, value, depth-1)
			href = textRange{value, valueEnd}
		default:
			valueEnd, err = scan.JSONValue(b, value, depth-1)
		}
		if err == nil {
			i, isEnd, err = scan.JSONNext(b, valueEnd, '}')
		}
	}
	if err != nil {
		return 0, 0, feedResult, err
	}
	// Check the members, and describe the next link.
	switch {
	case isRepeated:
		feedResult.problem = &conversionError{expected: "results once", found: quoted(b[pos:i])}
	case !isArray:
		feedResult.problem = expectedResults(b[pos:i])
	case href.end != 0 && !j.isLink(b[href.start:href.end]):
		feedResult.problem = &conversionError{expected: "a link in __next", found: quoted(b[href.start:href.end])}
	case href.end != 0:
		if target := j.scalarText(b[href.start:href.end]); len(target) > 0 {
			feedResult.link = &nestedNextLink{link: Link{Href: string(target)}, linkAt: href, emptyLink: `""`,
				rows: rows, insertAt: last, structure: s, property: strings.TrimSuffix(s.path, "/")}
			if last > rows {
				feedResult.link.separator = ","
			}
		}
	}
	return i, end, feedResult, nil
}

// readItems reads the array of an expanded feed's rows. last is the end of the last row, or after the opening bracket.
func (j *JSON) readItems(s *structure, pos, o, depth int) (next, last, end int, feedResult result, err *scan.Error) {
	b := j.text
	if depth <= 0 {
		_, err = scan.JSONValue(b, pos, depth)
		return 0, 0, 0, feedResult, err
	}
	last = pos + 1
	end = o + 1
	count := 0
	i, isEnd, err := scan.JSONFirst(b, pos+1, ']')
	for err == nil && !isEnd {
		if b[i] == '{' {
			s.reserve(i, end)
			s.repeat()
			last, end, err = j.object(s, i, end, depth-1)
			count += s.RowCount
		} else {
			last, err = scan.JSONValue(b, i, depth-1)
			s.problem = &conversionError{expected: "an object", found: quoted(b[i:max(i, last)])}
			s.link = nil
		}
		if err != nil {
			break
		}
		count++
		feedResult = feedResult.with(s.result)
		i, isEnd, err = scan.JSONNext(b, last, ']')
	}
	if err != nil {
		return 0, 0, 0, feedResult, err
	}
	return i, last, j.writeCount(o, end, count), feedResult, nil
}
