package decode

import (
	"bytes"

	"github.com/culvert-project/culvert/plugins/odata/decode/kernel"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/scan"
)

// readProperty reads a property in an unusual form, or the end of the properties.
func (a *Atom) readProperty(s *structure) (closed bool, err *scan.Error) {
	parent := s.open
	tag, err := a.child(s.P, parent.name)
	if err != nil {
		return false, err
	}
	if tag.Closing {
		s.P = tag.End
		return true, nil
	}
	scope, namespace, local := a.namespaces.enter(a.text, tag, parent.scope)
	isUsual := s.readsProperties && scope == parent.scope
	if namespace != dataNamespace {
		end, err := scan.XMLElement(a.text, tag.Start, s.openDepth)
		if err == nil && namespace == metadataNamespace && string(local) == "error" {
			a.failRow(tag.Start, end) // a property missing after an error is no null
		}
		s.P = end
		s.Property = s.Previous.Next
		return false, err
	}
	p := propertyOf(s.Previous.Next)
	if p.column == nil || p.column.Name != string(local) {
		i, ok := s.schema.columnByName[string(local)]
		if !ok {
			return false, a.skip(s, tag, local, isUsual)
		}
		p = &s.properties[i]
		s.expect(p)
	}
	i := p.Column
	isUsual = isUsual && bytes.Equal(tag.Name(a.text), p.name)
	isUsualValue := isUsual && !tag.Empty && !s.has(i) && p.Kind < kernel.GoValue
	if isUsualValue && !a.namespaces.isNull(a.text, tag, scope) {
		a.guess(s, &p.Prefix, &p.lastPrefix, tag, tag.End)
		s.P = tag.End // package kernel can read the value
		s.Target = &p.Property
		s.Property = &s.pendingValue.Property
		return false, nil
	}
	if !s.BeginColumn(i) {
		return false, a.skipRepeated(s, p, tag.Start)
	}
	return false, a.readElement(s, p, tag, scope, isUsual)
}

// skipRepeated skips the element of a column that the struct already has.
func (a *Atom) skipRepeated(s *structure, p *property, start int) *scan.Error {
	s.fail(wholeStruct, repeated(p.column))
	end, err := scan.XMLElement(a.text, start, s.openDepth)
	s.advance(p, end)
	return err
}

// skip skips a property that is no column.
func (a *Atom) skip(s *structure, tag scan.XMLTag, local []byte, isUsual bool) *scan.Error {
	end, err := scan.XMLElement(a.text, tag.Start, s.openDepth)
	if err != nil {
		return err
	}
	isIgnored := s.schema.isIgnored[string(local)]
	if !isIgnored {
		a.reportUnknown(s.path, local)
	}
	s.P = end
	s.Property = s.Previous.Next
	name := tag.Name(a.text)
	if p := s.names[string(name)]; p != nil && isUsual && !tag.Empty {
		a.guess(s, &p.Prefix, &p.lastPrefix, tag, tag.End)
		s.expect(p)
		s.advance(p, end)
	} else if p == nil && isUsual {
		if p = s.addOther(name, isIgnored); p != nil {
			p.Prefix = kernel.NewPattern([]byte("<" + string(name) + ">"))
			p.Suffix = kernel.NewPattern([]byte("</" + string(name) + ">"))
			s.expect(p)
		}
	}
	return nil
}

// readValue reads the value of a column, or of a property that is no column, after the start tag that package kernel
// expected.
func (a *Atom) readValue(s *structure) *scan.Error {
	p := propertyOf(s.Property)
	start := bytes.LastIndexByte(a.text[:s.P], '<')
	tag, err := scan.XMLTagAt(a.text, start)
	if err != nil {
		return err
	}
	if p.column == nil {
		end, err := scan.XMLElement(a.text, start, s.openDepth)
		if err == nil && p.SkipsAny == 0 {
			_, local := scan.SplitName(p.name)
			a.reportUnknown(s.path, local)
			a.allowAny(p)
		}
		s.advance(p, end)
		return err
	}
	return a.readElement(s, p, tag, s.open.scope, false)
}

// readElement reads the element of a column. isUsual reports that package kernel may expect its start tag.
func (a *Atom) readElement(s *structure, p *property, tag scan.XMLTag, scope int, isUsual bool) *scan.Error {
	isNull := a.namespaces.isNull(a.text, tag, scope)
	if isUsual && !isNull && !tag.Empty {
		a.guess(s, &p.Prefix, &p.lastPrefix, tag, tag.End)
	}
	depth := s.openDepth
	if !isNull && p.column.Kind == Complex {
		inner := s.structureIn(p.Column)
		kernel.Put(s.Arena, s.O, branchValue)
		next, end, err := a.object(inner, tag, scope, s.O+p.Optional, depth)
		if err == nil {
			s.endStruct(p, next, end, inner.result)
		}
		return err
	}
	if !isNull && p.column.Kind != Primitive {
		return a.readInline(s, p, tag, scope, depth)
	}
	end, back, err := a.elementEnds(tag, depth)
	if err != nil {
		return err
	}
	dst := a.out.Data[:s.O]
	problem := (*conversionError)(nil)
	if isNull {
		dst, problem = appendNull(dst, p.column, true)
	} else {
		dst, problem = a.primitive(dst, s.schema, p.column, a.text[tag.End:back])
	}
	if isUsual && (isNull || back == tag.End) && a.guess(s, &p.Null, &p.lastNull, tag, end) {
		p.Empty = 0
		if !isNull && !p.column.emptyIsNull() { // the empty string
			p.Empty = 1
		}
	}
	s.endValue(p, end, dst, problem)
	return nil
}

// guess makes the text from a tag to end the one that package kernel expects, if it means the same in each entry with
// the structure's prefixes: another prefix of null may be bound to another namespace.
func (a *Atom) guess(s *structure, pattern *kernel.Pattern, last *[]byte, tag scan.XMLTag, end int) bool {
	for attribute := range tag.Attributes(a.text) {
		prefix, local := scan.SplitName(attribute.Name(a.text))
		if string(local) == "null" && string(prefix) != s.prefixes.metadata {
			return false
		}
	}
	return guess(pattern, last, a.text[tag.Start:end])
}

func (a *Atom) primitive(dst []byte, schema *RowSchema, column *Column, content []byte) ([]byte, *conversionError) {
	unescaped, ok := scan.XMLContent(a.scalar[:0], content)
	a.scalar = unescaped[:0]
	if !ok {
		return dst, column.conversionError("text of characters that XML allows, in UTF-8", quoted(content))
	}
	if column.Type != edm.String {
		unescaped = scan.XMLTrim(unescaped)
	}
	return a.values.appendColumn(dst, schema, column, unescaped, unescaped)
}

// target writes a value that customized feeds contain elsewhere in the entry (m:FC_TargetPath).
func (a *Atom) target(dst []byte, schema *RowSchema, column *Column, entry element) ([]byte, *conversionError) {
	parent := entry
	for i, step := range column.steps {
		if step != "" && step[0] == '@' {
			value, ok := attributeLocal(a.text, parent.tag, step[1:])
			if !ok {
				return appendNull(dst, column, false)
			}
			return a.primitive(dst, schema, column, value)
		}
		children := childrenOf(a.text, parent.tag, parent.end)
		hasChild := false
		for child, ok := children.next(); ok && !hasChild; child, ok = children.next() {
			if _, local := scan.SplitName(child.tag.Name(a.text)); string(local) == step {
				parent = child
				hasChild = true
			}
		}
		if !hasChild {
			return appendNull(dst, column, i > 0) // present if the element around it is
		}
	}
	if null, _ := attributeLocal(a.text, parent.tag, "null"); string(null) == "true" {
		return appendNull(dst, column, true)
	}
	return a.primitive(dst, schema, column, a.text[parent.tag.End:contentEnd(a.text, parent.tag, parent.end)])
}

// attributeLocal returns an attribute by its name without prefix, or false if the element does not have it.
func attributeLocal(b []byte, t scan.XMLTag, name string) ([]byte, bool) {
	for attribute := range t.Attributes(b) {
		prefix, local := scan.SplitName(attribute.Name(b))
		if string(local) == name && string(prefix) != "xmlns" {
			return attribute.Value(b), true
		}
	}
	return nil, false
}
