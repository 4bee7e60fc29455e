package console

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/culvert-project/culvert/internal/shown"
)

// node is a value of a record in the tree viewer.
type node struct {
	// Name is the field or index in its parent, "" for the root. Text is the value of a leaf, Kind its type.
	Name     string
	Text     string
	Kind     string
	Children []node
	// Change is "changed" or "added" if the previous step's record differs, "" otherwise.
	Change string
}

// tree is a text of a record: nodes if it is complete JSON, else Lines.
type tree struct {
	Nodes []node
	Lines []string
}

const (
	maxTreeDepth = 16
	maxTreeNodes = 300
)

// newTree returns the tree of a text, with marks where the text of the previous step differs; before is "" for the
// first text.
func newTree(text, before string) tree {
	root, ok := parseTree(text)
	if !ok {
		return tree{Lines: linesOf(text)}
	}
	previous, hasPrevious := parseTree(before)
	if hasPrevious {
		root.compare(&previous)
	}
	if root.Kind != "object" && root.Kind != "array" {
		return tree{Nodes: []node{root}}
	}
	return tree{Nodes: root.Children}
}

func linesOf(text string) (lines []string) {
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, shown.Line(line))
	}
	return lines
}

// parseTree parses JSON. ok is false for other texts, for truncated ones, and if it is too large for a tree.
func parseTree(text string) (root node, ok bool) {
	if text == "" || !json.Valid([]byte(text)) {
		return root, false
	}
	p := treeParser{decoder: json.NewDecoder(bytes.NewReader([]byte(text)))}
	p.decoder.UseNumber()
	root = p.value("", 0)
	return root, !p.tooLarge
}

type treeParser struct {
	decoder  *json.Decoder
	count    int
	tooLarge bool
}

// value reads the next value. Input is valid JSON, so that the decoder has no error before its end.
func (p *treeParser) value(name string, depth int) node {
	n := node{Name: shown.Line(name)}
	p.count++
	if p.count > maxTreeNodes || depth > maxTreeDepth {
		p.tooLarge = true
		return n
	}
	token, _ := p.decoder.Token()
	switch t := token.(type) {
	case json.Delim:
		n.Kind = "array"
		if t == '{' {
			n.Kind = "object"
		}
		for i := 0; p.decoder.More() && !p.tooLarge; i++ {
			key := formatCount(i)
			if n.Kind == "object" {
				token, _ := p.decoder.Token()
				key, _ = token.(string)
			}
			n.Children = append(n.Children, p.value(key, depth+1))
		}
		_, _ = p.decoder.Token()
	case string:
		n.Kind = "string"
		n.Text = quoted(t)
	case nil:
		n.Kind = "null"
		n.Text = "null"
	default:
		n.Kind = "number" // or a boolean, which looks alike
		data, _ := json.Marshal(t)
		n.Text = string(data)
	}
	return n
}

func quoted(text string) string { return `"` + shown.Line(text) + `"` }

// compare marks what differs from the same place in the previous record. It reports whether anything differs.
func (n *node) compare(previous *node) (differs bool) {
	if n.Kind != previous.Kind || n.Text != previous.Text {
		n.Change = "changed"
		return true
	}
	byName := map[string]*node{}
	for i := range previous.Children {
		byName[previous.Children[i].Name] = &previous.Children[i]
	}
	differs = len(n.Children) != len(previous.Children)
	for i := range n.Children {
		child := &n.Children[i]
		if other := byName[child.Name]; other == nil {
			child.Change = "added"
			differs = true
		} else if child.compare(other) {
			differs = true
		}
	}
	return differs
}

// Open reports whether the viewer shows the children at first.
func (n node) Open() bool { return len(n.Children) <= 20 }
