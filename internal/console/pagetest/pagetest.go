// Package pagetest checks the rules that every page of the console must follow.
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
func Examine(text string) (problems []string) {
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		return []string{err.Error()}
	}
	e := &examination{ids: map[string]int{}, labels: map[string]bool{}}
	e.collect(doc)
	const isLabelled = false
	e.walk(doc, isLabelled)
	for id, n := range e.ids {
		if n > 1 {
			e.report("id %q is used %d times", id, n)
		}
	}
	if e.h1 != 1 {
		e.report("expected one h1, found %d", e.h1)
	}
	slices.Sort(e.problems)
	return e.problems
}

type examination struct {
	ids      map[string]int
	labels   map[string]bool // ids that a label is for
	level    int             // of the last heading
	h1       int             // number of h1 elements
	problems []string
}

func (e *examination) report(format string, args ...any) {
	e.problems = append(e.problems, fmt.Sprintf(format, args...))
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

func hasAttribute(n *html.Node, name string) bool {
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

// Read returns the text of a page that users read or hear from a screen reader.
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

// collect finds the ids and labels.
func (e *examination) collect(doc *html.Node) {
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if hasAttribute(n, "id") {
			e.ids[Attribute(n, "id")]++
		}
		if n.Data == "label" && hasAttribute(n, "for") {
			e.labels[Attribute(n, "for")] = true
		}
	}
}

// walk checks an element and all elements below it. isLabelled means that it is inside a label with text.
func (e *examination) walk(n *html.Node, isLabelled bool) {
	if n.Type == html.ElementNode {
		e.checkElement(n, isLabelled)
		isLabelled = isLabelled || (n.Data == "label" && Text(n) != "")
	}
	for c := range n.ChildNodes() {
		e.walk(c, isLabelled)
	}
}

func (e *examination) checkElement(n *html.Node, isLabelled bool) {
	for _, a := range n.Attr {
		if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
			e.report("<%s> has the attribute %s", n.Data, a.Key)
		}
		if slices.Contains([]string{"href", "src", "action", "formaction", "data-poll"}, a.Key) {
			e.checkAddress(n, a)
		}
		if slices.Contains([]string{"aria-labelledby", "aria-describedby", "for", "list", "aria-controls"}, a.Key) {
			for id := range strings.FieldsSeq(a.Val) {
				if e.ids[id] == 0 {
					e.report("<%s %s=%q> names no element", n.Data, a.Key, id)
				}
			}
		}
	}
	hasName := Text(n) != "" || Attribute(n, "aria-label") != ""
	switch n.Data {
	case "script":
		if !hasAttribute(n, "src") || Text(n) != "" {
			e.report("the page contains a script")
		}
	case "style", "iframe", "object", "embed", "base":
		e.report("the page contains <%s>", n.Data)
	case "input", "select", "textarea":
		kind := Attribute(n, "type")
		if kind != "hidden" && !isLabelled && !e.labels[Attribute(n, "id")] && Attribute(n, "aria-label") == "" {
			e.report("<%s name=%q> has no label", n.Data, Attribute(n, "name"))
		}
		if kind == "password" && hasAttribute(n, "value") {
			e.report("a password field %q has a value", Attribute(n, "name"))
		}
	case "button", "a", "summary", "legend", "caption":
		if !hasName {
			e.report("<%s> has no name", n.Data)
		}
	case "th":
		if !hasAttribute(n, "scope") {
			e.report("<th> %q has no scope", Text(n))
		}
	case "table":
		isCaption := func(c *html.Node) bool { return c.Data == "caption" }
		if !slices.ContainsFunc(slices.Collect(n.ChildNodes()), isCaption) {
			e.report("a table has no caption")
		}
	case "img":
		if !hasAttribute(n, "alt") {
			e.report("<img> has no alt")
		}
	case "html":
		if Attribute(n, "lang") == "" {
			e.report("the page has no language")
		}
	case "h1", "h2", "h3", "h4", "h5", "h6":
		level := int(n.Data[1] - '0')
		if level > e.level+1 {
			e.report("<%s> %q comes after a heading of level %d", n.Data, Text(n), e.level)
		}
		e.level = level
		if level == 1 {
			e.h1++
		}
	}
}

// checkAddress reports addresses that leave the worker.
func (e *examination) checkAddress(n *html.Node, a html.Attribute) {
	u, err := url.Parse(a.Val)
	if err != nil || u.IsAbs() || u.Host != "" || strings.HasPrefix(a.Val, "/") || strings.HasPrefix(a.Val, "\\") {
		e.report("<%s %s=%q> is no relative address", n.Data, a.Key, a.Val)
	}
}
