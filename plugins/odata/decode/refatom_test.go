package decode

import (
	"fmt"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// refTextTypes are the types whose empty text is a value and not null.
var refTextTypes = []edm.Primitive{edm.String, edm.Binary}

// isEntry is passed for the properties of an entry.
const isEntry = true

// choosePrefixes sets the prefixes of the names that follow, and returns their declarations.
func (g *refGenerator) choosePrefixes() string {
	g.atom = ""
	g.data = "d:"
	g.meta = "m:"
	if g.is(0.3) {
		prefixes := pick(g, [3]string{"a:", "d:", "m:"}, [3]string{"", "x:", "y:"}, [3]string{"a:", "", "m:"},
			[3]string{"", "m:", "d:"})
		g.atom = prefixes[0]
		g.data = prefixes[1]
		g.meta = prefixes[2]
	}
	var b strings.Builder
	declare := func(prefix, uri string) {
		name := strings.TrimSuffix("xmlns:"+prefix, ":")
		fmt.Fprintf(&b, " %s=%s", name, g.attribute(uri))
	}
	declare(g.atom, refAtom)
	declare(g.data, refData)
	declare(g.meta, refMeta)
	return b.String()
}

// attribute returns the value of an attribute in quotation marks.
func (g *refGenerator) attribute(text string) string {
	if g.is(0.2) {
		return "'" + text + "'"
	}
	return `"` + text + `"`
}

// element returns an element. attributes are empty or start with a space.
func (g *refGenerator) element(name, attributes, content string) string {
	space := ""
	if g.is(0.1) {
		space = pick(g, " ", "\n", "\r\n\t")
	}
	if content == "" && g.IntN(2) == 0 {
		return "<" + name + attributes + space + "/>"
	}
	return "<" + name + attributes + space + ">" + content + "</" + name + space + ">"
}

// misc returns text or markup that a reader ignores between elements.
func (g *refGenerator) misc() string {
	if g.is(0.1) {
		return pick(g, "<!-- <d:Id0>5</d:Id0> -->", "<?pi <x?>", "text", "&amp;", "<![CDATA[<entry>]]>")
	}
	return g.space()
}

// markup returns a text with references, comments and CDATA sections. U+FFFD becomes an unknown entity.
func (g *refGenerator) markup(text string) string {
	var b strings.Builder
	for _, c := range text {
		switch {
		case c == '\ufffd':
			b.WriteString("&nbsp;")
		case g.is(0.03):
			fmt.Fprintf(&b, pick(g, "&#%d;", "&#x%x;", "&#x%X;"), c)
		case c == '&':
			b.WriteString("&amp;")
		case c == '<':
			b.WriteString("&lt;")
		case g.is(0.01):
			b.WriteString("<!-- c -->")
			fallthrough
		default:
			if c == '>' {
				b.WriteString("&gt;")
			} else if g.is(0.01) {
				b.WriteString("<![CDATA[" + string(c) + "]]>")
			} else {
				b.WriteRune(c)
			}
		}
	}
	return b.String()
}

// properties returns the elements of a struct's columns and of unknown properties. An entry may have some columns
// elsewhere.
func (g *refGenerator) properties(s *RowSchema, ofEntry bool) (elements []string) {
	for _, i := range g.order(s) {
		if i < 0 {
			content := pick(g, "1", "", "a&lt;", "<x>1</x>", "<!-- c -->")
			elements = append(elements, g.element(pick(g, g.data, g.data, g.meta)+g.otherName(), "", content))
			continue
		}
		c := &s.Columns[i]
		isElsewhere := c.Target != "" && ofEntry && g.IntN(2) == 0
		if (c.isNavigation() && !g.is(0.02)) || isElsewhere {
			continue
		}
		elements = append(elements, g.property(c))
	}
	return elements
}

func (g *refGenerator) property(c *Column) string {
	name := g.data + c.Name
	attributes := ""
	content := ""
	if g.IntN(3) == 0 {
		attributes = fmt.Sprintf(" %stype=%s", g.meta, g.attribute("Edm.X"))
	}
	switch {
	case g.is(0.2) && (c.Optional || g.IntN(10) == 0):
		return g.element(name, pick(g, "", attributes)+" "+g.meta+"null="+pick(g, `"true"`, `'true'`, `"1"`), "")
	case g.is(0.01):
		content = pick(g, "<x/>", "<"+g.data+"Id0>1</"+g.data+"Id0>", "")
	case c.Kind == Primitive:
		content = g.markup(g.scalar(c))
		if g.is(0.05) {
			content = g.space() + content + g.space()
		}
	case c.Kind == Complex:
		content = g.misc() + strings.Join(g.properties(c.Nested, !isEntry), g.misc())
	default:
		content = g.inline(c)
	}
	if g.is(0.02) && g.data != "" {
		name = "q:" + c.Name
		attributes = attributes + ` xmlns:q="` + pick(g, refData, "other") + `"`
	}
	return g.element(name, attributes, content)
}

// inline returns the content of an expanded navigation property.
func (g *refGenerator) inline(c *Column) string {
	switch {
	case g.is(0.1):
		return g.misc()
	case c.Kind == NavigationToOne:
		return g.misc() + g.entry(c.Nested, g.entryAttributes())
	}
	return g.misc() + g.feed(c.Nested, "")
}

func (g *refGenerator) feed(s *RowSchema, attributes string) string {
	parts := []string{g.element(g.atom+"title", "", "x")}
	for range pick(g, 0, 1, 1, 2) {
		parts = append(parts, g.entry(s, g.entryAttributes()))
	}
	before := *g
	next := g.follow(func() string {
		declarations := g.choosePrefixes()
		return g.feed(s, declarations)
	})
	if next != "" {
		g.atom = before.atom
		g.data = before.data
		g.meta = before.meta
		parts = append(parts, g.element(g.atom+"link", ` rel="next" href="`+next+`"`, ""))
	}
	if g.is(0.3) {
		g.Shuffle(len(parts), func(i, k int) { parts[i], parts[k] = parts[k], parts[i] })
	}
	return g.element(g.atom+"feed", attributes, strings.Join(parts, g.misc()))
}

func (g *refGenerator) entry(s *RowSchema, attributes string) string {
	parts := []string{g.element(g.atom+"id", "", "T(1)"), g.element(g.atom+"category", ` term="N.T" scheme="x"`, "")}
	parts = append(parts, g.otherElements(s)...)
	for _, i := range g.order(s) {
		if i < 0 {
			continue
		}
		c := &s.Columns[i]
		if c.isNavigation() && (c.Inline || !g.is(0.1)) {
			content := g.element(g.meta+"inline", "", g.inline(c))
			if g.is(0.05) {
				content = pick(g, g.element(g.meta+"inline", " "+g.meta+`null="true"`, ""), "", content+content)
			}
			rel := g.attribute(refData + "/related/" + c.Name)
			parts = append(parts, g.element(g.atom+"link", ` href="x" rel=`+rel, content))
		}
		if c.Target != "" && c.Kind == Primitive && g.IntN(2) == 0 {
			parts = append(parts, g.target(c))
		}
	}
	before := *g
	declarations := ""
	if g.is(0.05) {
		declarations = " xmlns:z=" + g.attribute(refData)
		g.data = "z:"
	}
	content := g.misc() + strings.Join(g.properties(s, isEntry), g.misc()) + g.misc()
	g.data = before.data
	if g.is(0.2) {
		parts = append(parts, g.element(g.meta+"properties", declarations, content))
	} else {
		content = g.misc() + g.element(g.meta+"properties", "", content) + g.misc()
		parts = append(parts, g.element(g.atom+"content", ` type="application/xml"`+declarations, content))
	}
	if g.is(0.3) {
		g.Shuffle(len(parts), func(i, k int) { parts[i], parts[k] = parts[k], parts[i] })
	}
	return g.element(g.atom+"entry", attributes, g.misc()+strings.Join(parts, g.misc())+g.misc())
}

// otherElements returns elements of an entry that are no columns. Most entries of a page have the same elements with
// other values.
func (g *refGenerator) otherElements(s *RowSchema) (elements []string) {
	relations := []string{"edit", "edit-media", refData + "/related/A9"}
	for _, c := range s.Columns {
		if c.isNavigation() {
			relations = append(relations, refData+"/related/"+c.Name)
		}
	}
	layout := g.layout
	if g.is(0.1) {
		layout = g.Uint64()
	}
	for range layout % 4 {
		layout /= 4
		value := pick(g, "1", "1", "22", "", "2020-01-01T00:00:00Z", `a"b`, ` x="y`, "a=", "a&gt;b", "a>b", "&amp;", "\n")
		attribute := `"` + strings.ReplaceAll(value, `"`, "/") + `"`
		child := pick(g, "name", "uri", "a-name-of-16-byt", g.meta+"properties", "entry", "content")
		switch layout % 8 {
		case 0:
			elements = append(elements, g.element(g.atom+"updated", "", value))
		case 1:
			elements = append(elements, g.element(g.atom+"link", ` rel="edit" title="x" href=`+attribute, ""))
		case 2:
			relation := g.attribute(pick(g, relations...))
			elements = append(elements, g.element(g.atom+"link", ` href="x" rel=`+relation, ""))
		case 3:
			elements = append(elements, g.element(g.atom+"author", "", g.element(g.atom+"name", "", "")))
		case 4:
			elements = append(elements, g.element(g.atom+"author", "", g.element(g.atom+"name", "", value)))
		case 5:
			elements = append(elements, g.element(g.atom+"author", " x="+attribute, g.element(child, "", value)+value))
		case 6:
			elements = append(elements, g.element(g.atom+"author", "", value+g.element(child, "", g.element(child, "", ""))))
		default:
			related := ` href="x" rel="` + refData + "/related/A0" + `"`
			elements = append(elements, g.element(g.atom+"author", "", g.element(g.atom+"link", related, value)))
		}
	}
	return elements
}

// entryAttributes returns attributes that each start with a space, or "".
func (g *refGenerator) entryAttributes() string {
	if g.is(0.1) {
		return pick(g, ` xmlns:v="v"`, " "+g.meta+`etag="1"`, " xmlns:z="+g.attribute(refData))
	}
	return ""
}

// target returns the elements at the column's FC_TargetPath, with a value.
func (g *refGenerator) target(c *Column) string {
	text := g.markup(g.scalar(&Column{Type: c.Type, Mapping: c.Mapping, Scale: c.Scale}))
	null := ""
	if g.is(0.1) {
		null = " " + g.meta + `null="true"`
	}
	steps := c.steps
	if attribute, ok := strings.CutPrefix(steps[len(steps)-1], "@"); ok {
		text = strings.NewReplacer(`"`, "&quot;", "<!-- c -->", "", "<![CDATA[", "", "]]>", "").Replace(text)
		return g.element("g:"+steps[0], ` xmlns:g="geo" `+attribute+`="`+text+`"`, "")
	}
	for i := len(steps) - 1; i >= 0; i-- {
		text = g.element(g.atom+steps[i], null, text)
		null = ""
	}
	return text
}

// atomPage returns a page of a schema in one of its forms: a feed, an entry or a function result.
func (g *refGenerator) atomPage(s *RowSchema) string {
	declarations := g.choosePrefixes()
	g.layout = g.Uint64()
	if g.is(0.2) {
		declarations += ` xml:base="http://h/` + `a&amp;b/` + `"`
	}
	front := pick(g, "", `<?xml version="1.0" encoding="utf-8"?>`, "\ufeff")
	switch {
	case g.is(0.05):
		return front + g.entry(s, declarations)
	case g.is(0.05):
		elements := ""
		g.nested = nil // a next link in a function result is an error
		for range 1 + g.IntN(3) {
			elements += g.misc() + g.element(g.data+"element", "", strings.Join(g.properties(s, !isEntry), ""))
		}
		return front + g.element(g.data+"Fn", declarations, elements)
	case g.is(0.05):
		g.nested = nil // a next link in a function result is an error
		properties := strings.Join(g.properties(s, !isEntry), "") + g.element(g.data+"Left", "", "")
		return front + g.element(g.data+"Fn", declarations, properties)
	}
	parts := []string{g.element(g.atom+"title", "", "x")}
	for _, rel := range []string{"next", "delta", "http://www.iana.org/assignments/relation/next", "self"} {
		if g.IntN(3) == 0 {
			parts = append(parts, g.element(g.atom+"link", ` rel="`+rel+`" href="T?a=1&amp;b=2"`, ""))
		}
	}
	if g.IntN(2) == 0 {
		parts = append(parts, g.element(g.meta+"count", "", "17"))
	}
	for range g.IntN(8) {
		parts = append(parts, g.entry(s, g.entryAttributes()))
	}
	if g.is(0.3) {
		parts = append(parts, `<at:deleted-entry xmlns:at="http://purl.org/atompub/tombstones/1.0" ref="T(1)"`+
			pick(g, "", ` when="2020-01-01T00:00:00Z"`)+`/>`)
	}
	if g.is(0.5) {
		g.Shuffle(len(parts), func(i, k int) { parts[i], parts[k] = parts[k], parts[i] })
	}
	return front + g.comment() + g.element(g.atom+"feed", declarations, strings.Join(parts, g.misc())) + g.space()
}

// comment returns a comment or "".
func (g *refGenerator) comment() string {
	if g.is(0.1) {
		return "<!-- c -->"
	}
	return ""
}
