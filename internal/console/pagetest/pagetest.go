// Package pagetest checks pages of the console for what every page must have.
package pagetest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// Examine returns the problems of a page: duplicate ids, fields without a label, buttons and links without a name,
// foreign addresses, inline script and style, tables without caption and head, skipped heading levels.
func Examine(text string) (wrong []string) {
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		return []string{err.Error()}
	}
	e := &examination{ids: map[string]int{}, labels: map[string]bool{}}
	e.collect(doc)
	e.walk(doc, false)
	for id, n := range e.ids {
		if n > 1 {
			e.say("id %q is there %d times", id, n)
		}
	}
	if e.h1 != 1 {
		e.say("expected one h1, found %d", e.h1)
	}
	slices.Sort(e.wrong)
	return e.wrong
}

type examination struct {
	ids    map[string]int
	labels map[string]bool // ids that a label is for
	level  int
	h1     int
	wrong  []string
}

func (e *examination) say(format string, args ...any) {
	e.wrong = append(e.wrong, fmt.Sprintf(format, args...))
}

// Attribute returns an attribute of an element, "" if it is absent.
func Attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

// Text returns the text below an element in one line, without text areas.
func Text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode && (d.Parent == nil || d.Parent.Data != "textarea") {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// Read returns the text of a page that users read or hear.
func Read(text string) string {
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		return err.Error()
	}
	texts := []string{Text(doc)}
	for n := range doc.Descendants() {
		for _, name := range []string{"aria-label", "placeholder", "title", "alt", "data-say"} {
			texts = append(texts, Attribute(n, name))
		}
	}
	return strings.Join(texts, " ")
}

func (e *examination) collect(doc *html.Node) {
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if has(n, "id") {
			e.ids[Attribute(n, "id")]++
		}
		if n.Data == "label" && has(n, "for") {
			e.labels[Attribute(n, "for")] = true
		}
	}
}

func (e *examination) walk(n *html.Node, labelled bool) {
	if n.Type == html.ElementNode {
		e.element(n, labelled)
		labelled = labelled || (n.Data == "label" && Text(n) != "")
	}
	for c := range n.ChildNodes() {
		e.walk(c, labelled)
	}
}

func (e *examination) attributes(n *html.Node) {
	for _, a := range n.Attr {
		if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
			e.say("<%s> has %s in the page", n.Data, a.Key)
		}
		if slices.Contains([]string{"href", "src", "action", "formaction", "data-poll"}, a.Key) {
			e.address(n, a)
		}
		if slices.Contains([]string{"aria-labelledby", "aria-describedby", "for", "list", "aria-controls"}, a.Key) {
			for id := range strings.FieldsSeq(a.Val) {
				if e.ids[id] == 0 {
					e.say("<%s %s=%q> names no element", n.Data, a.Key, id)
				}
			}
		}
	}
}

func (e *examination) element(n *html.Node, labelled bool) {
	e.attributes(n)
	named := Text(n) != "" || Attribute(n, "aria-label") != ""
	switch n.Data {
	case "script":
		if !has(n, "src") || Text(n) != "" {
			e.say("a script stands in the page")
		}
	case "style", "iframe", "object", "embed", "base":
		e.say("<%s> stands in the page", n.Data)
	case "input", "select", "textarea":
		kind := Attribute(n, "type")
		if kind != "hidden" && !labelled && !e.labels[Attribute(n, "id")] && Attribute(n, "aria-label") == "" {
			e.say("<%s name=%q> has no label", n.Data, Attribute(n, "name"))
		}
		if kind == "password" && has(n, "value") {
			e.say("a password field %q has a value", Attribute(n, "name"))
		}
	case "button", "a", "summary", "legend", "caption":
		if !named {
			e.say("<%s> has no name", n.Data)
		}
	case "th":
		if !has(n, "scope") {
			e.say("<th> %q has no scope", Text(n))
		}
	case "table":
		caption := func(c *html.Node) bool { return c.Data == "caption" }
		if !slices.ContainsFunc(slices.Collect(n.ChildNodes()), caption) {
			e.say("a table has no caption")
		}
	case "img":
		if !has(n, "alt") {
			e.say("<img> has no alt")
		}
	case "html":
		if Attribute(n, "lang") == "" {
			e.say("the page does not say its language")
		}
	case "h1", "h2", "h3", "h4", "h5", "h6":
		level := int(n.Data[1] - '0')
		if level > e.level+1 {
			e.say("<%s> %q comes after a heading of level %d", n.Data, Text(n), e.level)
		}
		if e.level = level; level == 1 {
			e.h1++
		}
	}
}

// address reports addresses that leave the worker.
func (e *examination) address(n *html.Node, a html.Attribute) {
	u, err := url.Parse(a.Val)
	if err != nil || u.IsAbs() || u.Host != "" || strings.HasPrefix(a.Val, "/") || strings.HasPrefix(a.Val, "\\") {
		e.say("<%s %s=%q> is no address beside the page", n.Data, a.Key, a.Val)
	}
}
